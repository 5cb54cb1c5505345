//! Objects that the compiler left out of the program.
//!
//! p4c writes the p4info before it optimises. A table that no packet reaches, or a digest in an
//! action that nothing runs, is in the p4info and not in the program.

use pointsman_proto::p4::config::v1 as proto;

use crate::ir::Program;

/// Whether the program lacks an object because no packet gets to it, and not because the p4info
/// is of another compilation: then the program would have tables that the p4info does not know.
pub fn is_left_out(info: &proto::P4Info, program: &Program, kind: &str, name: &str) -> bool {
    let has = match kind {
        "table" => program.tables.iter().any(|t| t.name == name),
        "action profile" => program.action_profiles.iter().any(|p| p.name == name),
        "counter" | "direct counter" => program.counters.iter().any(|c| c.name == name),
        "meter" | "direct meter" => program.meters.iter().any(|m| m.name == name),
        "register" => program.registers.iter().any(|r| r.name == name),
        "digest" => program.learn_lists.iter().any(|l| l.name == name),
        "value set" => program.value_sets.iter().any(|v| v.name == name),
        _ => true,
    };
    !has && knows_all_tables(info, program)
}

/// Tables that p4c makes itself have no key, or all their entries from the program.
fn knows_all_tables(info: &proto::P4Info, program: &Program) -> bool {
    let mut written = program
        .tables
        .iter()
        .filter(|t| !t.key.is_empty() && t.entries.is_empty());
    written.all(|table| {
        let mut preambles = info.tables.iter().flat_map(|t| &t.preamble);
        preambles.any(|p| p.name == table.name)
    })
}
