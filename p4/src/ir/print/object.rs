//! Counters, meters, registers, hashes, checksums, field lists, digests and value sets as text:
//! a line each.

use super::expr::{Scope, unsigned};
use super::{Line, Section, SectionKind};
use crate::ir::{
    Calculation, CalculationInput, Checksum, HashAlgorithm, MeterUnit, Program, SourceInfo, TableId,
};

pub(super) fn sections(program: &Program) -> Vec<Section> {
    let cells = |table: Option<TableId>, size: u32| match table {
        Some(id) => format!("of table {}", program.tables[id.index()].name),
        None => format!("[{size}]"),
    };
    let counters = program.counters.iter();
    let counters = counters.map(|c| {
        (
            &c.name,
            format!("counter {} {}", c.name, cells(c.table, c.size)),
        )
    });
    let meters = program.meters.iter().map(|m| {
        let unit = match m.unit {
            MeterUnit::Packets => "packets",
            MeterUnit::Bytes => "bytes",
        };
        let target = m.target.map(|f| format!(" into {}", program.field_name(f)));
        let (cells, target) = (cells(m.table, m.size), target.unwrap_or_default());
        (
            &m.name,
            format!("meter {} {cells} of {unit}{target}", m.name),
        )
    });
    let registers = program.registers.iter();
    let registers = registers.map(|r| {
        (
            &r.name,
            format!("register<bit<{}>> {}[{}]", r.width, r.name, r.size),
        )
    });
    let profiles = program.action_profiles.iter().map(|p| {
        let kind = if p.selector.is_some() {
            "selector"
        } else {
            "profile"
        };
        (&p.name, format!("action {kind} {}[{}]", p.name, p.size))
    });
    let value_sets = program.value_sets.iter();
    let value_sets = value_sets.map(|v| {
        (
            &v.name,
            format!("value_set<bit<{}>> {}[{}]", v.width, v.name, v.size),
        )
    });
    let scope = Scope::global(program);
    let field_lists = program.field_lists.iter().map(|list| {
        let fields: Vec<String> = list.fields.iter().map(|f| scope.expr(f)).collect();
        (
            &list.name,
            format!("field_list {} {{ {} }}", list.name, fields.join(", ")),
        )
    });
    let digests = program.learn_lists.iter().map(|list| {
        let fields = list.elements.iter();
        let fields = fields.map(|(value, width)| format!("bit<{width}> {}", scope.expr(value)));
        let fields: Vec<String> = fields.collect();
        (
            &list.name,
            format!("digest {} {{ {} }}", list.name, fields.join(", ")),
        )
    });
    let plain = counters
        .chain(meters)
        .chain(registers)
        .chain(profiles)
        .chain(value_sets)
        .chain(field_lists)
        .chain(digests)
        .map(|(name, text)| section(name, text + ";", &SourceInfo::default()));
    let hashes = program.calculations.iter().map(|calculation| {
        section(
            &calculation.name,
            hash(program, calculation),
            &calculation.source,
        )
    });
    let checksums = program.checksums.iter();
    let checksums = checksums.map(|c| section(&c.name, checksum(program, c), &c.source));
    plain.chain(hashes).chain(checksums).collect()
}

fn section(name: &str, text: String, source: &SourceInfo) -> Section {
    Section {
        kind: SectionKind::Object,
        name: name.to_owned(),
        source: source.clone(),
        lines: vec![Line::from(text, source)],
    }
}

fn hash(program: &Program, calculation: &Calculation) -> String {
    let scope = Scope::global(program);
    let input = calculation.input.iter().map(|input| match input {
        CalculationInput::Field(field) => program.field_name(*field),
        CalculationInput::Header(header) => program.headers[header.index()].name.clone(),
        CalculationInput::Payload => "payload".to_owned(),
        CalculationInput::Const { value, width } => format!("(bit<{width}>){}", unsigned(value)),
        CalculationInput::Expr { value, width } => format!("(bit<{width}>)({})", scope.expr(value)),
    });
    let input: Vec<String> = input.collect();
    let algorithm = match calculation.algorithm {
        HashAlgorithm::Crc16 => "crc16",
        HashAlgorithm::Crc16Custom => "crc16_custom",
        HashAlgorithm::Crc32 => "crc32",
        HashAlgorithm::Crc32Custom => "crc32_custom",
        HashAlgorithm::Csum16 => "csum16",
        HashAlgorithm::Xor16 => "xor16",
        HashAlgorithm::Identity => "identity",
        HashAlgorithm::Xxh64 => "xxh64",
        HashAlgorithm::RoundRobin => "round_robin",
        HashAlgorithm::RoundRobinConsistent => "round_robin_consistent",
        HashAlgorithm::Toeplitz => "toeplitz",
    };
    format!(
        "hash {}() = {algorithm}({});",
        calculation.name,
        input.join(", ")
    )
}

fn checksum(program: &Program, checksum: &Checksum) -> String {
    let what = match (checksum.verify, checksum.update) {
        (true, true) => "verify and update",
        (true, false) => "verify",
        (false, true) => "update",
        (false, false) => "declare",
    };
    let condition = checksum.condition.as_ref();
    let condition = condition.map(|c| format!(" if ({})", Scope::global(program).expr(c)));
    format!(
        "checksum {}: {what} {} = {}(){};",
        checksum.name,
        program.field_name(checksum.target),
        program.calculations[checksum.calculation.index()].name,
        condition.unwrap_or_default()
    )
}
