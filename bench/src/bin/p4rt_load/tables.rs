//! The tables that are filled, and their entries by number as P4Runtime messages.

use anyhow::{Context, Result};
use clap::ValueEnum;
use pointsman_proto::p4::config::v1::{P4Info, Preamble};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};

/// Route 0 is to 1.0.0.0/24, and the last one below the multicast addresses.
pub const MAX_ENTRIES: i64 = 0xdf_0000;
const FIRST_BLOCK: u32 = 0x01_0000;

/// A table that this program knows how to fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `routing_v4` of leaf_spine: /24 routes, a 32-bit argument
    #[value(name = "routing_v4")]
    LeafSpineRoutes,
    /// `routes` of `million`: /24 routes, a port
    Routes,
    /// `flows` of `million`: exact on two addresses, a port
    Flows,
}

impl Kind {
    /// Its name in p4info.
    pub fn name(self) -> &'static str {
        match self {
            Kind::LeafSpineRoutes => "routing_v4",
            Kind::Routes => "routes",
            Kind::Flows => "flows",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Kind::LeafSpineRoutes => "set_next_id_routing_v4",
            Kind::Routes | Kind::Flows => "forward",
        }
    }
}

/// A table with the ids that its entries are made of.
#[derive(Debug)]
pub struct Table {
    kind: Kind,
    id: u32,
    fields: Vec<u32>,
    action: u32,
    param: u32,
}

impl Table {
    /// Looks the ids up.
    pub fn new(kind: Kind, info: &P4Info) -> Result<Table> {
        let missing = |what: &str| {
            format!("the pipeline has no {what}: give the server the right one, or --set-pipeline")
        };
        let named = |preamble: &Option<Preamble>, name: &str| {
            preamble.as_ref().is_some_and(|p| p.alias == name)
        };
        let (name, action_name) = (kind.name(), kind.action());
        let table = info.tables.iter().find(|t| named(&t.preamble, name));
        let table = table.with_context(|| missing(&format!("table {name}")))?;
        let action = info
            .actions
            .iter()
            .find(|a| named(&a.preamble, action_name));
        let action = action.with_context(|| missing(&format!("action {action_name}")))?;
        let param = action.params.first();
        Ok(Table {
            kind,
            id: table.preamble.as_ref().map_or(0, |p| p.id),
            fields: table.match_fields.iter().map(|f| f.id).collect(),
            action: action.preamble.as_ref().map_or(0, |p| p.id),
            param: param.with_context(|| missing("argument for it"))?.id,
        })
    }

    /// Which one.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// An entry with what it does; `offset` makes that differ.
    pub fn entry(&self, number: u32, offset: u32) -> Entity {
        let param = p4::action::Param {
            param_id: self.param,
            value: vec![1 + (number.wrapping_add(offset) % 32) as u8],
        };
        let action = p4::Action {
            action_id: self.action,
            params: vec![param],
        };
        Entity::TableEntry(p4::TableEntry {
            action: Some(p4::TableAction {
                r#type: Some(p4::table_action::Type::Action(action)),
            }),
            ..self.keyed(number)
        })
    }

    /// The filter that only this entry passes.
    pub fn key(&self, number: u32) -> Entity {
        Entity::TableEntry(self.keyed(number))
    }

    /// The filter that every entry passes.
    pub fn all(&self) -> Entity {
        Entity::TableEntry(p4::TableEntry {
            table_id: self.id,
            ..Default::default()
        })
    }

    fn keyed(&self, number: u32) -> p4::TableEntry {
        let matches = match self.kind {
            Kind::LeafSpineRoutes | Kind::Routes => {
                vec![FieldMatchType::Lpm(field_match::Lpm {
                    value: prefix(number).to_be_bytes().to_vec(),
                    prefix_len: 24,
                })]
            }
            Kind::Flows => flow(number)
                .map(|address| {
                    let value = address.to_be_bytes().to_vec();
                    FieldMatchType::Exact(field_match::Exact { value })
                })
                .to_vec(),
        };
        let matches = self.fields.iter().zip(matches);
        p4::TableEntry {
            table_id: self.id,
            r#match: matches
                .map(|(field, value)| p4::FieldMatch {
                    field_id: *field,
                    field_match_type: Some(value),
                })
                .collect(),
            ..Default::default()
        }
    }
}

/// The network of a route.
pub fn prefix(number: u32) -> u32 {
    (FIRST_BLOCK + number) << 8
}

/// The two addresses of a flow, spread as addresses of flows are: no two numbers share both.
pub fn flow(number: u32) -> [u32; 2] {
    // Each factor is odd, so that multiplying by it loses nothing; the top bit keeps all four bytes.
    [0x9e37_79b1, 0x85eb_ca6b].map(|factor: u32| number.wrapping_mul(factor) | 1 << 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_flows_are_the_same() {
        let flows: HashSet<[u32; 2]> = (0..1_000_000).map(flow).collect();
        assert_eq!(flows.len(), 1_000_000);
    }
}
