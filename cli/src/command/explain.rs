//! `pointsman explain`: everything that is known of one objective.

use std::process::ExitCode;

use pointsman_model::{Kind, Name};
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use serde::Serialize;

use super::get::{self, Objectives};
use crate::args::Global;
use crate::connect;
use crate::error::CliError;
use crate::name::ObjectiveName;
use crate::output::Output;
use crate::view::drift;
use crate::view::objectives::ObjectiveView;
use crate::words;

#[derive(Serialize)]
struct Explanation<'o> {
    #[serde(flatten)]
    objective: &'o ObjectiveView,
    /// What sends packets to it, as KIND/NAME.
    used_by: Vec<String>,
}

/// Runs the command.
pub async fn run(
    global: &Global,
    wanted: ObjectiveName,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let answer = ask(global, wanted.device.as_deref()).await?;
    let found: Vec<_> = answer
        .objectives
        .iter()
        .filter(|view| wanted.means(&view.device, &view.model))
        .collect();
    if found.is_empty() {
        let place = wanted.device.as_deref().unwrap_or("any device");
        let ObjectiveName { kind, name, .. } = &wanted;
        return Err(CliError::Failed(format!(
            "there is no {kind}/{name} on {place}"
        )));
    }
    let explanations: Vec<_> = found
        .into_iter()
        .map(|objective| Explanation {
            objective,
            used_by: users(
                &answer.objectives,
                &objective.device,
                wanted.kind,
                &wanted.name,
            ),
        })
        .collect();
    output.value(&explanations, |output| {
        output.text(&explanations.iter().map(text).collect::<Vec<_>>().join("\n"))
    })?;
    for error in &answer.errors {
        output.complain(&CliError::Failed(error.clone()));
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(global: &Global, device: Option<&str>) -> Result<Objectives, CliError> {
    let Some(address) = &global.agent else {
        let mut controller = connect::controller(&global.controller).await?;
        return get::objectives(&mut controller, device.unwrap_or_default(), true).await;
    };
    let mut agent = connect::agent(address, &global.agent_tls).await?;
    let request = agent_pb::ListObjectivesRequest { entries: true };
    let answer = agent.client.list_objectives(request).await;
    let answer = answer.map_err(|status| agent.error(status))?.into_inner();
    let device = device.unwrap_or("this agent");
    let views = answer.objectives.into_iter();
    let views = views.map(|objective| ObjectiveView::new(&agent.peer, device, objective));
    Ok(Objectives {
        objectives: views.collect::<Result<_, _>>()?,
        errors: Vec::new(),
    })
}

fn users(all: &[ObjectiveView], device: &str, kind: Kind, name: &Name) -> Vec<String> {
    if kind != Kind::Next {
        return Vec::new();
    }
    let users = all
        .iter()
        .filter(|view| view.device == device && view.model.nexts().contains(&name))
        .map(|view| format!("{}/{}", view.kind, view.name));
    users.collect()
}

fn text(explanation: &Explanation<'_>) -> String {
    let Explanation { objective, used_by } = explanation;
    let mut text = pointsman_model::to_yaml(&objective.device, [&objective.model]);
    text += &format!(
        "\nstate:    {}, revision {}{}\n",
        objective.state,
        objective.revision,
        in_force(objective)
    );
    if !objective.is_well() {
        text += &format!("because:  {}\n", objective.why());
    }
    let refers_to: Vec<_> = objective
        .model
        .nexts()
        .iter()
        .map(|next| format!("next/{next}"))
        .collect();
    for (head, names) in [("uses:     ", &refers_to), ("used by:  ", used_by)] {
        if !names.is_empty() {
            text += &format!("{head}{}\n", names.join(", "));
        }
    }
    if !objective.entries.is_empty() {
        text += "entries:\n";
        text += &by_table(objective);
    }
    if let Some(counted) = &objective.counted {
        let taken = packets_and_bytes(counted.packets, counted.bytes);
        text += &format!("counted:  {}: {taken}\n", counted.name);
    }
    if !objective.drift.is_empty() {
        text += "drift:\n";
        for entry in &objective.drift {
            text += &drift::lines(entry, false);
        }
    }
    text
}

/// The entries under the names of their tables, each with what it has counted.
fn by_table(objective: &ObjectiveView) -> String {
    let mut text = String::new();
    let mut last = None;
    for (index, entry) in objective.entries.iter().enumerate() {
        let (table, entry) = entry.split_once(": ").unwrap_or(("", entry));
        if last != Some(table) {
            text += &format!("  {table}\n");
            last = Some(table);
        }
        text += &format!("    {entry}\n");
        let mut counts = objective.counts.iter();
        if let Some(count) = counts.find(|count| count.entry as usize == index) {
            let taken = packets_and_bytes(count.packets, count.bytes);
            text += &format!("      {taken}\n");
        }
    }
    text
}

/// `3 packets, 192 bytes`
fn packets_and_bytes(packets: u64, bytes: u64) -> String {
    let count = |number, what| words::count(usize::try_from(number).unwrap_or(usize::MAX), what);
    format!("{}, {}", count(packets, "packet"), count(bytes, "byte"))
}

/// Which version the switch holds, if it is not the one that is wanted.
fn in_force(objective: &ObjectiveView) -> String {
    match objective.applied_revision {
        applied if applied == 0 || applied == objective.revision => String::new(),
        applied => format!("; revision {applied} is in force"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use pointsman_model::Model;
    use pointsman_proto::pointsman::objective::v1 as pb;

    use super::*;
    use crate::error::Peer;

    const YAML: &str = "
device: leaf1
objectives:
  - next: spine
    type: simple
    buckets: [ { output: 49 } ]
  - forward: rack2
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }
    next: spine
";

    fn views() -> Vec<ObjectiveView> {
        let model = Model::parse("test.yaml", YAML).expect("valid");
        let views = model.objectives.iter().map(|located| {
            let answer = pb::ObjectiveStatus {
                objective: Some((&located.value.change.objective).into()),
                status: Some(pb::Status {
                    state: pb::State::Pending.into(),
                    reason: pb::Reason::NoPipeline.into(),
                    message: "set one first".into(),
                    revision: 7,
                    ..pb::Status::default()
                }),
                entries: vec!["next.simple: next_id=1 -> output(port=49)".into()],
                counts: vec![pb::EntryCount {
                    entry: 0,
                    packets: 3,
                    bytes: 192,
                }],
                counted: Some(pb::Counted {
                    name: "web".into(),
                    packets: 3,
                    bytes: 192,
                }),
                ..pb::ObjectiveStatus::default()
            };
            ObjectiveView::new(&Peer::Agent(String::new()), "leaf1", answer).expect("understood")
        });
        views.collect()
    }

    #[test]
    fn an_objective_is_explained_with_what_it_uses_what_uses_it_and_what_it_became() {
        let views = views();
        let name = views[0].model.name.clone();
        let explanation = Explanation {
            objective: &views[0],
            used_by: users(&views, "leaf1", Kind::Next, &name),
        };
        expect![[r#"
            device: leaf1
            objectives:
              - next: spine
                type: simple
                buckets:
                  - { output: 49 }

            state:    pending, revision 7
            because:  no pipeline: set one first
            used by:  forward/rack2
            entries:
              next.simple
                next_id=1 -> output(port=49)
                  3 packets, 192 bytes
            counted:  web: 3 packets, 192 bytes
        "#]]
        .assert_eq(&text(&explanation));
    }
}
