//! `pointsman get`, and the questions that other commands ask as well.

use std::collections::BTreeSet;
use std::process::ExitCode;

use pointsman_model::{Device, devices_to_yaml, to_yaml};
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::agent::v1::inventory_event::Change;
use pointsman_proto::pointsman::controller::v1 as pb;

use super::fabric;
use crate::args::{Format, GetArgs, Global, What};
use crate::connect::{self, Agent, Controller};
use crate::error::CliError;
use crate::name::{NotAnObjective, ObjectiveName};
use crate::output::Output;
use crate::view::devices::DeviceView;
use crate::view::hosts::{self, HostView, HostsView};
use crate::view::links::{self, LinkView, LinksView};
use crate::view::nodes::ClusterView;
use crate::view::objectives::ObjectiveView;
use crate::view::ports::PortsView;
use crate::view::tables::TablesView;
use crate::view::{devices, nodes, objectives, ports, tables};

/// Objectives, and what could not be read or is not there.
#[derive(Default)]
pub struct Objectives {
    pub objectives: Vec<ObjectiveView>,
    /// `DEVICE: why`, or one sentence.
    pub errors: Vec<String>,
}

/// Runs the command.
pub async fn run(
    global: &Global,
    args: GetArgs,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    let wanted = Wanted::new(&args)?;
    match &global.agent {
        Some(address) => {
            if !wanted.devices.is_empty() {
                return Err(CliError::Usage(
                    "an agent has one device; leave its name out".to_owned(),
                ));
            }
            let mut agent = connect::agent(address, &global.agent_tls).await?;
            from_agent(&mut agent, &args, &wanted, output).await
        }
        None => {
            let mut controller = connect::controller(&global.controller).await?;
            from_controller(global, &mut controller, &args, wanted, output).await
        }
    }
}

/// What of all that there is.
struct Wanted {
    /// Of these devices; of all if there are none.
    devices: Vec<String>,
    /// These objectives; all if there are none.
    objectives: Vec<ObjectiveName>,
}

impl Wanted {
    fn new(args: &GetArgs) -> Result<Wanted, CliError> {
        let mut wanted = Wanted {
            devices: args.device.iter().cloned().collect(),
            objectives: Vec::new(),
        };
        for name in &args.names {
            if !name.contains('/') {
                wanted.devices.push(name.clone());
                continue;
            }
            if args.what != What::Objectives {
                return Err(CliError::Usage(format!(
                    "{name:?} is not the name of a device"
                )));
            }
            let name = name
                .parse()
                .map_err(|error: NotAnObjective| CliError::Usage(error.to_string()))?;
            wanted.objectives.push(name);
        }
        Ok(wanted)
    }

    /// The devices to ask about, as the controller is asked: the empty name is all of them.
    fn scopes(&self) -> Vec<String> {
        let of_objectives = self
            .objectives
            .iter()
            .map(|objective| objective.device.clone());
        let of_objectives: Option<BTreeSet<String>> = of_objectives.collect();
        match (self.devices.as_slice(), of_objectives) {
            ([], Some(devices)) if !devices.is_empty() => devices.into_iter().collect(),
            ([], _) => vec![String::new()],
            (devices, _) => devices.to_vec(),
        }
    }

    /// Keeps what is wanted, and complains about what is not there.
    fn choose(&self, answer: &mut Objectives) {
        for name in &self.objectives {
            let means = |view: &ObjectiveView| name.means(&view.device, &view.model);
            if !answer.objectives.iter().any(means) {
                answer.errors.push(format!("there is no {name}"));
            }
        }
        if !self.objectives.is_empty() {
            answer.objectives.retain(|view| {
                let mut names = self.objectives.iter();
                names.any(|name| name.means(&view.device, &view.model))
            });
        }
    }
}

