//! Decides what to do next for one device. Pure: no clock, no socket, no store.
//!
//! ```text
//!            Start                Connected              AgentGreeted
//!   Idle ──────────► Connecting ────────────► Greeting ────────────────► Syncing ─┐
//!                      ▲                                                    │  ▲  │ Sent, Acked,
//!                      │ RetryDue                                           │  └──┘ DesiredChanged
//!                   Waiting ◄───────────────── Lost ────────────────────────┘
//! ```
//!
//! What is sent while a device is syncing is its [`Stage`]:
//!
//! ```text
//!   Following ── CheckDue ──► Comparing ── digests differ ──► Listing ── Listed ──► Mending ──► Following
//!       ▲                       ▲   │                                                             │
//!       │                 in doubt  └── digests are equal ──► Following                     the tail after
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::statuses::{self, Ack};
use super::walk::{self, Difference, MAX_BUCKETS_ASKED};
use crate::state::{Expired, Revision, Said, SessionFault};
use crate::status::Reason;

/// Batches that may be on their way without an acknowledgement.
pub const MAX_BATCHES_IN_FLIGHT: usize = 8;
/// Changes in a batch: enough to make messages cheap, few enough to keep acknowledgements flowing.
pub const MAX_BATCH_CHANGES: usize = 512;

const FIRST_RETRY: Duration = Duration::from_millis(100);
/// How long to wait after the store refused what has expired.
const EXPIRY_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(3);
/// A session that lasted this long proves the agent well: retries start fast again.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// How long a session runs before what the agent holds is compared with what is wanted. A new master has more urgent
/// things to do.
const CHECK_AFTER: Duration = Duration::from_secs(2);

/// Where the connection to the agent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    Idle,
    Connecting,
    Greeting,
    Syncing { since: Instant, stream: Stream },
    Waiting,
}

/// An open stream.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stream {
    /// The revision whose tail is sent next.
    sent: Revision,
    /// Revisions of the batches that are not acknowledged yet.
    in_flight: VecDeque<Revision>,
    /// Batches that were sent.
    batches: u64,
    /// A batch is being read from the store and written to the stream.
    is_sending: bool,
    stage: Stage,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Changes, as they come.
    Following,
    /// The agent was asked for digests.
    Comparing {
        /// Its revision does not say what it holds, so that changes wait.
        in_doubt: bool,
    },
    /// The agent was asked for what is in buckets.
    Listing {
        at: Revision,
        bits: u32,
        /// To be asked for later.
        left: Vec<u32>,
        found: Vec<Difference>,
    },
    /// What differs, and then changes after `at`.
    Mending {
        at: Revision,
        left: VecDeque<Difference>,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The agent is gone or never came.
    Unreachable(String),
    /// The agent has seen a higher election id: this controller is not master.
    Fenced(String),
    /// The agent breaks the protocol.
    Protocol(String),
}

impl Fault {
    /// Why objectives are not applied because of it.
    fn reason(&self) -> Reason {
        match self {
            Fault::Unreachable(_) => Reason::DeviceUnreachable,
            Fault::Fenced(_) => Reason::Conflict,
            Fault::Protocol(_) => Reason::Internal,
        }
    }

    /// The words for people.
    pub fn message(&self) -> &str {
        match self {
            Fault::Unreachable(message) | Fault::Fenced(message) | Fault::Protocol(message) => {
                message
            }
        }
    }
}

