//! Stores that are made before anybody runs on them: that of a node which is to join, and that of a cluster which
//! begins with what another one held.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use openraft::{BasicNode, CommittedLeaderId};

use super::database::{DatabaseFault, OpenError, StoreDatabase, put_meta};
use super::state_machine::{SharedState, StateMachine};
use super::types::{LogId, Membership, SnapshotMeta, StoredMembership, Vote};
use crate::state::{NodeId, State};

/// Makes the store of a node that is in no cluster yet.
///
/// # Errors
/// When the directory cannot be written, or has the store of another node.
pub fn create(data_dir: &Path, node: NodeId) -> Result<(), OpenError> {
    StoreDatabase::open(data_dir, node).map(drop)
}

/// Makes the store of a cluster of one that holds `state`, as though that were its latest snapshot: whoever joins is
/// sent it, because no log leads to it.
///
/// # Errors
/// As [`create`].
pub fn found(data_dir: &Path, node: NodeId, address: &str, state: State) -> Result<(), OpenError> {
    let database = Arc::new(StoreDatabase::open(data_dir, node)?);
    let begin = || -> Result<(), DatabaseFault> {
        let first = LogId::new(CommittedLeaderId::new(1, node), 1);
        let nodes = BTreeMap::from([(node, BasicNode::new(address))]);
        let membership = Membership::new(vec![BTreeSet::from([node])], nodes);
        let meta = SnapshotMeta {
            last_log_id: Some(first),
            last_membership: StoredMembership::new(Some(first), membership),
            snapshot_id: "founding".to_owned(),
        };
        let shared = Arc::new(SharedState::load(&database)?);
        StateMachine::new(database.clone(), shared).begin_with(&meta, state)?;
        database.write(|transaction| {
            put_meta(transaction, "purged", &first)?;
            put_meta(transaction, "committed", &Some(first))?;
            put_meta(transaction, "vote", &Vote::new_committed(1, node))
        })
    };
    begin().map_err(|fault| OpenError::damaged(data_dir, fault))
}
