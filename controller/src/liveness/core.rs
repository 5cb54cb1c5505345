//! Decides which nodes are there, whether this one hears a majority, and what whoever leads has to tell the replicated
//! state of it. Pure: no clock, no socket, no store.
//!
//! A node is there while it beats. It is gone at once when its process refuses connections, which is what a killed one
//! does, and after [`SILENCE`] otherwise, which is what a cut cable looks like. A node that does not hear a majority of
//! the voters must take it that the others have gone on without it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::state::{BootId, NodeCommand, NodeId, NodeSpec, Presence};

/// How often each node is heard.
pub const BEAT_INTERVAL: Duration = Duration::from_millis(25);
/// After how long without a beat a node is taken to be gone.
pub const SILENCE: Duration = Duration::from_millis(200);
/// How long a node that was never heard has to be heard before it counts as gone.
const FIRST_BEAT: Duration = Duration::from_secs(1);
/// A tick that comes this late says that this process did not run, not that the others did not.
const STALL: Duration = Duration::from_millis(75);

/// What the store and the configuration say that matters here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Who votes.
    pub voters: BTreeSet<NodeId>,
    /// Who leads, if that is known.
    pub leader: Option<NodeId>,
    /// The nodes as the replicated state knows them.
    pub nodes: BTreeMap<NodeId, (BootId, Presence)>,
    /// No device would move if things were balanced now.
    pub is_balanced: bool,
    /// How long things have to be quiet before they are balanced; never if it is nothing.
    pub balance_delay: Option<Duration>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// What the store says may have changed.
    Cluster(Cluster),
    /// A node was heard.
    Beat {
        /// Who.
        node: NodeId,
        /// Which process of it.
        boot: BootId,
    },
    /// A node's host refuses connections: there is no such process.
    Refused {
        /// Who.
        node: NodeId,
    },
    /// Time has passed; comes every [`BEAT_INTERVAL`].
    Tick,
    /// What was to be told about a node was committed, or could not be.
    Told {
        /// About whom.
        node: NodeId,
    },
    /// The balancing was committed, or could not be.
    Balanced,
}

/// Whom a command is about.
pub fn subject(command: &NodeCommand) -> NodeId {
    match command {
        NodeCommand::Start { node, .. }
        | NodeCommand::Heard { node, .. }
        | NodeCommand::Lost { node, .. }
        | NodeCommand::Leave { node, .. }
        | NodeCommand::Drain { node }
        | NodeCommand::Resume { node }
        | NodeCommand::Remove { node } => *node,
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Have this committed, then report [`Event::Told`].
    Tell(NodeCommand),
    /// A majority is heard, or is not any more.
    Quorum(bool),
    /// Have devices moved, then report [`Event::Balanced`].
    Balance,
}

/// What is known of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    /// Nothing yet.
    Expected { since: Instant },
    /// It beats.
    Heard { at: Instant, boot: BootId },
    /// It was silent for too long, or refuses connections.
    Gone,
}

/// Everything that is known of who is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Liveness {
    me: NodeId,
    boot: BootId,
    spec: NodeSpec,
    cluster: Cluster,
    others: BTreeMap<NodeId, Hearing>,
    has_quorum: bool,
    /// About whom something is being told.
    telling: BTreeSet<NodeId>,
    is_balancing: bool,
    /// Since when there was nothing but a lack of balance.
    quiet_since: Instant,
    last_tick: Instant,
}

impl Liveness {
    /// Of a node whose process starts now. It has heard nobody and tells nothing yet.
    pub fn new(me: NodeId, boot: BootId, spec: NodeSpec, now: Instant) -> Self {
        Self {
            me,
            boot,
            spec,
            cluster: Cluster::default(),
            others: BTreeMap::new(),
            has_quorum: false,
            telling: BTreeSet::new(),
            is_balancing: false,
            quiet_since: now,
            last_tick: now,
        }
    }

    /// Is a majority heard?
    pub fn has_quorum(&self) -> bool {
        self.has_quorum
    }

    /// Is this process of a node there, as far as is known? One that was never heard gets some time.
    fn is_there(&self, node: NodeId, boot: BootId, now: Instant) -> bool {
        if node == self.me {
            return boot == self.boot;
        }
        match self.others.get(&node) {
            Some(Hearing::Expected { since }) => now.duration_since(*since) < FIRST_BEAT,
            Some(Hearing::Heard { boot: heard, .. }) => *heard == boot,
            Some(Hearing::Gone) | None => false,
        }
    }

    fn is_heard(&self, node: NodeId) -> bool {
        node == self.me || matches!(self.others.get(&node), Some(Hearing::Heard { .. }))
    }

