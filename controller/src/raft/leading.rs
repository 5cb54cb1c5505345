//! What a node does for everybody while it leads: it commits commands, many to a
//! write of the disk, and confirms reads, many to a round of questions.
//!
//! Two tasks gather what comes while the last batch is under way. They run on
//! every node; on one that does not lead, all is answered with who does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::pending;
use openraft::error::{CheckIsLeaderError, ClientWriteError, RaftError};
use openraft::metrics::RaftServerMetrics;
use tokio::sync::{RwLock, Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StoreError;
use super::types::{Batch, EncodedCommand, Raft, Vote};
use crate::state::{NodeId, Response};

/// Requests that wait to be gathered. More than these wait in their senders.
const QUEUE: usize = 4096;
/// What one entry holds at most, unless a single command is larger.
const BATCH_BYTES: usize = 1 << 20;
/// Batches under way: one on the leader's disk while the other is on the followers'.
const BATCHES_UNDER_WAY: usize = 2;
/// How long an answer is waited for. A leader that was deposed and then sent a snapshot never learns what became of its
/// last batches.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

struct Write {
    command: EncodedCommand,
    answer: Answer<Response>,
}

/// The two queues. Its clones share them.
#[derive(Clone)]
pub struct Leading {
    writes: mpsc::Sender<Write>,
    reads: mpsc::Sender<Answer<Option<u64>>>,
    gate: Arc<RwLock<()>>,
}

impl Leading {
    /// Starts both tasks. They end with `stop`.
    pub fn start(raft: &Raft, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        let (writes, write_queue) = mpsc::channel(QUEUE);
        let (reads, read_queue) = mpsc::channel(QUEUE);
        let gate = Arc::new(RwLock::new(()));
        let (writing, reading) = (raft.clone(), raft.clone());
        let (until, opened) = (stop.clone(), gate.clone());
        let inner = tasks.clone();
        tasks.spawn(async move {
            let work = commit_batches(writing, write_queue, opened, inner);
            until.run_until_cancelled(work).await;
        });
        let until = stop.clone();
        tasks.spawn(async move {
            until
                .run_until_cancelled(confirm_reads(reading, read_queue))
                .await;
        });
        Self {
            writes,
            reads,
            gate,
        }
    }

    /// Commits a command, if this node leads.
    ///
    /// # Errors
    /// When it does not, or stopped.
    pub async fn commit(&self, command: EncodedCommand) -> Result<Response, StoreError> {
        ask(&self.writes, |answer| Write { command, answer }).await
    }

    /// The index up to which the log must be applied before a read that began
    /// before this call can be answered, if this node leads.
    ///
    /// # Errors
    /// When it does not, no majority answers, or it stopped.
    pub async fn read_index(&self) -> Result<Option<u64>, StoreError> {
        ask(&self.reads, |answer| answer).await
    }

    /// Lets no command into the log for as long as the guard lives; they wait.
    pub async fn hold(&self) -> impl Drop + use<'_> {
        self.gate.write().await
    }
}

async fn ask<Q, T>(
    queue: &mpsc::Sender<Q>,
    question: impl FnOnce(Answer<T>) -> Q,
) -> Result<T, StoreError> {
    let (answer, answered) = oneshot::channel();
    // A node that stops leads no more; another one will.
    let sent = queue.send(question(answer)).await;
    sent.map_err(|_| StoreError::NotLeader { leader: None })?;
    let lost = |_| StoreError::Unknown("the node was stopped".to_owned());
    answered.await.map_err(lost)?
}

async fn commit_batches(
    raft: Raft,
    mut queue: mpsc::Receiver<Write>,
    gate: Arc<RwLock<()>>,
    tasks: TaskTracker,
) {
    let slots = Arc::new(Semaphore::new(BATCHES_UNDER_WAY));
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() && queue.recv_many(&mut waiting, QUEUE).await == 0 {
            return;
        }
        let slot = slots.clone().acquire_owned().await;
        let slot = slot.expect("nobody closes the semaphore");
        let opened = gate.clone().read_owned().await;
        // What came while this waited goes along.
        while let Ok(write) = queue.try_recv() {
            waiting.push(write);
        }
        let rest = waiting.split_off(batch_length(&waiting));
        let batch = std::mem::replace(&mut waiting, rest);
        let (commands, answers): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|write| (write.command, write.answer))
            .unzip();
        let leadership = raft.server_metrics();
        let vote = leadership.borrow().vote;
        // In this task, so that batches are in the log in the order in which they were gathered.
        match raft.client_write_ff(Batch(commands)).await {
            Ok(written) => drop(tasks.spawn(async move {
                let mut written = pin!(tokio::time::timeout(ANSWER_TIMEOUT, written));
                let result = tokio::select! {
                    result = &mut written => result,
                    // Should this node lead again, no batch of then waits behind this one.
                    () = end_of(vote, leadership) => {
                        drop((slot, opened));
                        written.await
                    }
                };
                let result = match result {
                    Ok(Ok(result)) => result.map_err(write_error),
                    Ok(Err(_)) => Err(StoreError::Unknown("consensus ended".to_owned())),
                    Err(_) => Err(StoreError::Unknown("no majority answered".to_owned())),
                };
                answer_batch(result.map(|written| written.data), answers);
            })),
            Err(fatal) => {
                answer_batch(Err(StoreError::Stopped(fatal.to_string())), answers);
            }
        }
    }
}

/// How many of these, from the first, make a batch.
fn batch_length(waiting: &[Write]) -> usize {
    let mut bytes = 0;
    let fitting = waiting.iter().take_while(|write| {
        bytes += write.command.bytes().len();
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1).min(waiting.len())
}

/// Resolves once this node has voted anew, for another leader or in another term.
async fn end_of(
    vote: Vote,
    mut leadership: watch::Receiver<RaftServerMetrics<NodeId, openraft::BasicNode>>,
) {
    if leadership.wait_for(|now| now.vote != vote).await.is_err() {
        pending().await
    }
}

fn answer_batch(result: Result<Vec<Response>, StoreError>, answers: Vec<Answer<Response>>) {
    // Who asked may have given up; nothing is lost with the answer.
    match result {
        Ok(responses) => {
            for (response, answer) in responses.into_iter().zip(answers) {
                let _ = answer.send(Ok(response));
            }
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}

fn write_error<N: openraft::Node>(error: ClientWriteError<u64, N>) -> StoreError {
    match error {
        ClientWriteError::ForwardToLeader(to) => StoreError::NotLeader {
            leader: to.leader_id,
        },
        ClientWriteError::ChangeMembershipError(error) => StoreError::Refused(error.to_string()),
    }
}

async fn confirm_reads(raft: Raft, mut queue: mpsc::Receiver<Answer<Option<u64>>>) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, QUEUE).await > 0 {
        let confirmed = raft.get_read_log_id().await;
        let confirmed = confirmed.map_err(|error| match error {
            RaftError::APIError(CheckIsLeaderError::ForwardToLeader(to)) => StoreError::NotLeader {
                leader: to.leader_id,
            },
            RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(missing)) => {
                StoreError::NoQuorum(missing.to_string())
            }
            RaftError::Fatal(fatal) => StoreError::Stopped(fatal.to_string()),
        });
        let index = confirmed.map(|(point, _)| point.map(|point| point.index));
        for answer in waiting.drain(..) {
            let _ = answer.send(index.clone());
        }
    }
}
