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
    /// A switch in another process has sent a list of its own. It has waited there, and does not wait here.
    Listed {
        /// Of this digest.
        digest: LearnListId,
        /// By which that switch knows it.
        list_id: u64,
        /// The oldest first.
        messages: Vec<Message>,
    },
    /// A client has dealt with a list.
    Acknowledged(LearnListId, u64),
    /// A list had nobody to go to, or there was no room for it.
    NotSent(LearnListId, u64),
    /// There is another primary, who has not seen what the one before was sent.
    NewPrimary,
    /// The [deadline](Digests::deadline) has come.
    Timer,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send this to the primary.
    Send(List),
    /// Tell the switch in another process that a list of its own is dealt with, so that what is in it can
    /// be learnt again.
    Acknowledge {
        /// Of this digest.
        digest: LearnListId,
        /// By which that switch knows it.
        list_id: u64,
    },
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
    id: LearnListId,
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
    /// The list of a switch in another process that it is the last of.
    of: Option<u64>,
}

impl Digests {
    /// Takes what happened; returns what to do, in order.
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Configured(id, config) => {
                let digest = self.digests.entry(id).or_insert_with(|| Digest::new(id));
                digest.config = config;
                self.send_due(now, &mut commands);
            }
            Event::Removed(id) => {
                self.digests.remove(&id);
            }
            Event::Learnt(id, message) => self.learn(id, message, now, &mut commands),
            Event::Listed {
                digest,
                list_id,
                messages,
            } => self.pass_on(digest, list_id, messages, now, &mut commands),
            Event::Acknowledged(id, list_id) => {
                self.forget(id, list_id, &mut commands);
            }
            Event::NotSent(id, list_id) => {
                self.lost += self.forget(id, list_id, &mut commands);
            }
            Event::NewPrimary => {
                for digest in self.digests.values_mut() {
                    digest.forget_all_sent(&mut commands);
                }
            }
            Event::Timer => self.send_due(now, &mut commands),
        }
        commands
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

    fn learn(
        &mut self,
        id: LearnListId,
        message: Message,
        now: Duration,
        commands: &mut Vec<Command>,
    ) {
        // Nobody has asked for the others.
        let Some(digest) = self.digests.get_mut(&id) else {
            return;
        };
        digest.forget_expired(now, commands);
        self.lost += digest.take(message, now);
        if digest.is_due(now) {
            digest.send(&mut self.last_list_id, now, commands);
        }
    }

    fn pass_on(
        &mut self,
        id: LearnListId,
        list_id: u64,
        messages: Vec<Message>,
        now: Duration,
        commands: &mut Vec<Command>,
    ) {
        let of = Some(list_id);
        if let Some(digest) = self.digests.get_mut(&id) {
            digest.forget_expired(now, commands);
            for message in messages {
                self.lost += digest.take(message, now);
            }
            let is_news = !digest.waiting.is_empty();
            while !digest.waiting.is_empty() {
                digest.send(&mut self.last_list_id, now, commands);
            }
            if let (true, Some(last)) = (is_news, digest.sent.back_mut()) {
                last.of = of;
                return;
            }
        }
        commands.push(Command::Acknowledge {
            digest: id,
            list_id,
        });
    }

    fn send_due(&mut self, now: Duration, commands: &mut Vec<Command>) {
        for digest in self.digests.values_mut() {
            while digest.is_due(now) {
                digest.send(&mut self.last_list_id, now, commands);
            }
        }
    }

    /// Forgets a list that was sent; returns how many messages it had.
    fn forget(&mut self, id: LearnListId, list_id: u64, commands: &mut Vec<Command>) -> u64 {
        let Some(digest) = self.digests.get_mut(&id) else {
            return 0;
        };
        let found = digest.sent.iter().position(|sent| sent.list_id == list_id);
        let Some(sent) = found.and_then(|index| digest.sent.remove(index)) else {
            return 0;
        };
        digest.unlearn(&sent, commands);
        sent.messages.len() as u64
    }
}

impl Digest {
    fn new(id: LearnListId) -> Digest {
        Digest {
            id,
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

    /// Has a message wait, unless it does or was sent; returns how many were lost.
    fn take(&mut self, message: Message, now: Duration) -> u64 {
        if self.known.contains(&message) {
            return 0;
        }
        if self.known.len() >= MAX_MESSAGES {
            return 1;
        }
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.known.insert(Arc::clone(&message));
        self.waiting.push(message);
        0
    }

    fn send(&mut self, last_list_id: &mut u64, now: Duration, commands: &mut Vec<Command>) {
        *last_list_id += 1;
        let size = self.list_size().min(self.waiting.len());
        let sent = Sent {
            list_id: *last_list_id,
            at: now,
            messages: self.waiting.drain(..size).collect(),
            of: None,
        };
        commands.push(Command::Send(List {
            digest: self.id,
            list_id: sent.list_id,
            messages: sent.messages.clone(),
        }));
        self.sent.push_back(sent);
    }

    /// Forgets what was sent so long ago that it may be sent again.
    fn forget_expired(&mut self, now: Duration, commands: &mut Vec<Command>) {
        let wait = Duration::from_nanos(self.config.ack_timeout_ns);
        while let Some(sent) = self.sent.pop_front_if(|s| s.at.saturating_add(wait) <= now) {
            self.unlearn(&sent, commands);
        }
    }

    fn forget_all_sent(&mut self, commands: &mut Vec<Command>) {
        for sent in std::mem::take(&mut self.sent) {
            self.unlearn(&sent, commands);
        }
    }

    fn unlearn(&mut self, sent: &Sent, commands: &mut Vec<Command>) {
        for message in &sent.messages {
            self.known.remove(message);
        }
        if let Some(list_id) = sent.of {
            commands.push(Command::Acknowledge {
                digest: self.id,
                list_id,
            });
        }
    }
}
