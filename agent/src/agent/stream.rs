//! The open streams: what each has to know, in two queues that its task reads.
//!
//! Whoever tells a stream something never waits for its client. *Notices* (mastership, objectives) are
//! few and none is lost: a stream that cannot take one more is closed. *News* (packets, and whatever
//! else a switch notices) may be many, and what does not fit is lost and counted by who sent it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use pointsman_proto::pointsman::agent::v1::Ack;
use tokio::sync::mpsc;

use super::notices::{Idle, LearntList};
use super::packet::PacketIn;
use crate::arbitration::{ArbitrationError, Notice, RoleName, StreamId};

/// Notices that may wait for a slow client.
const NOTICES: usize = 256;

/// News that may wait for a slow client.
const NEWS: usize = 4096;

/// What a stream has to know.
#[derive(Debug, Clone)]
pub enum StreamNote {
    /// Where it stands.
    Standing(Notice),
    /// It is ended, and why.
    Refused(ArbitrationError),
    /// How objectives fare.
    Acks(Vec<Ack>),
    /// A packet for the controller; news.
    PacketIn(PacketIn),
    /// What packets have learnt; news.
    Learnt(Arc<LearntList>),
    /// Entries that no packet has hit for their timeout; news.
    Idle(Arc<Idle>),
}

/// The end of a stream's queues that is written to.
#[derive(Debug, Clone)]
struct Outbox {
    notices: mpsc::Sender<StreamNote>,
    news: mpsc::Sender<StreamNote>,
}

/// The end of a stream's queues that its task reads.
#[derive(Debug)]
pub struct Inbox {
    notices: mpsc::Receiver<StreamNote>,
    news: mpsc::Receiver<StreamNote>,
}

impl Inbox {
    /// The next note, notices first; `None` when the stream is to end.
    pub async fn recv(&mut self) -> Option<StreamNote> {
        tokio::select! {
            biased;
            notice = self.notices.recv() => notice,
            Some(news) = self.news.recv() => Some(news),
        }
    }
}

/// The open streams. Its lock is held for a moment only, and no other is taken under it.
#[derive(Debug, Default)]
pub struct Streams(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    last: u64,
    outboxes: HashMap<StreamId, Outbox>,
    /// The controllers that synchronise objectives.
    controllers: HashMap<StreamId, String>,
}

impl Streams {
    /// Adds a stream.
    pub fn open(&self) -> (StreamId, Inbox) {
        let (notices, notices_out) = mpsc::channel(NOTICES);
        let (news, news_out) = mpsc::channel(NEWS);
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
        open.outboxes.remove(&stream);
        open.controllers.remove(&stream);
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
    pub fn subscribers<'a>(
        &self,
        primaries: impl Iterator<Item = (&'a RoleName, StreamId)>,
    ) -> Vec<Subscriber> {
        let open = self.lock();
        let subscribers = primaries.filter_map(|(role, stream)| {
            Some(Subscriber {
                stream,
                role: role.clone(),
                news: open.outboxes.get(&stream)?.news.clone(),
            })
        });
        subscribers.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is told what the switch notices: the primary of its role.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Which one.
    pub stream: StreamId,
    /// Its role.
    pub role: RoleName,
    news: mpsc::Sender<StreamNote>,
}

impl Subscriber {
    /// Gives it news; `false` if it has too many unread.
    pub fn offer(&self, news: StreamNote) -> bool {
        self.news.try_send(news).is_ok()
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

    /// Replaces them.
    pub fn set(&self, subscribers: Vec<Subscriber>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = subscribers.into();
    }
}
