//! The state of all digests and its one transition function.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pointsman_p4::dataplane::Bits;
use pointsman_p4::ir::LearnListId;

use crate::entity::DigestConfig;

/// Messages in a list at most, whatever is configured: keeps lists well below what gRPC clients accept.
pub const MAX_LIST_SIZE: usize = 1024;

/// Messages of one digest that wait for company or to be acknowledged.
pub const MAX_MESSAGES: usize = 1 << 16;

/// What one packet had learnt: the elements of the digest, in the program's order.
pub type Message = Arc<[Bits]>;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A digest is to be sent in this way from now on.
    Configured(LearnListId, DigestConfig),
    /// A digest is not sent any more.
    Removed(LearnListId),
    /// A packet learnt something.
    Learnt(LearnListId, Message),
    /// A client has dealt with a list.
    Acknowledged(LearnListId, u64),
    /// A list had nobody to go to, or there was no room for it.
    NotSent(LearnListId, u64),
    /// There is another primary, who has not seen what the one before was sent.
    NewPrimary,
    /// The [deadline](Digests::deadline) has come.
    Timer,
}

/// Messages for the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Of this digest.
    pub digest: LearnListId,
    /// By which the client acknowledges it.
    pub list_id: u64,
    /// Distinct, the oldest first.
    pub messages: Vec<Message>,
}

/// All digests of the pipeline.
#[derive(Debug, Default)]
pub struct Digests {
    /// Those that are sent.
    digests: BTreeMap<LearnListId, Digest>,
    last_list_id: u64,
    lost: u64,
}

/// A digest that is sent.
#[derive(Debug)]
struct Digest {
    config: DigestConfig,
    /// What waits for company, the oldest first.
    waiting: Vec<Message>,
    /// Since when the first of them has.
    since: Duration,
    /// What was sent and is not acknowledged, the oldest first.
    sent: VecDeque<Sent>,
    /// All messages that wait or were sent.
    known: HashSet<Message>,
}

/// A list that was sent.
#[derive(Debug)]
struct Sent {
    list_id: u64,
    at: Duration,
    messages: Vec<Message>,
}

impl Digests {
    /// Takes what happened; returns the lists to send, in order.
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<List> {
        match event {
            Event::Configured(id, config) => {
                let digest = self.digests.entry(id).or_insert_with(Digest::new);
                digest.config = config;
                self.send_due(now)
            }
            Event::Removed(id) => {
                self.digests.remove(&id);
                Vec::new()
            }
            Event::Learnt(id, message) => self.learn(id, message, now).into_iter().collect(),
            Event::Acknowledged(id, list_id) => {
                self.forget(id, list_id);
                Vec::new()
            }
            Event::NotSent(id, list_id) => {
                self.lost += self.forget(id, list_id);
                Vec::new()
            }
            Event::NewPrimary => {
                for digest in self.digests.values_mut() {
                    digest.forget_all_sent();
                }
                Vec::new()
            }
            Event::Timer => self.send_due(now),
        }
    }

    /// When the next list is due, if nothing else happens before.
    pub fn deadline(&self) -> Option<Duration> {
        let waiting = self.digests.values().filter(|d| !d.waiting.is_empty());
        waiting.map(Digest::due).min()
    }

    /// Messages that were lost for want of room or of somebody to take them.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn learn(&mut self, id: LearnListId, message: Message, now: Duration) -> Option<List> {
        // Nobody has asked for the others.
        let digest = self.digests.get_mut(&id)?;
        digest.forget_expired(now);
        if digest.known.contains(&message) {
            return None;
        }
        if digest.known.len() >= MAX_MESSAGES {
            self.lost += 1;
            return None;
        }
        if digest.waiting.is_empty() {
            digest.since = now;
        }
        digest.known.insert(Arc::clone(&message));
        digest.waiting.push(message);
        digest
            .is_due(now)
            .then(|| digest.send(id, &mut self.last_list_id, now))
    }

    fn send_due(&mut self, now: Duration) -> Vec<List> {
        let mut lists = Vec::new();
        for (id, digest) in &mut self.digests {
            while digest.is_due(now) {
                lists.push(digest.send(*id, &mut self.last_list_id, now));
            }
        }
        lists
    }

    /// Forgets a list that was sent; returns how many messages it had.
    fn forget(&mut self, id: LearnListId, list_id: u64) -> u64 {
        let Some(digest) = self.digests.get_mut(&id) else {
            return 0;
        };
        let found = digest.sent.iter().position(|sent| sent.list_id == list_id);
        let Some(sent) = found.and_then(|index| digest.sent.remove(index)) else {
            return 0;
        };
        digest.unlearn(&sent);
        sent.messages.len() as u64
    }
}

impl Digest {
    fn new() -> Digest {
        Digest {
            config: DigestConfig::default(),
            waiting: Vec::new(),
            since: Duration::ZERO,
            sent: VecDeque::new(),
            known: HashSet::new(),
        }
    }

    fn list_size(&self) -> usize {
        match self.config.max_list_size {
            0 => MAX_LIST_SIZE,
            size => MAX_LIST_SIZE.min(size as usize),
        }
    }

    /// When what waits has waited long enough.
    fn due(&self) -> Duration {
        let wait = Duration::from_nanos(self.config.max_timeout_ns);
        self.since.saturating_add(wait)
    }

    fn is_due(&self, now: Duration) -> bool {
        !self.waiting.is_empty() && (self.waiting.len() >= self.list_size() || self.due() <= now)
    }

    fn send(&mut self, digest: LearnListId, last_list_id: &mut u64, now: Duration) -> List {
        *last_list_id += 1;
        let size = self.list_size().min(self.waiting.len());
        let sent = Sent {
            list_id: *last_list_id,
            at: now,
            messages: self.waiting.drain(..size).collect(),
        };
        let list = List {
            digest,
            list_id: sent.list_id,
            messages: sent.messages.clone(),
        };
        self.sent.push_back(sent);
        list
    }

    /// Forgets what was sent so long ago that it may be sent again.
    fn forget_expired(&mut self, now: Duration) {
        let wait = Duration::from_nanos(self.config.ack_timeout_ns);
        while let Some(sent) = self.sent.pop_front_if(|s| s.at.saturating_add(wait) <= now) {
            self.unlearn(&sent);
        }
    }

    fn forget_all_sent(&mut self) {
        for sent in std::mem::take(&mut self.sent) {
            self.unlearn(&sent);
        }
    }

    fn unlearn(&mut self, sent: &Sent) {
        for message in &sent.messages {
            self.known.remove(message);
        }
    }
}
