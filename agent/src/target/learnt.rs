//! What packets learn (digests), on its way to the agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pointsman_p4::interpreter::Digest;
use pointsman_p4::ir::Program;
use tokio::sync::mpsc;

/// Batches of digests that wait for the agent. More are lost and counted.
pub const LEARNT_QUEUE: usize = 1024;

/// Digests of one or more packets, in order.
#[derive(Debug)]
pub struct Learnt {
    /// Of this program.
    pub program: Arc<Program>,
    /// Not empty.
    pub digests: Vec<Digest>,
}

/// The end of the queue that a target writes.
#[derive(Debug)]
pub(super) struct Learner {
    queue: mpsc::Sender<Learnt>,
    lost: AtomicU64,
}

impl Learner {
    pub(super) fn new(queue: mpsc::Sender<Learnt>) -> Learner {
        Learner {
            queue,
            lost: AtomicU64::new(0),
        }
    }

    /// Passes on what packets of a program have learnt, if anything.
    pub(super) fn learn(&self, program: &Arc<Program>, digests: Vec<Digest>) {
        let count = digests.len() as u64;
        if count == 0 {
            return;
        }
        let learnt = Learnt {
            program: Arc::clone(program),
            digests,
        };
        if self.queue.try_send(learnt).is_err() {
            self.lost.fetch_add(count, Relaxed);
        }
    }

    /// Digests that found the queue full.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}
