//! `pointsman diff`: what applying files would change, without asking the switches.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::process::ExitCode;

use pointsman_model::{Device, Model, Objective, ObjectiveId, Operation, Scope};
use pointsman_proto::pointsman::controller::v1 as pb;

use super::get;
use crate::args::{Files, Global};
use crate::connect::{self, Controller};
use crate::error::CliError;
use crate::files;
use crate::output::Output;
use crate::view::differences::{Difference, render};

/// Runs the command. Exits as diff(1) does: 0 without differences, 1 with some; an error is more than that.
pub async fn run(
    global: &Global,
    files: &Files,
    prune: bool,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let model = files::read(&files.files)?;
    let mut controller = connect::controller(&global.controller).await?;
    let mut differences = device_differences(&known_devices(&mut controller).await?, &model);
    let mut known: BTreeMap<String, Vec<Objective>> = BTreeMap::new();
    for view in get::objectives(&mut controller, "", false)
        .await?
        .objectives
    {
        known
            .entry(view.device.clone())
            .or_default()
            .push(view.model);
    }
    differences.extend(objective_differences(&known, &model, prune));
    output.value(&differences, |output| {
        let text = render(&differences, output.is_coloured());
        output.text(&text)
    })?;
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn known_devices(controller: &mut Controller) -> Result<Vec<Device>, CliError> {
    let answer = controller
        .client
        .get_devices(pb::GetDevicesRequest::default())
        .await;
    let answer = answer
        .map_err(|status| controller.error(status))?
        .into_inner();
    let specs = answer.devices.into_iter().filter_map(|device| device.spec);
    let devices = specs.map(
        |pb::DeviceSpec {
             name,
             address,
             device_id,
         }| Device {
            name,
            address,
            device_id,
        },
    );
    Ok(devices.collect())
}

fn device_differences(known: &[Device], model: &Model) -> Vec<Difference> {
    let differences = model.devices.iter().filter_map(|located| {
        let wanted = &located.value;
        let stored = known.iter().find(|device| device.name == wanted.name);
        (stored != Some(wanted)).then(|| Difference::of_device(&wanted.name, stored, Some(wanted)))
    });
    differences.collect()
}

fn objective_differences(
    known: &BTreeMap<String, Vec<Objective>>,
    model: &Model,
    prune: bool,
) -> Vec<Difference> {
    let mut by_id: HashMap<(&str, ObjectiveId), &Objective> = HashMap::new();
    for (device, objectives) in known {
        by_id.extend(
            objectives
                .iter()
                .map(|known| ((device.as_str(), known.id()), known)),
        );
    }
    let mut wanted: BTreeMap<&str, Vec<Objective>> = BTreeMap::new();
    let mut deleted: HashSet<(&str, ObjectiveId)> = HashSet::new();
    for located in &model.objectives {
        let (device, change) = (located.value.device.as_str(), &located.value.change);
        let of_device = wanted.entry(device).or_default();
        let stored = by_id.get(&(device, change.objective.id())).copied();
        match change.operation {
            Operation::Put => of_device.push(change.objective.clone()),
            Operation::Delete => {
                deleted.insert((device, change.objective.id()));
            }
            // Which buckets there are then is for the controller to say; what is there stays
            // named, so that pruning spares it.
            Operation::AddToExisting
            | Operation::RemoveFromExisting
            | Operation::Modify
            | Operation::Verify => {
                of_device.extend(stored.cloned());
            }
        }
    }
    for scope in &model.scopes {
        wanted.entry(&scope.device).or_default();
    }
    let mut differences = Vec::new();
    for (device, wanted) in &wanted {
        let known = known.get(*device).map(Vec::as_slice).unwrap_or_default();
        let difference = pointsman_model::diff(known, wanted);
        let mut add = |id: ObjectiveId, before, after| {
            differences.push(Difference::of_objective(device, &id, before, after));
        };
        for objective in &difference.created {
            add(objective.id(), None, Some(objective));
        }
        for (before, after) in &difference.changed {
            add(after.id(), Some(before), Some(after));
        }
        for objective in &difference.deleted {
            let scope = Scope {
                device: (*device).to_owned(),
                owner: objective.attributes.owner.clone(),
            };
            let pruned = prune && model.scopes.contains(&scope);
            if pruned || deleted.contains(&(*device, objective.id())) {
                add(objective.id(), Some(objective), None);
            }
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn model(yaml: &str) -> Model {
        Model::parse("test.yaml", yaml).expect("valid")
    }

    const BEFORE: &str = "
device: leaf1
objectives:
  - next: spine
    type: simple
    buckets: [ { output: 49 } ]
  - next: old
    type: simple
    buckets: [ { output: 50 } ]
";
    const AFTER: &str = "
device: leaf1
objectives:
  - next: spine
    type: simple
    buckets: [ { output: 48 } ]
  - forward: rack2
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }
    next: spine
";

    #[test]
    fn created_changed_and_pruned_objectives_are_shown_by_their_lines() {
        let before = model(BEFORE);
        let objectives = before
            .objectives
            .iter()
            .map(|located| located.value.change.objective.clone());
        let known = BTreeMap::from([("leaf1".to_owned(), objectives.collect())]);
        let after = model(AFTER);
        let kept = render(&objective_differences(&known, &after, false), false);
        assert!(!kept.contains("old"), "{kept}");
        expect![[r#"
            leaf1 forward/rack2
            +   - forward: rack2
            +     flag: specific
            +     selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }
            +     next: spine
            leaf1 next/spine
            -       - { output: 49 }
                - next: spine
                  type: simple
                  buckets:
            +       - { output: 48 }
            leaf1 next/old
            -   - next: old
            -     type: simple
            -     buckets:
            -       - { output: 50 }
        "#]]
        .assert_eq(&render(&objective_differences(&known, &after, true), false));
    }
}
