//! The open streams: what each has to know, in two queues that its task reads.
//!
//! Whoever tells a stream something never waits for its client. *Notices* (mastership, objectives) are
//! few and none is lost: a stream that cannot take one more is closed. *News* (packets, and whatever
//! else a switch notices) may be many, and what does not fit is lost and counted by who sent it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use pointsman_proto::pointsman::agent::v1::Ack;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::notices::{Idle, LearntList};
use super::packet::PacketIn;
use crate::arbitration::{ArbitrationError, Notice, Primary, RoleConfig, RoleName, StreamId};
use crate::limits::Limits;

/// Notices that may wait for a slow client.
const NOTICES: usize = 256;

/// What a stream has to know.
#[derive(Debug, Clone)]
pub enum StreamNote {
    /// Where it stands.
    Standing(Notice),
    /// It is ended, and why.
    Refused(ArbitrationError),
    /// How objectives fare.
    Acks {
        /// Each that has changed.
        acks: Vec<Ack>,
        /// What the switch has taken.
        revision: u64,
    },
    /// A packet for the controller; news.
    PacketIn(PacketIn),
    /// What packets have learnt; news.
    Learnt(Arc<LearntList>),
    /// Entries that no packet has hit for their timeout; news.
    Idle(Arc<Idle>),
}

impl StreamNote {
    /// What it takes in a queue, roughly.
    fn bytes(&self) -> usize {
        let more = match self {
            StreamNote::PacketIn(packet) => packet.payload.len(),
            StreamNote::Learnt(learnt) => size_of_val(&learnt.list.messages[..]),
            StreamNote::Idle(idle) => size_of_val(&idle.entries[..]),
            StreamNote::Standing(_) | StreamNote::Refused(_) | StreamNote::Acks { .. } => 0,
        };
        more + size_of::<StreamNote>()
    }
}

/// The end of a stream's queues that is written to.
#[derive(Debug, Clone)]
struct Outbox {
    notices: mpsc::Sender<StreamNote>,
    news: News,
}

/// Where news is written to.
#[derive(Debug, Clone)]
struct News {
    queue: mpsc::Sender<Held>,
    /// Bytes that all queues together may still hold.
    memory: Arc<Semaphore>,
    /// Bytes that this queue holds.
    held: Arc<AtomicUsize>,
    /// What was lost, since the client reads too slowly.
    lost: Arc<AtomicU64>,
}

/// News, and its part of the memory for queues until somebody takes it.
#[derive(Debug)]
struct Held {
    note: StreamNote,
    /// Gives the memory back when it is dropped.
    _share: Share,
}

/// A part of the memory for queues.
#[derive(Debug)]
struct Share {
    bytes: usize,
    held: Arc<AtomicUsize>,
    _memory: OwnedSemaphorePermit,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl News {
    fn take(&self, note: StreamNote) -> Option<()> {
        let bytes = note.bytes();
        // A client that does not read takes no more than it leaves to the others.
        if self.held.load(Ordering::Relaxed) + bytes > self.memory.available_permits() {
            return None;
        }
        let memory = Arc::clone(&self.memory);
        let memory = memory.try_acquire_many_owned(u32::try_from(bytes).ok()?);
        let share = Share {
            bytes,
            held: Arc::clone(&self.held),
            _memory: memory.ok()?,
        };
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let held = Held {
            note,
            _share: share,
        };
        self.queue.try_send(held).ok()
    }
}

/// The end of a stream's queues that its task reads.
#[derive(Debug)]
pub struct Inbox {
    notices: mpsc::Receiver<StreamNote>,
    news: mpsc::Receiver<Held>,
}

impl Inbox {
    /// The next note, notices first; `None` when the stream is to end.
    pub async fn recv(&mut self) -> Option<StreamNote> {
        tokio::select! {
            biased;
            notice = self.notices.recv() => notice,
            Some(held) = self.news.recv() => Some(held.note),
        }
    }

    /// The next notice, if there is one now.
    pub fn try_notice(&mut self) -> Option<StreamNote> {
        self.notices.try_recv().ok()
    }
}

/// The open streams. Its lock is held for a moment only, and no other is taken under it.
#[derive(Debug)]
pub struct Streams {
    open: Mutex<Open>,
    /// News that may wait for one client.
    queue: usize,
    /// Bytes that all queues together may still hold.
    memory: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Open {
    last: u64,
    outboxes: HashMap<StreamId, Outbox>,
    /// The controllers that synchronise objectives.
    controllers: HashMap<StreamId, String>,
}

impl Streams {
    /// None yet.
    pub fn new(limits: &Limits) -> Streams {
        Streams {
            open: Mutex::default(),
            queue: limits.packet_in_queue,
            memory: Arc::new(Semaphore::new(limits.queued_bytes)),
        }
    }

