//! Messages to entities: everything that the specification asks of a message on its own,
//! given the loaded pipeline. What depends on the state of the switch is not decided here.

mod digest;
mod error;
mod meter;
mod profile;
mod replication;
mod resource;
mod table;
mod value;

pub use digest::digest_schema;
pub use error::DecodeError;
pub use profile::profile;
pub use resource::{counter_schema, index, meter_schema, register_schema, value_set_schema};
pub use table::{direct, entry_key, table};
pub use value::{dont_care, kind_name};

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;

use crate::entity::{Operation, Update};
use crate::schema::Schema;

/// An update as the switch takes it.
pub fn update(schema: &Schema, update: &p4::Update) -> Result<Update, DecodeError> {
    let operation = match update.r#type() {
        p4::update::Type::Insert => Operation::Insert,
        p4::update::Type::Modify => Operation::Modify,
        p4::update::Type::Delete => Operation::Delete,
        p4::update::Type::Unspecified => {
            return Err(DecodeError::Missing {
                place: "update".to_owned(),
                what: "the type (INSERT, MODIFY or DELETE)",
            });
        }
    };
    let message = update.entity.as_ref().and_then(|e| e.entity.as_ref());
    let Some(message) = message else {
        return Err(DecodeError::Missing {
            place: "update".to_owned(),
            what: "the entity",
        });
    };
    let entity = match message {
        Message::TableEntry(entry) => table::table_entry(schema, operation, entry)?,
        Message::ActionProfileMember(member) => profile::member(schema, operation, member)?,
        Message::ActionProfileGroup(group) => profile::group(schema, operation, group)?,
        Message::PacketReplicationEngineEntry(entry) => {
            replication::entry(schema, operation, entry)?
        }
        Message::CounterEntry(entry) => resource::counter(schema, operation, entry)?,
        Message::DirectCounterEntry(entry) => resource::direct_counter(schema, operation, entry)?,
        Message::MeterEntry(entry) => meter::meter(schema, operation, entry)?,
        Message::DirectMeterEntry(entry) => meter::direct_meter(schema, operation, entry)?,
        Message::RegisterEntry(entry) => resource::register(schema, operation, entry)?,
        Message::ValueSetEntry(entry) => resource::value_set(schema, operation, entry)?,
        Message::DigestEntry(entry) => digest::digest(schema, entry)?,
        Message::ExternEntry(_) => {
            return Err(DecodeError::Unsupported {
                what: "an extern entry",
            });
        }
    };
    Ok(Update { operation, entity })
}