/// How an agent is brought up to date that has said hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// It holds everything up to a revision, and the store remembers what follows.
    Tail(Revision),
    /// What it holds has to be found out.
    Walk,
    /// The same, and it cannot be asked.
    Snapshot,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The session begins.
    Start,
    /// The stream is open and the hello is sent.
    Connected,
    /// The agent said hello.
    AgentGreeted {
        /// What it needs.
        beginning: Beginning,
        /// It answers queries.
        can_be_asked: bool,
        /// Its statuses, as far as they are about what is wanted now.
        statuses: Vec<Ack>,
    },
    /// What is wanted of the device may have changed.
    DesiredChanged,
    /// This node is its master in a later term than the one in which it has connected.
    TermChanged,
    /// A batch was put on the stream; `None` if there was nothing to send.
    Sent(Option<Revision>),
    /// The store no longer remembers what follows the revision that was to be sent.
    TailForgotten,
    /// It is time to compare.
    CheckDue,
    /// The agent's digests have come, and were compared with those of what is wanted.
    Compared {
        /// The revision of what is wanted.
        at: Revision,
        /// It is that of the agent, too.
        is_current: bool,
        /// How many bits the number of a bucket has.
        bits: u32,
        /// The buckets that are not the same.
        differing: Vec<u32>,
    },
    /// What is in the buckets that were asked for has come; this differs.
    Listed(Vec<Difference>),
    /// The agent acknowledged.
    Acked {
        /// Statuses.
        acks: Vec<Ack>,
        /// The revision up to which it has taken changes.
        taken: Revision,
        /// The batches that it has taken; zero if it does not count them.
        batches: u64,
    },
    /// The connection failed or ended.
    Lost {
        /// Why.
        fault: Fault,
        /// In 0..1, so that many sessions do not retry as one.
        jitter: f64,
    },
    /// The wait before a retry is over.
    RetryDue,
    /// The store did not take what has expired.
    NotExpired,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Open the stream and say hello.
    Connect,
    /// Send everything that is wanted.
    SendSnapshot,
    /// Send the next changes after a revision.
    SendTail(Revision),
    /// Send what differs. The agent is at the revision when it has this; zero if more follows.
    SendDifferences(Vec<Difference>, Revision),
    /// Ask the agent for its digests, and compare them with those of what is wanted.
    AskDigests,
    /// Ask the agent for what is in buckets, and find out what differs as of a revision.
    AskHoldings {
        /// The revision.
        at: Revision,
        /// How many bits the number of a bucket has.
        bits: u32,
        /// The buckets.
        buckets: Vec<u32>,
    },
    /// Drop the connection, if there is one.
    Disconnect,
    /// Have the replicated state give this node a later term, for a higher election id.
    Renew,
    /// Report [`Event::RetryDue`] after this time.
    Wait(Duration),
    /// Report [`Event::CheckDue`] after this time.
    WaitToCheck(Duration),
    /// Tell everybody what the agent has said, and whether there is a session.
    Report(Option<Said>),
    /// Tell the store that these have expired on the switch.
    Expire(Expired),
    /// Tell the store after this time what has expired by then.
    ExpireLater(Duration),
}

/// Everything that is known of one device's synchronisation.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSync {
    link: Link,
    /// Attempts since the last stable session.
    attempts: u32,
    /// Why the last attempt failed; `None` once the agent has greeted.
    fault: Option<Fault>,
}

impl Default for DeviceSync {
    fn default() -> Self {
        Self {
            link: Link::Idle,
            attempts: 0,
            fault: None,
        }
    }
}

impl DeviceSync {
    /// What went wrong the last time; `None` while there is a session, or has been none yet.
    pub fn fault(&self) -> Option<SessionFault> {
        self.fault.as_ref().map(|fault| SessionFault {
            reason: fault.reason(),
            message: fault.message().to_owned(),
        })
    }

    /// Is this worth telling an operator who knows what went wrong the last time?
    pub fn is_news(&self, fault: &Fault) -> bool {
        match (&self.fault, fault) {
            // Each names another election id, because each attempt is made in a later term.
            (Some(Fault::Fenced(_)), Fault::Fenced(_)) => false,
            (last, new) => last.as_ref() != Some(new),
        }
    }

    /// Is an answer of the agent due?
    pub fn expects_answer(&self) -> bool {
        match &self.link {
            Link::Syncing { stream, .. } => {
                let is_asked = matches!(
                    stream.stage,
                    Stage::Comparing { .. } | Stage::Listing { .. }
                );
                is_asked || !stream.in_flight.is_empty()
            }
            _ => false,
        }
    }

    fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.link {
            Link::Syncing { stream, .. } => Some(stream),
            _ => None,
        }
    }
}

