//! The fabric as a controller sees it: links, hosts and devices.

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::{fabric_link, freshness};
use serde::Serialize;

use super::hosts::{self, HostView};
use super::links::LinkView;
use crate::table::{Cell, Table};
use crate::words::{BAD, GOOD, WAITING};

/// Links between devices, and who else is at their ports.
#[derive(Debug, Serialize)]
pub struct LinksView {
    pub links: Vec<FabricLinkView>,
    pub neighbors: Vec<NeighborView>,
}

/// A link between two devices.
#[derive(Debug, Serialize)]
pub struct FabricLinkView {
    pub a: EndView,
    pub b: EndView,
    pub state: &'static str,
    /// Why it is not up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    pub authenticated: bool,
    #[serde(skip)]
    style: anstyle::Style,
}

/// An end of a link.
#[derive(Debug, Serialize)]
pub struct EndView {
    /// Empty if it is no device of the cluster.
    pub device: String,
    pub device_id: u64,
    pub port: u32,
    pub port_name: String,
}

/// Somebody who is no agent of the cluster.
#[derive(Debug, Serialize)]
pub struct NeighborView {
    pub device: String,
    pub stale: bool,
    #[serde(flatten)]
    pub link: LinkView,
}

/// A host, and all places where it is.
#[derive(Debug, Serialize)]
pub struct FabricHostView {
    #[serde(flatten)]
    pub host: HostView,
    /// The latest first.
    pub attachments: Vec<AttachmentView>,
}

/// A place of a host.
#[derive(Debug, Serialize)]
pub struct AttachmentView {
    pub device: String,
    pub port: u32,
    pub port_name: String,
    /// Seconds since 1970.
    pub since: u64,
    pub stale: bool,
}

/// Devices and links.
#[derive(Debug, Serialize)]
pub struct GraphView {
    pub devices: Vec<DeviceView>,
    pub links: Vec<FabricLinkView>,
    pub hosts: Vec<FabricHostView>,
}

/// What is known of a device.
#[derive(Debug, Serialize)]
pub struct DeviceView {
    pub device: String,
    pub device_id: u64,
    /// fresh, loading or stale.
    pub view: &'static str,
    /// For how long it has been so.
    pub milliseconds: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    pub boot_id: String,
    pub sequence: u64,
    pub digest: String,
    pub ports: u32,
    pub ports_up: u32,
    pub links: u32,
    pub hosts: u32,
    #[serde(skip)]
    style: anstyle::Style,
}

/// The word for how far a view can be believed, and its colour.
pub fn freshness(freshness: &pb::Freshness) -> (&'static str, anstyle::Style) {
    match freshness.state() {
        freshness::State::Fresh => ("fresh", GOOD),
        freshness::State::Loading => ("loading", WAITING),
        freshness::State::Stale => ("stale", BAD),
        freshness::State::Unspecified => ("unknown", WAITING),
    }
}

impl From<pb::FabricLink> for FabricLinkView {
    fn from(link: pb::FabricLink) -> Self {
        let (state, style) = match link.state() {
            fabric_link::State::Up => ("up", GOOD),
            fabric_link::State::Pending => ("pending", WAITING),
            fabric_link::State::OneWay => ("one-way", BAD),
            fabric_link::State::Stale => ("stale", WAITING),
            fabric_link::State::Unspecified => ("unknown", WAITING),
        };
        let end = |end: Option<pb::LinkEnd>| {
            let end = end.unwrap_or_default();
            EndView {
                device: end.device,
                device_id: end.device_id,
                port: end.port,
                port_name: end.port_name,
            }
        };
        Self {
            a: end(link.a),
            b: end(link.b),
            state,
            reason: link.reason,
            authenticated: link.authenticated,
            style,
        }
    }
}

impl From<pb::GetLinksResponse> for LinksView {
    fn from(answer: pb::GetLinksResponse) -> Self {
        let neighbors = answer.neighbors.into_iter().map(|neighbor| NeighborView {
            device: neighbor.device,
            stale: neighbor.stale,
            link: neighbor.link.unwrap_or_default().into(),
        });
        Self {
            links: answer.links.into_iter().map(Into::into).collect(),
            neighbors: neighbors.collect(),
        }
    }
}

impl From<pb::FabricHost> for FabricHostView {
    fn from(host: pb::FabricHost) -> Self {
        let attachments = host.attachments.into_iter().map(|at| AttachmentView {
            device: at.device,
            port: at.port,
            port_name: at.port_name,
            since: at.since,
            stale: at.stale,
        });
        Self {
            attachments: attachments.collect(),
            host: HostView {
                moves: host.moves,
                first_seen: host.first_seen,
                last_seen: host.last_seen,
                ..HostView::new(host.key.unwrap_or_default(), host.addresses)
            },
        }
    }
}

