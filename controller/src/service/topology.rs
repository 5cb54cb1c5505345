//! The Topology service: what the views say, as messages.
//!
//! It asks neither the store nor the agents, so it answers at once, also where there is no majority; what cannot be
//! believed is marked.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::Stream;
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::topology_server::Topology;
use tonic::{Request, Response, Status};

use crate::view::device::{Freshness, Position};
use crate::view::fabric::{Device, FabricHost, Summary};
use crate::view::graph::{self, Edge, End, FabricLink, LinkState};
use crate::view::item::{Host, MacAddr};
use crate::view::paths::{self, Terminal};
use crate::view::watcher::{DeviceUpdate, News, Update, Wishes};
use crate::view::{UnknownDevice, Views, wire};

/// Paths that are answered if nobody says how many.
const DEFAULT_PATHS: usize = 16;

/// What the clients of a watch are sent.
type Batches = Pin<Box<dyn Stream<Item = Result<pb::TopologyBatch, Status>> + Send>>;

/// The service over one node's views.
pub struct TopologyService {
    views: Views,
}

impl TopologyService {
    /// Answers with these views.
    pub fn new(views: Views) -> Self {
        Self { views }
    }

    fn links(&self, devices: &[String]) -> Result<(Vec<FabricLink>, Vec<Edge>), Status> {
        self.known(devices)?;
        let surveys = self.views.surveys();
        let is_wanted = |name: &String| devices.is_empty() || devices.contains(name);
        let ends_at = |end: &End| end.device.as_ref().is_some_and(is_wanted);
        let mut links = graph::links(&surveys);
        links.retain(|link| ends_at(&link.a) || ends_at(&link.b));
        let mut edges = graph::edges(&surveys);
        edges.retain(|edge| is_wanted(&edge.device));
        Ok((links, edges))
    }

    fn known(&self, devices: &[String]) -> Result<(), Status> {
        let known = self.views.of_devices(devices, |_| ());
        known.map(drop).map_err(unknown)
    }

    /// Where a path begins or ends: a device, or all places of a host.
    fn terminals(&self, what: &str) -> Result<Vec<Terminal>, Status> {
        if self.known(&[what.to_owned()]).is_ok() {
            let device = what.to_owned();
            return Ok(vec![Terminal { device, port: None }]);
        }
        let hosts = if let Ok(mac) = what.parse::<MacAddr>() {
            self.views.hosts(|device| with_mac(device, mac))
        } else if let Ok(ip) = what.parse::<IpAddr>() {
            let octets = match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            self.views.hosts(|device| with_ip(device, &octets))
        } else {
            return Err(Status::not_found(format!(
                "{what:?} is no device of this cluster, and no MAC or IP address of a host"
            )));
        };
        if hosts.is_empty() {
            return Err(Status::not_found(format!(
                "no switch has seen a host with the address {what}"
            )));
        }
        let places = hosts.into_iter().flat_map(|host| host.attachments);
        let mut terminals: Vec<_> = places
            .filter(|at| !at.is_stale)
            .map(|at| Terminal {
                device: at.device,
                port: Some(at.port),
            })
            .collect();
        terminals.sort_unstable();
        terminals.dedup();
        Ok(terminals)
    }

    fn paths(&self, request: &pb::GetPathsRequest) -> Result<pb::GetPathsResponse, Status> {
        let (from, to) = (self.terminals(&request.from)?, self.terminals(&request.to)?);
        for (name, terminals) in [(&request.from, &from), (&request.to, &to)] {
            if terminals.is_empty() {
                return Ok(pb::GetPathsResponse {
                    reason: format!("every switch that has seen {name} is stale"),
                    ..Default::default()
                });
            }
        }
        let limit = match request.max_paths {
            0 => DEFAULT_PATHS,
            most => usize::try_from(most).unwrap_or(paths::MOST_PATHS),
        };
        let surveys = self.views.surveys();
        let found = paths::shortest(&graph::links(&surveys), &from, &to, limit);
        let name_of = |device: &str, port: u32| {
            let survey = surveys.iter().find(|survey| survey.device == device);
            let port = survey.and_then(|survey| survey.ports.get(&port));
            port.map(|(name, _)| name.clone()).unwrap_or_default()
        };
        let hop = |hop: paths::Hop| pb::PathHop {
            in_port_name: hop
                .in_port
                .map_or_else(String::new, |port| name_of(&hop.device, port)),
            out_port_name: hop
                .out_port
                .map_or_else(String::new, |port| name_of(&hop.device, port)),
            in_port: hop.in_port.unwrap_or_default(),
            out_port: hop.out_port.unwrap_or_default(),
            device: hop.device,
        };
        let reason = match found.paths.is_empty() {
            true => format!(
                "no links that are up lead from {} to {}",
                request.from, request.to
            ),
            false => String::new(),
        };
        let length = found.paths.first().map_or(0, |path| path.len() - 1);
        let paths = found.paths.into_iter().map(|path| pb::Path {
            hops: path.into_iter().map(hop).collect(),
        });
        Ok(pb::GetPathsResponse {
            length: u32::try_from(length).unwrap_or(u32::MAX),
            paths: paths.collect(),
            more: found.more,
            reason,
        })
    }
}