/// Takes one event in and says what to do.
pub fn step(sync: &mut DeviceSync, event: Event, now: Instant) -> Vec<Command> {
    match event {
        Event::Start | Event::RetryDue => {
            sync.link = Link::Connecting;
            vec![Command::Connect]
        }
        Event::Connected => {
            sync.link = Link::Greeting;
            vec![]
        }
        Event::AgentGreeted {
            beginning,
            can_be_asked,
            statuses,
        } => greeted(sync, beginning, can_be_asked, statuses, now),
        Event::DesiredChanged => sync.stream().map_or(vec![], send_more),
        Event::TermChanged => match sync.link {
            Link::Greeting | Link::Syncing { .. } => {
                sync.link = Link::Connecting;
                vec![Command::Disconnect, Command::Connect]
            }
            Link::Idle | Link::Connecting | Link::Waiting => vec![],
        },
        Event::Sent(batch) => sync.stream().map_or(vec![], |stream| {
            stream.is_sending = false;
            let Some(revision) = batch else { return vec![] };
            stream.batches += 1;
            stream.in_flight.push_back(revision);
            match stream.stage {
                Stage::Mending { .. } => {}
                _ => stream.sent = revision,
            }
            send_more(stream)
        }),
        Event::TailForgotten => sync.stream().map_or(vec![], |stream| {
            stream.is_sending = true;
            vec![Command::SendSnapshot]
        }),
        Event::CheckDue => sync.stream().map_or(vec![], check),
        Event::Compared {
            at,
            is_current,
            bits,
            differing,
        } => sync.stream().map_or(vec![], |stream| {
            compared(stream, at, is_current, bits, differing)
        }),
        Event::Listed(differences) => sync
            .stream()
            .map_or(vec![], |stream| listed(stream, differences)),
        Event::NotExpired => vec![Command::ExpireLater(EXPIRY_RETRY)],
        Event::Acked {
            acks,
            taken,
            batches,
        } => {
            let mut commands: Vec<_> = expire(statuses::expired(&acks)).into_iter().collect();
            let said = said(acks, taken, false);
            commands.push(Command::Report(Some(said)));
            if let Some(stream) = sync.stream() {
                stream.acknowledged(taken, batches);
                commands.extend(send_more(stream));
            }
            commands
        }
        Event::Lost { fault, jitter } => lost(sync, fault, jitter, now),
    }
}

impl Stream {
    fn acknowledged(&mut self, taken: Revision, batches: u64) {
        match batches {
            0 => {
                while self
                    .in_flight
                    .front()
                    .is_some_and(|revision| *revision <= taken)
                {
                    self.in_flight.pop_front();
                }
            }
            _ => {
                let left = self.batches.saturating_sub(batches);
                while self.in_flight.len() as u64 > left {
                    self.in_flight.pop_front();
                }
            }
        }
    }
}

fn said(acks: Vec<Ack>, taken: Revision, anew: bool) -> Said {
    let exceptions = acks.into_iter().map(|ack| {
        let status = ack.status.filter(|status| !status.is_plainly_applied());
        (ack.key, status)
    });
    Said {
        anew,
        taken,
        exceptions: exceptions.collect(),
    }
}

fn greeted(
    sync: &mut DeviceSync,
    beginning: Beginning,
    can_be_asked: bool,
    statuses: Vec<Ack>,
    now: Instant,
) -> Vec<Command> {
    sync.fault = None;
    // Of what it has taken from elsewhere nobody knows yet how much is what is wanted.
    let taken = match beginning {
        Beginning::Tail(revision) => revision,
        Beginning::Walk | Beginning::Snapshot => Revision::default(),
    };
    let expired = statuses::expired(&statuses);
    let mut commands = vec![Command::Report(Some(said(statuses, taken, true)))];
    let (stage, is_sending, first) = match beginning {
        Beginning::Tail(revision) => (Stage::Following, true, Command::SendTail(revision)),
        Beginning::Snapshot => (Stage::Following, true, Command::SendSnapshot),
        Beginning::Walk => (
            Stage::Comparing { in_doubt: true },
            false,
            Command::AskDigests,
        ),
    };
    commands.push(first);
    if can_be_asked && matches!(beginning, Beginning::Tail(_)) {
        commands.push(Command::WaitToCheck(CHECK_AFTER));
    }
    commands.extend(expire(expired));
    let stream = Stream {
        sent: taken,
        in_flight: VecDeque::new(),
        batches: 0,
        is_sending,
        stage,
    };
    sync.link = Link::Syncing { since: now, stream };
    commands
}

fn expire(expired: Expired) -> Option<Command> {
    (!expired.is_empty()).then_some(Command::Expire(expired))
}

