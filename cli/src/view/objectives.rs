//! Objectives: what each asks for in a line, how it fares, what it became.

use pointsman_model::{
    Filter, FilterType, Forward, Name, Next, Objective, ObjectiveKind, Selector,
};
use pointsman_proto::pointsman::objective::v1 as pb;
use serde::ser::Error;
use serde::{Serialize, Serializer};

use super::drift::DriftView;
use crate::error::{CliError, Peer};
use crate::name::ObjectiveName;
use crate::table::{Cell, Table};
use crate::words;

/// One objective of one device.
#[derive(Debug, Serialize)]
pub struct ObjectiveView {
    pub device: String,
    pub kind: &'static str,
    pub name: String,
    pub state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    pub revision: u64,
    /// The revision of the version that the data plane holds; 0 if it holds none.
    pub applied_revision: u64,
    /// As it stands in a file.
    #[serde(rename = "objective", serialize_with = "as_in_a_file")]
    pub model: Objective,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// Those of them that are not as it wants them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftView>,
    /// What entries have counted whose tables count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<CountView>,
    /// What its `count` asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted: Option<CountedView>,
    #[serde(skip)]
    style: anstyle::Style,
    #[serde(skip)]
    is_applied: bool,
}

impl ObjectiveView {
    /// Takes what a server says of an objective of `device`.
    pub fn new(peer: &Peer, device: &str, answer: pb::ObjectiveStatus) -> Result<Self, CliError> {
        let bad_answer = |message: String| CliError::BadAnswer {
            peer: peer.clone(),
            message,
        };
        let objective = answer.objective.unwrap_or_default();
        let model = Objective::try_from(&objective)
            .map_err(|error| bad_answer(format!("{}: {error}", objective.name)))?;
        let status = answer.status.unwrap_or_default();
        let (state, style) = words::state(&status);
        Ok(Self {
            device: device.to_owned(),
            kind: model.kind().name(),
            name: model.name.to_string(),
            state,
            style,
            is_applied: status.state() == pb::State::Applied,
            reason: words::reason(status.reason()),
            message: status.message,
            revision: status.revision,
            applied_revision: status.applied_revision,
            entries: answer.entries,
            counts: answer.counts.into_iter().map(CountView::from).collect(),
            counted: answer.counted.map(CountedView::from),
            drift: answer.drift.into_iter().map(DriftView::from).collect(),
            model,
        })
    }

    /// How commands call it.
    pub fn full_name(&self) -> ObjectiveName {
        ObjectiveName {
            device: Some(self.device.clone()),
            kind: self.model.kind(),
            name: self.model.name.clone(),
        }
    }

    /// Is it in the data plane?
    pub fn is_applied(&self) -> bool {
        self.is_applied
    }

    /// Is it in the data plane, and all of it of use?
    pub fn is_well(&self) -> bool {
        self.is_applied && self.reason.is_empty()
    }

    /// Has somebody else changed or deleted entries of it?
    pub fn has_drifted(&self) -> bool {
        self.state == words::DRIFTED
    }

    /// Why it is not applied, or degraded, in words.
    pub fn why(&self) -> String {
        why(self.reason, &self.message)
    }
}

/// A reason and its message as one sentence.
pub fn why(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// The objective as it stands in a file.
fn as_in_a_file<S: Serializer>(objective: &Objective, serializer: S) -> Result<S::Ok, S::Error> {
    let yaml = pointsman_model::to_yaml("device", [objective]);
    let document: serde_json::Value = serde_saphyr::from_str(&yaml).map_err(S::Error::custom)?;
    document["objectives"][0].serialize(serializer)
}

/// What one entry has counted.
#[derive(Debug, Serialize)]
pub struct CountView {
    /// Its place in `entries`.
    pub entry: u32,
    pub packets: u64,
    pub bytes: u64,
}

impl From<pb::EntryCount> for CountView {
    fn from(count: pb::EntryCount) -> Self {
        Self {
            entry: count.entry,
            packets: count.packets,
            bytes: count.bytes,
        }
    }
}

/// The packets of an objective, under the name that it gives them.
#[derive(Debug, Serialize)]
pub struct CountedView {
    pub name: String,
    pub packets: u64,
    pub bytes: u64,
}

impl From<pb::Counted> for CountedView {
    fn from(counted: pb::Counted) -> Self {
        Self {
            name: counted.name,
            packets: counted.packets,
            bytes: counted.bytes,
        }
    }
}

/// The columns that are shown only if more are wanted.
pub const WIDE: &[&str] = &["PRIORITY", "OWNER", "GROUP", "TIMEOUT"];

/// Objectives for people; what is not as wanted has the reason below it.
pub fn table<'o>(objectives: impl IntoIterator<Item = &'o ObjectiveView>) -> Table {
    let mut table = Table::new([
        "DEVICE", "KIND", "NAME", "STATE", "REVISION", "PRIORITY", "OWNER", "GROUP", "TIMEOUT",
        "WHAT",
    ]);
    let name = |name: &Option<Name>| name.as_ref().map(Name::to_string).unwrap_or_default();
    for objective in objectives {
        let attributes = &objective.model.attributes;
        let timeout = &attributes.timeout;
        let timeout = (!timeout.is_never()).then(|| timeout.to_string());
        table.row([
            objective.device.as_str().into(),
            objective.kind.into(),
            objective.name.as_str().into(),
            Cell::styled(objective.state, objective.style),
            Cell::number(objective.revision),
            Cell::number(objective.model.priority),
            name(&attributes.owner).into(),
            name(&attributes.group).into(),
            timeout.unwrap_or_default().into(),
            summary(&objective.model).into(),
        ]);
        if !objective.is_well() {
            table.note(objective.why());
        }
        for entry in &objective.entries {
            table.note(&**entry);
        }
    }
    table
}

