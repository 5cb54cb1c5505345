//! What Raft promises, without Raft: one log, appended to by one leader at a time, whose entries are committed while a
//! majority hears it. What a leader had under way when it lost its place is committed or lost, as chance will have it,
//! and whoever submitted it does not learn which. openraft itself is tested elsewhere (`crate::raft`).

use std::collections::VecDeque;

use super::world::Origin;
use crate::state::{Command, NodeId, Response, State};

/// A command under way.
#[derive(Debug)]
pub struct Pending {
    pub command: Command,
    pub origin: Origin,
}

/// The log of the cluster, and the state that it leads to.
#[derive(Debug, Default)]
pub struct Consensus {
    /// Who leads.
    pub leader: Option<NodeId>,
    /// Appended by the leader and not committed yet.
    pub pending: VecDeque<Pending>,
    /// Committed.
    pub entries: Vec<Command>,
    pub state: State,
}

impl Consensus {
    /// Commits an entry.
    pub fn commit(&mut self, command: Command) -> Response {
        self.entries.push(command.clone());
        self.state.apply(command).response
    }
}
