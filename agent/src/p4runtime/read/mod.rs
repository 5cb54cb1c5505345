//! Read: each entity of a request is a filter over what was written, and is answered from
//! one moment's state. Counts come from the data plane.
//!
//! [`begin`] looks at that moment: it locks the parts that the filters touch, takes cheap copies of their
//! maps and the counts that are asked for, and lets go of the locks. The [`Answer`] makes messages of
//! that, one at a time and only when the client has room for it ([`send`]). So a slow client keeps
//! nobody waiting, and what it costs is what was changed since it began.

mod answer;
mod footprint;
mod notice;
mod resource;
mod table;

pub use answer::{Answer, send};

use std::sync::Arc;

use pointsman_p4::dataplane::DataPlaneError;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Filter;
use thiserror::Error;
use tonic::{Code, Status};

use self::answer::Entities;
use super::decode::DecodeError;
use super::reason::Reason;
use super::scope::{Scope, ScopeError};
use super::{request, status};
use crate::agent::Agent;
use crate::arbitration::RoleName;
use crate::authorization::{Caller, Permission};
use crate::schema::Schema;
use crate::switch::{Switch, View};
use crate::target::relay::RelayError;

/// Why a filter is refused.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It makes no sense for the loaded pipeline.
    #[error(transparent)]
    Filter(#[from] DecodeError),
    /// The policy does not allow it.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The counter or meter of an entry that is not there.
    #[error("{what} does not exist")]
    NoEntry {
        /// The entry.
        what: String,
    },
    /// A counter or register cannot be read.
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
    /// A switch in another process does not say.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

impl ReadError {
    /// The canonical code of the refusal.
    pub fn code(&self) -> Code {
        match self {
            ReadError::Filter(error) => error.code(),
            ReadError::Scope(_) => Code::PermissionDenied,
            ReadError::NoEntry { .. } => Code::NotFound,
            ReadError::DataPlane(DataPlaneError::OutOfRange { .. }) => Code::OutOfRange,
            ReadError::DataPlane(DataPlaneError::Unsupported { .. }) => Code::Unimplemented,
            ReadError::DataPlane(_) => Code::Internal,
            ReadError::Relay(error) => error.code(),
        }
    }
}

/// Applies every filter of a request to the state of one moment.
pub fn begin(agent: &Agent, caller: &Caller, request: &p4::ReadRequest) -> Result<Answer, Status> {
    agent.limits.check_filters(request.entities.len())?;
    request::check_device(agent, request.device_id)?;
    let role = RoleName(request.role.clone());
    let config = agent.mastership.with(|known| known.role_config(&role));
    let config = config.map_err(|error| status::arbitration(&error))?;
    let state = agent.shared();
    let switch = state.draft.as_ref().unwrap_or(&state.switch);
    let pipeline = switch.pipeline().ok_or_else(status::no_pipeline)?;
    // Before anything is locked, because a switch in another process takes its time.
    let refreshed = refresh(switch, &request.entities);
    let footprint = footprint::of(&pipeline.schema, &request.entities);
    let view = switch.view(&footprint).ok_or_else(status::no_pipeline)?;
    let p4info = &pipeline.source.p4info;
    let scope = Scope::new(caller, Permission::Read, &role.0, config, p4info);
    let mut entities = Vec::new();
    let mut errors = Vec::with_capacity(request.entities.len());
    for (filter, refreshed) in request.entities.iter().zip(refreshed) {
        let mut reader = Reader {
            schema: Arc::clone(&pipeline.schema),
            view: &view,
            found: Vec::new(),
        };
        let allowed = scope.check_policy(filter, p4info).map_err(ReadError::from);
        let read = allowed.and_then(|()| reader.filter(filter));
        // What is wrong with a filter is said better here than by the switch.
        match read.and_then(|()| Ok(refreshed?)) {
            Ok(()) => {
                let found = reader.found.into_iter();
                entities.extend(found.map(|found| scope.of(found)));
                errors.push(p4::Error::default());
            }
            Err(error) => {
                let reason = Reason::from(&error);
                errors.push(status::error(reason, error.code(), error.to_string()));
            }
        }
    }
    Ok(Answer::new(entities, errors))
}

/// Fetches from a switch in another process what only it knows. One result for each filter.
fn refresh(switch: &Switch, filters: &[p4::Entity]) -> Vec<Result<(), RelayError>> {
    match (switch.relay(), switch.pipeline()) {
        (Some(relay), Some(pipeline)) => relay.refresh(&pipeline.schema, filters),
        _ => vec![Ok(()); filters.len()],
    }
}

/// What a filter is applied to.
struct Reader<'a> {
    schema: Arc<Schema>,
    view: &'a View<'a>,
    /// What it has found; nothing of it needs the view.
    found: Vec<Entities>,
}

impl Reader<'_> {
    fn filter(&mut self, filter: &p4::Entity) -> Result<(), ReadError> {
        match &filter.entity {
            Some(Filter::TableEntry(entry)) => self.table_entries(entry),
            Some(Filter::ActionProfileMember(member)) => self.members(member),
            Some(Filter::ActionProfileGroup(group)) => self.groups(group),
            Some(Filter::PacketReplicationEngineEntry(entry)) => {
                self.replication(entry);
                Ok(())
            }
            Some(Filter::CounterEntry(entry)) => self.counters(entry),
            Some(Filter::DirectCounterEntry(entry)) => self.direct_counters(entry),
            Some(Filter::MeterEntry(entry)) => self.meters(entry),
            Some(Filter::DirectMeterEntry(entry)) => self.direct_meters(entry),
            Some(Filter::RegisterEntry(entry)) => self.registers(entry),
            Some(Filter::ValueSetEntry(entry)) => self.value_sets(entry),
            Some(Filter::DigestEntry(entry)) => self.digests(entry),
            Some(Filter::ExternEntry(_)) => Err(ReadError::Filter(DecodeError::Unsupported {
                what: "an extern entry",
            })),
            None => Err(ReadError::Filter(DecodeError::Missing {
                place: "read request".to_owned(),
                what: "the entity",
            })),
        }
    }

    /// Adds entities that are made when they are sent.
    fn push(&mut self, entities: impl Iterator<Item = p4::Entity> + Send + 'static) {
        self.found.push(Box::new(entities));
    }
}

fn entity(message: Filter) -> p4::Entity {
    p4::Entity {
        entity: Some(message),
    }
}