/// What an objective asks for, in a line.
pub fn summary(objective: &Objective) -> String {
    match &objective.kind {
        ObjectiveKind::Filter(Filter {
            filter_type,
            key,
            conditions,
            treatment,
        }) => {
            let what = match filter_type {
                FilterType::Deny => vec!["deny"],
                FilterType::Permit => treatment.iter().map(|step| step.name()).collect(),
            };
            let matches = [key, conditions].into_iter().flat_map(Selector::iter);
            let matches: Vec<_> = matches.map(|criterion| criterion.to_string()).collect();
            arrow(&matches.join(", "), &what.join(", "))
        }
        ObjectiveKind::Forward(Forward {
            selector,
            next,
            treatment,
            ..
        }) => {
            let matches: Vec<_> = selector
                .iter()
                .map(|criterion| criterion.to_string())
                .collect();
            let next = next.iter().map(|next| format!("next {next}"));
            let steps = treatment.iter().map(|step| step.name().to_owned());
            let what: Vec<_> = steps.chain(next).collect();
            let matches = if matches.is_empty() {
                "everything".to_owned()
            } else {
                matches.join(", ")
            };
            arrow(&matches, &what.join(", "))
        }
        ObjectiveKind::Next(Next {
            next_type, buckets, ..
        }) => {
            format!(
                "{}, {}",
                next_type.name(),
                words::count(buckets.len(), "bucket")
            )
        }
    }
}

fn arrow(from: &str, to: &str) -> String {
    if to.is_empty() {
        from.to_owned()
    } else {
        format!("{from} -> {to}")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use pointsman_model::Model;

    use super::*;

    const YAML: &str = "
device: leaf1
objectives:
  - filter: h1-in
    key: { in_port: swp1 }
    conditions: { vlan_vid: untagged }
    treatment: { push_vlan: 10 }
  - next: spines
    type: hashed
    buckets:
      - { set: { eth_src: 02:00:00:00:01:00, eth_dst: 02:00:00:00:02:01 }, output: 49 }
      - { set: { eth_src: 02:00:00:00:01:00, eth_dst: 02:00:00:00:02:02 }, output: 50 }
  - forward: rack2
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }
    next: spines
";

    fn views() -> Vec<ObjectiveView> {
        let model = Model::parse("test.yaml", YAML).expect("valid");
        let views = model.objectives.iter().enumerate().map(|(index, located)| {
            let is_last = index == 2;
            let state = if is_last {
                pb::State::Pending
            } else {
                pb::State::Applied
            };
            let reason = if is_last {
                pb::Reason::WaitsForNext
            } else {
                pb::Reason::Unspecified
            };
            let status = pb::Status {
                state: state.into(),
                reason: reason.into(),
                message: if is_last {
                    "next spines is not applied".into()
                } else {
                    String::new()
                },
                revision: index as u64 + 1,
                ..pb::Status::default()
            };
            let answer = pb::ObjectiveStatus {
                objective: Some((&located.value.change.objective).into()),
                status: Some(status),
                ..pb::ObjectiveStatus::default()
            };
            ObjectiveView::new(&Peer::Agent(String::new()), "leaf1", answer).expect("understood")
        });
        views.collect()
    }

    #[test]
    fn objectives_are_summed_up_in_a_line_and_waiting_ones_say_why() {
        expect![[r#"
            DEVICE  KIND     NAME    STATE    REVISION  WHAT
            leaf1   filter   h1-in   applied         1  in_port: swp1, vlan_vid: untagged -> push_vlan
            leaf1   next     spines  applied         2  hashed, 2 buckets
            leaf1   forward  rack2   pending         3  eth_type: ipv4, ipv4_dst: 10.0.2.0/24 -> next spines
              waits for next: next spines is not applied
        "#]]
        .assert_eq(&table(&views()).without(WIDE).render(false));
    }

    #[test]
    fn a_next_with_a_port_that_is_down_is_degraded_and_says_where_packets_go() {
        let model = Model::parse("test.yaml", YAML).expect("valid");
        let answer = pb::ObjectiveStatus {
            objective: Some((&model.objectives[1].value.change.objective).into()),
            status: Some(pb::Status {
                state: pb::State::Applied.into(),
                reason: pb::Reason::PortDown.into(),
                message: "port 49 of bucket 1 is down; its flows take the others".into(),
                revision: 2,
                ..pb::Status::default()
            }),
            ..pb::ObjectiveStatus::default()
        };
        let view = ObjectiveView::new(&Peer::Agent(String::new()), "leaf1", answer);
        let view = view.expect("understood");
        assert!(view.is_applied() && !view.is_well());
        expect![[r#"
            DEVICE  KIND  NAME    STATE     REVISION  WHAT
            leaf1   next  spines  degraded         2  hashed, 2 buckets
              port down: port 49 of bucket 1 is down; its flows take the others
        "#]]
        .assert_eq(&table([&view]).without(WIDE).render(false));
    }

    #[test]
    fn json_has_the_objective_as_it_stands_in_a_file() {
        let json = serde_json::to_string_pretty(&views()[2]).expect("serializes");
        expect![[r#"
            {
              "device": "leaf1",
              "kind": "forward",
              "name": "rack2",
              "state": "pending",
              "reason": "waits for next",
              "message": "next spines is not applied",
              "revision": 3,
              "applied_revision": 0,
              "objective": {
                "flag": "specific",
                "forward": "rack2",
                "next": "spines",
                "selector": {
                  "eth_type": "ipv4",
                  "ipv4_dst": "10.0.2.0/24"
                }
              }
            }"#]]
        .assert_eq(&json);
    }
}
