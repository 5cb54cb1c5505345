//! p4info is held to its program, and what clients write to the rules of P4Runtime.

#![allow(clippy::unwrap_used)]

use pointsman_p4::bmv2;
use pointsman_p4::codec::{CodecError, RawMatch, decode_match, decode_update, encode_match};
use pointsman_p4::dataplane::{Bits, EntryAction, Match, Operation};
use pointsman_p4::ir::MatchKind;
use pointsman_p4::p4info::{
    MatchField, MatchType, P4InfoError, Pipeline, parse_p4info, parse_write_request,
};
use pointsman_p4::programs;
use pointsman_proto::p4::config::v1::P4Info;

fn leaf_spine() -> (P4Info, impl Fn(&P4Info) -> Result<Pipeline, P4InfoError>) {
    let embedded = programs::embedded("leaf_spine").unwrap();
    let program = std::sync::Arc::new(bmv2::read(embedded.bmv2_json).unwrap());
    let info = parse_p4info(embedded.p4info).unwrap();
    (info, move |info| Pipeline::new(program.clone(), info))
}

fn pipeline() -> Pipeline {
    let (info, resolve) = leaf_spine();
    resolve(&info).unwrap()
}

#[test]
fn ids_lead_to_what_the_program_calls_the_same() {
    let pipeline = pipeline();
    for table in &pipeline.tables {
        let name = &pipeline.program.tables[table.table.index()].name;
        assert_eq!(*name, table.preamble.name);
        assert_eq!(pipeline.table(table.preamble.id), Some(table));
        assert_eq!(pipeline.table_of(table.table), Some(table));
        for reference in &table.actions {
            let action = pipeline.action(reference.id).unwrap();
            let name = &pipeline.program.actions[reference.action.index()].name;
            assert_eq!(*name, action.preamble.name);
        }
    }
    let by_alias = pipeline.table_by_name("routing_v4");
    assert!(by_alias.is_some());
    assert_eq!(
        by_alias,
        pipeline.table_by_name("LeafSpineIngress.routing.routing_v4")
    );
}

#[test]
fn packet_headers_have_their_fields_in_wire_order() {
    let pipeline = pipeline();
    for name in ["packet_in", "packet_out"] {
        let header = pipeline.packet_header(name).unwrap();
        let bits: u32 = header.fields.iter().map(|f| f.width).sum();
        assert!(bits > 0 && bits.is_multiple_of(8), "{name}: {bits}");
    }
}

#[test]
fn a_p4info_of_another_program_is_refused_by_name() {
    let (info, resolve) = leaf_spine();
    let mut renamed = info.clone();
    renamed.tables[0].preamble.as_mut().unwrap().name = "other.table".to_owned();
    assert_eq!(
        resolve(&renamed).unwrap_err().to_string(),
        "the p4info has a table other.table, which the program lacks; are they of one compilation?"
    );
    let mut widened = info.clone();
    widened.tables[0].match_fields[0].bitwidth = 32;
    assert_eq!(
        resolve(&widened).unwrap_err().to_string(),
        "the width of the field ingress_port of the table \
         LeafSpineIngress.filtering.ingress_port_vlan: the p4info says 32, the program 9; \
         are they of one compilation?"
    );
    let mut doubled = info.clone();
    let first = doubled.tables[0].preamble.clone();
    let id = first.as_ref().unwrap().id;
    doubled.actions[0].preamble.as_mut().unwrap().id = id;
    assert!(resolve(&doubled).is_err());
    let mut dangling = info;
    dangling.tables[0].action_refs[0].id = 1;
    assert!(matches!(
        resolve(&dangling),
        Err(P4InfoError::Dangling { id: 1, .. })
    ));
}

#[test]
fn text_that_is_no_p4info_is_refused_with_its_place() {
    let error = parse_p4info("tables { preamble { idd: 1 } }").unwrap_err();
    assert!(error.to_string().contains("idd"), "{error}");
}

fn field(match_type: MatchType, kind: MatchKind) -> MatchField {
    MatchField {
        id: 1,
        name: "f".to_owned(),
        width: 12,
        match_type,
        kind,
    }
}

/// What a match becomes, written again.
fn round_trip(field: &MatchField, raw: RawMatch) -> Result<Match, CodecError> {
    let decoded = decode_match(field, Some(raw))?;
    assert!(encode_match(field, &decoded).is_some());
    Ok(decoded)
}

