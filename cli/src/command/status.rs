//! `pointsman status`: the cluster, every device, and everything that is not as wanted.

use std::process::ExitCode;

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use serde::Serialize;

use super::get;
use crate::args::Global;
use crate::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::view::apply::MOST_SHOWN;
use crate::view::devices::{self, AgentView, DeviceView};
use crate::view::nodes::{self, ClusterView};
use crate::view::objectives::{self, ObjectiveView};
use crate::words;

#[derive(Serialize)]
struct Overview {
    cluster: ClusterView,
    devices: Vec<DeviceView>,
    unapplied: Vec<ObjectiveView>,
    /// Applied, but somebody else has changed their entries.
    drifted: Vec<ObjectiveView>,
    /// Applied, but a port is down that they use.
    degraded: Vec<ObjectiveView>,
}

/// Runs the command. Fails when a device or objective is not as wanted.
pub async fn run(global: &Global, output: &mut Output) -> Result<ExitCode, CliError> {
    if let Some(address) = &global.agent {
        return of_agent(address, global, output).await;
    }
    let mut controller = connect::controller(&global.controller).await?;
    let cluster = get::cluster(&mut controller).await?;
    let devices = get::devices(&mut controller).await?;
    let mut unwell = get::objectives(&mut controller, "", false)
        .await?
        .objectives;
    unwell.retain(|objective| !objective.is_well());
    let (applied, unapplied): (Vec<_>, _) = unwell.into_iter().partition(ObjectiveView::is_applied);
    let (drifted, degraded) = applied.into_iter().partition(ObjectiveView::has_drifted);
    let overview = Overview {
        cluster,
        devices,
        unapplied,
        drifted,
        degraded,
    };
    output.value(&overview, |output| {
        output.text(&format!("{}\n", nodes::summary(&overview.cluster)))?;
        output.columns(devices::table(&overview.devices), devices::WIDE)?;
        let lists = [&overview.unapplied, &overview.drifted, &overview.degraded];
        let unwell = lists.into_iter().flatten();
        let mut shown =
            objectives::table(unwell.clone().take(MOST_SHOWN)).without(objectives::WIDE);
        shown.and_more(
            unwell.count().saturating_sub(MOST_SHOWN),
            "pointsman get objectives",
        );
        output.table(&shown)?;
        output.text(&format!("{}\n", verdict(&overview)))
    })?;
    Ok(if is_well(&overview) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn is_well(overview: &Overview) -> bool {
    overview.unapplied.is_empty()
        && overview.drifted.is_empty()
        && overview.cluster.leader.is_some()
        && overview.devices.iter().all(DeviceView::is_in_sync)
}

fn verdict(overview: &Overview) -> String {
    if is_well(overview) {
        let applied: u32 = overview
            .devices
            .iter()
            .map(|device| device.objectives.applied)
            .sum();
        let applied = usize::try_from(applied).unwrap_or(usize::MAX);
        let applied = words::count(applied, "objective");
        return match overview.degraded.len() {
            0 => format!("all is as wanted: {applied} applied"),
            degraded => format!("all is as wanted: {applied} applied, {degraded} of them degraded"),
        };
    }
    let out_of_sync = overview
        .devices
        .iter()
        .filter(|device| !device.is_in_sync())
        .count();
    let drifted = match overview.drifted.len() {
        0 => String::new(),
        drifted => format!("{drifted} drifted, "),
    };
    format!(
        "not all is as wanted: {} not applied, {drifted}{} unreachable or out of sync",
        words::count(overview.unapplied.len(), "objective"),
        words::count(out_of_sync, "device")
    )
}

async fn of_agent(
    address: &str,
    global: &Global,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut agent = connect::agent(address, &global.agent_tls).await?;
    let status = agent.client.get_status(agent_pb::GetStatusRequest {}).await;
    let view = AgentView::from(status.map_err(|status| agent.error(status))?.into_inner());
    output.value(&view, |output| output.table(&devices::agent_table(&view)))?;
    Ok(ExitCode::SUCCESS)
}
