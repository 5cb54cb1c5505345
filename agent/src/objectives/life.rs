//! How long objectives live: their hard and idle timeouts.
//!
//! Pure: what is in the data plane begins a life at a given moment; whoever owns the clock asks when the next life has
//! to be looked at ([`Objectives::deadline`]), finds out what its entries tell of packets ([`Objectives::watched`]), and
//! hands that in ([`Objectives::look`], [`Objectives::end`]). What has expired stays known, out of the data plane and
//! in no group, until the controller takes it away, so that nothing puts it back meanwhile.
//!
//! # Invariants
//!
//! 1. A life counts from when that version was first applied. Neither a restart nor the same version again renews it.
//! 2. An objective is idle only if none of the entries that are its alone has been hit; entries that it shares say
//!    nothing of it unless it has no others.
//! 3. Where only counters tell of packets, they are read four times in a timeout, so that an idle objective goes at most a
//!    quarter of it late, and one that is in use never goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pointsman_model::{Objective, ObjectiveId, Period};
use pointsman_proto::pointsman::objective::v1::{Reason, State};

use super::batch::Context;
use super::sink::Sink;
use super::{Objectives, Status, Wanted};
use crate::entity::Entity;

/// Lives that are looked at at a time.
const MAX_LOOKED_AT: usize = 512;
/// Counters are not read more often.
const MIN_LOOK: u64 = 50;
/// Until what could not be taken out of the data plane is tried again.
const RETRY: u64 = 1000;

/// A point in time: milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    fn after(self, period: Period) -> Moment {
        Moment(self.0.saturating_add(period.milliseconds()))
    }

    /// How long it is until then; nothing if it is over.
    pub fn until(self, then: Moment) -> Duration {
        Duration::from_millis(then.0.saturating_sub(self.0))
    }
}

/// What the data plane tells of the packets that have met an objective.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sighting {
    /// When the last one did, if entries tell that.
    pub hit: Option<Moment>,
    /// How many did, if entries count them.
    pub packets: Option<u64>,
}

/// The lives of what is in the data plane, of what has a timeout.
#[derive(Debug, Clone, Default)]
pub(super) struct Lives {
    by_id: BTreeMap<ObjectiveId, Life>,
    /// When which one is to be looked at.
    deadlines: BTreeSet<(Moment, ObjectiveId)>,
}

#[derive(Debug, Clone)]
struct Life {
    /// The version that lives.
    objective: Objective,
    applied: Moment,
    /// A packet has met it then, or it was applied, or nobody knew.
    seen: Moment,
    /// What was counted when it was last looked at.
    packets: Option<u64>,
    deadline: Moment,
}

impl Life {
    fn begin(objective: Objective, applied: Moment, now: Moment) -> Life {
        let mut life = Life {
            objective,
            applied,
            seen: now,
            packets: None,
            deadline: now,
        };
        life.deadline = life.next_look(now, true);
        life
    }

    fn hard_end(&self) -> Option<Moment> {
        let hard = self.objective.attributes.timeout.hard?;
        Some(self.applied.after(hard))
    }

    /// When it is to be looked at next. Counters do not tell when, so that they are read more often.
    fn next_look(&self, now: Moment, counts: bool) -> Moment {
        let idle = self.objective.attributes.timeout.idle.map(|idle| {
            let end = self.seen.after(idle);
            let soon = (idle.milliseconds() / 4).max(MIN_LOOK);
            match counts {
                true => end.min(Moment(now.0.saturating_add(soon))),
                false => end,
            }
        });
        let ends = idle.into_iter().chain(self.hard_end());
        ends.min().unwrap_or(Moment(u64::MAX))
    }

    /// Takes a sighting in. Says why it is over, if it is.
    fn look(&mut self, sighting: Sighting, now: Moment) -> Option<String> {
        let timeout = self.objective.attributes.timeout;
        if let (Some(hard), Some(end)) = (timeout.hard, self.hard_end())
            && end <= now
        {
            return Some(format!("its hard timeout of {hard} is over"));
        }
        let idle = timeout.idle?;
        let Sighting { hit, packets } = sighting;
        if hit.is_none() && packets.is_none() {
            // Nobody knows for now, so that nothing is concluded.
            self.seen = now;
        }
        self.seen = self.seen.max(hit.unwrap_or_default().min(now));
        if packets.is_some_and(|packets| packets != self.packets.unwrap_or(0)) {
            self.seen = now;
        }
        self.packets = packets;
        if self.seen.after(idle) <= now {
            return Some(format!("no packet has met it for {idle}"));
        }
        self.deadline = self.next_look(now, packets.is_some());
        None
    }
}