    fn hears_majority(&self) -> bool {
        let voters = &self.cluster.voters;
        let heard = voters.iter().filter(|node| self.is_heard(**node)).count();
        heard * 2 > voters.len()
    }
}

/// Takes one event in and says what to do.
pub fn step(liveness: &mut Liveness, event: Event, now: Instant) -> Vec<Command> {
    match event {
        Event::Cluster(cluster) => look_at(liveness, cluster, now),
        Event::Beat { node, boot } => {
            if node != liveness.me {
                let heard = Hearing::Heard { at: now, boot };
                liveness.others.insert(node, heard);
            }
        }
        Event::Refused { node } => {
            if let Some(hearing) = liveness.others.get_mut(&node) {
                *hearing = Hearing::Gone;
            }
        }
        Event::Tick => listen(liveness, now),
        Event::Told { node } => drop(liveness.telling.remove(&node)),
        Event::Balanced => {
            liveness.is_balancing = false;
            liveness.quiet_since = now;
        }
    }
    decide(liveness, now)
}

fn look_at(liveness: &mut Liveness, cluster: Cluster, now: Instant) {
    let is_quiet =
        cluster.nodes == liveness.cluster.nodes && cluster.leader == liveness.cluster.leader;
    if !is_quiet || cluster.is_balanced {
        liveness.quiet_since = now;
    }
    let members = cluster.voters.iter().chain(cluster.nodes.keys());
    let others: BTreeSet<_> = members.filter(|node| **node != liveness.me).collect();
    liveness.others.retain(|node, _| others.contains(node));
    for node in others {
        let unheard = Hearing::Expected { since: now };
        liveness.others.entry(*node).or_insert(unheard);
    }
    liveness.cluster = cluster;
}

/// Finds out who has fallen silent. Time in which this process did not run itself does not count.
fn listen(liveness: &mut Liveness, now: Instant) {
    let since = now.duration_since(liveness.last_tick);
    let stalled = if since > STALL { since } else { Duration::ZERO };
    liveness.last_tick = now;
    for hearing in liveness.others.values_mut() {
        match hearing {
            Hearing::Heard { at, .. } => {
                *at += stalled.min(now.duration_since(*at));
                if now.duration_since(*at) >= SILENCE {
                    *hearing = Hearing::Gone;
                }
            }
            Hearing::Expected { .. } | Hearing::Gone => {}
        }
    }
}

fn decide(liveness: &mut Liveness, now: Instant) -> Vec<Command> {
    let mut commands = Vec::new();
    let has_quorum = liveness.hears_majority();
    if has_quorum != liveness.has_quorum {
        liveness.has_quorum = has_quorum;
        commands.push(Command::Quorum(has_quorum));
    }
    if !has_quorum {
        return commands;
    }
    commands.extend(introduce(liveness));
    if liveness.cluster.leader == Some(liveness.me) {
        commands.extend(tell(liveness, now));
        commands.extend(balance(liveness, now));
    }
    commands
}

/// What every node says of itself: that this process has started.
fn introduce(liveness: &mut Liveness) -> Option<Command> {
    let (me, boot) = (liveness.me, liveness.boot);
    let known = liveness.cluster.nodes.get(&me);
    if known.is_some_and(|(known, _)| *known == boot) || !liveness.telling.insert(me) {
        return None;
    }
    let spec = liveness.spec.clone();
    Some(Command::Tell(NodeCommand::Start {
        node: me,
        boot,
        spec,
    }))
}

/// What whoever leads says of everybody: who is gone, and who is back.
fn tell(liveness: &mut Liveness, now: Instant) -> Vec<Command> {
    let mut commands = Vec::new();
    for (node, (boot, presence)) in liveness.cluster.nodes.clone() {
        let is_there = liveness.is_there(node, boot, now);
        let command = match presence {
            Presence::Up if !is_there => NodeCommand::Lost { node, boot },
            Presence::Down if is_there && liveness.is_heard(node) => {
                NodeCommand::Heard { node, boot }
            }
            Presence::Up | Presence::Down | Presence::Left => continue,
        };
        if liveness.telling.insert(node) {
            commands.push(Command::Tell(command));
        }
    }
    commands
}

fn balance(liveness: &mut Liveness, now: Instant) -> Option<Command> {
    let delay = liveness.cluster.balance_delay?;
    let is_due = now.duration_since(liveness.quiet_since) >= delay;
    if liveness.cluster.is_balanced || liveness.is_balancing || !is_due {
        return None;
    }
    liveness.is_balancing = true;
    Some(Command::Balance)
}
