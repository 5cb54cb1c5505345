//! Routes as P4Runtime entries of leaf_spine's `routing_v4`, by number.

use anyhow::{Context, Result};
use pointsman_proto::p4::config::v1::{P4Info, Preamble};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;

const TABLE: &str = "routing_v4";
const ACTION: &str = "set_next_id_routing_v4";

/// Route 0 is to 1.0.0.0/24, and the last one below the multicast addresses.
pub const MAX_ROUTES: i64 = 0xdf_0000;
const FIRST_BLOCK: u32 = 0x01_0000;

/// The ids that routes are made of.
#[derive(Debug)]
pub struct Routes {
    table: u32,
    destination: u32,
    action: u32,
    next_id: u32,
}

impl Routes {
    /// Looks the ids up.
    pub fn new(info: &P4Info) -> Result<Routes> {
        let missing = |what: &str| {
            format!("the pipeline has no {what}: give the server leaf_spine, or --set-pipeline")
        };
        let named = |preamble: &Option<Preamble>, name: &str| {
            preamble.as_ref().is_some_and(|p| p.alias == name)
        };
        let table = info.tables.iter().find(|t| named(&t.preamble, TABLE));
        let table = table.with_context(|| missing(&format!("table {TABLE}")))?;
        let action = info.actions.iter().find(|a| named(&a.preamble, ACTION));
        let action = action.with_context(|| missing(&format!("action {ACTION}")))?;
        let destination = table.match_fields.first();
        let next_id = action.params.first();
        Ok(Routes {
            table: table.preamble.as_ref().map_or(0, |p| p.id),
            destination: destination
                .with_context(|| missing("key in its routes"))?
                .id,
            action: action.preamble.as_ref().map_or(0, |p| p.id),
            next_id: next_id
                .with_context(|| missing("next id in its routes"))?
                .id,
        })
    }

    /// A route with what it does: it leads to a next that there is not.
    pub fn entry(&self, number: u32) -> Entity {
        let param = p4::action::Param {
            param_id: self.next_id,
            value: vec![1],
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

    /// The filter that only this route passes.
    pub fn key(&self, number: u32) -> Entity {
        Entity::TableEntry(self.keyed(number))
    }

    /// The filter that every route passes.
    pub fn all(&self) -> Entity {
        Entity::TableEntry(p4::TableEntry {
            table_id: self.table,
            ..Default::default()
        })
    }

    fn keyed(&self, number: u32) -> p4::TableEntry {
        let lpm = p4::field_match::Lpm {
            value: ((FIRST_BLOCK + number) << 8).to_be_bytes().to_vec(),
            prefix_len: 24,
        };
        p4::TableEntry {
            table_id: self.table,
            r#match: vec![p4::FieldMatch {
                field_id: self.destination,
                field_match_type: Some(p4::field_match::FieldMatchType::Lpm(lpm)),
            }],
            ..Default::default()
        }
    }
}
