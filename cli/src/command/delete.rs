//! `pointsman delete`.

use std::process::ExitCode;

use pointsman_model::{Change as ModelChange, Kind, Model, Name, Objective, Operation};
use pointsman_proto::pointsman::controller::v1 as pb;

use super::apply::subjects_of;
use super::send::{Change, author, send};
use crate::args::{DeleteArgs, Global};
use crate::connect;
use crate::error::CliError;
use crate::files;
use crate::name::{NotAnObjective, ObjectiveName};
use crate::output::Output;
use crate::view::apply::Subject;

/// Runs the command.
pub async fn run(
    global: &Global,
    args: DeleteArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let model;
    let mut change = if args.files.is_empty() {
        by_name(&args.names, args.device.as_deref())?
    } else {
        model = files::read(&args.files)?;
        by_files(&model)
    };
    change.request.wait_milliseconds = args.asking.wait * 1000;
    change.request.author = author();
    change.request.reason = args.asking.reason;
    change.request.take_over = args.take_over;
    let controller = connect::controller(&global.controller).await?;
    send(&controller, change, output).await
}

/// Deletes the objectives of a model; its devices stay.
fn by_files(model: &Model) -> Change<'_> {
    let objectives = model.objectives.iter().map(|located| {
        let objective = &located.value.change.objective;
        let owner = objective.attributes.owner.clone();
        deletion(
            &located.value.device,
            objective.kind(),
            objective.name.clone(),
            owner,
        )
    });
    let request = pb::ApplyRequest {
        objectives: objectives.collect(),
        ..pb::ApplyRequest::default()
    };
    Change {
        request,
        subjects: subjects_of(model),
        model: Some(model),
    }
}

fn by_name(names: &[String], device: Option<&str>) -> Result<Change<'static>, CliError> {
    let mut request = pb::ApplyRequest::default();
    let mut subjects = Vec::new();
    for text in names {
        if let Some(name) = text.strip_prefix("device/") {
            let spec = pb::DeviceSpec {
                name: name.to_owned(),
                ..pb::DeviceSpec::default()
            };
            request.devices.push(pb::DeviceChange {
                remove: true,
                device: Some(spec),
            });
            continue;
        }
        let objective: ObjectiveName = text
            .parse()
            .map_err(|error: NotAnObjective| CliError::Usage(error.to_string()))?;
        let ObjectiveName { device, kind, name } = objective.of(device);
        let device = device.ok_or_else(|| {
            CliError::Usage(format!(
                "of which device is {text} to be deleted? Give --device NAME, or DEVICE/{text}"
            ))
        })?;
        request
            .objectives
            .push(deletion(&device, kind, name.clone(), None));
        subjects.push(Subject {
            device,
            kind: kind.name(),
            name: name.to_string(),
        });
    }
    Ok(Change {
        request,
        subjects,
        model: None,
    })
}

fn deletion(device: &str, kind: Kind, name: Name, owner: Option<Name>) -> pb::ObjectiveChange {
    let mut objective = Objective::empty(kind, name);
    objective.attributes.owner = owner;
    let change = ModelChange {
        operation: Operation::Delete,
        objective,
    };
    pb::ObjectiveChange {
        device: device.to_owned(),
        change: Some((&change).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleting_an_objective_without_its_device_asks_for_it() {
        let error = by_name(&["next/spines".into()], None)
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("--device"), "{error}");
    }
}