async fn from_controller(
    global: &Global,
    controller: &mut Controller,
    args: &GetArgs,
    wanted: Wanted,
    output: &mut Output,
) -> Result<ExitCode, CliError> {
    match args.what {
        What::Devices => {
            let mut all = devices(controller).await?;
            let named = &wanted.devices;
            if let Some(unknown) = named
                .iter()
                .find(|name| all.iter().all(|d| d.name != **name))
            {
                return Err(CliError::Failed(format!("there is no device {unknown:?}")));
            }
            all.retain(|known| named.is_empty() || named.contains(&known.name));
            show_devices(&all, output)?;
        }
        What::Objectives => {
            let mut answer = Objectives::default();
            for device in wanted.scopes() {
                let of_device = objectives(controller, &device, args.entries).await?;
                answer.objectives.extend(of_device.objectives);
                answer.errors.extend(of_device.errors);
            }
            wanted.choose(&mut answer);
            return show_objectives(&answer, output);
        }
        What::Ports => {
            let mut views = Vec::new();
            for device in wanted.scopes() {
                let request = pb::GetPortsRequest {
                    device,
                    ..Default::default()
                };
                let answer = controller.client.get_ports(request).await;
                let answer = answer.map_err(|status| controller.error(status))?;
                views.extend(answer.into_inner().devices.into_iter().map(PortsView::from));
            }
            show_ports(&views, output)?;
            return Ok(code_of(views.iter().all(|view| view.error.is_empty())));
        }
        What::Tables => {
            let mut views = Vec::new();
            for device in wanted.scopes() {
                let entries = args.entries;
                let request = pb::GetTablesRequest {
                    device,
                    entries,
                    ..Default::default()
                };
                let answer = controller.client.get_tables(request).await;
                let answer = answer.map_err(|status| controller.error(status))?;
                views.extend(
                    answer
                        .into_inner()
                        .devices
                        .into_iter()
                        .map(TablesView::from),
                );
            }
            show_tables(&views, output)?;
            return Ok(code_of(views.iter().all(|view| view.error.is_empty())));
        }
        What::Links => return fabric::links(global, wanted.devices, output).await,
        What::Hosts => return fabric::hosts(global, wanted.devices, output).await,
        What::Topology => return fabric::graph(global, output).await,
        What::Paths => return fabric::paths(global, &wanted.devices, args.most, output).await,
        What::Nodes => {
            let mut cluster = cluster(controller).await?;
            let named = &wanted.devices;
            let nodes = &mut cluster.nodes;
            if let Some(unknown) = named.iter().find(|name| !nodes.contains(name)) {
                return Err(CliError::Failed(format!("there is no node {unknown:?}")));
            }
            nodes.retain(|node| named.is_empty() || named.contains(node));
            let names = cluster.nodes.clone();
            output.listed(&cluster, names, |output| {
                output.columns(nodes::table(&cluster), nodes::WIDE)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn from_agent(
    agent: &mut Agent,
    args: &GetArgs,
    wanted: &Wanted,
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
            let mut answer = Objectives {
                objectives: views,
                errors: vec![],
            };
            wanted.choose(&mut answer);
            return show_objectives(&answer, output);
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
            let ports = view.links.iter().map(|link| link.local_port.to_string());
            output.listed(&view, ports, |output| output.table(&links::table(&view)))?;
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
            let macs = view.hosts.iter().map(|host| host.mac.clone());
            output.listed(&view, macs, |output| output.table(&hosts::table(&view)))?;
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
        What::Devices | What::Nodes | What::Topology | What::Paths => {
            return Err(CliError::Usage(
                "an agent knows neither devices nor controller nodes, nor what is between switches; ask for objectives, ports, links, hosts or tables, or leave --agent out".to_owned(),
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
        .get_devices(pb::GetDevicesRequest::default())
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
        ..Default::default()
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
    let names = views.iter().map(|view| view.name.clone());
    output.listed(&views, names, |output| {
        output.columns(devices::table(views), devices::WIDE)
    })?;
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
        let names = views.iter().map(|view| view.full_name().to_string());
        output.listed(views, names, |output| {
            output.columns(objectives::table(views), objectives::WIDE)
        })?;
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
    let ports = views.iter().flat_map(|view| &view.ports);
    let names = ports.map(|port| port.name.clone());
    output.listed(&views, names, |output| output.table(&ports::table(views)))
}

fn show_tables(views: &[TablesView], output: &mut Output) -> Result<(), CliError> {
    let tables = views.iter().flat_map(|view| &view.tables);
    let names = tables.map(|table| table.name.clone());
    output.listed(&views, names, |output| {
        output.columns(tables::table(views), tables::WIDE)
    })
}

fn code_of(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
