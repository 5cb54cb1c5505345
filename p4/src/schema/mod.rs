//! What a controller may name in the loaded pipeline: the join of its p4info (ids, names,
//! widths, scopes) with its program (what the data plane calls the same things).
//!
//! Built once when a pipeline is set, and immutable after that; a p4info that does not fit
//! its program is refused here, by name. Read by the agent to turn messages into entities and
//! back and to check what an entity may do, and by the pipeliner, which finds tables, keys and
//! actions by name.

mod build;
mod describe;
mod digest;
mod error;
mod meter;
mod object;
mod packet;
mod presentation;
mod references;
mod table;
mod translation;

pub use digest::{Data, DataSchema, DigestSchema};
pub use error::SchemaError;
pub use meter::MeterType;
pub use object::{
    ActionSchema, CellSchema, ParamSchema, ProfileSchema, ValueSetSchema, p4_id_kind,
};
pub use packet::{PacketField, PacketHeader};
pub use presentation::{ByteStrings, Presentation};
pub use references::{Reference, ReferenceKey, Referred};
pub use table::{ActionRef, FieldSchema, Scope, TableSchema};
pub use translation::{SDN_PORT_CPU, Translation, TranslationError};

use std::sync::Arc;

use crate::dataplane::{Bits, Replica};
use crate::ir::{
    ActionId, ActionProfileId, CounterId, LearnListId, MeterId, RegisterId, TableId, ValueSetId,
};
use hashbrown::HashMap;

/// The names and ids of one pipeline.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// The pipeline's name, from p4info or the program.
    pub name: String,
    /// In p4info's order.
    pub tables: Vec<TableSchema>,
    /// In p4info's order.
    pub actions: Vec<ActionSchema>,
    /// In p4info's order.
    pub profiles: Vec<ProfileSchema>,
    /// How values are written to controllers.
    pub byte_strings: ByteStrings,
    /// How ports are translated where P4Runtime names them itself: in replicas, and as ports that are
    /// watched. It is the type that the program has for ports, if it is translated.
    pub ports: Option<Arc<Translation>>,
    /// What tables and actions refer to.
    pub referred: Vec<Referred>,
    /// The controller's port in programs.
    pub cpu_port: u32,
    /// Indirect counters.
    pub counters: Vec<CellSchema<CounterId>>,
    /// Indirect meters.
    pub meters: Vec<CellSchema<MeterId>>,
    /// Registers.
    pub registers: Vec<CellSchema<RegisterId>>,
    /// Parser value sets.
    pub value_sets: Vec<ValueSetSchema>,
    /// Digests.
    pub digests: Vec<DigestSchema>,
    /// What the program prepends to packets to the controller, if anything.
    pub packet_in: Option<PacketHeader>,
    /// What the program expects before packets from the controller, if anything.
    pub packet_out: Option<PacketHeader>,
    /// By p4info id, direct meters too.
    meter_types: HashMap<u32, MeterType>,
    p4_ids: HashMap<u32, usize>,
    tables_by_ir: HashMap<TableId, usize>,
    actions_by_ir: HashMap<ActionId, usize>,
    profiles_by_ir: HashMap<ActionProfileId, usize>,
}

impl Schema {
    /// A value of `width` bits as controllers see it.
    pub fn bytes(&self, value: &Bits, width: u32, translation: Option<&Translation>) -> Vec<u8> {
        let (bytes, width) = match translation {
            None => (value.to_p4runtime(), width),
            Some(translation) => match translation.sdn_width() {
                Some(width) => (translation.to_controller(value), width),
                None => return translation.to_controller(value),
            },
        };
        match self.byte_strings {
            ByteStrings::Canonical => bytes,
            ByteStrings::Padded => {
                let length = (width.div_ceil(8) as usize).max(bytes.len());
                let mut padded = vec![0; length - bytes.len()];
                padded.extend(bytes);
                padded
            }
        }
    }