fn with_mac(device: &Device, mac: MacAddr) -> Vec<Arc<Host>> {
    device.view.inventory().hosts_with(mac).cloned().collect()
}

fn with_ip(device: &Device, octets: &[u8]) -> Vec<Arc<Host>> {
    let hosts = device.view.inventory().hosts();
    let has = |host: &&Arc<Host>| host.addresses.iter().any(|(ip, _)| ip == octets);
    hosts.filter(has).cloned().collect()
}

fn all_hosts(device: &Device) -> Vec<Arc<Host>> {
    device.view.inventory().hosts().cloned().collect()
}

fn unknown(error: UnknownDevice) -> Status {
    Status::not_found(error.to_string())
}

#[tonic::async_trait]
impl Topology for TopologyService {
    type WatchStream = Batches;

    async fn get_inventory(
        &self,
        request: Request<pb::GetInventoryRequest>,
    ) -> Result<Response<pb::GetInventoryResponse>, Status> {
        let pb::GetInventoryRequest { devices, summary } = request.into_inner();
        let devices = self.views.of_devices(&devices, |device| {
            let items = if summary { vec![] } else { device.items() };
            (device.summary(), items)
        });
        let now = Instant::now();
        let devices = devices.map_err(unknown)?.into_iter();
        let devices = devices.map(|(summary, items)| pb::DeviceInventory {
            items: items.iter().map(wire::item).collect(),
            ..inventory(summary, now)
        });
        Ok(Response::new(pb::GetInventoryResponse {
            devices: devices.collect(),
        }))
    }

    async fn get_links(
        &self,
        request: Request<pb::GetLinksRequest>,
    ) -> Result<Response<pb::GetLinksResponse>, Status> {
        let (links, edges) = self.links(&request.get_ref().devices)?;
        Ok(Response::new(pb::GetLinksResponse {
            links: links.into_iter().map(link).collect(),
            neighbors: edges.into_iter().map(edge).collect(),
        }))
    }

    async fn get_hosts(
        &self,
        request: Request<pb::GetHostsRequest>,
    ) -> Result<Response<pb::GetHostsResponse>, Status> {
        let devices = &request.get_ref().devices;
        self.known(devices)?;
        let mut hosts = self.views.hosts(all_hosts);
        if !devices.is_empty() {
            hosts.retain(|host| {
                let mut places = host.attachments.iter();
                places.any(|at| devices.contains(&at.device))
            });
        }
        Ok(Response::new(pb::GetHostsResponse {
            hosts: hosts.into_iter().map(host).collect(),
        }))
    }

    async fn get_graph(
        &self,
        request: Request<pb::GetGraphRequest>,
    ) -> Result<Response<pb::GetGraphResponse>, Status> {
        let devices = self.views.of_devices(&[], Device::summary);
        let now = Instant::now();
        let devices = devices.map_err(unknown)?.into_iter();
        let devices = devices.map(|summary| inventory(summary, now)).collect();
        let (links, _) = self.links(&[])?;
        let hosts = match request.get_ref().hosts {
            true => self.views.hosts(all_hosts),
            false => vec![],
        };
        Ok(Response::new(pb::GetGraphResponse {
            devices,
            links: links.into_iter().map(link).collect(),
            hosts: hosts.into_iter().map(host).collect(),
        }))
    }

    async fn get_paths(
        &self,
        request: Request<pb::GetPathsRequest>,
    ) -> Result<Response<pb::GetPathsResponse>, Status> {
        self.paths(request.get_ref()).map(Response::new)
    }

