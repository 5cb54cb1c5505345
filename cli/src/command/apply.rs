//! `pointsman apply`.

use std::process::ExitCode;

use pointsman_model::{Model, Name};
use pointsman_proto::pointsman::controller::v1 as pb;

use super::send::{Change, author, send};
use crate::args::{ApplyArgs, Global};
use crate::connect;
use crate::error::CliError;
use crate::files;
use crate::output::Output;
use crate::view::apply::Subject;

/// Runs the command.
pub async fn run(
    global: &Global,
    args: ApplyArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let model = files::read(&args.files.files)?;
    let controller = connect::controller(&global.controller).await?;
    let wait = if args.dry_run { 0 } else { args.asking.wait };
    let request = pb::ApplyRequest {
        devices: devices_of(&model),
        objectives: objectives_of(&model),
        prune: match args.prune {
            true => pruned(&model),
            false => Vec::new(),
        },
        take_over: args.take_over,
        dry_run: args.dry_run,
        wait_milliseconds: wait * 1000,
        author: author(),
        reason: args.asking.reason,
        base_revision: None,
        try_seconds: args.try_seconds.unwrap_or(0),
    };
    let change = Change {
        request,
        subjects: subjects_of(&model),
        model: Some(&model),
    };
    send(&controller, change, output).await
}

fn devices_of(model: &Model) -> Vec<pb::DeviceChange> {
    let devices = model.devices.iter().map(|located| pb::DeviceChange {
        remove: false,
        device: Some(pb::DeviceSpec {
            name: located.value.name.clone(),
            address: located.value.address.clone(),
            device_id: located.value.device_id,
        }),
    });
    devices.collect()
}

fn objectives_of(model: &Model) -> Vec<pb::ObjectiveChange> {
    let changes = model.objectives.iter().map(|located| pb::ObjectiveChange {
        device: located.value.device.clone(),
        change: Some((&located.value.change).into()),
    });
    changes.collect()
}

/// The applications of the devices that the files say something about: silence about others means nothing.
fn pruned(model: &Model) -> Vec<pb::Prune> {
    let scopes = model.scopes.iter().map(|scope| pb::Prune {
        device: scope.device.clone(),
        owner: scope
            .owner
            .as_ref()
            .map(Name::to_string)
            .unwrap_or_default(),
    });
    scopes.collect()
}

/// What the objectives of a model are called, in order.
pub fn subjects_of(model: &Model) -> Vec<Subject> {
    let subjects = model.objectives.iter().map(|located| {
        let objective = &located.value.change.objective;
        Subject {
            device: located.value.device.clone(),
            kind: objective.kind().name(),
            name: objective.name.to_string(),
        }
    });
    subjects.collect()
}
