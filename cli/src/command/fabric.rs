//! `pointsman get links|hosts|topology|paths` of a controller.

use std::process::ExitCode;

use pointsman_proto::pointsman::controller::v1 as pb;

use crate::args::{Format, Global};
use crate::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::view::fabric::{self, FabricHostView, GraphView, LinksView};
use crate::view::paths::{self, PathsView};

/// The links of devices, or of all.
pub async fn links(
    global: &Global,
    devices: Vec<String>,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut topology = connect::topology(&global.controller).await?;
    let answer = topology.client.get_links(pb::GetLinksRequest { devices });
    let answer = answer.await.map_err(|status| topology.error(status))?;
    let view = LinksView::from(answer.into_inner());
    let names = view.links.iter().map(fabric::link_name);
    output.listed(&view, names, |output| {
        output.table(&fabric::links_table(&view.links, &view.neighbors))
    })?;
    if view.links.is_empty() && view.neighbors.is_empty() {
        output.remark("no links: nobody speaks LLDP at a port that is up");
    }
    Ok(ExitCode::SUCCESS)
}

/// The hosts at devices, or at all.
pub async fn hosts(
    global: &Global,
    devices: Vec<String>,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let mut topology = connect::topology(&global.controller).await?;
    let answer = topology.client.get_hosts(pb::GetHostsRequest { devices });
    let answer = answer.await.map_err(|status| topology.error(status))?;
    let hosts = answer.into_inner().hosts.into_iter();
    let views: Vec<_> = hosts.map(FabricHostView::from).collect();
    let names = views.iter().map(|view| view.host.mac.clone());
    output.listed(&views, names, |output| {
        output.table(&fabric::hosts_table(&views))
    })?;
    if views.is_empty() {
        output.remark("no hosts: none has spoken ARP, neighbour discovery or DHCP yet");
    }
    Ok(ExitCode::SUCCESS)
}

/// Devices and the links between them; for programs also hosts. Fails if a view is not fresh.
pub async fn graph(global: &Global, output: &mut Output) -> Result<ExitCode, CliError> {
    let mut topology = connect::topology(&global.controller).await?;
    let hosts = matches!(output.format(), Format::Json | Format::Yaml);
    let answer = topology.client.get_graph(pb::GetGraphRequest { hosts });
    let answer = answer.await.map_err(|status| topology.error(status))?;
    let view = GraphView::from(answer.into_inner());
    let names = view.devices.iter().map(|device| device.device.clone());
    output.listed(&view, names, |output| {
        output.columns(fabric::devices_table(&view), fabric::WIDE)?;
        if !view.links.is_empty() {
            output.text("\n")?;
        }
        output.table(&fabric::links_table(&view.links, &[]))
    })?;
    if view.devices.is_empty() {
        output.remark("no devices yet: apply a file with `devices:`");
    }
    let is_fresh = view.devices.iter().all(|device| device.view == "fresh");
    Ok(match is_fresh {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The shortest paths between two devices or hosts. Fails if there is none.
pub async fn paths(
    global: &Global,
    ends: &[String],
    most: u32,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let [from, to] = ends else {
        return Err(CliError::Usage(
            "paths lead from one place to another: give two, each a device or the MAC or IP address of a host".to_owned(),
        ));
    };
    let mut topology = connect::topology(&global.controller).await?;
    let request = pb::GetPathsRequest {
        from: from.clone(),
        to: to.clone(),
        max_paths: most,
    };
    let answer = topology.client.get_paths(request).await;
    let answer = answer.map_err(|status| topology.error(status))?;
    let view = PathsView::from(answer.into_inner());
    output.value(&view, |output| output.text(&paths::text(&view)))?;
    if view.paths.is_empty() {
        return Err(CliError::Failed(view.reason));
    }
    output.remark(&paths::remark(&view));
    Ok(ExitCode::SUCCESS)
}
