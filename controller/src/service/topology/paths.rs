//! GetPaths: devices and addresses of hosts into places, and what leads from one to another.

use std::net::IpAddr;
use std::sync::Arc;

use pointsman_proto::pointsman::controller::v1 as pb;
use tonic::Status;

use super::TopologyService;
use crate::view::fabric::Device;
use crate::view::graph;
use crate::view::item::{Host, MacAddr};
use crate::view::paths::{self, Terminal};

/// Paths that are answered if nobody says how many.
const DEFAULT_PATHS: usize = 16;

impl TopologyService {
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

    /// The shortest paths that a request asks for.
    pub(super) fn paths(
        &self,
        request: &pb::GetPathsRequest,
    ) -> Result<pb::GetPathsResponse, Status> {
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