impl Lives {
    /// A version is in the data plane. If it lives already, it goes on.
    pub(super) fn begin(&mut self, objective: &Objective, now: Moment) {
        let id = objective.id();
        let goes_on = |life: &Life| life.objective == *objective;
        if !self.by_id.get(&id).is_some_and(goes_on) {
            self.restore(objective, now, now);
        }
    }

    /// The same for one that was applied earlier.
    pub(super) fn restore(&mut self, objective: &Objective, applied: Moment, now: Moment) {
        let id = objective.id();
        self.remove(&id);
        if !objective.attributes.timeout.is_never() {
            self.insert(id, Life::begin(objective.clone(), applied, now));
        }
    }

    /// It is gone, whatever the reason.
    pub(super) fn remove(&mut self, id: &ObjectiveId) {
        self.take(id);
    }

    /// When the version that lives was applied.
    pub(super) fn applied(&self, id: &ObjectiveId) -> Option<Moment> {
        self.by_id.get(id).map(|life| life.applied)
    }

    /// Nothing was seen while nobody looked: idle timeouts count from now.
    pub(super) fn wake(&mut self, now: Moment) {
        for (id, mut life) in std::mem::take(&mut self.by_id) {
            self.deadlines.remove(&(life.deadline, id.clone()));
            life.seen = now;
            life.packets = None;
            life.deadline = life.next_look(now, true);
            self.insert(id, life);
        }
    }

    fn insert(&mut self, id: ObjectiveId, life: Life) {
        self.deadlines.insert((life.deadline, id.clone()));
        self.by_id.insert(id, life);
    }

    fn take(&mut self, id: &ObjectiveId) -> Option<Life> {
        let life = self.by_id.remove(id)?;
        self.deadlines.remove(&(life.deadline, id.clone()));
        Some(life)
    }
}

impl Objectives {
    /// When the next objective has to be looked at.
    pub fn deadline(&self) -> Option<Moment> {
        let first = self.lives.deadlines.first();
        first.map(|(deadline, _)| *deadline)
    }

    /// Some of those that have to be looked at now.
    pub fn due(&self, now: Moment) -> Vec<ObjectiveId> {
        let due = self.lives.deadlines.iter();
        let due = due.take_while(|(deadline, _)| *deadline <= now);
        due.take(MAX_LOOKED_AT).map(|(_, id)| id.clone()).collect()
    }

    /// The entries that tell whether packets meet an objective.
    pub fn watched(&self, id: &ObjectiveId) -> Vec<&Entity> {
        let all = self.entities(id).iter();
        let all: Vec<_> = all.filter(|e| matches!(e, Entity::TableEntry(_))).collect();
        let is_own = |entity: &&Entity| self.owners(entity).count() == 1;
        let own: Vec<_> = all.iter().copied().filter(is_own).collect();
        if own.is_empty() { all } else { own }
    }

    /// Takes in what was seen. Returns those whose time is over, and why.
    pub fn look(
        &mut self,
        seen: Vec<(ObjectiveId, Sighting)>,
        now: Moment,
    ) -> Vec<(ObjectiveId, String)> {
        let mut over = Vec::new();
        for (id, sighting) in seen {
            let Some(mut life) = self.lives.take(&id) else {
                continue;
            };
            if let Some(why) = life.look(sighting, now) {
                life.deadline = Moment(now.0.saturating_add(RETRY));
                over.push((id.clone(), why));
            }
            self.lives.insert(id, life);
        }
        over
    }

    /// Takes those out of the data plane whose time is over. What stays there is looked at again.
    pub fn end(
        &mut self,
        over: Vec<(ObjectiveId, String)>,
        context: &Context<'_>,
        sink: &mut dyn Sink,
    ) {
        let mut replaced = Vec::new();
        for (id, why) in over {
            if let Err(refusal) = self.take_out(&id, context, sink) {
                tracing::error!(objective = %id, reason = refusal.message, "has expired and cannot be removed");
                continue;
            }
            let Some(life) = self.lives.take(&id) else {
                continue;
            };
            self.changed.insert(id.clone());
            let Some(wanted) = self.wanted.get_mut(&id) else {
                continue;
            };
            if wanted.objective == life.objective {
                tracing::debug!(objective = %id, why, "expired");
                wanted.status = Status::pending(wanted.status.revision, Reason::Expired, why);
                let objective = wanted.objective.clone();
                self.unrefer(&objective, &id);
            } else {
                // A newer version could not take its place so far.
                replaced.push(id);
            }
        }
        self.settle(replaced.into(), context, sink);
        self.finish_leaving(context, sink);
        self.retry(Wanted::lacks_room, context, sink);
    }
}

