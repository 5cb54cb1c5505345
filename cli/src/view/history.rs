//! What was changed: a line for each change set, or all that one did.

use pointsman_model::{Device, Objective, ObjectiveId};
use pointsman_proto::pointsman::controller::v1 as pb;
use serde::Serialize;

use super::apply::Tally;
use super::differences::{Difference, render};
use crate::error::{CliError, Peer};
use crate::table::{Cell, Table};
use crate::words;

/// One change set.
#[derive(Debug, Serialize)]
pub struct PastView {
    pub revision: u64,
    /// The revision before it.
    pub before: u64,
    /// UTC, as in RFC 3339.
    pub time: String,
    pub author: String,
    pub reason: String,
    pub objectives: Tally,
    pub devices: Tally,
    /// All that it did, if it was asked for alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

impl PastView {
    /// Takes what the controller says of a change set.
    pub fn new(peer: &Peer, past: pb::PastChange) -> Result<PastView, CliError> {
        let devices = past.devices.into_iter().map(device_difference);
        let mut differences: Vec<_> = devices.collect();
        for difference in past.objectives {
            let difference = objective_difference(difference);
            differences.push(difference.map_err(|message| CliError::BadAnswer {
                peer: peer.clone(),
                message,
            })?);
        }
        Ok(PastView {
            revision: past.revision,
            before: past.before,
            time: words::time(past.time),
            author: past.author,
            reason: past.reason,
            objectives: Tally {
                created: past.created,
                changed: past.changed,
                unchanged: 0,
                deleted: past.deleted,
            },
            devices: Tally {
                created: past.devices_created,
                changed: past.devices_changed,
                unchanged: 0,
                deleted: past.devices_removed,
            },
            differences,
        })
    }

    /// How much it did, in words.
    fn what(&self) -> String {
        let devices = self.devices.line("device");
        let lines = devices.into_iter().chain(self.objectives.line("objective"));
        lines.collect::<Vec<_>>().join("; ")
    }

    /// All of it for people.
    pub fn text(&self, is_coloured: bool) -> String {
        let mut text = format!("revision {} (before: {})\n", self.revision, self.before);
        for (name, value) in [
            ("time", &self.time),
            ("author", &self.author),
            ("reason", &self.reason),
        ] {
            if !value.is_empty() {
                text += &format!("{:10}{value}\n", format!("{name}:"));
            }
        }
        text += &format!("{:10}{}\n\n", "changes:", self.what());
        text + &render(&self.differences, is_coloured)
    }
}

fn device_difference(difference: pb::DeviceDifference) -> Difference {
    let device = |spec: pb::DeviceSpec| Device {
        name: spec.name,
        address: spec.address,
        device_id: spec.device_id,
    };
    let (before, after) = (difference.before.map(device), difference.after.map(device));
    let name = before
        .as_ref()
        .or(after.as_ref())
        .map(|device| device.name.clone());
    Difference::of_device(&name.unwrap_or_default(), before.as_ref(), after.as_ref())
}

fn objective_difference(difference: pb::ObjectiveDifference) -> Result<Difference, String> {
    let model = |objective: Option<_>| -> Result<Option<Objective>, String> {
        let model = objective.as_ref().map(Objective::try_from).transpose();
        model.map_err(|error| error.to_string())
    };
    let (before, after) = (model(difference.before)?, model(difference.after)?);
    let id: ObjectiveId = match before.as_ref().or(after.as_ref()) {
        Some(objective) => objective.id(),
        None => return Err("a difference between nothing and nothing".to_owned()),
    };
    let device = &difference.device;
    Ok(Difference::of_objective(
        device,
        &id,
        before.as_ref(),
        after.as_ref(),
    ))
}

/// Change sets for people, a line for each.
pub fn table(changes: &[PastView]) -> Table {
    let mut table = Table::new(["REVISION", "TIME", "AUTHOR", "CHANGES", "REASON"]);
    for past in changes {
        table.row([
            Cell::number(past.revision),
            past.time.as_str().into(),
            past.author.as_str().into(),
            past.what().into(),
            past.reason.as_str().into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use pointsman_model::Model;

    use super::*;

    fn past() -> pb::PastChange {
        pb::PastChange {
            revision: 12,
            before: 9,
            time: 1_800_000_000,
            author: "ada@noc".into(),
            reason: "spine 2 is back".into(),
            created: 1,
            changed: 2,
            devices_created: 1,
            ..Default::default()
        }
    }

    fn peer() -> Peer {
        Peer::Controller("127.0.0.1:9700".into())
    }

    #[test]
    fn each_change_set_is_a_line() {
        let older = pb::PastChange {
            revision: 9,
            deleted: 1,
            ..Default::default()
        };
        let changes = [past(), older].map(|past| PastView::new(&peer(), past).expect("good"));
        expect![[r#"
            REVISION  TIME                  AUTHOR   CHANGES                                                  REASON
                  12  2027-01-15T08:00:00Z  ada@noc  1 device: 1 created; 3 objectives: 1 created, 2 changed  spine 2 is back
                   9  1970-01-01T00:00:00Z           1 objective: 1 deleted
        "#]].assert_eq(&table(&changes).render(false));
    }

    #[test]
    fn one_of_them_shows_all_that_it_did() {
        let objective = |port| {
            let yaml = format!(
                "device: leaf1\nobjectives:\n  - {{ next: a, type: simple, buckets: [ {{ output: {port} }} ] }}\n"
            );
            let model = Model::parse("test.yaml", &yaml).expect("valid");
            Some((&model.objectives[0].value.change.objective).into())
        };
        let spec = pb::DeviceSpec {
            name: "leaf2".into(),
            address: "192.0.2.2:9559".into(),
            device_id: 2,
        };
        let past = pb::PastChange {
            devices: vec![pb::DeviceDifference {
                before: None,
                after: Some(spec),
            }],
            objectives: vec![pb::ObjectiveDifference {
                device: "leaf1".into(),
                before: objective(1),
                after: objective(2),
            }],
            ..past()
        };
        let view = PastView::new(&peer(), past).expect("good");
        expect![[r#"
            revision 12 (before: 9)
            time:     2027-01-15T08:00:00Z
            author:   ada@noc
            reason:   spine 2 is back
            changes:  1 device: 1 created; 3 objectives: 1 created, 2 changed

            device/leaf2
            +   - { name: leaf2, address: 192.0.2.2:9559, device_id: 2 }
            leaf1 next/a
            -       - { output: 1 }
                - next: a
                  type: simple
                  buckets:
            +       - { output: 2 }
        "#]]
        .assert_eq(&view.text(false));
    }
}
