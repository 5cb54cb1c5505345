//! Entries of objectives that somebody else has changed or deleted: what is wanted, what is there, and who did it.

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use serde::Serialize;

use crate::table::paint;
use crate::words;

/// What of a device is not as its objectives want it, or why that is not known.
#[derive(Debug, Serialize)]
pub struct DeviceDriftView {
    pub device: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// What becomes of what clients write to entries of objectives.
    pub policy: String,
    /// Entries that were put right since the agent's start.
    pub repairs: u64,
    pub drift: Vec<DriftView>,
    /// Entries that are no objective's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<String>,
}

/// One entry.
#[derive(Debug, Serialize)]
pub struct DriftView {
    /// KIND/NAME
    pub objectives: Vec<String>,
    pub wanted: String,
    /// Not there if nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub found: String,
    pub by: String,
    pub time: String,
    /// When it is put right by itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repair_time: String,
}

impl From<objective_pb::Drift> for DriftView {
    fn from(drift: objective_pb::Drift) -> Self {
        let repair_time = match drift.repair_time {
            0 => String::new(),
            time => words::time(time / 1000),
        };
        Self {
            by: who(&drift.by.unwrap_or_default()),
            objectives: drift.objectives,
            wanted: drift.wanted,
            found: drift.found,
            time: words::time(drift.time / 1000),
            repair_time,
        }
    }
}

impl DeviceDriftView {
    /// Of one device.
    pub fn new(device: String, answer: agent_pb::GetDriftResponse) -> Self {
        Self {
            device,
            error: String::new(),
            policy: answer.policy,
            repairs: answer.repairs,
            drift: answer.drift.into_iter().map(DriftView::from).collect(),
            foreign: answer.foreign,
        }
    }

    /// Is all known, and as objectives want it?
    pub fn is_well(&self) -> bool {
        self.error.is_empty() && self.drift.is_empty()
    }
}

impl From<pb::DeviceDrift> for DeviceDriftView {
    fn from(answer: pb::DeviceDrift) -> Self {
        Self {
            error: answer.error,
            ..Self::new(answer.device, answer.drift.unwrap_or_default())
        }
    }
}

fn who(writer: &objective_pb::Writer) -> String {
    let mut who = match writer.identity.as_str() {
        "" => format!("a client from {}", writer.address),
        identity => format!("{identity} from {}", writer.address),
    };
    if !writer.role.is_empty() {
        who += &format!(" in role {}", writer.role);
    }
    match (writer.election_id_high, writer.election_id_low) {
        (0, 0) => {}
        (0, low) => who += &format!(" with election id {low}"),
        (high, low) => who += &format!(" with election id {high}:{low}"),
    }
    who
}

/// Drift for people.
pub fn render(devices: &[DeviceDriftView], is_coloured: bool) -> String {
    let mut text = String::new();
    for device in devices {
        for drift in &device.drift {
            let subject = format!("{} {}", device.device, drift.objectives.join(", "));
            let subject = paint(&subject, anstyle::Style::new().bold(), is_coloured);
            text += &format!("{subject}\n{}", lines(drift, is_coloured));
        }
        for entry in &device.foreign {
            text += &format!("{} no objective's\n  {entry}\n", device.device);
        }
    }
    text
}

/// One entry for people.
pub fn lines(drift: &DriftView, is_coloured: bool) -> String {
    let (found, what) = match drift.found.as_str() {
        "" => ("nothing", "deleted"),
        found => (found, "changed"),
    };
    let wanted = paint(&drift.wanted, words::GOOD, is_coloured);
    let found = paint(found, words::BAD, is_coloured);
    let mut text = format!("  wanted  {wanted}\n  found   {found}\n");
    text += &format!("  {what} by {} at {}", drift.by, drift.time);
    text += &match drift.repair_time.as_str() {
        "" => "; `pointsman repair` puts it right\n".to_owned(),
        time => format!("; put right at {time}\n"),
    };
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn drift_says_what_is_wanted_what_is_there_who_did_it_and_what_comes_of_it() {
        let by = objective_pb::Writer {
            role: "ops".into(),
            election_id_low: 9,
            address: "192.0.2.7:40000".into(),
            ..Default::default()
        };
        let changed = objective_pb::Drift {
            wanted: "routing_v4: 10.0.2.0/24 -> set_next_id(next_id=1)".into(),
            found: "routing_v4: 10.0.2.0/24 -> drop()".into(),
            objectives: vec!["forward/rack2".into()],
            by: Some(by.clone()),
            time: 1_700_000_000_000,
            repair_time: 0,
        };
        let deleted = objective_pb::Drift {
            wanted: "simple: next_id=1 -> output(port=2)".into(),
            found: String::new(),
            objectives: vec!["next/a".into(), "next/b".into()],
            by: Some(objective_pb::Writer {
                identity: "tester".into(),
                ..by
            }),
            time: 1_700_000_000_000,
            repair_time: 1_700_000_002_000,
        };
        let answer = agent_pb::GetDriftResponse {
            drift: vec![changed, deleted],
            foreign: vec!["acl: everything -> drop()".into()],
            policy: "keep".into(),
            repairs: 0,
        };
        let view = DeviceDriftView::new("leaf1".into(), answer);
        assert!(!view.is_well());
        expect![[r#"
            leaf1 forward/rack2
              wanted  routing_v4: 10.0.2.0/24 -> set_next_id(next_id=1)
              found   routing_v4: 10.0.2.0/24 -> drop()
              changed by a client from 192.0.2.7:40000 in role ops with election id 9 at 2023-11-14T22:13:20Z; `pointsman repair` puts it right
            leaf1 next/a, next/b
              wanted  simple: next_id=1 -> output(port=2)
              found   nothing
              deleted by tester from 192.0.2.7:40000 in role ops with election id 9 at 2023-11-14T22:13:20Z; put right at 2023-11-14T22:13:22Z
            leaf1 no objective's
              acl: everything -> drop()
        "#]]
        .assert_eq(&render(&[view], false));
    }
}
