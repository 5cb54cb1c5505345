//! Who takes part: nodes come as learners, become voters once they have caught
//! up, and go, one change at a time. Leadership is handed on by asking another
//! node to stand for election.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::follower_client::FollowerClient;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::state::NodeId;

/// How long a learner may take to catch up. It has most of it from a snapshot.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a handover may take.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(2);
/// A learner that lacks fewer entries than this is let in.
const CLOSE_ENOUGH: u64 = 100;

/// A change of who takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MembershipChange {
    AddLearner { node: NodeId, address: String },
    Promote(NodeId),
    Remove(NodeId),
    Move { node: NodeId, address: String },
    Transfer(NodeId),
}

/// Who is in the cluster and who leads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// The peer address of every node, of those that vote and of those that only learn.
    pub addresses: BTreeMap<NodeId, String>,
    /// The Raft term.
    pub term: u64,
    /// The last entry of this node's log.
    pub log_index: u64,
    /// The last entry that this node has applied.
    pub applied_index: u64,
    /// On the leader: the last entry that each node is known to have.
    pub replicated: BTreeMap<NodeId, u64>,
}

impl Store {
    /// Adds a node that learns and does not vote. Its process must run, as a node of a cluster that it has not joined yet.
    ///
    /// # Errors
    /// [`StoreError::Refused`] while another change is under way; else as for [`Store::submit`].
    pub async fn add_learner(&self, node: NodeId, address: String) -> Result<(), StoreError> {
        self.change_membership(MembershipChange::AddLearner { node, address })
            .await
    }

    /// Lets a learner vote. Waits until it has caught up.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it is no learner, does not catch up, or another change is under way.
    pub async fn promote(&self, node: NodeId) -> Result<(), StoreError> {
        self.change_membership(MembershipChange::Promote(node))
            .await
    }

    /// Takes a node out, be it dead or alive. It can never come back under this id.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it is the last voter, or another change is under way.
    pub async fn remove(&self, node: NodeId) -> Result<(), StoreError> {
        let membership = self.membership();
        if membership.leader == Some(node) && membership.voters.len() > 1 {
            self.transfer_leadership(None).await?;
        }
        self.change_membership(MembershipChange::Remove(node)).await
    }

    /// Says where a node is reached from now on.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is no such node, or another change is under way.
    pub async fn set_address(&self, node: NodeId, address: String) -> Result<(), StoreError> {
        self.change_membership(MembershipChange::Move { node, address })
            .await
    }

