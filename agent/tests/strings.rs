//! Types that p4info translates to strings: written and read as strings, forwarded as numbers.

use std::path::Path;

use pointsman_agent::entity::{Entity, TableAction};
use pointsman_agent::p4runtime::{decode, encode};
use pointsman_agent::switch::{Pipeline, PipelineSource};
use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::p4info::{parse_p4info, parse_write_request};

const ENTRIES: &str = r#"
updates { type: INSERT entity { table_entry { table_id: 36145486
    match { field_id: 1 exact { value: "leaf-1" } }
    action { action { action_id: 26540344 params { param_id: 1 value: "5" } } } } } }
updates { type: INSERT entity { table_entry { table_id: 36145486
    match { field_id: 1 exact { value: "7" } }
    action { action { action_id: 26540344 params { param_id: 1 value: "uplink" } } } } } }
"#;

fn pipeline() -> Pipeline {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs/translation");
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).expect("it is there");
    let source = PipelineSource {
        p4info: parse_p4info(&read("p4info.txtpb")).expect("it is a p4info"),
        device_config: read("bmv2.json").into_bytes(),
        cookie: None,
        manifest: None,
        configured: false,
    };
    Pipeline::read(source).expect("they fit together")
}

#[test]
fn a_string_is_a_number_in_the_data_plane_and_is_read_as_it_was_written() {
    let schema = pipeline().schema;
    let request = parse_write_request(ENTRIES).expect("it is a request");
    let mut found = Vec::new();
    for update in &request.updates {
        let decoded = decode::update(&schema, update).expect("it is allowed");
        assert_eq!(encode::update(&schema, &decoded), *update);
        let Entity::TableEntry(entry) = decoded.entity else {
            panic!("{decoded:?}");
        };
        let Some(TableAction::Call(call)) = entry.action else {
            panic!("{:?}", entry.action);
        };
        found.push((entry.key.matches.get(0).unwrap(), call.args.get(0).unwrap()));
    }
    // Numbers are themselves, names the highest that are free.
    let expected = [(0xffff, 5), (7, 0x1ff)]
        .map(|(nexthop, port)| (Match::Exact(Bits::from(nexthop)), Bits::from(port)));
    assert_eq!(found, expected);
}

#[test]
fn bytes_that_are_no_text_are_refused_by_name() {
    let schema = pipeline().schema;
    let text = ENTRIES.replace("leaf-1", r"\xff\xfe");
    let request = parse_write_request(&text).expect("it is a request");
    let error = decode::update(&schema, &request.updates[0]).expect_err("it is no text");
    assert!(
        error.to_string().contains("translated to strings"),
        "{error}"
    );
}
