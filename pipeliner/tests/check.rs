//! What is said of a set of changes before any switch is asked.

use std::fmt::Write;

use pointsman_model::{Change, Model};
use pointsman_p4::p4info::{parse_p4info, program_of};
use pointsman_p4::programs;
use pointsman_p4::schema::{Presentation, Schema};
use pointsman_pipeliner::{Pipeliner, Refusal};
use pointsman_proto::pointsman::objective::v1::Reason;

fn leaf_spine() -> Pipeliner {
    let program = programs::embedded("leaf_spine").expect("it is embedded");
    let info = parse_p4info(program.p4info).expect("p4info");
    let alone = program_of(&info).expect("a program of it");
    let schema = Schema::build(&info, &alone, &Presentation::default()).expect("they fit");
    Pipeliner::new("pipeline.yaml", program.manifest, &schema).expect("a manifest")
}

/// What is found in a file of one device, without `device:`.
fn check(objectives: &str) -> Vec<(usize, Refusal)> {
    let yaml = format!("device: leaf1\nobjectives:\n{objectives}");
    let model = Model::parse("test.yaml", &yaml).expect("a good file");
    let changes: Vec<&Change> = model
        .objectives
        .iter()
        .map(|located| &located.value.change)
        .collect();
    leaf_spine().check(&changes)
}

#[test]
fn everything_that_a_pipeline_cannot_do_is_said_at_once_and_where() {
    let found = check(
        "
  - forward: urgent
    flag: specific
    selector: { ipv4_dst: 10.0.1.0/24, ip_dscp: ef }
    next: spine
  - next: spine
    type: simple
    buckets: [ { set: { eth_src: 00:00:00:00:01:00, eth_dst: 00:00:00:00:02:01 }, output: uplink } ]
  - forward: fine
    flag: specific
    selector: { ipv4_dst: 10.0.2.0/24 }
    next: spine
  - forward: timed
    flag: specific
    selector: { ipv4_dst: 10.0.3.0/24, ip_ttl: 3 }
    next: spine
",
    );
    let found: Vec<_> = found
        .iter()
        .map(|(index, refusal)| (*index, refusal.reason, refusal.field.as_deref()))
        .collect();
    let unsupported = Reason::UnsupportedByPipeline;
    assert_eq!(
        found,
        [
            (0, unsupported, Some("ip_dscp")),
            (3, unsupported, Some("ip_ttl"))
        ]
    );
}

#[test]
fn what_only_the_switch_knows_is_taken_to_be_there() {
    let found = check(
        "
  - forward: rack2
    flag: specific
    selector: { ipv4_dst: 10.0.2.0/24 }
    next: of-the-switch
  - next: more
    type: hashed
    buckets: [ { next: of-the-switch } ]
  - filter: access
    key: { in_port: swp1 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 10 }
",
    );
    assert_eq!(found, []);
}

#[test]
fn objectives_that_contradict_each_other_are_found() {
    let found = check(
        "
  - filter: one
    key: { in_port: swp1 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 10 }
  - filter: other
    key: { in_port: swp1 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 20 }
",
    );
    let [(1, refusal)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(refusal.reason, Reason::Conflict);
}

#[test]
fn a_table_that_is_too_small_for_all_of_them_is_named_once() {
    let mut rules = String::new();
    for number in 0..1100 {
        let (high, low) = (number / 256, number % 256);
        writeln!(
            rules,
            "  - {{ forward: r{number}, flag: versatile, selector: {{ ipv4_dst: 10.0.{high}.{low} }}, treatment: drop }}"
        )
        .expect("writing to a string does not fail");
    }
    let found = check(&rules);
    let [(1024, refusal)] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(refusal.reason, Reason::TableFull);
    assert!(refusal.message.contains("1024"), "{}", refusal.message);
}
