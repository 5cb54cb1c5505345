use std::collections::BTreeSet;

use pointsman_p4::ir::{FieldRef, HeaderKind, Program};
use pointsman_p4::{bmv2, programs};

use super::Liveness;
use crate::compile::reads::all_fields;

fn leaf_spine() -> Program {
    let leaf_spine = programs::embedded("leaf_spine").expect("it comes with the project");
    bmv2::read(leaf_spine.bmv2_json).expect("it is a program")
}

/// The names of fields of a kind of header of which something holds.
fn fields(
    program: &Program,
    kind: HeaderKind,
    holds: impl Fn(FieldRef) -> bool,
) -> BTreeSet<String> {
    let headers = program.headers.iter().enumerate();
    let headers = headers.filter(|(_, h)| h.kind == kind);
    let ids = headers.map(|(index, _)| pointsman_p4::ir::HeaderId(index as u32));
    let fields = ids.flat_map(|id| all_fields(program, id));
    let found = fields.filter(|field| holds(*field));
    found.map(|field| program.field_name(field)).collect()
}

#[test]
fn a_header_that_is_read_only_where_it_is_valid_need_not_be_zeroed() {
    let program = leaf_spine();
    let live = Liveness::new(&program);
    let unset = fields(&program, HeaderKind::Packet, |f| live.is_read_unset(f));
    // Counted down wherever there is no IPv4, without a look at whether there is IPv6.
    assert_eq!(unset, BTreeSet::from(["ipv6.hop_limit".to_owned()]));
}

#[test]
fn metadata_that_only_some_packets_write_is_zeroed() {
    let program = leaf_spine();
    let live = Liveness::new(&program);
    let unset = fields(&program, HeaderKind::Metadata, |f| live.is_read_unset(f));
    assert!(unset.contains("scalars.metadata_t.next_id"));
    assert!(!unset.contains("standard_metadata.ingress_port"));
    assert!(!unset.contains("standard_metadata.egress_port"));
}

#[test]
fn what_neither_program_nor_switch_looks_at_is_not_read() {
    let program = leaf_spine();
    let live = Liveness::new(&program);
    let read = fields(&program, HeaderKind::Metadata, |f| live.is_read(f));
    assert!(read.contains("standard_metadata.egress_spec"));
    assert!(!read.contains("standard_metadata.egress_rid"));
    assert!(!read.contains("standard_metadata.deq_timedelta"));
}