impl From<pb::GetGraphResponse> for GraphView {
    fn from(answer: pb::GetGraphResponse) -> Self {
        Self {
            devices: answer.devices.into_iter().map(Into::into).collect(),
            links: answer.links.into_iter().map(Into::into).collect(),
            hosts: answer.hosts.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<pb::DeviceInventory> for DeviceView {
    fn from(inventory: pb::DeviceInventory) -> Self {
        let fresh = inventory.freshness.unwrap_or_default();
        let (view, style) = freshness(&fresh);
        Self {
            device: inventory.device,
            device_id: inventory.device_id,
            view,
            milliseconds: fresh.milliseconds,
            reason: fresh.reason,
            boot_id: inventory.boot_id,
            sequence: inventory.sequence,
            digest: format!("{:016x}", inventory.digest),
            ports: inventory.ports,
            ports_up: inventory.ports_up,
            links: inventory.links,
            hosts: inventory.hosts,
            style,
        }
    }
}

/// Links for people: those between devices, then everybody else.
pub fn links_table(links: &[FabricLinkView], neighbors: &[NeighborView]) -> Table {
    let mut table = Table::new(["DEVICE", "PORT", "STATE", "TO", "ITS-PORT", "SIGNED"]);
    for link in links {
        let signed = if link.authenticated { "yes" } else { "open" };
        table.row([
            link.a.name().into(),
            port_name(link.a.port, &link.a.port_name).into(),
            Cell::styled(link.state, link.style),
            link.b.name().into(),
            port_name(link.b.port, &link.b.port_name).into(),
            signed.into(),
        ]);
        if !link.reason.is_empty() {
            table.note(link.reason.clone());
        }
    }
    for neighbor in neighbors {
        let link = &neighbor.link;
        let state = if neighbor.stale { "stale" } else { link.state };
        let name = match link.system_name.as_str() {
            "" => &link.chassis_id,
            name => name,
        };
        table.row([
            neighbor.device.as_str().into(),
            link.local_port.to_string().into(),
            state.into(),
            name.into(),
            link.port_id.as_str().into(),
            "-".into(),
        ]);
        if !link.foreign_cluster.is_empty() {
            table.note(format!("of another cluster: {}", link.foreign_cluster));
        }
    }
    table
}

/// Hosts for people.
pub fn hosts_table(hosts: &[FabricHostView]) -> Table {
    let mut table = Table::new(["MAC", "VLAN", "AT", "MOVES", "ADDRESSES"]);
    for host in hosts {
        let places = host.attachments.iter().map(|at| {
            let stale = if at.stale { " (stale)" } else { "" };
            format!("{}/{}{stale}", at.device, port_name(at.port, &at.port_name))
        });
        table.row([
            host.host.mac.as_str().into(),
            hosts::vlan_cell(host.host.vlan),
            places.collect::<Vec<_>>().join(", ").into(),
            Cell::number(host.host.moves),
            hosts::addresses_text(&host.host.addresses).into(),
        ]);
    }
    table
}

/// The columns that are shown only if more are wanted.
pub const WIDE: &[&str] = &["ID", "BOOT", "SEQUENCE", "DIGEST"];

/// Devices of the graph for people.
pub fn devices_table(graph: &GraphView) -> Table {
    let mut table = Table::new([
        "DEVICE", "ID", "VIEW", "PORTS", "LINKS", "HOSTS", "BOOT", "SEQUENCE", "DIGEST",
    ]);
    for device in &graph.devices {
        let mine = graph.links.iter().filter(|link| {
            let is_end = |end: &EndView| end.device == device.device;
            is_end(&link.a) || is_end(&link.b)
        });
        let up = mine.clone().filter(|link| link.state == "up").count();
        table.row([
            device.device.as_str().into(),
            Cell::number(device.device_id),
            Cell::styled(device.view, device.style),
            format!("{}/{}", device.ports_up, device.ports).into(),
            format!("{up}/{}", mine.count()).into(),
            Cell::number(device.hosts),
            device.boot_id.as_str().into(),
            Cell::number(device.sequence),
            device.digest.as_str().into(),
        ]);
        if !device.reason.is_empty() {
            let seconds = device.milliseconds / 1000;
            table.note(format!(
                "{} for {seconds} s: {}",
                device.view, device.reason
            ));
        }
    }
    table
}

impl EndView {
    /// The device's name, or its number if nobody knows it.
    pub fn name(&self) -> String {
        match self.device.as_str() {
            "" => format!("device {}", self.device_id),
            device => device.to_owned(),
        }
    }
}

/// The name of a port, or its number if it has none.
pub fn port_name(number: u32, name: &str) -> String {
    match name {
        "" => number.to_string(),
        name => name.to_owned(),
    }
}

/// `leaf1 3 -> spine1 4`, for the names of links.
pub fn link_name(link: &FabricLinkView) -> String {
    let end = |end: &EndView| format!("{}/{}", end.name(), port_name(end.port, &end.port_name));
    format!("{}-{}", end(&link.a), end(&link.b))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use pointsman_proto::pointsman::agent::v1 as agent_pb;

    use super::*;

    fn end(device: &str, device_id: u64, port: u32) -> Option<pb::LinkEnd> {
        Some(pb::LinkEnd {
            device: device.into(),
            device_id,
            port,
            port_name: format!("swp{port}"),
        })
    }

    fn link(state: fabric_link::State, reason: &str) -> pb::FabricLink {
        pb::FabricLink {
            a: end("leaf1", 1, 49),
            b: end("spine1", 11, 1),
            state: state.into(),
            reason: reason.into(),
            authenticated: true,
        }
    }

    #[test]
    fn links_say_why_they_are_not_up_and_edges_follow() {
        let edge = agent_pb::Link {
            key: Some(agent_pb::LinkKey {
                local_port: 3,
                neighbor: None,
            }),
            state: agent_pb::LinkState::Edge.into(),
            system_name: "server7".into(),
            port_id: "eth0".into(),
            ..Default::default()
        };
        let unknown = pb::FabricLink {
            b: Some(pb::LinkEnd {
                device_id: 77,
                port: 2,
                ..Default::default()
            }),
            ..link(
                fabric_link::State::Pending,
                "no device of the cluster has the id 77",
            )
        };
        let view = LinksView::from(pb::GetLinksResponse {
            links: vec![link(fabric_link::State::Up, ""), unknown],
            neighbors: vec![pb::EdgeNeighbor {
                device: "leaf1".into(),
                stale: false,
                link: Some(edge),
            }],
        });
        expect![[r#"
            DEVICE  PORT   STATE    TO         ITS-PORT  SIGNED
            leaf1   swp49  up       spine1     swp1      yes
            leaf1   swp49  pending  device 77  2         yes
              no device of the cluster has the id 77
            leaf1   3      edge     server7    eth0      -
        "#]]
        .assert_eq(&links_table(&view.links, &view.neighbors).render(false));
    }

    #[test]
    fn a_device_that_is_not_fresh_says_since_when_and_why() {
        let inventory = |device: &str, state: freshness::State, reason: &str| pb::DeviceInventory {
            device: device.into(),
            freshness: Some(pb::Freshness {
                state: state.into(),
                milliseconds: 12_345,
                reason: reason.into(),
            }),
            ports: 4,
            ports_up: 3,
            hosts: 2,
            ..Default::default()
        };
        let view = GraphView::from(pb::GetGraphResponse {
            devices: vec![
                inventory("leaf1", freshness::State::Fresh, ""),
                inventory("spine1", freshness::State::Stale, "connection refused"),
            ],
            links: vec![link(fabric_link::State::Stale, "")],
            hosts: vec![],
        });
        expect![[r#"
            DEVICE  VIEW   PORTS  LINKS  HOSTS
            leaf1   fresh  3/4    0/1        2
            spine1  stale  3/4    0/1        2
              stale for 12 s: connection refused
        "#]]
        .assert_eq(&devices_table(&view).without(WIDE).render(false));
    }

    #[test]
    fn a_host_is_at_its_latest_place_first() {
        let at = |device: &str, stale| pb::HostAttachment {
            device: device.into(),
            port: 9,
            port_name: "swp9".into(),
            since: 1,
            stale,
        };
        let host = FabricHostView::from(pb::FabricHost {
            key: Some(agent_pb::HostKey {
                mac: vec![2, 0, 0, 0, 0, 1],
                vlan: 0,
            }),
            addresses: vec![agent_pb::HostAddress {
                ip: vec![10, 0, 1, 5],
                source: "arp".into(),
            }],
            attachments: vec![at("leaf2", false), at("leaf1", true)],
            ..Default::default()
        });
        expect![[r#"
            MAC                VLAN  AT                              MOVES  ADDRESSES
            02:00:00:00:00:01     -  leaf2/swp9, leaf1/swp9 (stale)      0  10.0.1.5 (arp)
        "#]]
        .assert_eq(&hosts_table(&[host]).render(false));
    }
}
