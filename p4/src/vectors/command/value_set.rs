//! The members of parser value sets.

use std::collections::BTreeMap;

use crate::dataplane::{Bits, Operation};
use crate::ir::{Program, ValueSetId};

use super::value::masked;
use super::{Parsed, by_suffix};

/// The members of each set so far.
#[derive(Debug, Default)]
pub(super) struct ValueSets {
    members: BTreeMap<u32, Vec<Bits>>,
}

impl ValueSets {
    /// `pvs_add SET VALUE`, `pvs_remove SET VALUE` or `pvs_clear SET`.
    pub(super) fn add(
        &mut self,
        program: &Program,
        command: &str,
        text: &str,
    ) -> Parsed<Operation> {
        let mut words = text.split_whitespace();
        let name = words.next().ok_or("expected a value set")?;
        let names = program.value_sets.iter().map(|s| s.name.as_str());
        let id = by_suffix(names, name).ok_or_else(|| format!("there is no value set {name:?}"))?;
        let members = self.members.entry(id as u32).or_default();
        if command == "pvs_clear" {
            members.clear();
        } else {
            let value = words.next().ok_or("expected a value")?;
            let (value, _) = masked(value, program.value_sets[id].width)?;
            let value = Bits::from(&value);
            members.retain(|member| *member != value);
            if command == "pvs_add" {
                members.push(value);
            }
        }
        Ok(Operation::SetValueSet {
            set: ValueSetId(id as u32),
            members: members.clone(),
        })
    }
}
