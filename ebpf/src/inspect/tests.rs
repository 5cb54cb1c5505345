use pointsman_p4::ir::Program;
use pointsman_p4::{bmv2, programs};

use super::{Block, Inspection, PartListing};
use crate::asm::PartKind;
use crate::compile::Options;

fn leaf_spine() -> Program {
    let embedded = programs::embedded("leaf_spine").expect("it is embedded");
    bmv2::read(embedded.bmv2_json).expect("valid")
}

fn inspect(program: &Program) -> Inspection<'_> {
    Inspection::new(program, 2, Options::new(255)).expect("the target takes it")
}

fn table<'l>(listing: &'l [PartListing], name: &str) -> &'l PartListing {
    let mut parts = listing.iter();
    let found = parts.find(|p| p.part.kind == PartKind::Table && p.part.name == name);
    found.expect("the program has it")
}

fn statement<'l>(part: &'l PartListing, text: &str) -> &'l Block {
    let found = part.blocks.iter().find(|block| block.text == text);
    found.expect("the action has it")
}

fn instructions(blocks: &[Block]) -> impl Iterator<Item = &str> {
    let lines = blocks.iter().flat_map(|block| &block.lines);
    lines
        .map(String::as_str)
        .filter(|line| line.starts_with(' '))
}

#[test]
fn every_instruction_is_listed_once_and_in_order() {
    let program = leaf_spine();
    let inspection = inspect(&program);
    let listing = inspection.listing();
    let numbers: Vec<usize> = listing
        .iter()
        .flat_map(|part| instructions(&part.blocks))
        .map(|line| line.trim().split(':').next().expect("a number").parse())
        .collect::<Result<_, _>>()
        .expect("lines begin with numbers");
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let insns = &inspection.programs[0].insns;
    let wide = insns.iter().filter(|insn| insn.is_wide());
    assert_eq!(numbers.len() + wide.count(), insns.len());
}

#[test]
fn a_statement_has_its_source_line_and_names_the_fields_that_it_reads_and_writes() {
    let program = leaf_spine();
    let listing = inspect(&program).listing();
    let simple = table(&listing, "LeafSpineIngress.next.simple");
    let block = statement(simple, "standard_metadata.egress_spec = port");
    assert_eq!(block.source.file, "leaf_spine/next.p4");
    assert_eq!(
        block.action.as_deref(),
        Some("LeafSpineIngress.next.output_simple")
    );
    let lines: Vec<&str> = instructions(std::slice::from_ref(block)).collect();
    assert!(lines[0].ends_with("; argument port"), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|l| l.ends_with("; standard_metadata.egress_spec")),
        "{lines:?}"
    );
}

#[test]
fn maps_jumps_and_helpers_go_by_name() {
    let program = leaf_spine();
    let listing = inspect(&program).listing();
    for line in listing.iter().flat_map(|part| instructions(&part.blocks)) {
        for nameless in ["goto +", "goto -", "call helper", "map 1"] {
            assert!(!line.contains(nameless), "{line}");
        }
    }
    let simple = table(&listing, "LeafSpineIngress.next.simple");
    let records = "; records of LeafSpineIngress.next.simple";
    assert!(instructions(&simple.blocks).any(|line| line.ends_with(records)));
}

#[test]
fn figures_of_parts_add_up() {
    let program = leaf_spine();
    let inspection = inspect(&program);
    let stats = inspection.stats();
    let parts: usize = stats.parts.iter().map(|part| part.instructions).sum();
    assert_eq!(parts, stats.instructions());
    assert!(stats.longest_path < stats.instructions());
    let tables: u32 = stats.tables.iter().map(|table| table.bytes).sum();
    assert!(tables < stats.table_bytes);
}

#[test]
fn a_chain_is_listed_program_by_program() {
    let program = leaf_spine();
    let options = Options {
        program_instructions: Some(1000),
        ..Options::new(255)
    };
    let inspection = Inspection::new(&program, 2, options).expect("the target takes it");
    let stats = inspection.stats();
    let listing = inspection.listing();
    assert!(stats.programs.len() > 1);
    assert_eq!(
        listing.last().map(|p| p.program + 1),
        Some(stats.programs.len())
    );
    let parts: usize = stats.parts.iter().map(|part| part.instructions).sum();
    assert_eq!(parts, stats.instructions());
    let mut lines = listing.iter().flat_map(|part| instructions(&part.blocks));
    assert!(lines.any(|line| line.contains("= map chain")));
}

#[test]
fn figures_of_a_table_say_how_it_is_held() {
    let program = leaf_spine();
    let stats = inspect(&program).stats();
    let named = |name: &str| {
        let mut tables = stats.tables.iter();
        tables
            .find(|table| table.name == name)
            .expect("it has a key")
    };
    let routing = named("LeafSpineIngress.routing.routing_v4");
    assert_eq!(
        (routing.key.as_str(), routing.capacity),
        ("lpm 32", 131_072)
    );
    let acl = named("LeafSpineIngress.acl.acl");
    assert!(acl.key.starts_with("ternary 9+48+48+16"), "{}", acl.key);
}
