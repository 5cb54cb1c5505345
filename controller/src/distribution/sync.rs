//! Decides what to do next for one device. Pure: no clock, no socket, no store.
//!
//! ```text
//!            Start                Connected              AgentGreeted
//!   Idle ──────────► Connecting ────────────► Greeting ────────────────► Syncing ─┐
//!                      ▲                                                    │  ▲  │ Sent, Acked,
//!                      │ RetryDue                                           │  └──┘ DesiredChanged
//!                   Waiting ◄───────────────── Lost ────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::statuses::{self, Ack, Statuses, Wish};
use crate::state::{Expired, Revision};
use crate::status::{Progress, Reason, Status};

/// Batches that may be on their way without an acknowledgement.
pub const MAX_BATCHES_IN_FLIGHT: usize = 8;

const FIRST_RETRY: Duration = Duration::from_millis(100);
/// How long to wait after the store refused what has expired.
const EXPIRY_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(3);
/// A session that lasted this long proves the agent well: retries start fast again.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Where the connection to the agent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    Idle,
    Connecting,
    Greeting,
    Syncing {
        since: Instant,
        /// The latest revision that was sent.
        sent: Revision,
        /// Revisions of the batches that are not acknowledged yet.
        in_flight: VecDeque<Revision>,
        /// A batch is being read from the store and written to the stream.
        is_sending: bool,
    },
    Waiting,
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

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The session begins.
    Start,
    /// The stream is open and the hello is sent.
    Connected,
    /// The agent said hello.
    AgentGreeted {
        /// It holds revisions of this cluster, and the store remembers what follows `revision`.
        can_continue: bool,
        /// The revision up to which it has taken changes.
        revision: Revision,
        /// Its statuses, as far as they are about revisions of this cluster.
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
    /// The agent acknowledged.
    Acked {
        /// Statuses.
        acks: Vec<Ack>,
        /// The revision up to which it has taken changes.
        taken: Revision,
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
    /// The wait before it is asked again is over.
    ExpiryDue,
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
    /// Drop the connection, if there is one.
    Disconnect,
    /// Have the replicated state give this node a later term, for a higher election id.
    Renew,
    /// Report [`Event::RetryDue`] after this time.
    Wait(Duration),
    /// Tell whoever watches that statuses or reachability changed.
    Announce,
    /// Tell the store that these have expired on the switch.
    Expire(Expired),
    /// Report [`Event::ExpiryDue`] after this time.
    WaitToExpire(Duration),
}

/// Everything that is known of one device's synchronisation.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSync {
    link: Link,
    statuses: Statuses,
    /// Attempts since the last stable session.
    attempts: u32,
    /// Why the last attempt failed; `None` once the agent has greeted.
    fault: Option<Fault>,
}

impl Default for DeviceSync {
    fn default() -> Self {
        Self {
            link: Link::Idle,
            statuses: Statuses::default(),
            attempts: 0,
            fault: None,
        }
    }
}

impl DeviceSync {
    /// How a wish fares.
    pub fn status(&self, wish: &Wish<'_>) -> Status {
        if let Some(status) = self.statuses.get(wish) {
            return status;
        }
        let revision = wish.revision;
        match &self.fault {
            Some(fault) => Status::pending(fault.reason(), fault.message(), revision),
            None => Status::pending(
                Reason::InFlight,
                "accepted, and on its way to the switch",
                revision,
            ),
        }
    }

    /// Has the agent applied or refused it?
    pub fn is_settled(&self, wish: &Wish<'_>) -> bool {
        self.statuses
            .get(wish)
            .is_some_and(|status| status.progress != Progress::Pending)
    }

    /// What went wrong the last time; `None` while there is a session, or has been none yet.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Is this worth telling an operator who knows what went wrong the last time?
    pub fn is_news(&self, fault: &Fault) -> bool {
        match (&self.fault, fault) {
            // Each names another election id, because each attempt is made in a later term.
            (Some(Fault::Fenced(_)), Fault::Fenced(_)) => false,
            (last, new) => last.as_ref() != Some(new),
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
            can_continue,
            revision,
            statuses,
        } => greeted(sync, can_continue, revision, statuses, now),
        Event::DesiredChanged => send_more(sync),
        Event::TermChanged => match sync.link {
            Link::Greeting | Link::Syncing { .. } => {
                sync.link = Link::Connecting;
                vec![Command::Disconnect, Command::Connect]
            }
            Link::Idle | Link::Connecting | Link::Waiting => vec![],
        },
        Event::Sent(batch) => {
            if let Link::Syncing {
                sent,
                in_flight,
                is_sending,
                ..
            } = &mut sync.link
            {
                *is_sending = false;
                let Some(revision) = batch else { return vec![] };
                *sent = revision;
                in_flight.push_back(revision);
            }
            send_more(sync)
        }
        Event::TailForgotten => match &mut sync.link {
            Link::Syncing { is_sending, .. } => {
                *is_sending = true;
                vec![Command::SendSnapshot]
            }
            _ => vec![],
        },
        Event::NotExpired => vec![Command::WaitToExpire(EXPIRY_RETRY)],
        Event::ExpiryDue => expire(sync.statuses.expired()).into_iter().collect(),
        Event::Acked { acks, taken } => {
            let expired = statuses::expired(&acks);
            sync.statuses.record(acks, taken);
            if let Link::Syncing { in_flight, .. } = &mut sync.link {
                while in_flight.front().is_some_and(|revision| *revision <= taken) {
                    in_flight.pop_front();
                }
            }
            let mut commands = vec![Command::Announce];
            commands.extend(expire(expired));
            commands.extend(send_more(sync));
            commands
        }
        Event::Lost { fault, jitter } => lost(sync, fault, jitter, now),
    }
}

fn greeted(
    sync: &mut DeviceSync,
    can_continue: bool,
    revision: Revision,
    statuses: Vec<Ack>,
    now: Instant,
) -> Vec<Command> {
    sync.fault = None;
    sync.statuses.clear();
    let taken = if can_continue {
        revision
    } else {
        Revision::default()
    };
    sync.statuses.record(statuses, taken);
    sync.link = Link::Syncing {
        since: now,
        sent: revision,
        in_flight: VecDeque::new(),
        is_sending: true,
    };
    let send = if can_continue {
        Command::SendTail(revision)
    } else {
        Command::SendSnapshot
    };
    let mut commands = vec![Command::Announce, send];
    commands.extend(expire(sync.statuses.expired()));
    commands
}

fn expire(expired: Expired) -> Option<Command> {
    (!expired.is_empty()).then_some(Command::Expire(expired))
}

fn send_more(sync: &mut DeviceSync) -> Vec<Command> {
    match &mut sync.link {
        Link::Syncing {
            sent,
            in_flight,
            is_sending,
            ..
        } if !*is_sending && in_flight.len() < MAX_BATCHES_IN_FLIGHT => {
            *is_sending = true;
            vec![Command::SendTail(*sent)]
        }
        _ => vec![],
    }
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
    if is_fenced {
        // Somebody else writes the switch: what it acknowledged to us is no fact any more.
        sync.statuses.clear();
    }
    sync.link = Link::Waiting;
    sync.fault = Some(fault);
    let mut commands = vec![Command::Disconnect, Command::Announce];
    if is_fenced {
        commands.push(Command::Renew);
    }
    commands.push(Command::Wait(delay.mul_f64(0.75 + 0.5 * jitter)));
    commands
}
