//! The state as it is, as records that restore to it.
//!
//! What is there is noted at one moment and written later, in frames of a bounded size, so that neither the
//! memory nor the time of those who write meanwhile depends on how much it is.

use std::io;

use pointsman_proto::pointsman::agent::v1::{StateObjectives, StateRecord};

use super::State;
use crate::arbitration::Arbitration;
use crate::entity::Update;
use crate::journal::{Frame, Snapshot, UpdatesOf};
use crate::p4runtime::{pipeline::saved_pipeline, role, wire::UpdateWriter};
use crate::ports::{Origin, Port};
use crate::schema::Schema;
use crate::switch::{Pipeline, Switch, Written};

/// Updates in a frame.
const UPDATES: usize = 1024;

/// Records that restore to the state as it is now.
pub fn snapshot(state: &State, arbitration: &Arbitration) -> Snapshot {
    let running = contents(&state.switch);
    let saved = state.draft.as_ref().and_then(contents);
    let owned = state.objectives.owned();
    let elections = arbitration.kept().map(role::to_saved);
    let ports = state.ports.iter();
    let ports = ports.filter(|port| port.origin != Origin::Configured);
    let objectives = StateObjectives {
        drifts: state.saved_drifts(),
        ..state.objectives.to_snapshot()
    };
    let rest = StateRecord {
        elections: elections.collect(),
        objectives: Some(objectives),
        ports: ports.map(Port::to_saved).collect(),
        ..StateRecord::default()
    };
    Box::new(move |out| {
        if let Some((pipeline, written)) = &running {
            let record = StateRecord {
                pipeline: Some(saved_pipeline(&pipeline.source)),
                ..StateRecord::default()
            };
            out(Frame::of(&record))?;
            let updates = written
                .updates()
                .filter(|update| !owned.has(&update.entity));
            write(UpdatesOf::Running, &pipeline.schema, updates, out)?;
        }
        if let Some((pipeline, written)) = &saved {
            let record = StateRecord {
                saved: Some(saved_pipeline(&pipeline.source)),
                ..StateRecord::default()
            };
            out(Frame::of(&record))?;
            write(UpdatesOf::Saved, &pipeline.schema, written.updates(), out)?;
        }
        out(Frame::of(&rest))
    })
}

fn contents(switch: &Switch) -> Option<(Pipeline, Written)> {
    let (pipeline, store) = switch.contents()?;
    Some((pipeline.clone(), store.written()))
}

/// Writes updates, a frame's worth at a time.
fn write(
    field: UpdatesOf,
    schema: &Schema,
    mut updates: impl Iterator<Item = Update>,
    out: &mut dyn FnMut(Frame) -> io::Result<()>,
) -> io::Result<()> {
    let writer = UpdateWriter::new(schema);
    loop {
        let (mut messages, mut ends) = (Vec::new(), Vec::with_capacity(UPDATES));
        for update in updates.by_ref().take(UPDATES) {
            writer.write(&update, &mut messages);
            ends.push(messages.len());
        }
        let starts = std::iter::once(&0).chain(&ends);
        let each = starts
            .zip(&ends)
            .map(|(start, end)| &messages[*start..*end]);
        match Frame::of_updates(field, each) {
            Some(frame) => out(frame)?,
            None => return Ok(()),
        }
    }
}