impl Wanted {
    /// Its time is over, and the controller has not taken it away yet.
    pub fn is_expired(&self) -> bool {
        self.status.state == State::Pending && self.status.reason == Reason::Expired
    }
}

#[cfg(test)]
mod tests {
    use pointsman_model::Model;

    use super::*;

    fn objective(timeout: &str) -> Objective {
        let yaml = format!(
            "device: d\nobjectives:\n  - forward: f\n    flag: versatile\n    selector: {{ in_port: 1 }}\n    treatment: punt\n    timeout: {timeout}\n"
        );
        let model = Model::parse("f.yaml", &yaml).expect("it is good");
        model.objectives[0].value.change.objective.clone()
    }

    fn living(timeout: &str, applied: u64) -> Objectives {
        let mut objectives = Objectives::default();
        let objective = objective(timeout);
        objectives.lives.begin(&objective, Moment(applied));
        objectives
    }

    fn packets(packets: u64) -> Sighting {
        Sighting {
            packets: Some(packets),
            hit: None,
        }
    }

    /// When it is over, if at each look this was seen since 1970.
    fn end_of(objectives: &mut Objectives, sight: impl Fn(Moment) -> Sighting) -> u64 {
        loop {
            let now = objectives.deadline().expect("it lives");
            let due = objectives.due(now);
            let seen = due.into_iter().map(|id| (id, sight(now)));
            if !objectives.look(seen.collect(), now).is_empty() {
                return now.0;
            }
        }
    }

    #[test]
    fn a_hard_timeout_is_over_at_its_time_whatever_packets_do() {
        let mut objectives = living("{ hard: 5m }", 1000);
        assert_eq!(end_of(&mut objectives, |now| packets(now.0)), 301_000);
    }

    #[test]
    fn what_is_counted_postpones_an_idle_timeout_and_the_hard_one_stays() {
        // A packet every second until 20 s.
        let until_20 = |now: Moment| packets(now.0.min(20_000) / 1000);
        let mut objectives = living("{ idle: 4s }", 0);
        let end = end_of(&mut objectives, until_20);
        assert!((24_000..=25_000).contains(&end), "{end}");
        let mut objectives = living("{ idle: 4s, hard: 10s }", 0);
        assert_eq!(end_of(&mut objectives, until_20), 10_000);
    }

    #[test]
    fn when_entries_say_when_they_were_hit_the_end_is_exact() {
        let mut objectives = living("{ idle: 4s }", 0);
        let hit = |now: Moment| Sighting {
            hit: Some(now.min(Moment(7300))),
            packets: None,
        };
        assert_eq!(end_of(&mut objectives, hit), 11_300);
    }

    #[test]
    fn what_nobody_can_see_for_a_while_is_not_taken_to_be_idle() {
        let mut objectives = living("{ idle: 4s }", 0);
        let away_until_30 = |now: Moment| match now.0 < 30_000 {
            true => Sighting::default(),
            false => packets(0),
        };
        assert!(end_of(&mut objectives, away_until_30) >= 30_000);
    }

    #[test]
    fn the_same_version_again_renews_nothing_and_another_one_does() {
        let mut objectives = living("{ hard: 10s }", 0);
        objectives
            .lives
            .begin(&objective("{ hard: 10s }"), Moment(6000));
        assert_eq!(objectives.deadline(), Some(Moment(10_000)));
        objectives
            .lives
            .begin(&objective("{ hard: 11s }"), Moment(6000));
        assert_eq!(objectives.deadline(), Some(Moment(17_000)));
    }

    #[test]
    fn a_restart_renews_an_idle_timeout_and_no_hard_one() {
        let mut objectives = living("{ idle: 4s, hard: 60s }", 0);
        objectives.lives.wake(Moment(50_000));
        assert_eq!(objectives.due(Moment(50_999)), []);
        assert_eq!(end_of(&mut objectives, |now| packets(now.0)), 60_000);
    }
}
