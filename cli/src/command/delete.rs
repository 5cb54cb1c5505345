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
    change.request.wait_milliseconds = args.wait * 1000;
    change.request.author = author();
    change.request.reason = args.reason;
    let controller = connect::controller(&global.controller).await?;
    send(&controller, change, output).await
}

/// Deletes the objectives of a model; its devices stay.
fn by_files(model: &Model) -> Change<'_> {
    let objectives = model.objectives.iter().map(|located| {
        let objective = &located.value.change.objective;
        deletion(
            &located.value.device,
            objective.kind(),
            objective.name.clone(),
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
        let (kind, name) = parse_objective(text)?;
        let device = device.ok_or_else(|| {
            CliError::Usage(format!(
                "of which device is {text} to be deleted? Give --device NAME"
            ))
        })?;
        subjects.push(Subject {
            device: device.to_owned(),
            kind: kind.name(),
            name: name.to_string(),
        });
        request.objectives.push(deletion(device, kind, name));
    }
    Ok(Change {
        request,
        subjects,
        model: None,
    })
}

/// Reads KIND/NAME.
pub fn parse_objective(text: &str) -> Result<(Kind, Name), CliError> {
    let refuse = || {
        CliError::Usage(format!(
            "{text:?} names no objective; give filter/NAME, forward/NAME or next/NAME"
        ))
    };
    let (kind, name) = text.split_once('/').ok_or_else(refuse)?;
    let kinds = [Kind::Filter, Kind::Forward, Kind::Next];
    let kind = kinds
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or_else(refuse)?;
    Ok((kind, Name::new(name).ok_or_else(refuse)?))
}

fn deletion(device: &str, kind: Kind, name: Name) -> pb::ObjectiveChange {
    let change = ModelChange {
        operation: Operation::Delete,
        objective: Objective::empty(kind, name),
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
    fn an_objective_is_named_by_kind_and_name() {
        let (kind, name) = parse_objective("forward/rack2").expect("valid");
        assert_eq!((kind, name.as_str()), (Kind::Forward, "rack2"));
        for bad in ["rack2", "route/rack2", "forward/"] {
            let error = parse_objective(bad).expect_err("refused").to_string();
            assert!(error.contains("forward/NAME"), "{error}");
        }
    }

    #[test]
    fn deleting_an_objective_without_its_device_asks_for_it() {
        let error = by_name(&["next/spines".into()], None)
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("--device"), "{error}");
    }
}