    /// Hands leadership to `to`, or to whichever voter has most of the log. Returns at once if it leads already.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if it does not vote, or does not take over in time.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<(), StoreError> {
        let to = match to {
            Some(to) => to,
            None => match self.best_successor() {
                Some(to) => to,
                None => return Ok(()),
            },
        };
        self.change_membership(MembershipChange::Transfer(to)).await
    }

    /// Who is in the cluster.
    pub fn membership(&self) -> Membership {
        let metrics = self.raft.metrics().borrow().clone();
        let nodes = metrics.membership_config.nodes();
        let replicated = metrics.replication.unwrap_or_default().into_iter();
        Membership {
            leader: self.known_leader(metrics.current_leader),
            voters: metrics.membership_config.membership().voter_ids().collect(),
            addresses: nodes.map(|(id, node)| (*id, node.addr.clone())).collect(),
            term: metrics.current_term,
            log_index: metrics.last_log_index.unwrap_or_default(),
            applied_index: metrics.last_applied.map_or(0, |last| last.index),
            replicated: replicated
                .filter_map(|(id, last)| Some((id, last?.index)))
                .collect(),
        }
    }

    fn best_successor(&self) -> Option<NodeId> {
        let membership = self.membership();
        let others = membership.voters.iter().copied();
        others
            .filter(|voter| Some(*voter) != membership.leader)
            .max_by_key(|voter| membership.replicated.get(voter).copied())
    }

    pub(super) async fn change_membership_here(
        &self,
        change: MembershipChange,
    ) -> Result<(), StoreError> {
        let busy = || {
            StoreError::Refused(
                "another change of the cluster's nodes is under way; they are made one at a time, so try again when it is done".to_owned(),
            )
        };
        let _one_at_a_time = self.changing.try_lock().map_err(|_| busy())?;
        let nodes = |node, address| BTreeMap::from([(node, BasicNode::new(address))]);
        match change {
            MembershipChange::AddLearner { node, address } => {
                self.change(ChangeMembers::AddNodes(nodes(node, address)))
                    .await
            }
            MembershipChange::Promote(node) => {
                self.must_be_member(node)?;
                self.wait_until_caught_up(node).await?;
                self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node])))
                    .await
            }
            MembershipChange::Remove(node) => self.remove_here(node).await,
            MembershipChange::Move { node, address } => {
                self.must_be_member(node)?;
                self.change(ChangeMembers::SetNodes(nodes(node, address)))
                    .await
            }
            MembershipChange::Transfer(to) => self.transfer_here(to).await,
        }
    }

    async fn change(&self, change: ChangeMembers<NodeId, BasicNode>) -> Result<(), StoreError> {
        match self.raft.change_membership(change, false).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Err(StoreError::NotLeader {
                    leader: to.leader_id,
                })
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                Err(StoreError::Refused(error.to_string()))
            }
            Err(RaftError::Fatal(fatal)) => Err(StoreError::Stopped(fatal.to_string())),
        }
    }

    fn must_be_member(&self, node: NodeId) -> Result<(), StoreError> {
        match self.membership().addresses.contains_key(&node) {
            true => Ok(()),
            false => Err(StoreError::Refused(format!(
                "node {node} is not in the cluster; add it first"
            ))),
        }
    }

    async fn wait_until_caught_up(&self, node: NodeId) -> Result<(), StoreError> {
        let has_caught_up = |metrics: &openraft::RaftMetrics<NodeId, BasicNode>| {
            let replication = metrics.replication.as_ref();
            // Whoever leads no more says so when the change is made.
            replication.is_none_or(|replication| {
                let has = replication.get(&node).copied().flatten();
                let has = has.map_or(0, |last| last.index + 1);
                has > 0 && metrics.last_log_index.unwrap_or_default() <= has + CLOSE_ENOUGH
            })
        };
        let wait = self.raft.wait(Some(CATCH_UP_TIMEOUT));
        match wait
            .metrics(has_caught_up, "a learner that has caught up")
            .await
        {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Refused(format!(
                "node {node} did not catch up within {} seconds; is it running, and can it be reached at its peer address?",
                CATCH_UP_TIMEOUT.as_secs()
            ))),
        }
    }

    async fn remove_here(&self, node: NodeId) -> Result<(), StoreError> {
        self.must_be_member(node)?;
        let voters = self.membership().voters;
        if voters == [node] {
            return Err(StoreError::Refused(format!(
                "node {node} is the last one that votes; without it there is no cluster. To end the cluster, stop the node"
            )));
        }
        let node = BTreeSet::from([node]);
        match voters.iter().any(|voter| node.contains(voter)) {
            true => self.change(ChangeMembers::RemoveVoters(node)).await,
            false => self.change(ChangeMembers::RemoveNodes(node)).await,
        }
    }

    async fn transfer_here(&self, to: NodeId) -> Result<(), StoreError> {
        let metrics = self.raft.metrics().borrow().clone();
        if metrics.current_leader != Some(self.node_id) {
            return Err(StoreError::NotLeader {
                leader: metrics.current_leader,
            });
        }
        if to == self.node_id {
            return Ok(());
        }
        if !self.membership().voters.contains(&to) {
            return Err(StoreError::Refused(format!(
                "node {to} does not vote, so it cannot lead"
            )));
        }
        let refused = |what: &str| StoreError::Refused(format!("node {to} {what}"));
        // Nothing comes into the log that the successor would lack.
        let _held = self.leading.hold().await;
        let has_all = |metrics: &openraft::RaftMetrics<NodeId, BasicNode>| {
            let replication = metrics.replication.as_ref();
            replication.is_none_or(|replication| {
                let has = replication.get(&to).copied().flatten();
                has.map(|last| last.index) == metrics.last_log_index
            })
        };
        let wait = self.raft.wait(Some(TRANSFER_TIMEOUT));
        let has_all = wait.metrics(has_all, "a successor with the whole log");
        has_all
            .await
            .map_err(|_| refused("does not receive the log"))?;
        let link = self.peer(to).ok_or_else(|| refused("left the cluster"))?;
        let link = link.map_err(|error| StoreError::Refused(error.to_string()))?;
        let request = pb::ElectRequest {
            term: metrics.current_term,
        };
        FollowerClient::new(link.urgent)
            .elect(request)
            .await
            .map_err(|status| refused(&format!("does not answer: {}", status.message())))?;
        let wait = self.raft.wait(Some(TRANSFER_TIMEOUT));
        let led_by =
            |metrics: &openraft::RaftMetrics<NodeId, BasicNode>| metrics.current_leader == Some(to);
        let taken_over = wait.metrics(led_by, "the successor as leader").await;
        taken_over
            .map(drop)
            .map_err(|_| refused("did not win the election"))
    }
}
