//! `pointsman drift` and `pointsman repair`: entries of objectives that others have changed, and putting them right.

use std::process::ExitCode;

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;

use crate::args::Global;
use crate::connect;
use crate::error::CliError;
use crate::name::ObjectiveName;
use crate::output::Output;
use crate::view::drift::{DeviceDriftView, render};
use crate::words;

/// Shows drift. Fails, as diff(1) does, when there is some.
pub async fn run(
    global: &Global,
    device: Option<&str>,
    foreign: bool,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let request = agent_pb::GetDriftRequest { foreign };
    let views = match &global.agent {
        Some(address) => {
            let mut agent = connect::agent(address, &global.agent_tls).await?;
            let answer = agent.client.get_drift(request).await;
            let answer = answer.map_err(|status| agent.error(status))?.into_inner();
            vec![DeviceDriftView::new("this agent".to_owned(), answer)]
        }
        None => {
            let mut controller = connect::controller(&global.controller).await?;
            let request = pb::GetDriftRequest {
                device: device.unwrap_or_default().to_owned(),
                request: Some(request),
                ..Default::default()
            };
            let answer = controller.client.get_drift(request).await;
            let answer = answer.map_err(|status| controller.error(status))?;
            let devices = answer.into_inner().devices.into_iter();
            devices.map(DeviceDriftView::from).collect()
        }
    };
    output.value(&views, |output| {
        let text = render(&views, output.is_coloured());
        output.text(&text)
    })?;
    for view in views.iter().filter(|view| !view.error.is_empty()) {
        output.complain(&CliError::Failed(format!(
            "{}: {}",
            view.device, view.error
        )));
    }
    Ok(match views.iter().all(DeviceDriftView::is_well) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Has entries put right.
pub async fn repair(
    global: &Global,
    device: Option<&str>,
    objective: Option<ObjectiveName>,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let of_objective = objective
        .as_ref()
        .and_then(|objective| objective.device.clone());
    let device = device.map(str::to_owned).or(of_objective);
    let objective = objective.map(|objective| agent_pb::ObjectiveName {
        kind: pointsman_proto::pointsman::objective::v1::Kind::from(objective.kind).into(),
        name: objective.name.to_string(),
    });
    let request = agent_pb::RepairRequest { objective };
    let answer = match (&global.agent, device) {
        (Some(address), _) => {
            let mut agent = connect::agent(address, &global.agent_tls).await?;
            let answer = agent.client.repair(request).await;
            answer.map_err(|status| agent.error(status))?.into_inner()
        }
        (None, Some(device)) => {
            let mut controller = connect::controller(&global.controller).await?;
            let request = pb::RepairRequest {
                device,
                request: Some(request),
            };
            let answer = controller.client.repair(request).await;
            let answer = answer.map_err(|status| controller.error(status))?;
            answer.into_inner()
        }
        (None, None) => {
            return Err(CliError::Usage(
                "say on which device; `pointsman drift` shows where there is something to repair"
                    .to_owned(),
            ));
        }
    };
    for failed in &answer.failed {
        output.complain(&CliError::Failed(failed.clone()));
    }
    let repaired = usize::try_from(answer.repaired).unwrap_or(usize::MAX);
    output.text(&format!("{} put right\n", words::entries(repaired)))?;
    Ok(match answer.failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
