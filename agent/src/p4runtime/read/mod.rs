//! Read: each entity of a request is a filter over what was written, and is answered from
//! one moment's state. Counts come from the data plane.

mod resource;
mod table;

use pointsman_p4::dataplane::{DataPlane, DataPlaneError};
use pointsman_p4::ir::Program;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Filter;
use thiserror::Error;
use tonic::Code;

use super::decode::DecodeError;
use crate::schema::Schema;
use crate::switch::{Store, Switch};

/// Why a filter is refused.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It makes no sense for the loaded pipeline.
    #[error(transparent)]
    Filter(#[from] DecodeError),
    /// A counter or register cannot be read.
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
}

impl ReadError {
    /// The canonical code of the refusal.
    pub fn code(&self) -> Code {
        match self {
            ReadError::Filter(error) => error.code(),
            ReadError::DataPlane(DataPlaneError::OutOfRange { .. }) => Code::OutOfRange,
            ReadError::DataPlane(DataPlaneError::Unsupported { .. }) => Code::Unimplemented,
            ReadError::DataPlane(_) => Code::Internal,
        }
    }
}

/// What a filter is applied to.
struct Reader<'a> {
    program: &'a Program,
    schema: &'a Schema,
    store: &'a Store,
    plane: &'a dyn DataPlane,
    out: Vec<p4::Entity>,
}

/// All entities that match a filter. `None` without a pipeline.
pub fn read(
    switch: &mut Switch,
    filter: &p4::Entity,
) -> Option<Result<Vec<p4::Entity>, ReadError>> {
    let (pipeline, store, plane) = switch.inspect()?;
    let mut reader = Reader {
        program: &pipeline.program,
        schema: &pipeline.schema,
        store,
        plane,
        out: Vec::new(),
    };
    Some(reader.filter(filter).map(|()| reader.out))
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
            // No digest is ever configured.
            Some(Filter::DigestEntry(_)) => Ok(()),
            Some(Filter::ExternEntry(_)) => Err(ReadError::Filter(DecodeError::Unsupported {
                what: "an extern entry",
            })),
            None => Err(ReadError::Filter(DecodeError::Missing {
                place: "read request".to_owned(),
                what: "the entity",
            })),
        }
    }

    fn push(&mut self, message: Filter) {
        self.out.push(p4::Entity {
            entity: Some(message),
        });
    }
}
