//! A switch's agent as the controllers see it: it fences by election id, takes batches, acknowledges them, and answers
//! what it holds. What it holds survives its process.

use std::collections::BTreeMap;

use pointsman_model::holdings::{Digests, bucket_of, place};

use crate::distribution::simulated::{Held, add_wanted};
use crate::objective::ObjectiveKey;
use crate::state::{Change, ElectionId, Revision, Stored};

/// Which stream to an agent. No two have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// What a controller puts on a stream.
#[derive(Debug, Clone)]
pub enum ToAgent {
    /// The hello.
    Hello(ElectionId),
    /// Changes, and the revision that the agent is at with them; zero if more follows.
    Batch {
        changes: Vec<Change>,
        is_snapshot: bool,
        revision: Revision,
    },
    /// Asks for the digests of so many bits.
    AskDigests(u32),
    /// Asks for what is in buckets.
    AskHoldings { bits: u32, buckets: Vec<u32> },
}

/// What an agent answers.
#[derive(Debug, Clone)]
pub enum FromAgent {
    /// It is primary; the agent is at this revision.
    Hello(Revision),
    /// A higher election id has been seen, or this one is another stream's.
    Refused,
    /// So many batches are taken; the agent is at this revision.
    Acks { taken: Revision, batches: u64 },
    /// The digests, and the revision that they are of.
    Digests { digests: Digests, at: Revision },
    /// What is in the buckets.
    Holdings(Vec<Held>),
    /// The stream has ended.
    Closed,
}

/// A write that an agent has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Under which election id.
    pub election_id: ElectionId,
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    pub is_up: bool,
    pub held: BTreeMap<ObjectiveKey, Stored>,
    pub revision: Revision,
    /// The highest election id ever seen.
    pub highest: Option<ElectionId>,
    /// The stream of the primary.
    pub primary: Option<Primary>,
    /// The last write, and how many there were.
    pub last_write: Option<Write>,
    pub writes: u64,
}

/// The stream that may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Primary {
    pub stream: StreamId,
    pub election_id: ElectionId,
    pub batches: u64,
}

impl Agent {
    /// One that has never seen a controller.
    pub fn new() -> Self {
        Self {
            is_up: true,
            held: BTreeMap::new(),
            revision: Revision::default(),
            highest: None,
            primary: None,
            last_write: None,
            writes: 0,
        }
    }

    /// The process ends, and with it all streams.
    pub fn stop(&mut self) -> Option<StreamId> {
        self.is_up = false;
        self.primary.take().map(|primary| primary.stream)
    }

    /// A stream is closed by its controller.
    pub fn closed(&mut self, stream: StreamId) {
        self.primary = self.primary.filter(|primary| primary.stream != stream);
    }

    /// Takes a message in. Answers, and names the stream that is closed by it.
    pub fn take(&mut self, stream: StreamId, message: ToAgent) -> (FromAgent, Option<StreamId>) {
        match message {
            ToAgent::Hello(election_id) => self.greet(stream, election_id),
            ToAgent::Batch {
                changes,
                is_snapshot,
                revision,
            } => (self.write(stream, changes, is_snapshot, revision), None),
            ToAgent::AskDigests(bits) => {
                let mut digests = Digests::new(bits);
                add_wanted(&mut digests, self.held.iter());
                let at = self.revision;
                (FromAgent::Digests { digests, at }, None)
            }
            ToAgent::AskHoldings { bits, buckets } => {
                let is_asked = |key: &ObjectiveKey| {
                    let place = place(key.kind.to_proto(), &key.name);
                    buckets.contains(&bucket_of(place, bits))
                };
                let held = self.held.iter().filter(|(key, _)| is_asked(key));
                let held = held.map(|(key, stored)| Held {
                    key: key.clone(),
                    revision: stored.revision,
                    content: stored.objective.content(),
                });
                (FromAgent::Holdings(held.collect()), None)
            }
        }
    }

    fn greet(
        &mut self,
        stream: StreamId,
        election_id: ElectionId,
    ) -> (FromAgent, Option<StreamId>) {
        let is_low = self.highest.is_some_and(|highest| election_id < highest);
        let is_taken = self
            .primary
            .is_some_and(|primary| primary.election_id == election_id);
        if is_low || is_taken {
            return (FromAgent::Refused, None);
        }
        self.highest = Some(election_id);
        let replaced = self.primary.replace(Primary {
            stream,
            election_id,
            batches: 0,
        });
        let replaced = replaced.map(|primary| primary.stream);
        (FromAgent::Hello(self.revision), replaced)
    }

    fn write(
        &mut self,
        stream: StreamId,
        changes: Vec<Change>,
        is_snapshot: bool,
        revision: Revision,
    ) -> FromAgent {
        let primary = self.primary.as_mut();
        let Some(primary) = primary.filter(|primary| primary.stream == stream) else {
            return FromAgent::Refused;
        };
        primary.batches += 1;
        let batches = primary.batches;
        let election_id = primary.election_id;
        if let Some(last) = self.last_write {
            assert!(
                last.election_id <= election_id,
                "a switch took a write of {election_id:?} after one of {:?}",
                last.election_id
            );
        }
        self.last_write = Some(Write { election_id });
        self.writes += 1;
        if is_snapshot {
            self.held.clear();
        }
        for change in changes {
            match change {
                Change::Put {
                    objective,
                    revision,
                } => {
                    let key = objective.key().clone();
                    let stored = Stored {
                        objective,
                        revision,
                    };
                    self.held.insert(key, stored);
                }
                Change::Delete { key, .. } => drop(self.held.remove(&key)),
            }
        }
        self.revision = revision;
        FromAgent::Acks {
            taken: revision,
            batches,
        }
    }
}
