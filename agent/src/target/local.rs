//! Frames of the protocols that the agent speaks itself, past the pipeline: in, out, and those that were lost.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pointsman_ebpf::front::{LocalFrame, LocalKind, Station, Wanted, is_link_local};
use tokio::sync::mpsc;

/// Frames that wait for the agent; more are lost and counted.
pub const LOCAL_QUEUE: usize = 1024;

/// The way past the pipeline.
pub trait Local: Send + Sync {
    /// Asks for frames of a kind, at most about so many a second from each port where the target can tell.
    fn want(&self, kind: LocalKind, wanted: Wanted, per_second: u32);

    /// Where frames of the protocols come from now on; whoever listened before hears no more.
    fn listen(&self) -> mpsc::Receiver<LocalFrame>;

    /// The same for the headers of frames of new stations. None are known then.
    fn listen_for_stations(&self) -> mpsc::Receiver<LocalFrame>;

    /// Stations of these ports, and of no others, are looked for from now on. With each stands the VLAN of its frames
    /// without a tag, [`NO_VLAN`](pointsman_ebpf::front::NO_VLAN) if they have none.
    fn learn(&self, ports: &BTreeMap<u32, u16>);

    /// Where a station is, or that it is known no more. Frames of a known one are not handed up.
    fn know(&self, station: Station, port: Option<u32>);

    /// Whether a station has sent something since the last call, or since it became known.
    fn take_seen(&self, station: Station) -> bool;

    /// Sends a frame by a port. One that cannot be sent is lost, as on any wire.
    fn send(&self, port: u32, frame: &[u8]);

    /// Whether the agent takes such a frame, so that the pipeline does not see it.
    fn takes(&self, frame: &[u8]) -> bool;

    /// Frames of a kind that were asked for and did not come.
    fn lost(&self, kind: LocalKind) -> u64;
}

/// The queues to those who listen.
#[derive(Debug, Default)]
pub(super) struct LocalQueue {
    protocols: Listener,
    stations: Listener,
    lost: [AtomicU64; LocalKind::ALL.len()],
}

/// Who listens.
#[derive(Debug, Default)]
struct Listener(Mutex<Option<mpsc::Sender<LocalFrame>>>);

impl Listener {
    fn listen(&self) -> mpsc::Receiver<LocalFrame> {
        let (sender, receiver) = mpsc::channel(LOCAL_QUEUE);
        *lock(&self.0) = Some(sender);
        receiver
    }

    /// Says whether somebody has room for it.
    fn offer(&self, frame: LocalFrame) -> bool {
        let listener = lock(&self.0);
        let listener = listener.as_ref();
        listener.is_some_and(|listener| listener.try_send(frame).is_ok())
    }
}

impl LocalQueue {
    pub(super) fn listen(&self) -> mpsc::Receiver<LocalFrame> {
        self.protocols.listen()
    }

    pub(super) fn listen_for_stations(&self) -> mpsc::Receiver<LocalFrame> {
        self.stations.listen()
    }

    pub(super) fn offer(&self, frame: LocalFrame) {
        let kind = frame.kind;
        let listener = match kind {
            LocalKind::NewStation => &self.stations,
            _ => &self.protocols,
        };
        if !listener.offer(frame) {
            self.lost[kind as usize].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn lost(&self, kind: LocalKind) -> u64 {
        self.lost[kind as usize].load(Relaxed)
    }
}

/// For targets that see every frame themselves.
#[derive(Debug, Default)]
pub(super) struct LocalTap {
    wanted: [AtomicU8; LocalKind::ALL.len()],
    stations: Mutex<Stations>,
    pub(super) queue: LocalQueue,
}

/// What [`pointsman_ebpf::front::Stations`] is to programs.
#[derive(Debug, Default)]
struct Stations {
    learns: BTreeMap<u32, u16>,
    /// Where each is, and whether it was seen.
    known: HashMap<Station, (u32, bool)>,
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

    pub(super) fn listen_for_stations(&self) -> mpsc::Receiver<LocalFrame> {
        lock(&self.stations).known.clear();
        self.queue.listen_for_stations()
    }

    pub(super) fn learn(&self, ports: &BTreeMap<u32, u16>) {
        lock(&self.stations).learns.clone_from(ports);
    }

    pub(super) fn know(&self, station: Station, port: Option<u32>) {
        let known = &mut lock(&self.stations).known;
        match port {
            Some(port) => known.insert(station, (port, true)),
            None => known.remove(&station),
        };
    }

    pub(super) fn take_seen(&self, station: Station) -> bool {
        let known = &mut lock(&self.stations).known;
        let seen = known.get_mut(&station).map(|(_, seen)| seen);
        seen.is_some_and(std::mem::take)
    }

    /// Hands up a frame of a station that is not known where it came in.
    fn meet(&self, port: u32, bytes: &[u8]) {
        if self.wanted[LocalKind::NewStation as usize].load(Relaxed) == 0 {
            return;
        }
        let mut stations = lock(&self.stations);
        let untagged = stations.learns.get(&port).copied();
        let station = untagged.and_then(|vlan| Station::of(bytes, vlan));
        let Some(station) = station else { return };
        match stations.known.get_mut(&station) {
            Some((at, seen)) if *at == port => *seen = true,
            _ => self.queue.offer(LocalFrame {
                kind: LocalKind::NewStation,
                port,
                bytes: bytes.to_vec(),
            }),
        }
    }

    /// Whether the pipeline is not to see a frame.
    pub(super) fn would_take(&self, bytes: &[u8]) -> bool {
        LocalKind::of(bytes).is_some_and(|kind| {
            let wanted = self.wanted[kind as usize].load(Relaxed);
            wanted == TAKE && (kind != LocalKind::Lldp || is_link_local(bytes))
        })
    }

    /// Hands a frame up if it is asked for. Says whether the pipeline is not to see it.
    pub(super) fn takes(&self, port: u32, bytes: &[u8]) -> bool {
        self.meet(port, bytes);
        let Some(kind) = LocalKind::of(bytes) else {
            return false;
        };
        let is_taken = self.would_take(bytes);
        if is_taken || self.wanted[kind as usize].load(Relaxed) == COPY {
            let bytes = bytes.to_vec();
            self.queue.offer(LocalFrame { kind, port, bytes });
        }
        is_taken
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves what is locked whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
