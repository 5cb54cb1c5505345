//! What must hold at every moment, and what must hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::{Run, World};
use crate::liveness::core::{BEAT_INTERVAL, SILENCE};
use crate::state::{
    BootId, Command, MastershipCommand, NodeId, Presence, Revision, State, Term, Wish,
};
use crate::status::Progress;

/// How long a process may have sessions after it has lost its majority: until the others count as silent, and for as
/// long as what they have said before is under way.
const GRACE: Duration = Duration::from_millis(60);

/// What is remembered to be checked.
#[derive(Debug, Default)]
pub struct Checks {
    /// Who was master of what in which term.
    terms: BTreeMap<Term, (String, NodeId, BootId)>,
    /// Which processes have handed each device on since somebody last reached it.
    rounds: BTreeMap<String, BTreeSet<(NodeId, BootId)>>,
    /// The last change that a client was told of as committed.
    acknowledged: Revision,
    /// When each process last could hear each node.
    reached: BTreeMap<(Run, NodeId), Duration>,
    /// Whose clock has just leapt.
    leapt: Option<NodeId>,
    /// How often masters changed, so that a simulation in which nothing happens is noticed.
    pub assignments: usize,
}

impl Checks {
    /// A client is told that its change is committed.
    pub fn acknowledged(&mut self, revision: Revision) {
        self.acknowledged = revision.max(self.acknowledged);
    }

    /// A node's clock has leapt: it has to take that time for one in which it did not run.
    pub fn leapt(&mut self, node: NodeId) {
        self.leapt = Some(node);
    }

    fn has_leapt(&self, node: NodeId) -> bool {
        self.leapt == Some(node)
    }

    /// A command was committed.
    pub fn committed(
        &mut self,
        before: &State,
        command: &Command,
        after: &State,
    ) -> Result<(), String> {
        for (name, device) in after.devices() {
            let Some(held) = device.mastership() else {
                continue;
            };
            let node = after.node(held.node);
            let boot = node.map(|node| node.boot).unwrap_or_default();
            let holder = (name.clone(), held.node, boot);
            let is_new = !self.terms.contains_key(&held.term);
            let known = self
                .terms
                .entry(held.term)
                .or_insert_with(|| holder.clone());
            if *known != holder {
                return Err(format!(
                    "term {:?} is {holder:?}'s and was {known:?}'s",
                    held.term
                ));
            }
            if is_new {
                self.assignments += 1;
                let is_up = node.is_some_and(|node| node.presence == Presence::Up);
                if !is_up {
                    return Err(format!(
                        "{name} was given to node {}, which is not up",
                        held.node
                    ));
                }
            }
            if held.tried.is_empty() {
                self.rounds.remove(name);
            }
        }
        if let Command::Mastership(MastershipCommand::Unreachable { device, .. }) = command {
            self.handed_on(before, device, after)?;
        }
        Ok(())
    }

    fn handed_on(&mut self, before: &State, device: &str, after: &State) -> Result<(), String> {
        let master = |state: &State| state.device(device)?.mastership().map(|held| held.node);
        let (from, to) = (master(before), master(after));
        if from == to {
            return Ok(());
        }
        let process = |node: NodeId| {
            let boot = after.node(node).map(|node| node.boot);
            (node, boot.unwrap_or_default())
        };
        let round = self.rounds.entry(device.to_owned()).or_default();
        round.extend(from.map(process));
        match to.map(process).filter(|to| round.contains(to)) {
            Some((node, _)) => Err(format!(
                "{device} was handed to node {node} again, which had not reached it"
            )),
            None => Ok(()),
        }
    }
}

impl World {
    /// What must hold now: who has heard no majority for long enough has no sessions.
    pub fn check(&mut self) -> Result<(), String> {
        for run in self.runs() {
            let (id, _) = run;
            let now = self.now;
            let others: Vec<_> = self.nodes.keys().copied().collect();
            // Time in which it did not run itself does not count.
            let did_not_run = self.nodes[&id].paused_until > now || self.checks.has_leapt(id);
            for other in others {
                if did_not_run || self.reaches(id, other) {
                    self.checks.reached.insert((run, other), now);
                }
            }
            let lately = |at: &Duration| now - *at <= SILENCE + BEAT_INTERVAL + GRACE;
            let reached = self.checks.reached.range((run, 0)..=(run, NodeId::MAX));
            let reached = reached.filter(|(_, at)| lately(at)).count();
            let sessions = self
                .process(run)
                .map_or(0, |process| process.sessions.len());
            if sessions > 0 && reached * 2 <= self.nodes.len() {
                return Err(format!(
                    "node {id} has {sessions} sessions, and has reached {reached} nodes lately"
                ));
            }
        }
        self.checks.leapt = None;
        Ok(())
    }

    /// What is not yet as it must be once nothing breaks any more; nothing if all is.
    pub fn unsettled(&self) -> Option<String> {
        let state = &self.consensus.state;
        if state.revision() < self.checks.acknowledged {
            return Some("an acknowledged change is lost".to_owned());
        }
        if !state.is_balanced() {
            return Some("devices are not balanced".to_owned());
        }
        for (id, node) in &self.nodes {
            let process = node.process.as_ref();
            let boot = process.map(|process| process.boot);
            if node.state != *state {
                return Some(format!("node {id} has another state"));
            }
            let known = state.node(*id);
            if !known
                .is_some_and(|known| Some(known.boot) == boot && known.presence == Presence::Up)
            {
                return Some(format!(
                    "node {id} runs as {boot:?}, and is known as {known:?}"
                ));
            }
        }
        let mut devices = state.devices().keys();
        devices.find_map(|device| self.unsettled_device(device))
    }

    fn unsettled_device(&self, name: &str) -> Option<String> {
        let state = &self.consensus.state;
        let device = state.device(name)?;
        let Some(held) = device.mastership() else {
            return Some(format!("{name} has no master"));
        };
        if !held.tried.is_empty() {
            return Some(format!(
                "{name} counts as unreachable from {:?}",
                held.tried
            ));
        }
        let sessions = self.nodes.iter().filter_map(|(id, node)| {
            let session = node.process.as_ref()?.sessions.get(name)?;
            session.stream.map(|_| (*id, session.term))
        });
        let sessions: Vec<_> = sessions.collect();
        if sessions != [(held.node, held.term)] {
            return Some(format!(
                "{name} is {held:?}'s, and has sessions with {sessions:?}"
            ));
        }
        let agent = &self.agents[name];
        if agent.held != *device.objectives() {
            return Some(format!("switch {name} does not hold what is wanted of it"));
        }
        let wishes = device.objectives().iter().map(|(key, stored)| Wish {
            key,
            revision: stored.revision,
        });
        let mut statuses = wishes.map(|wish| device.acknowledged().status(&wish, held.term));
        let is_applied = statuses.all(|status| status.progress == Progress::Applied);
        (!is_applied).then(|| format!("{name} is not known to hold what it holds"))
    }
}
