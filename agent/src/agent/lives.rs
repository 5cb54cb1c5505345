//! The clock of objectives' timeouts: the shell around [`Objectives::look`](crate::objectives::Objectives::look).
//!
//! One task ([`Agent::run_lives`]) sleeps until the first objective has to be looked at, reads what its entries tell of
//! packets, and takes those out of the data plane whose time is over. A switch in another process is asked without
//! keeping anybody else waiting.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_ebpf::sys::monotonic_clock;
use pointsman_model::ObjectiveId;
use pointsman_p4::dataplane::{CounterData, EntryKey, EntryRef};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use tokio_util::sync::CancellationToken;

use super::{Agent, State};
use crate::entity::Entity;
use crate::objectives::{Moment, Sighting};
use crate::switch::{Access, Footprint, Part};

/// Now, by the clock of the machine.
pub(super) fn now() -> Moment {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let milliseconds = now.map_or(0, |now| now.as_millis());
    Moment(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

impl Agent {
    /// Ends objectives whose time is over, until it is cancelled.
    pub async fn run_lives(self: Arc<Self>, cancel: CancellationToken) {
        loop {
            let agent = Arc::clone(&self);
            let wait = match tokio::task::spawn_blocking(move || agent.end_lives()).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::error!(%error, "timeouts of objectives were not looked at");
                    Some(Duration::from_secs(1))
                }
            };
            let due = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => return,
                () = self.lives.notified() => {}
                () = due => {}
            }
        }
    }

    /// Looks at the objectives that are due; returns how long nothing will be.
    fn end_lives(&self) -> Option<Duration> {
        let seen = {
            let state = self.shared();
            let due = state.objectives.due(now());
            state.sightings(due)
        };
        if !seen.is_empty() {
            let mut state = self.exclusive();
            let over = state.objectives.look(seen, now());
            if !over.is_empty() {
                let record = state.change_objectives(|objectives, context, sink| {
                    objectives.end(over, context, sink);
                });
                self.objectives_changed(&mut state, record);
            }
            drop(state);
            self.compact();
        }
        let deadline = self.shared().objectives.deadline()?;
        Some(now().until(deadline))
    }
}

impl State {
    /// What the data plane tells of packets that have met these.
    fn sightings(&self, ids: Vec<ObjectiveId>) -> Vec<(ObjectiveId, Sighting)> {
        let keys = |id: &ObjectiveId| -> Vec<&EntryKey> {
            let watched = self.objectives.watched(id).into_iter();
            let keys = watched.filter_map(|entity| match entity {
                Entity::TableEntry(entry) => Some(&entry.key),
                _ => None,
            });
            keys.collect()
        };
        let all: Vec<(ObjectiveId, Vec<&EntryKey>)> =
            ids.into_iter().map(|id| (id.clone(), keys(&id))).collect();
        let is_known = self.refresh(all.iter().flat_map(|(_, keys)| keys.iter().copied()));
        let mut tables = Footprint::default();
        for key in all.iter().flat_map(|(_, keys)| keys) {
            tables.add(Part::Table(key.table), Access::Read);
        }
        let view = self.switch.view(&tables).filter(|_| is_known);
        let sightings = all.into_iter().map(|(id, keys)| {
            let Some(view) = &view else {
                return (id, Sighting::default());
            };
            let mut sighting = Sighting::default();
            for key in keys {
                let Some(table) = view.pipeline.schema.table_of(key.table) else {
                    continue;
                };
                if table.idle_timeout
                    && let Ok(last_hit) = view.plane.last_hit(key)
                {
                    let ago = monotonic_clock().saturating_sub(last_hit);
                    let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                    let hit = Moment(now().0.saturating_sub(ago));
                    sighting.hit = sighting.hit.max(Some(hit));
                } else if table.direct_counter.is_some()
                    && let Ok(CounterData { packets, .. }) =
                        view.plane.direct_counter(EntryRef::Keyed(key))
                {
                    sighting.packets = Some(sighting.packets.unwrap_or(0).wrapping_add(packets));
                }
            }
            (id, sighting)
        });
        sightings.collect()
    }

    /// Asks a switch in another process for what it counts; says whether that is known now.
    fn refresh<'k>(&self, keys: impl Iterator<Item = &'k EntryKey>) -> bool {
        let (Some(relay), Some(pipeline)) = (self.switch.relay(), self.switch.pipeline()) else {
            return true;
        };
        let mut tables: Vec<_> = keys
            .filter_map(|key| pipeline.schema.table_of(key.table))
            .collect();
        tables.sort_by_key(|table| table.id);
        tables.dedup_by_key(|table| table.id);
        let filters = tables.iter().map(|table| {
            let entry = p4::TableEntry {
                table_id: table.id,
                time_since_last_hit: table.idle_timeout.then(Default::default),
                counter_data: table.direct_counter.map(|_| p4::CounterData::default()),
                ..p4::TableEntry::default()
            };
            p4::Entity {
                entity: Some(Message::TableEntry(entry)),
            }
        });
        let filters: Vec<_> = filters.collect();
        let answers = relay.refresh(&pipeline.schema, &filters);
        answers.iter().all(Result::is_ok)
    }
}