    /// Adds a stream.
    pub fn open(&self) -> (StreamId, Inbox) {
        let (notices, notices_out) = mpsc::channel(NOTICES);
        let (queue, news_out) = mpsc::channel(self.queue);
        let news = News {
            queue,
            memory: Arc::clone(&self.memory),
            held: Arc::default(),
            lost: Arc::default(),
        };
        let mut open = self.lock();
        open.last += 1;
        let stream = StreamId(open.last);
        open.outboxes.insert(stream, Outbox { notices, news });
        let inbox = Inbox {
            notices: notices_out,
            news: news_out,
        };
        (stream, inbox)
    }

    /// Notes that a stream is a controller's, which synchronises objectives.
    pub fn set_controller(&self, stream: StreamId, name: String) {
        self.lock().controllers.insert(stream, name);
    }

    /// The stream is a controller's no more.
    pub fn forget_controller(&self, stream: StreamId) {
        self.lock().controllers.remove(&stream);
    }

    /// The controller whose stream this is.
    pub fn controller(&self, stream: StreamId) -> Option<String> {
        self.lock().controllers.get(&stream).cloned()
    }

    /// Ends a stream; its task sees the end of its inbox.
    pub fn close(&self, stream: StreamId) {
        let mut open = self.lock();
        let outbox = open.outboxes.remove(&stream);
        open.controllers.remove(&stream);
        drop(open);
        let lost = outbox.map_or(0, |outbox| outbox.news.lost.load(Ordering::Relaxed));
        if lost > 0 {
            tracing::warn!(
                stream = stream.0,
                lost,
                "the client read too slowly for this many packets and notifications"
            );
        }
    }

    /// Ends all streams.
    pub fn close_all(&self) {
        self.lock().outboxes.clear();
    }

    /// Gives a stream a notice, or closes it.
    pub fn tell(&self, stream: StreamId, note: StreamNote) {
        let ends = matches!(note, StreamNote::Refused(_));
        let mut open = self.lock();
        let Some(outbox) = open.outboxes.get(&stream) else {
            return;
        };
        let sent = outbox.notices.try_send(note).is_ok();
        if ends || !sent {
            open.outboxes.remove(&stream);
        }
    }

    /// Those of these streams that are open, as subscribers of news.
    pub fn subscribers<'a>(&self, primaries: impl Iterator<Item = Primary<'a>>) -> Vec<Subscriber> {
        let open = self.lock();
        let subscribers = primaries.filter_map(|primary| {
            Some(Subscriber {
                stream: primary.stream,
                role: primary.role.clone(),
                config: primary.config.cloned(),
                news: open.outboxes.get(&primary.stream)?.news.clone(),
            })
        });
        subscribers.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is told what the switch notices: the primary of its role.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Which one.
    pub stream: StreamId,
    /// Its role.
    pub role: RoleName,
    /// What the role may do; everything without.
    pub config: Option<Arc<RoleConfig>>,
    news: News,
}

impl Subscriber {
    /// Whether its role is told of what has this p4info id.
    pub fn has(&self, id: u32) -> bool {
        self.config.as_ref().is_none_or(|config| config.has(id))
    }

    /// Whether its role is sent a packet with this metadata.
    pub fn receives(&self, metadata: &[(u32, Vec<u8>)]) -> bool {
        self.config
            .as_ref()
            .is_none_or(|config| config.receives(metadata))
    }

    /// Gives it news; `false` if it has too many unread.
    pub fn offer(&self, news: StreamNote) -> bool {
        let taken = self.news.take(news);
        if taken.is_none() {
            self.news.lost.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_some()
    }
}

/// Who is told what the switch notices. It is replaced as a whole when mastership changes, and
/// read without waiting for anything.
#[derive(Debug, Default)]
pub struct Subscribers(RwLock<Arc<[Subscriber]>>);

impl Subscribers {
    /// Those there are now.
    pub fn get(&self) -> Arc<[Subscriber]> {
        let subscribers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&subscribers)
    }

    /// The role whose primary a stream is.
    pub fn role_of(&self, stream: StreamId) -> Option<RoleName> {
        let subscribers = self.get();
        let subscriber = subscribers.iter().find(|s| s.stream == stream);
        subscriber.map(|subscriber| subscriber.role.clone())
    }

    /// Replaces them.
    pub fn set(&self, subscribers: Vec<Subscriber>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = subscribers.into();
    }
}
