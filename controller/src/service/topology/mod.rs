//! The Topology service: what the views say, as messages.
//!
//! It asks neither the store nor the agents, so it answers at once, also where there is no majority; what cannot be
//! believed is marked. `paths` finds places by name, `convert` makes the messages.

mod convert;
mod paths;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::Stream;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::topology_server::Topology;
use tonic::{Request, Response, Status};

use crate::view::device::Position;
use crate::view::fabric::Device;
use crate::view::graph::{self, Edge, End, FabricLink};
use crate::view::item::Host;
use crate::view::watcher::Wishes;
use crate::view::{UnknownDevice, Views, wire};
use convert::{batch, edge, host, inventory, link};

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
