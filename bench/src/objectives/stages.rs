//! What an objective costs a controller, step by step: each step of the way alone, on one core, with the same objectives.
//!
//! What is not here (the database, the disk, the transport, waking tasks) is the rest of what a whole cluster takes.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pointsman_controller::objective::Objective;
use pointsman_controller::state::{
    Change, ChangeSet, Command, DeviceChange, DeviceSpec, ObjectiveChange, Operation, Revision,
    State, plan,
};
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective;
use prost::Message;

use super::made;

const DEVICE: &str = "s1";

/// A step, and what it takes for one objective.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// What is done.
    pub what: &'static str,
    /// On how many nodes of three it is done.
    pub nodes: u32,
    /// For one objective.
    pub each: Duration,
}

/// All steps.
#[derive(Debug, Clone)]
pub struct Stages(pub Vec<Stage>);

struct Clock {
    objectives: u32,
    stages: Vec<Stage>,
}

impl Clock {
    fn time<T>(&mut self, what: &'static str, nodes: u32, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = black_box(work());
        let each = started.elapsed() / self.objectives;
        self.stages.push(Stage { what, nodes, each });
        done
    }
}

/// Takes so many objectives through the steps, of three nodes.
///
/// # Errors
/// If something that was made up is refused.
pub fn run(objectives: u32) -> Result<Stages> {
    let mut clock = Clock {
        objectives,
        stages: Vec::new(),
    };
    let mut state = State::default();
    state.apply(Command::Apply(ChangeSet {
        devices: vec![DeviceChange::Put(DeviceSpec {
            name: DEVICE.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            device_id: 1,
        })],
        objectives: vec![change(made::next())?],
        ..ChangeSet::default()
    }));
    let before = state.revision();
    let changes = (0..objectives).map(|number| made::put(DEVICE, made::route(number)));
    let request = pb::ApplyRequest {
        objectives: changes.collect(),
        ..pb::ApplyRequest::default()
    };
    let bytes = request.encode_to_vec();

    let request = clock.time("request read from the wire", 1, || {
        pb::ApplyRequest::decode(bytes.as_slice())
    })?;
    let changes = clock.time("checked, and made canonical", 1, || {
        let messages = request.objectives.iter();
        let messages = messages.filter_map(|change| change.change.as_ref());
        let changes = messages.map(|message| {
            let checked = pointsman_model::Change::try_from(message)?;
            let canonical = objective::Change::from(&checked);
            change(canonical.objective.context("an objective")?)
        });
        changes.collect::<Result<Vec<_>>>()
    })?;
    let changes = ChangeSet {
        objectives: changes,
        ..ChangeSet::default()
    };
    clock.time("planned before the commit", 1, || {
        plan(&state, &changes).is_ok()
    });
    let command = Command::Apply(changes);
    let entry = clock.time("encoded for the log", 1, || {
        let mut bytes = Vec::new();
        ciborium::into_writer(&command, &mut bytes).map(|()| bytes)
    })?;
    let command: Command = clock.time("decoded from the log", 3, || {
        ciborium::from_reader(entry.as_slice())
    })?;
    clock.time("applied to the state", 3, || state.apply(command));
    let device = state.device(DEVICE).context("the device")?;
    clock.time("encoded for its row", 3, || {
        let rows = device.objectives().values();
        let rows = rows.map(|stored| {
            let mut bytes = Vec::new();
            ciborium::into_writer(stored, &mut bytes).map(|()| bytes.len())
        });
        rows.collect::<Result<Vec<_>, _>>()
    })?;
    clock.time("tail for the switch", 1, || tail(&state, before));
    Ok(Stages(clock.stages))
}

fn change(objective: objective::Objective) -> Result<ObjectiveChange> {
    Ok(ObjectiveChange {
        device: DEVICE.to_owned(),
        owner: String::new(),
        operation: Operation::Put(Objective::from_proto(objective)?),
    })
}

/// What the session does for its batches.
fn tail(state: &State, mut after: Revision) -> usize {
    let mut bytes = 0;
    while let Some(device) = state.device(DEVICE) {
        let tail = device.tail_after(after, 512);
        if tail.changes.is_empty() {
            break;
        }
        after = tail.revision;
        let messages = tail.changes.iter().map(|change| match change {
            Change::Put { objective, .. } => objective.message().len(),
            Change::Delete { key, .. } => key.name.len(),
        });
        bytes += messages.sum::<usize>();
    }
    bytes
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Duration::ZERO;
        for Stage { what, nodes, each } in &self.0 {
            writeln!(f, "{each:>10.2?}  on {nodes} of 3  {what}")?;
            all += *each * *nodes;
        }
        writeln!(f, "{all:>10.2?}  together, of all nodes")
    }
}
