//! Entries of objectives that P4Runtime clients have changed or deleted: noticed with the Write that did it, kept over
//! restarts, and put right where that is the policy.
//!
//! A Write notes what it has touched with the locks of its parts held ([`State::touch`]); whoever takes the state alone next
//! compares that with what objectives want. So an objective is never changed on a wrong idea of what is there.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use pointsman_model::ObjectiveId;
use pointsman_proto::pointsman::agent::v1::{StateObjectives, StateRecord};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Agent, State};
use crate::journal::Ticket;
use crate::objectives::{Repaired, Repairs};
use crate::pipeliner::{Drift, Drifted, EntityKey, Writer};
use crate::target::relay::{Compared, Differences};

/// What becomes of what clients write to entries that are in the data plane for objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriftPolicy {
    /// It is refused, with the name of the objective.
    #[default]
    Refuse,
    /// It is taken, and put right.
    Repair,
    /// It is taken and shown, and left until somebody asks for a repair.
    Keep,
}

impl fmt::Display for DriftPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DriftPolicy::Refuse => "refuse",
            DriftPolicy::Repair => "repair",
            DriftPolicy::Keep => "keep",
        })
    }
}

/// What is known of drift beside the drift itself.
#[derive(Debug, Default)]
pub struct Drifting {
    /// What happens to it.
    pub policy: DriftPolicy,
    /// Entries that were put right since start.
    pub repaired: u64,
    /// When they were.
    pub repairs: Repairs,
    /// Wakes up who puts them right.
    wake: Arc<Notify>,
}

impl Drifting {
    /// Nothing has drifted.
    pub fn new(policy: DriftPolicy) -> Drifting {
        Drifting {
            policy,
            ..Drifting::default()
        }
    }
}

/// An entity of objectives that somebody else has written to.
#[derive(Debug)]
pub struct Touched {
    key: EntityKey,
    by: Writer,
    time: SystemTime,
}

impl State {
    /// A client has written to entities of objectives. Called with the locks of their parts held, so that it is known before
    /// anybody else can look at them.
    pub fn touch(&self, keys: Vec<EntityKey>, by: &Writer) {
        let time = SystemTime::now();
        let touched = keys.into_iter().map(|key| Touched {
            key,
            by: by.clone(),
            time,
        });
        let mut waiting = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(touched);
    }

    /// Compares what clients have touched with what objectives want.
    pub(super) fn look_at_touched(&mut self) {
        let touched = self.touched.get_mut();
        let touched = std::mem::take(touched.unwrap_or_else(PoisonError::into_inner));
        if touched.is_empty() {
            return;
        }
        let ports = self.pipeliner_ports();
        let Some((_, store)) = self.switch.contents() else {
            return;
        };
        for Touched { key, by, time } in touched {
            let drift = Drift {
                found: store.find(&key.to_entity()),
                by,
                time,
                is_beneath: false,
            };
            self.objectives.look_at(&key, drift, &ports);
        }
        drop(store);
        self.drifting.wake.notify_one();
    }

    /// A switch in another process was compared with what is stored.
    pub(super) fn look_beneath(&mut self, compared: Compared) {
        let time = SystemTime::now();
        let ports = self.pipeliner_ports();
        for (entity, found) in compared.differing {
            let owner = self.objectives.owner(&entity).map(ToString::to_string);
            let (Some(owner), Some(key)) = (owner, EntityKey::find(&entity)) else {
                continue;
            };
            if compared.is_repaired {
                self.drifting.repaired += 1;
                tracing::warn!(
                    objective = owner,
                    "an entry is put right that others had changed on the switch"
                );
                continue;
            }
            let drift = Drift {
                found,
                by: Writer {
                    role: String::new(),
                    election_id: None,
                    identity: None,
                    address: compared.place.clone(),
                },
                time,
                is_beneath: true,
            };
            self.objectives.look_at(&key, drift, &ports);
        }
    }

    /// Makes a switch in another process hold what is stored, whatever the configuration says.
    fn put_right_beneath(&mut self) {
        if !self
            .objectives
            .drifts()
            .any(|drifted| drifted.drift.is_beneath)
        {
            return;
        }
        if let Err(error) = self.switch.bring_in_step(Differences::PutRight) {
            tracing::warn!(%error, "what others have changed on the switch is not put right");
            return;
        }
        let ports = self.pipeliner_ports();
        self.drifting.repaired += self.objectives.right_beneath(&ports);
    }