    async fn watch(
        &self,
        request: Request<pb::WatchTopologyRequest>,
    ) -> Result<Response<Batches>, Status> {
        let request = request.into_inner();
        let known = request.known.into_iter().map(|known| {
            let position = Position {
                boot_id: known.boot_id,
                sequence: known.sequence,
            };
            (known.device, position)
        });
        let wishes = Wishes {
            devices: request.devices.into_iter().collect(),
            known: known.collect(),
            once: request.once,
        };
        let watcher = self.views.watch(wishes).map_err(unknown)?;
        let batches = futures::stream::unfold(watcher, async |mut watcher| {
            let update = watcher.next().await?;
            Some((Ok(batch(update)), watcher))
        });
        Ok(Response::new(Box::pin(batches)))
    }
}

fn inventory(summary: Summary, now: Instant) -> pb::DeviceInventory {
    let counts = summary.counts;
    pb::DeviceInventory {
        device: summary.spec.name,
        device_id: summary.spec.device_id,
        freshness: Some(freshness(&summary.freshness, now)),
        boot_id: summary.position.boot_id,
        sequence: summary.position.sequence,
        digest: summary.digest,
        unverified: summary.is_unverified,
        ports: counts.ports,
        ports_up: counts.ports_up,
        links: counts.links,
        hosts: counts.hosts,
        tables: counts.tables,
        items: vec![],
    }
}

fn freshness(freshness: &Freshness, now: Instant) -> pb::Freshness {
    let state = match freshness {
        Freshness::Fresh { .. } => pb::freshness::State::Fresh,
        Freshness::Loading { .. } => pb::freshness::State::Loading,
        Freshness::Stale { .. } => pb::freshness::State::Stale,
    };
    let age = freshness.age(now).as_millis();
    pb::Freshness {
        state: state.into(),
        milliseconds: u64::try_from(age).unwrap_or(u64::MAX),
        reason: freshness.doubt().unwrap_or_default().to_owned(),
    }
}

fn link(link: FabricLink) -> pb::FabricLink {
    let state = match link.state {
        LinkState::Up => pb::fabric_link::State::Up,
        LinkState::Pending => pb::fabric_link::State::Pending,
        LinkState::OneWay => pb::fabric_link::State::OneWay,
        LinkState::Stale => pb::fabric_link::State::Stale,
    };
    let end = |end: End| pb::LinkEnd {
        device: end.device.unwrap_or_default(),
        device_id: end.device_id,
        port: end.port,
        port_name: end.port_name,
    };
    pb::FabricLink {
        a: Some(end(link.a)),
        b: Some(end(link.b)),
        state: state.into(),
        reason: link.reason,
        authenticated: link.is_authenticated,
    }
}

fn edge(edge: Edge) -> pb::EdgeNeighbor {
    pb::EdgeNeighbor {
        device: edge.device,
        stale: edge.is_stale,
        link: Some(wire::link(&edge.link)),
    }
}

fn host(host: FabricHost) -> pb::FabricHost {
    let attachments = host.attachments.into_iter().map(|at| pb::HostAttachment {
        device: at.device,
        port: at.port,
        port_name: at.port_name,
        since: at.since,
        stale: at.is_stale,
    });
    pb::FabricHost {
        key: Some(wire::host_key(host.id)),
        addresses: wire::host_addresses(&host.addresses),
        attachments: attachments.collect(),
        first_seen: host.first_seen,
        last_seen: host.last_seen,
        moves: host.moves,
    }
}

fn batch(update: Update) -> pb::TopologyBatch {
    match update {
        Update::Complete => pb::TopologyBatch {
            complete: true,
            ..Default::default()
        },
        Update::Removed { device, device_id } => pb::TopologyBatch {
            device,
            device_id,
            removed: true,
            ..Default::default()
        },
        Update::Device(update) => device_batch(update),
    }
}

fn device_batch(update: DeviceUpdate) -> pb::TopologyBatch {
    let (events, is_first, more): (Vec<agent_pb::InventoryEvent>, _, _) = match &update.news {
        News::Changes(changes) => {
            let events = changes
                .iter()
                .filter_map(|(n, change)| wire::event(*n, change));
            (events.collect(), false, false)
        }
        News::Snapshot {
            items,
            is_first,
            more,
        } => (items.iter().map(wire::item).collect(), *is_first, *more),
    };
    pb::TopologyBatch {
        device: update.device,
        device_id: update.device_id,
        boot_id: update.position.boot_id,
        sequence: update.position.sequence,
        snapshot: is_first,
        more,
        events,
        freshness: Some(freshness(&update.freshness, Instant::now())),
        removed: false,
        complete: false,
    }
}
