//! `pointsman get`, and the questions that other commands ask as well.

use std::process::ExitCode;

use pointsman_model::{Device, devices_to_yaml, to_yaml};
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::agent::v1::inventory_event::Change;
use pointsman_proto::pointsman::controller::v1 as pb;

use crate::args::{Format, GetArgs, Global, What};
use crate::connect::{self, Agent, Controller};
use crate::error::CliError;
use crate::output::Output;
use crate::view::devices::DeviceView;
use crate::view::hosts::{self, HostView, HostsView};
use crate::view::links::{self, LinkView, LinksView};
use crate::view::nodes::ClusterView;
use crate::view::objectives::ObjectiveView;
use crate::view::ports::PortsView;
use crate::view::tables::TablesView;
use crate::view::{devices, nodes, objectives, ports, tables};

/// Objectives, and the devices whose entries could not be read.
pub struct Objectives {
    pub objectives: Vec<ObjectiveView>,
    /// `DEVICE: why`.
    pub errors: Vec<String>,
}

/// Runs the command.
pub async fn run(
    global: &Global,
    args: GetArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let device = args.device.as_deref().unwrap_or_default();
    match &global.agent {
        Some(address) => {
            if !device.is_empty() {
                return Err(CliError::Usage(
                    "an agent has one device; leave its name out".to_owned(),
                ));
            }
            let mut agent = connect::agent(address, &global.agent_tls).await?;
            from_agent(&mut agent, &args, output).await
        }
        None => {
            let mut controller = connect::controller(&global.controller).await?;
            from_controller(&mut controller, &args, device, output).await
        }
    }
}