    /// Gives entities that have drifted what their objectives want.
    fn repair(
        &mut self,
        which: impl Fn(&EntityKey, &BTreeSet<ObjectiveId>) -> bool,
        now: Duration,
    ) -> (Repaired, Option<StateObjectives>) {
        let mut repaired = Repaired::default();
        let record = self.change_objectives(|objectives, context, sink| {
            repaired = objectives.repair(which, context.ports, sink);
        });
        let schema = self.switch.pipeline().map(|p| p.schema.clone());
        let name = |key: &EntityKey| {
            let schema = schema.as_ref();
            schema.map_or_else(String::new, |schema| schema.describe(&key.to_entity()))
        };
        for key in &repaired.right {
            self.drifting.repaired += 1;
            self.drifting.repairs.tried(key, now);
            tracing::info!(entry = name(key), "an entry of an objective is put right");
        }
        for (key, error) in &repaired.failed {
            self.drifting.repairs.tried(key, now);
            tracing::warn!(entry = name(key), %error, "an entry of an objective cannot be put right");
        }
        (repaired, record)
    }
}

impl Agent {
    /// Takes note of what a Write has done to entries of objectives. What is returned has to be waited for before the client
    /// is answered.
    pub fn written_to_objectives(&self) -> Option<Ticket> {
        let mut state = self.exclusive();
        let record = state.change_objectives(|_, _, _| ());
        self.keep_objectives(&mut state, record)
    }

    /// Puts right what has drifted: all, or what is one objective's.
    pub fn repair(&self, only: Option<&ObjectiveId>) -> (Repaired, Option<Ticket>) {
        let mut state = self.exclusive();
        state.put_right_beneath();
        let is_asked_for = |_: &EntityKey, owners: &BTreeSet<ObjectiveId>| {
            only.is_none_or(|only| owners.contains(only))
        };
        let (repaired, record) = state.repair(is_asked_for, self.identity.started.elapsed());
        let ticket = self.keep_objectives(&mut state, record);
        (repaired, ticket)
    }

    /// When an entry that has drifted is put right by itself; `None` if it is not.
    pub fn repair_time(&self, state: &State, drifted: Drifted<'_>) -> Option<SystemTime> {
        if state.drifting.policy == DriftPolicy::Keep || drifted.drift.is_beneath {
            return None;
        }
        let now = self.identity.started.elapsed();
        let due = state.drifting.repairs.due(drifted.key, now);
        Some(SystemTime::now() + due.saturating_sub(now))
    }

    /// Puts right what has drifted, where that is the policy, until it is cancelled.
    pub async fn run_repairs(self: Arc<Self>, cancel: CancellationToken) {
        let wake = {
            let state = self.shared();
            if state.drifting.policy == DriftPolicy::Keep {
                return;
            }
            Arc::clone(&state.drifting.wake)
        };
        loop {
            let agent = Arc::clone(&self);
            let repaired = tokio::task::spawn_blocking(move || agent.repair_what_is_due());
            let next = match repaired.await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "entries of objectives are no longer put right; restart the agent");
                    return;
                }
            };
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until((self.identity.started + at).into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = wake.notified() => {}
                () = due => {}
            }
        }
    }

    /// Returns when the next is due.
    fn repair_what_is_due(&self) -> Option<Duration> {
        let now = self.identity.started.elapsed();
        let (due, next) = {
            let state = self.shared();
            let drifts = state.objectives.drifts();
            let due = drifts.filter(|drifted| !drifted.drift.is_beneath);
            let due = due.map(|drifted| {
                let at = state.drifting.repairs.due(drifted.key, now);
                (drifted.key.clone(), at)
            });
            let (due, later): (Vec<_>, Vec<_>) = due.partition(|(_, at)| *at <= now);
            let due: std::collections::HashSet<_> = due.into_iter().map(|(key, _)| key).collect();
            (due, later.into_iter().map(|(_, at)| at).min())
        };
        if due.is_empty() {
            return next;
        }
        let mut state = self.exclusive();
        let (repaired, record) = state.repair(|key, _| due.contains(key), now);
        // Nobody waits for it: what a crash leaves of it is put right again.
        let _ticket = self.keep_objectives(&mut state, record);
        // What is refused is tried again.
        let again = repaired.failed.iter();
        let again = again.map(|(key, _)| state.drifting.repairs.due(key, now));
        again.chain(next).min()
    }

    /// Keeps what has changed of objectives, and tells the controller.
    pub(super) fn keep_objectives(
        &self,
        state: &mut State,
        record: Option<StateObjectives>,
    ) -> Option<Ticket> {
        let ticket = record.map(|objectives| {
            self.journal.append(StateRecord {
                objectives: Some(objectives),
                ..StateRecord::default()
            })
        });
        self.tell_controller(state);
        ticket
    }
}