    /// Replicas as the data plane takes them. Where the program has no translated type of ports,
    /// P4Runtime's number of the controller's port is kept as it is, and means this switch's.
    pub fn plane_replicas(&self, replicas: &[Replica]) -> Vec<Replica> {
        let port = |port: u32| match port {
            SDN_PORT_CPU if self.ports.is_none() => self.cpu_port,
            port => port,
        };
        let replicas = replicas.iter().map(|replica| {
            let mut replica = replica.clone();
            replica.port = port(replica.port);
            for backup in &mut replica.backups {
                backup.port = port(backup.port);
            }
            replica
        });
        replicas.collect()
    }

    /// A port as controllers see it, in a place that has no type of its own.
    pub fn port_bytes(&self, port: u32) -> Vec<u8> {
        let port = Bits::from(u64::from(port));
        match &self.ports {
            None => port.to_p4runtime(),
            Some(translation) => translation.to_controller(&port),
        }
    }

    /// The table with this p4info id.
    pub fn table(&self, id: u32) -> Option<&TableSchema> {
        self.tables
            .get(*self.p4_ids.get(&id)?)
            .filter(|t| t.id == id)
    }

    /// The table that the program knows under this id. Tables that p4c makes of statements
    /// are not in p4info and not here.
    pub fn table_of(&self, table: TableId) -> Option<&TableSchema> {
        Some(&self.tables[*self.tables_by_ir.get(&table)?])
    }

    /// The table of this name or alias.
    pub fn table_named(&self, name: &str) -> Option<&TableSchema> {
        self.tables
            .iter()
            .find(|t| t.name == name)
            .or_else(|| self.tables.iter().find(|t| t.alias == name))
    }

    /// The action with this p4info id.
    pub fn action(&self, id: u32) -> Option<&ActionSchema> {
        self.actions
            .get(*self.p4_ids.get(&id)?)
            .filter(|a| a.id == id)
    }

    /// The action that the program knows under this id.
    pub fn action_of(&self, action: ActionId) -> Option<&ActionSchema> {
        Some(&self.actions[*self.actions_by_ir.get(&action)?])
    }

    /// The action profile with this p4info id.
    pub fn profile(&self, id: u32) -> Option<&ProfileSchema> {
        self.profiles
            .get(*self.p4_ids.get(&id)?)
            .filter(|p| p.id == id)
    }

    /// The action profile that the program knows under this id.
    pub fn profile_of(&self, profile: ActionProfileId) -> Option<&ProfileSchema> {
        Some(&self.profiles[*self.profiles_by_ir.get(&profile)?])
    }

    /// The action profile of this name or alias.
    pub fn profile_named(&self, name: &str) -> Option<&ProfileSchema> {
        self.profiles
            .iter()
            .find(|p| p.name == name)
            .or_else(|| self.profiles.iter().find(|p| p.alias == name))
    }

    /// The indirect counter with this p4info id.
    pub fn counter(&self, id: u32) -> Option<&CellSchema<CounterId>> {
        self.counters.iter().find(|c| c.id == id)
    }

    /// The indirect meter with this p4info id.
    pub fn meter(&self, id: u32) -> Option<&CellSchema<MeterId>> {
        self.meters.iter().find(|m| m.id == id)
    }

    /// The register with this p4info id.
    pub fn register(&self, id: u32) -> Option<&CellSchema<RegisterId>> {
        self.registers.iter().find(|r| r.id == id)
    }

    /// The value set with this p4info id.
    pub fn value_set(&self, id: u32) -> Option<&ValueSetSchema> {
        self.value_sets.iter().find(|s| s.id == id)
    }

    /// The value set that the program knows under this id.
    pub fn value_set_of(&self, set: ValueSetId) -> Option<&ValueSetSchema> {
        self.value_sets.iter().find(|s| s.set == set)
    }

    /// The kind of a direct or indirect meter with this p4info id.
    pub fn meter_type(&self, id: u32) -> MeterType {
        self.meter_types.get(&id).copied().unwrap_or_default()
    }

    /// The digest with this p4info id.
    pub fn digest(&self, id: u32) -> Option<&DigestSchema> {
        self.digests.iter().find(|d| d.id == id)
    }

    /// The digest that the program knows under this id.
    pub fn digest_of(&self, list: LearnListId) -> Option<&DigestSchema> {
        self.digests.iter().find(|d| d.list == list)
    }
}
