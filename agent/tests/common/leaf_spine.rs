//! The program that is built in, as a client sets it, and an entry for it.

use pointsman_p4::p4info::parse_p4info;
use pointsman_p4::programs;
use pointsman_proto::p4::config::v1::{P4Info, Preamble};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::{FieldMatchType, Lpm};

/// A table of routes, and what its entries do.
pub const TABLE: &str = "routing_v4";
pub const ACTION: &str = "set_next_id_routing_v4";

pub fn leaf_spine() -> p4::ForwardingPipelineConfig {
    let program = programs::embedded("leaf_spine").expect("it is built in");
    p4::ForwardingPipelineConfig {
        p4info: Some(parse_p4info(program.p4info).expect("it is a p4info")),
        p4_device_config: program.bmv2_json.as_bytes().to_vec(),
        cookie: Some(p4::forwarding_pipeline_config::Cookie { cookie: 7 }),
    }
}

/// A route to 10.0.`third`.0/24, with the ids of a p4info.
pub fn route(info: &P4Info, third: u8) -> Entity {
    let is = |preamble: &Option<Preamble>, name: &str| {
        preamble
            .as_ref()
            .is_some_and(|preamble| preamble.alias == name)
    };
    let id = |preamble: &Option<Preamble>| preamble.as_ref().map_or(0, |preamble| preamble.id);
    let mut tables = info.tables.iter();
    let table = tables
        .find(|table| is(&table.preamble, TABLE))
        .expect("leaf_spine has it");
    let mut actions = info.actions.iter();
    let action = actions
        .find(|action| is(&action.preamble, ACTION))
        .expect("leaf_spine has it");
    Entity::TableEntry(p4::TableEntry {
        table_id: id(&table.preamble),
        r#match: vec![p4::FieldMatch {
            field_id: table.match_fields[0].id,
            field_match_type: Some(FieldMatchType::Lpm(Lpm {
                value: vec![10, 0, third, 0],
                prefix_len: 24,
            })),
        }],
        action: Some(p4::TableAction {
            r#type: Some(p4::table_action::Type::Action(p4::Action {
                action_id: id(&action.preamble),
                params: vec![p4::action::Param {
                    param_id: action.params[0].id,
                    value: vec![5],
                }],
            })),
        }),
        ..Default::default()
    })
}
