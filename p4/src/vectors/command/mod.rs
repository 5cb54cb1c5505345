//! The commands of STF files: entries, default actions, replication and cells.
//!
//! ```text
//! add TABLE [PRIORITY] KEY:VALUE ... ACTION(PARAM:VALUE, ...) [= NAME]
//! setdefault TABLE ACTION(PARAM:VALUE, ...)
//! remove all
//! mc_mgrp_create GROUP              mc_mgrp_destroy GROUP
//! mc_node_create RID PORT ...       mc_node_update NODE PORT ...
//! mc_node_associate GROUP NODE      mc_node_dissociate GROUP NODE
//! mirroring_add SESSION PORT        mirroring_add_mc SESSION GROUP
//! mirroring_delete SESSION
//! register_write REGISTER INDEX VALUE
//! register_reset REGISTER
//! counter_write COUNTER INDEX PACKETS BYTES
//! meter_set_rates METER INDEX RATE:BURST RATE:BURST
//! meter_array_set_rates METER RATE:BURST RATE:BURST
//! pvs_add SET VALUE                 pvs_remove SET VALUE            pvs_clear SET
//! act_prof_create_member PROFILE MEMBER ACTION(PARAM:VALUE, ...)
//! act_prof_create_group PROFILE GROUP MEMBER ...
//! ```
//! In a table with an action profile the action of an entry is `member(NUMBER)` or
//! `group(NUMBER)`. Rates are in units a microsecond, as simple_switch's command line has them. What only shows
//! something (`mirroring_get`, `register_read`, `counter_read`, `meter_get_rates`) and `wait` do
//! nothing here.

mod cells;
mod check;
mod entry;
mod profile;
mod replication;
mod value;
mod value_set;

use std::collections::BTreeMap;

use crate::dataplane::{EntryKey, Operation};
use crate::ir::Program;
use crate::p4info::Pipeline;

pub use check::CounterCheck;

use replication::Replication;
use value_set::ValueSets;

/// Reads commands one after the other and collects what they do.
#[derive(Debug)]
pub struct Commands<'p> {
    pipeline: &'p Pipeline,
    operations: Vec<Operation>,
    replication: Replication,
    value_sets: ValueSets,
    /// Entries added so far.
    added: Vec<EntryKey>,
    /// Entries by the name that they were given.
    named: BTreeMap<String, EntryKey>,
}

type Parsed<T> = Result<T, String>;

impl<'p> Commands<'p> {
    /// No commands yet.
    pub fn new(pipeline: &'p Pipeline) -> Commands<'p> {
        Commands {
            pipeline,
            operations: Vec::new(),
            replication: Replication::default(),
            value_sets: ValueSets::default(),
            added: Vec::new(),
            named: BTreeMap::new(),
        }
    }

    /// Reads one command.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, line: &str) -> Parsed<()> {
        let line = line.trim();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "add" => {
                let (entry, name) = entry::added(self.program(), rest)?;
                self.added.push(entry.key.clone());
                self.named
                    .extend(name.map(|name| (name, entry.key.clone())));
                self.operations.push(Operation::Insert(entry));
            }
            "setdefault" => {
                let default = entry::default(self.program(), rest)?;
                self.operations.push(default);
            }
            "remove" => {
                let removed = self.added.drain(..).map(Operation::Delete);
                self.operations.extend(removed);
            }
            command @ ("register_write"
            | "register_reset"
            | "counter_write"
            | "meter_set_rates"
            | "meter_array_set_rates") => {
                let written = cells::written(self.program(), command, rest)?;
                self.operations.extend(written);
            }
            "act_prof_create_member" => {
                let member = profile::member(self.program(), rest)?;
                self.operations.push(member);
            }
            "act_prof_create_group" => {
                let group = profile::group(self.program(), rest)?;
                self.operations.push(group);
            }
            command @ ("pvs_add" | "pvs_remove" | "pvs_clear") => {
                let set = self.value_sets.add(&self.pipeline.program, command, rest)?;
                self.operations.push(set);
            }
            "wait" | "no_packet" | "mirroring_get" | "register_read" | "counter_read"
            | "meter_get_rates" => {}
            command => {
                if !self.replication.add(command, rest)? {
                    return Err(format!("the command {command:?} is not known"));
                }
            }
        }
        Ok(())
    }

    /// Reads what follows `check_counter`; none if it says nothing of what the counter holds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, rest: &str) -> Parsed<Option<CounterCheck>> {
        check::read(self.program(), &self.named, rest)
    }

    /// What the commands since the last call do.
    pub fn take(&mut self) -> Vec<Operation> {
        let mut operations = std::mem::take(&mut self.operations);
        operations.extend(self.replication.take());
        operations
    }

    /// What the commands do.
    pub fn finish(mut self) -> Vec<Operation> {
        self.take()
    }

    fn program(&self) -> &'p Program {
        &self.pipeline.program
    }
}

/// The one of that name, else the first whose last parts, or letters, are that name.
fn by_suffix<'n>(mut names: impl Iterator<Item = &'n str> + Clone, name: &str) -> Option<usize> {
    let suffix = format!(".{name}");
    let equal = names.clone().position(|n| n == name);
    equal
        .or_else(|| names.clone().position(|n| n.ends_with(&suffix)))
        .or_else(|| names.position(|n| n.ends_with(name)))
}
