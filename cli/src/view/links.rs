//! Links of devices: who is at the other end of ports.

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::agent::v1::link_key::Neighbor;
use serde::Serialize;

use crate::table::{Cell, Table};
use crate::words;

/// The links of one device.
#[derive(Debug, Serialize)]
pub struct LinksView {
    pub device: String,
    pub links: Vec<LinkView>,
}

/// Who is at the other end of a port.
#[derive(Debug, Serialize)]
pub struct LinkView {
    pub local_port: u32,
    pub state: &'static str,
    /// Of an agent of the same cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<u64>,
    /// Its P4 port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_port: Option<u32>,
    pub authenticated: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub foreign_cluster: String,
    pub system_name: String,
    pub chassis_id: String,
    pub port_id: String,
    pub port_description: String,
    pub system_description: String,
    pub capabilities: Vec<String>,
    #[serde(skip)]
    style: anstyle::Style,
}

impl From<agent_pb::Link> for LinkView {
    fn from(link: agent_pb::Link) -> Self {
        let (state, style) = words::link_state(link.state());
        let key = link.key.unwrap_or_default();
        let cluster = match key.neighbor {
            Some(Neighbor::Cluster(neighbor)) => Some(neighbor),
            Some(Neighbor::Foreign(_)) | None => None,
        };
        Self {
            local_port: key.local_port,
            state,
            device_id: cluster.map(|neighbor| neighbor.device_id),
            remote_port: cluster.map(|neighbor| neighbor.port),
            authenticated: link.authenticated,
            foreign_cluster: link.foreign_cluster,
            system_name: link.system_name,
            chassis_id: link.chassis_id,
            port_id: link.port_id,
            port_description: link.port_description,
            system_description: link.system_description,
            capabilities: link.capabilities,
            style,
        }
    }
}

/// Links for people.
pub fn table(device: &LinksView) -> Table {
    let mut table = Table::new([
        "DEVICE",
        "PORT",
        "STATE",
        "NEIGHBOUR",
        "DEVICE-ID",
        "ITS-PORT",
        "CHASSIS",
        "CAPABILITIES",
        "SIGNED",
    ]);
    for link in &device.links {
        let signed = match (link.device_id, link.authenticated) {
            (None, _) => "-",
            (Some(_), true) => "yes",
            (Some(_), false) => "open",
        };
        let device_id = link.device_id.map(|id| id.to_string());
        table.row([
            device.device.as_str().into(),
            Cell::number(link.local_port),
            Cell::styled(link.state, link.style),
            link.system_name.as_str().into(),
            device_id.unwrap_or_else(|| "-".to_owned()).into(),
            link.port_id.as_str().into(),
            link.chassis_id.as_str().into(),
            link.capabilities.join(",").into(),
            signed.into(),
        ]);
        if !link.foreign_cluster.is_empty() {
            table.note(format!("of another cluster: {}", link.foreign_cluster));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn agents_of_the_cluster_are_told_from_others() {
        let cluster = agent_pb::Link {
            key: Some(agent_pb::LinkKey {
                local_port: 49,
                neighbor: Some(Neighbor::Cluster(agent_pb::ClusterNeighbor {
                    device_id: 11,
                    port: 1,
                })),
            }),
            state: agent_pb::LinkState::TwoWay.into(),
            authenticated: true,
            system_name: "spine1".into(),
            chassis_id: "pointsman:11".into(),
            port_id: "swp1".into(),
            capabilities: vec!["bridge".into(), "router".into()],
            ..Default::default()
        };
        let edge = agent_pb::Link {
            key: Some(agent_pb::LinkKey {
                local_port: 3,
                neighbor: Some(Neighbor::Foreign(agent_pb::ForeignNeighbor::default())),
            }),
            state: agent_pb::LinkState::Edge.into(),
            foreign_cluster: "0011223344556677".into(),
            system_name: "server7".into(),
            chassis_id: "02:00:00:00:00:01".into(),
            port_id: "eth0".into(),
            ..Default::default()
        };
        let view = LinksView {
            device: "leaf1".into(),
            links: vec![cluster.into(), edge.into()],
        };
        expect![[r#"
            DEVICE  PORT  STATE    NEIGHBOUR  DEVICE-ID  ITS-PORT  CHASSIS            CAPABILITIES   SIGNED
            leaf1     49  two-way  spine1     11         swp1      pointsman:11       bridge,router  yes
            leaf1      3  edge     server7    -          eth0      02:00:00:00:00:01                 -
              of another cluster: 0011223344556677
        "#]]
        .assert_eq(&table(&view).render(false));
    }
}