#[test]
fn values_outside_the_mask_prefix_or_field_are_refused() {
    let lpm = field(MatchType::Lpm, MatchKind::Lpm);
    let prefix = |value, prefix_len| round_trip(&lpm, RawMatch::Lpm { value, prefix_len });
    assert_eq!(
        prefix(&[0xa, 0], 4),
        Ok(Match::Lpm {
            value: Bits::from(0xa00),
            prefix_len: 4
        })
    );
    assert!(prefix(&[0xa, 1], 4).is_err());
    assert!(prefix(&[0], 0).is_err());
    assert!(prefix(&[0], 13).is_err());
    assert!(prefix(&[0x10, 0], 4).unwrap_err().is_out_of_range());
    assert!(prefix(&[], 4).unwrap_err().is_out_of_range());

    let ternary = field(MatchType::Ternary, MatchKind::Ternary);
    let masked = |value, mask| round_trip(&ternary, RawMatch::Ternary { value, mask });
    assert!(masked(&[1], &[0, 1]).is_ok());
    assert!(masked(&[2], &[1]).is_err());
    assert!(masked(&[0], &[0]).is_err());

    let range = field(MatchType::Range, MatchKind::Range);
    let between = |low, high| round_trip(&range, RawMatch::Range { low, high });
    assert!(between(&[1], &[2]).is_ok());
    assert!(between(&[2], &[1]).is_err());
    assert!(between(&[0], &[0xf, 0xff]).is_err());
}

#[test]
fn an_optional_match_is_ternary_where_the_compiler_made_it_so() {
    let optional = field(MatchType::Optional, MatchKind::Ternary);
    assert_eq!(
        decode_match(&optional, Some(RawMatch::Optional(&[5]))),
        Ok(Match::Ternary {
            value: Bits::from(5),
            mask: Bits::ones(12)
        })
    );
    let left_out = decode_match(&optional, None).unwrap();
    assert_eq!(encode_match(&optional, &left_out), None);
}

#[test]
fn only_exact_matches_cannot_be_left_out() {
    let exact = field(MatchType::Exact, MatchKind::Exact);
    assert!(decode_match(&exact, None).is_err());
    for (match_type, kind) in [
        (MatchType::Lpm, MatchKind::Lpm),
        (MatchType::Ternary, MatchKind::Ternary),
        (MatchType::Range, MatchKind::Range),
        (MatchType::Optional, MatchKind::Optional),
    ] {
        let field = field(match_type, kind);
        let left_out = decode_match(&field, None).unwrap();
        assert_eq!(encode_match(&field, &left_out), None);
    }
}

/// The first update of a request on a table and action of `leaf_spine`, named in `@` and `#`.
fn decode(text: &str) -> Result<Operation, CodecError> {
    let pipeline = pipeline();
    let table = pipeline.table_by_name("routing_v4").unwrap().preamble.id;
    let action = pipeline.action_by_name("set_next_id_routing_v4").unwrap();
    let text = text
        .replace('@', &table.to_string())
        .replace('#', &action.preamble.id.to_string());
    let request = parse_write_request(&text).unwrap();
    decode_update(&pipeline, &request.updates[0])
}

const ROUTE: &str = r#"updates { type: INSERT entity { table_entry { table_id: @
    match { field_id: 1 lpm { value: "\x0a\x00\x02\x00" prefix_len: 24 } }
    action { action { action_id: # params { param_id: 1 value: "\x07" } } } } } }"#;

#[test]
fn a_route_becomes_an_insert() {
    let Ok(Operation::Insert(entry)) = decode(ROUTE) else {
        panic!("{:?}", decode(ROUTE));
    };
    let prefix = Match::Lpm {
        value: Bits::from(0x0a00_0200),
        prefix_len: 24,
    };
    assert_eq!(entry.key.matches.to_vec(), [prefix]);
    let EntryAction::Call(call) = entry.action else {
        panic!("{:?}", entry.action);
    };
    assert_eq!(call.args.to_vec(), [Bits::from(7)]);
}

#[test]
fn what_the_specification_forbids_is_refused_by_name() {
    let refusal = |from: &str, to: &str| decode(&ROUTE.replace(from, to)).unwrap_err().to_string();
    assert_eq!(
        refusal("field_id: 1", "field_id: 9"),
        "LeafSpineIngress.routing.routing_v4 has no match field 9"
    );
    assert_eq!(
        refusal("param_id: 1", "param_id: 3"),
        "LeafSpineIngress.routing.set_next_id_routing_v4 has no parameter 3"
    );
    assert_eq!(
        refusal("table_id: @", "table_id: @ priority: 5"),
        "LeafSpineIngress.routing.routing_v4: its entries have no priority"
    );
    assert_eq!(
        refusal("prefix_len: 24", "prefix_len: 8"),
        "ipv4_dst: the value has bits outside the prefix"
    );
    assert_eq!(
        refusal("table_id: @", "table_id: 1"),
        "the p4info has no table 0x1"
    );
    assert_eq!(
        refusal(r#"value: "\x07""#, r#"value: """#),
        "LeafSpineIngress.routing.set_next_id_routing_v4.next_id: \
         the value is empty; a value of 16 bits has at least one byte"
    );
}
