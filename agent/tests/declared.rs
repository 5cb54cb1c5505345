//! Entries that a program declares: p4c's own test programs, loaded, changed and loaded again
//! as after a restart.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pointsman_agent::entity::{Entity, TableEntry, Update};
use pointsman_agent::switch::{Pipeline, PipelineSource, StoredEntry, Switch};
use pointsman_agent::target::interpreter::InterpreterTarget;
use pointsman_p4::dataplane::EntryKey;
use pointsman_p4::p4info::parse_p4info;

/// The programs, or `None` with a line saying that the test skips.
fn programs() -> Option<Vec<PathBuf>> {
    let shared = std::env::var_os("POINTSMAN_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(shared.join("vectors/stf")) else {
        eprintln!("skipped: {}/vectors/stf is not there", shared.display());
        return None;
    };
    Some(
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect(),
    )
}

fn pipeline(directory: &Path) -> Option<Pipeline> {
    let p4info = std::fs::read_to_string(directory.join("p4info.txtpb")).ok()?;
    let source = PipelineSource {
        p4info: parse_p4info(&p4info).ok()?,
        device_config: std::fs::read(directory.join("bmv2.json")).ok()?,
        cookie: None,
        manifest: None,
        configured: false,
    };
    match Pipeline::read(source) {
        Ok(pipeline) => Some(pipeline),
        Err(error) => {
            eprintln!("refused: {}: {error}", directory.display());
            None
        }
    }
}

fn switch(pipeline: &Pipeline, updates: &[Update]) -> Switch {
    let (packets, _packet_in) = tokio::sync::mpsc::channel(1);
    let (learner, _learnt) = tokio::sync::mpsc::channel(1);
    let mut switch = Switch::new(Box::new(InterpreterTarget::new(
        common::CPU_PORT,
        packets,
        learner,
    )));
    let loaded = switch.load(pipeline.clone(), updates);
    loaded.unwrap_or_else(|error| panic!("{}: {error}", pipeline.schema.name));
    switch
}

#[test]
fn what_a_program_declares_and_a_client_changed_of_it_is_the_same_after_a_restart() {
    let Some(programs) = programs() else { return };
    let mut with_entries = 0;
    for directory in programs {
        let Some(pipeline) = pipeline(&directory) else {
            continue;
        };
        let first = switch(&pipeline, &[]);
        let declared: Vec<_> = contents(&first).entries.into_keys().collect();
        with_entries += usize::from(!declared.is_empty());
        let deletions: Vec<_> = declared
            .into_iter()
            .step_by(2)
            .map(|key| Update::delete(Entity::TableEntry(TableEntry::of_key(key))))
            .collect();
        let mut transaction = first.begin_all().expect("a pipeline");
        for deletion in &deletions {
            // Those of const tables are refused.
            let _ = transaction.apply(deletion);
        }
        drop(transaction);
        let written = contents(&first);
        let again = switch(&pipeline, &written.updates);
        assert_eq!(contents(&again), written, "{}", directory.display());
    }
    assert!(with_entries >= 5, "{with_entries} programs declare entries");
}

/// What a switch holds, in an order.
#[derive(Debug, PartialEq)]
struct Contents {
    entries: BTreeMap<EntryKey, StoredEntry>,
    updates: Vec<Update>,
}

fn contents(switch: &Switch) -> Contents {
    let (pipeline, store) = switch.contents().expect("a pipeline");
    let tables = pipeline.schema.tables.iter();
    let entries = tables.flat_map(|table| store.table(table.table).entries.iter());
    let mut updates = store.updates();
    updates.sort_by_key(|update| format!("{update:?}"));
    Contents {
        entries: entries
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect(),
        updates,
    }
}
