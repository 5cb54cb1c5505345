//! What agents say about objectives, one by one.

use crate::objective::ObjectiveKey;
use crate::state::Expired;
use crate::status::Status;

/// One acknowledgement. No status means that the objective is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// Which objective.
    pub key: ObjectiveKey,
    /// How it fares, if it is there.
    pub status: Option<Status>,
}

/// What of this has expired.
pub fn expired(acks: &[Ack]) -> Expired {
    let statuses = acks
        .iter()
        .filter_map(|ack| Some((ack, ack.status.as_ref()?)));
    let expired = statuses.filter(|(_, status)| status.is_expired());
    let expired = expired.map(|(ack, status)| (ack.key.clone(), status.revision));
    expired.collect()
}
