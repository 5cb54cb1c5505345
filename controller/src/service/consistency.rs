//! How new an answer has to be: the choice of whoever asks.

use pointsman_proto::pointsman::controller::v1::Consistency;
use tonic::Status;

use super::store_error;
use crate::raft::Store;

/// Waits until this node knows everything that was acknowledged before, if that is what is asked for.
///
/// # Errors
/// When no majority answers; asking for what may be stale never fails.
pub async fn catch_up(store: &Store, consistency: Consistency) -> Result<(), Status> {
    match consistency {
        Consistency::Stale => Ok(()),
        Consistency::Unspecified | Consistency::Linearizable => {
            store.ensure_current().await.map_err(store_error)
        }
    }
}