async fn from_controller(
    controller: &mut Controller,
    args: &GetArgs,
    device: &str,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    match args.what {
        What::Devices => {
            let mut all = devices(controller).await?;
            if !device.is_empty() {
                all.retain(|known| known.name == device);
                if all.is_empty() {
                    return Err(CliError::Failed(format!("there is no device {device:?}")));
                }
            }
            show_devices(&all, output)?;
        }
        What::Objectives => {
            let answer = objectives(controller, device, args.entries).await?;
            return show_objectives(&answer, output);
        }
        What::Ports => {
            let request = pb::GetPortsRequest {
                device: device.to_owned(),
            };
            let answer = controller.client.get_ports(request).await;
            let answer = answer
                .map_err(|status| controller.error(status))?
                .into_inner();
            let views: Vec<_> = answer.devices.into_iter().map(PortsView::from).collect();
            show_ports(&views, output)?;
            return Ok(code_of(views.iter().all(|view| view.error.is_empty())));
        }
        What::Tables => {
            let request = pb::GetTablesRequest {
                device: device.to_owned(),
                entries: args.entries,
            };
            let answer = controller.client.get_tables(request).await;
            let answer = answer
                .map_err(|status| controller.error(status))?
                .into_inner();
            let views: Vec<_> = answer.devices.into_iter().map(TablesView::from).collect();
            show_tables(&views, output)?;
            return Ok(code_of(views.iter().all(|view| view.error.is_empty())));
        }
        What::Links | What::Hosts => {
            return Err(CliError::Usage(
                "links and hosts are what one agent sees; say which with --agent HOST:PORT"
                    .to_owned(),
            ));
        }
        What::Nodes => {
            let cluster = cluster(controller).await?;
            output.value(&cluster, |output| output.table(&nodes::table(&cluster)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn from_agent(
    agent: &mut Agent,
    args: &GetArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let status = agent.client.get_status(agent_pb::GetStatusRequest {}).await;
    let name = status
        .map_err(|status| agent.error(status))?
        .into_inner()
        .name;
    match args.what {
        What::Objectives => {
            let request = agent_pb::ListObjectivesRequest {
                entries: args.entries,
            };
            let answer = agent.client.list_objectives(request).await;
            let answer = answer.map_err(|status| agent.error(status))?.into_inner();
            let views = answer
                .objectives
                .into_iter()
                .map(|objective| ObjectiveView::new(&agent.peer, &name, objective))
                .collect::<Result<_, _>>()?;
            return show_objectives(
                &Objectives {
                    objectives: views,
                    errors: vec![],
                },
                output,
            );
        }
        What::Ports => {
            let answer = agent.client.list_ports(agent_pb::ListPortsRequest {}).await;
            let answer = answer.map_err(|status| agent.error(status))?.into_inner();
            show_ports(&[PortsView::new(name, answer.ports)], output)?;
        }
        What::Links => {
            let events = inventory(agent).await?;
            let links = events.into_iter().filter_map(|change| match change {
                Change::Link(link) => Some(LinkView::from(link)),
                _ => None,
            });
            let view = LinksView {
                device: name,
                links: links.collect(),
            };
            output.value(&view, |output| output.table(&links::table(&view)))?;
            if view.links.is_empty() {
                output.remark("no neighbours: nobody speaks LLDP at a port that is up");
            }
        }
        What::Hosts => {
            let events = inventory(agent).await?;
            let hosts = events.into_iter().filter_map(|change| match change {
                Change::Host(host) => Some(HostView::from(host)),
                _ => None,
            });
            let view = HostsView {
                device: name,
                hosts: hosts.collect(),
            };
            output.value(&view, |output| output.table(&hosts::table(&view)))?;
            if view.hosts.is_empty() {
                output.remark("no hosts: none has spoken ARP, neighbour discovery or DHCP yet");
            }
        }
        What::Tables => {
            let request = agent_pb::ListTablesRequest {
                entries: args.entries,
            };
            let answer = agent.client.list_tables(request).await;
            let answer = answer.map_err(|status| agent.error(status))?.into_inner();
            show_tables(&[TablesView::new(name, answer.tables)], output)?;
        }
        What::Devices | What::Nodes => {
            return Err(CliError::Usage(
                "an agent knows neither devices nor controller nodes; ask for objectives, ports, links, hosts or tables, or leave --agent out".to_owned(),
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that an agent sees around it now.
async fn inventory(agent: &mut Agent) -> Result<Vec<Change>, CliError> {
    let request = agent_pb::WatchInventoryRequest {
        once: true,
        ..Default::default()
    };
    let answer = agent.client.watch_inventory(request).await;
    let mut batches = answer.map_err(|status| agent.error(status))?.into_inner();
    let mut changes = Vec::new();
    while let Some(batch) = batches.message().await.map_err(|s| agent.error(s))? {
        changes.extend(batch.events.into_iter().filter_map(|event| event.change));
    }
    Ok(changes)
}

/// All devices.
pub async fn devices(controller: &mut Controller) -> Result<Vec<DeviceView>, CliError> {
    let answer = controller
        .client
        .get_devices(pb::GetDevicesRequest {})
        .await;
    let answer = answer
        .map_err(|status| controller.error(status))?
        .into_inner();
    Ok(answer.devices.into_iter().map(DeviceView::from).collect())
}

/// The objectives of a device, or of all if its name is empty.
pub async fn objectives(
    controller: &mut Controller,
    device: &str,
    entries: bool,
) -> Result<Objectives, CliError> {
    let request = pb::GetObjectivesRequest {
        device: device.to_owned(),
        entries,
    };
    let answer = controller.client.get_objectives(request).await;
    let answer = answer
        .map_err(|status| controller.error(status))?
        .into_inner();
    let mut all = Objectives {
        objectives: Vec::new(),
        errors: Vec::new(),
    };
    for device in answer.devices {
        for objective in device.objectives {
            all.objectives.push(ObjectiveView::new(
                &controller.peer,
                &device.device,
                objective,
            )?);
        }
        if !device.error.is_empty() {
            all.errors
                .push(format!("{}: {}", device.device, device.error));
        }
    }
    Ok(all)
}

/// The cluster as the node that is asked sees it.
pub async fn cluster(controller: &mut Controller) -> Result<ClusterView, CliError> {
    let answer = controller.client.get_status(pb::GetStatusRequest {}).await;
    Ok(answer
        .map_err(|status| controller.error(status))?
        .into_inner()
        .into())
}

fn show_devices(views: &[DeviceView], output: &mut Output) -> Result<(), CliError> {
    if output.format() == Format::Yaml {
        let devices: Vec<_> = views
            .iter()
            .map(|view| Device {
                name: view.name.clone(),
                address: view.address.clone(),
                device_id: view.device_id,
            })
            .collect();
        return output.text(&devices_to_yaml(&devices));
    }
    output.value(&views, |output| output.table(&devices::table(views)))?;
    if views.is_empty() {
        output.remark("no devices yet: apply a file with `devices:`");
    }
    Ok(())
}

fn show_objectives(answer: &Objectives, output: &mut Output) -> Result<ExitCode, CliError> {
    let views = &answer.objectives;
    if output.format() == Format::Yaml {
        let documents: Vec<_> = views
            .chunk_by(|a, b| a.device == b.device)
            .map(|chunk| to_yaml(&chunk[0].device, chunk.iter().map(|view| &view.model)))
            .collect();
        output.text(&documents.join("---\n"))?;
    } else {
        output.value(views, |output| output.table(&objectives::table(views)))?;
    }
    for error in &answer.errors {
        output.complain(&CliError::Failed(error.clone()));
    }
    if views.is_empty() {
        output.remark("no objectives");
    }
    Ok(code_of(answer.errors.is_empty()))
}

fn show_ports(views: &[PortsView], output: &mut Output) -> Result<(), CliError> {
    output.value(&views, |output| output.table(&ports::table(views)))
}

fn show_tables(views: &[TablesView], output: &mut Output) -> Result<(), CliError> {
    output.value(&views, |output| output.table(&tables::table(views)))
}

fn code_of(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
