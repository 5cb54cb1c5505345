//! The batch-oriented side of a target whose switch is another process.
//!
//! The seam to a data plane ([`DataPlane`](pointsman_p4::dataplane::DataPlane)) takes one update at a time, which costs
//! nothing in shared memory and a round trip to a server. So a target with a server behind it has, as its plane,
//! a model of that server which forwards nothing, and says [`Target::relay`](super::Target::relay): updates meet all
//! checks against the model first, and what passes is sent as one batch before anybody is told that it
//! succeeded. What the server refuses is taken back from the model and the store.
//!
//! [`crate::switch`] decides when to send, and what to take back. Targets in the same process have no relay, and pay
//! for none of this.

use std::collections::BTreeSet;

use thiserror::Error;
use tonic::Code;

use pointsman_proto::p4::v1 as p4;

use crate::entity::{Entity, Update};
use crate::schema::Schema;
use crate::switch::{Pipeline, UpdateError};

/// Why a switch was not asked, or would not be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RelayError {
    /// It is away.
    #[error("{0}; nothing was changed, try again when it is back")]
    Away(String),
    /// It refuses the request as a whole.
    #[error("the switch refuses: {message}")]
    Refused {
        /// Its code.
        code: Code,
        /// Its words.
        message: String,
    },
    /// It does not take what is stored.
    #[error("{failed} of {wanted} entities are refused by the switch; the first: {first}")]
    NotInStep {
        /// Entities that it refused.
        failed: usize,
        /// Entities that it was given.
        wanted: usize,
        /// One of them, with the reason.
        first: String,
    },
}

impl RelayError {
    /// The canonical code that clients are told.
    pub fn code(&self) -> Code {
        match self {
            RelayError::Away(_) => Code::Unavailable,
            RelayError::Refused { code, .. } => *code,
            RelayError::NotInStep { .. } => Code::InvalidArgument,
        }
    }
}

/// A switch in another process.
pub trait Relay: Send + Sync {
    /// Would a write be sent? Asked before anything is changed.
    fn check(&self) -> Result<(), RelayError>;

    /// Sends updates in one batch, of which some may fail: one result for each.
    fn write(
        &self,
        schema: &Schema,
        updates: &[Update],
    ) -> Result<Vec<Result<(), UpdateError>>, RelayError>;

    /// Sends updates of which packets must see all or none, if the switch can do that. If it
    /// fails, none was applied.
    fn write_atomically(&self, schema: &Schema, updates: &[Update]) -> Result<(), RelayError>;

    /// Fetches what is counted and kept by packets, as far as these filters ask for it, into the
    /// model. One result for each filter.
    fn refresh(&self, schema: &Schema, filters: &[p4::Entity]) -> Vec<Result<(), RelayError>>;

    /// Tells the switch that a digest list of its own is dealt with. Lost if the switch is away.
    fn acknowledge(&self, digest_id: u32, list_id: u64);

    /// These ports are down now, and no other. Of what the switch holds, `held` may go another way for it.
    fn ports_turned(
        &self,
        schema: &Schema,
        down: BTreeSet<u32>,
        held: &[Entity],
    ) -> Result<(), RelayError>;

    /// Makes the switch hold a pipeline with exactly these entities, unless it is configured to be compared only. `updates`
    /// make what it should be of a switch that has just loaded the pipeline.
    fn bring_in_step(
        &self,
        pipeline: &Pipeline,
        updates: &[Update],
        differences: Differences,
    ) -> Result<Compared, RelayError>;
}

/// What is to become of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Differences {
    /// What the configuration says.
    AsConfigured,
    /// They are put right.
    PutRight,
}

/// How a switch differed from what is stored.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    /// Where it is.
    pub place: String,
    /// What is stored and was not there as it is stored; what was there in its place.
    pub differing: Vec<(Entity, Option<Entity>)>,
    /// That was put right.
    pub is_repaired: bool,
}
