//! Sizes that nothing here can hold, refused before anything is computed from them.
//!
//! A program may ask for any number of entries, and headers of any length. Offsets and capacities are 32-bit
//! numbers: [`crate::plan`] counts on what is let through here.

use pointsman_p4::ir::{Program, SourceInfo, Table};

use crate::compile::{Refusal, phv_bytes};

/// The most entries of a table, and members of an action profile.
const MAX_ENTRIES: u32 = 1 << 24;

/// What an instruction reaches from a register, and a value of a per-CPU map holds.
const MAX_PHV_BYTES: u32 = 1 << 15;

/// Entries that a program asks for.
fn asked_entries(table: &Table) -> u32 {
    let declared = u32::try_from(table.entries.len()).unwrap_or(u32::MAX);
    table.size.max(declared).max(1)
}

/// Everything that is too large, by name.
pub fn too_large(program: &Program) -> Vec<Refusal> {
    let tables = program.tables.iter();
    let tables = tables.map(|t| ("table", &t.name, asked_entries(t), &t.source));
    let profiles = program.action_profiles.iter();
    let profiles = profiles.map(|p| ("action profile", &p.name, p.size, &p.source));
    let all = tables.chain(profiles);
    let too_large = all.filter(|(.., size, _)| *size > MAX_ENTRIES);
    let refusal = |(kind, name, size, source): (&str, &String, u32, &SourceInfo)| Refusal {
        construct: format!("the {kind} {name} of {size} entries"),
        source: source.clone(),
        accepted: format!("at most {MAX_ENTRIES} entries"),
    };
    let mut refused: Vec<Refusal> = too_large.map(refusal).collect();
    let bytes = phv_bytes(program);
    if bytes > MAX_PHV_BYTES {
        refused.push(Refusal {
            construct: format!(
                "the headers and metadata of {} ({bytes} bytes)",
                program.name
            ),
            source: SourceInfo::default(),
            accepted: format!("at most {MAX_PHV_BYTES} bytes"),
        });
    }
    refused
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use pointsman_p4::{bmv2, programs};

    use crate::plan::Plan;

    use super::*;

    fn leaf_spine() -> Program {
        let leaf_spine = programs::embedded("leaf_spine").unwrap();
        bmv2::read(leaf_spine.bmv2_json).unwrap()
    }

    fn refused(program: &Program) -> String {
        let refusals = Plan::new(program, 2).unwrap_err();
        let constructs: Vec<String> = refusals.into_iter().map(|r| r.construct).collect();
        constructs.join("; ")
    }

    #[test]
    fn a_size_that_nothing_can_hold_is_refused_by_name() {
        let mut program = leaf_spine();
        program.tables[0].size = 1 << 31;
        program.action_profiles[0].size = u32::MAX;
        let refused = refused(&program);
        for name in [&program.tables[0].name, &program.action_profiles[0].name] {
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn headers_that_no_instruction_reaches_are_refused() {
        let mut program = leaf_spine();
        program.headers[0].fields[0].width = 1 << 19;
        assert!(refused(&program).contains("headers and metadata"));
    }
}
