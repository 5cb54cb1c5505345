//! What a voter asks the others before it stands for election: whether they would have it.
//!
//! Whoever still hears a leader would not. So a node that is cut off raises no term
//! meanwhile, and nobody is deposed when it is back (pre-vote, Ongaro's thesis, section 9.6).

use std::time::Duration;

use openraft::{BasicNode, ServerState};
use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::follower_client::FollowerClient;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Channel;

use super::links::Links;
use super::pacemaker::{Contact, Metrics};
use super::types::{LogId, Raft};
use super::wire;
use crate::state::NodeId;

/// Would a majority of voters, this node among them, vote for it? No, if they do not say so within `limit`.
pub async fn is_wanted(
    raft: &Raft,
    node: NodeId,
    links: &Links,
    metrics: &Metrics,
    limit: Duration,
) -> bool {
    let deadline = Instant::now() + limit;
    let membership = metrics.membership_config.membership();
    let voters: Vec<_> = membership.voter_ids().collect();
    let last = raft.data_metrics().borrow().last_log;
    let mut asked = JoinSet::new();
    for voter in voters.iter().filter(|voter| **voter != node) {
        let Some(BasicNode { addr }) = membership.get_node(voter) else {
            continue;
        };
        if let Ok(link) = links.to(*voter, addr) {
            asked.spawn(would_vote_for(link.urgent, last));
        }
    }
    let mut missing = voters.len() / 2;
    while missing > 0 {
        match tokio::time::timeout_at(deadline, asked.join_next()).await {
            Ok(Some(answer)) => missing -= usize::from(answer.unwrap_or(false)),
            Ok(None) | Err(_) => return false,
        }
    }
    true
}

async fn would_vote_for(voter: Channel, last: Option<LogId>) -> bool {
    let request = pb::CanvassRequest {
        last: last.map(wire::log_id_to_proto),
    };
    match FollowerClient::new(voter).canvass(request).await {
        Ok(answer) => answer.into_inner().would_vote,
        // Versions before this question vote for whomever Raft allows.
        Err(status) => status.code() == Code::Unimplemented,
    }
}

/// Would this node vote for one whose log ends with `last`?
pub fn would_vote(raft: &Raft, contact: &Contact, last: Option<LogId>) -> bool {
    let known = raft.server_metrics().borrow().clone();
    let has_leader = match known.state {
        ServerState::Leader => contact.has_majority(known.vote),
        _ => !contact.is_lost(),
    };
    let own = raft.data_metrics().borrow().last_log;
    tracing::debug!(has_leader, ?own, candidate = ?last, "somebody asks whether this node would vote for it");
    !has_leader && own <= last
}
