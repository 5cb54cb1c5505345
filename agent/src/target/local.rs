//! Frames of the protocols that the agent speaks itself, past the pipeline: in, out, and those that were lost.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use pointsman_ebpf::front::{LocalFrame, LocalKind, Wanted, is_link_local};
use tokio::sync::mpsc;

/// Frames that wait for the agent; more are lost and counted.
pub const LOCAL_QUEUE: usize = 1024;

/// The way past the pipeline.
pub trait Local: Send + Sync {
    /// Asks for frames of a kind, at most about so many a second from each port where the target can tell.
    fn want(&self, kind: LocalKind, wanted: Wanted, per_second: u32);

    /// Where they come from now on; whoever listened before hears no more.
    fn listen(&self) -> mpsc::Receiver<LocalFrame>;

    /// Sends a frame by a port. One that cannot be sent is lost, as on any wire.
    fn send(&self, port: u32, frame: &[u8]);

    /// Frames of a kind that were asked for and did not come.
    fn lost(&self, kind: LocalKind) -> u64;
}

/// The queue to whoever listens.
#[derive(Debug, Default)]
pub(super) struct LocalQueue {
    listener: Mutex<Option<mpsc::Sender<LocalFrame>>>,
    lost: [AtomicU64; LocalKind::ALL.len()],
}

impl LocalQueue {
    pub(super) fn listen(&self) -> mpsc::Receiver<LocalFrame> {
        let (sender, receiver) = mpsc::channel(LOCAL_QUEUE);
        *self.listener() = Some(sender);
        receiver
    }

    pub(super) fn offer(&self, frame: LocalFrame) {
        let kind = frame.kind;
        let is_taken = self
            .listener()
            .as_ref()
            .is_some_and(|listener| listener.try_send(frame).is_ok());
        if !is_taken {
            self.lost[kind as usize].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn lost(&self, kind: LocalKind) -> u64 {
        self.lost[kind as usize].load(Relaxed)
    }

    fn listener(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<LocalFrame>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For targets that see every frame themselves.
#[derive(Debug, Default)]
pub(super) struct LocalTap {
    wanted: [AtomicU8; LocalKind::ALL.len()],
    pub(super) queue: LocalQueue,
}

const COPY: u8 = 1;
const TAKE: u8 = 2;

impl LocalTap {
    pub(super) fn want(&self, kind: LocalKind, wanted: Wanted) {
        let wanted = match wanted {
            Wanted::No => 0,
            Wanted::Copy => COPY,
            Wanted::Take => TAKE,
        };
        self.wanted[kind as usize].store(wanted, Relaxed);
    }

    /// Hands a frame up if it is asked for. Says whether the pipeline is not to see it.
    pub(super) fn takes(&self, port: u32, bytes: &[u8]) -> bool {
        let Some(kind) = LocalKind::of(bytes) else {
            return false;
        };
        let wanted = self.wanted[kind as usize].load(Relaxed);
        let is_taken = wanted == TAKE && (kind != LocalKind::Lldp || is_link_local(bytes));
        if wanted == COPY || is_taken {
            let bytes = bytes.to_vec();
            self.queue.offer(LocalFrame { kind, port, bytes });
        }
        is_taken
    }
}