fn check(stream: &mut Stream) -> Vec<Command> {
    match stream.stage {
        Stage::Following if stream.in_flight.is_empty() && !stream.is_sending => {
            stream.stage = Stage::Comparing { in_doubt: false };
            vec![Command::AskDigests]
        }
        Stage::Following => vec![Command::WaitToCheck(CHECK_AFTER)],
        // What is found out anyway.
        Stage::Comparing { .. } | Stage::Listing { .. } | Stage::Mending { .. } => vec![],
    }
}

fn compared(
    stream: &mut Stream,
    at: Revision,
    is_current: bool,
    bits: u32,
    mut differing: Vec<u32>,
) -> Vec<Command> {
    let Stage::Comparing { in_doubt } = stream.stage else {
        return vec![];
    };
    if !in_doubt && !is_current {
        // There were changes meanwhile.
        stream.stage = Stage::Following;
        let mut commands = send_more(stream);
        commands.push(Command::WaitToCheck(CHECK_AFTER));
        return commands;
    }
    if differing.is_empty() {
        stream.stage = match in_doubt {
            true => Stage::Mending {
                at,
                left: VecDeque::new(),
            },
            false => Stage::Following,
        };
        return send_more(stream);
    }
    let mut commands = Vec::new();
    if !in_doubt {
        // It does not hold what its revision says.
        let nothing = said(vec![], Revision::default(), true);
        commands.push(Command::Report(Some(nothing)));
    }
    let left = differing.split_off(differing.len().min(MAX_BUCKETS_ASKED));
    stream.stage = Stage::Listing {
        at,
        bits,
        left,
        found: Vec::new(),
    };
    let buckets = differing;
    commands.push(Command::AskHoldings { at, bits, buckets });
    commands
}

fn listed(stream: &mut Stream, differences: Vec<Difference>) -> Vec<Command> {
    let Stage::Listing {
        at,
        bits,
        left,
        found,
    } = &mut stream.stage
    else {
        return vec![];
    };
    found.extend(differences);
    let (at, bits) = (*at, *bits);
    if left.is_empty() {
        let left = walk::in_order(std::mem::take(found));
        stream.stage = Stage::Mending { at, left };
        return send_more(stream);
    }
    let buckets = left.drain(..left.len().min(MAX_BUCKETS_ASKED)).collect();
    vec![Command::AskHoldings { at, bits, buckets }]
}

fn send_more(stream: &mut Stream) -> Vec<Command> {
    if stream.is_sending || stream.in_flight.len() >= MAX_BATCHES_IN_FLIGHT {
        return vec![];
    }
    let command = match &mut stream.stage {
        Stage::Following | Stage::Comparing { in_doubt: false } => Command::SendTail(stream.sent),
        Stage::Comparing { in_doubt: true } | Stage::Listing { .. } => return vec![],
        Stage::Mending { at, left } => {
            let batch = walk::take_batch(left, MAX_BATCH_CHANGES);
            let at = *at;
            let is_last = left.is_empty();
            if is_last {
                stream.sent = at;
                stream.stage = Stage::Following;
            }
            let revision = if is_last { at } else { Revision::default() };
            Command::SendDifferences(batch, revision)
        }
    };
    stream.is_sending = true;
    vec![command]
}

fn lost(sync: &mut DeviceSync, fault: Fault, jitter: f64, now: Instant) -> Vec<Command> {
    let was_stable = matches!(
        sync.link,
        Link::Syncing { since, .. } if now.duration_since(since) >= STABLE_AFTER
    );
    sync.attempts = if was_stable {
        0
    } else {
        sync.attempts.saturating_add(1)
    };
    let doublings = sync.attempts.saturating_sub(1).min(10);
    let delay = (FIRST_RETRY * 2u32.pow(doublings)).min(LAST_RETRY);
    let is_fenced = matches!(fault, Fault::Fenced(_));
    sync.link = Link::Waiting;
    sync.fault = Some(fault);
    // Somebody else writes the switch: what it acknowledged to us is no fact any more.
    let nothing = is_fenced.then(|| said(vec![], Revision::default(), true));
    let mut commands = vec![Command::Disconnect, Command::Report(nothing)];
    if is_fenced {
        commands.push(Command::Renew);
    }
    commands.push(Command::Wait(delay.mul_f64(0.75 + 0.5 * jitter)));
    commands
}
