//! Hosts of devices.

use std::net::IpAddr;

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use serde::Serialize;

use crate::table::{Cell, Table};

/// The hosts of one device.
#[derive(Debug, Serialize)]
pub struct HostsView {
    pub device: String,
    pub hosts: Vec<HostView>,
}

/// A station behind a port.
#[derive(Debug, Serialize)]
pub struct HostView {
    pub mac: String,
    /// 0 if its frames have no tag.
    pub vlan: u32,
    pub addresses: Vec<AddressView>,
    /// The latest first; not told where the places of a host are more than ports of one device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u32>,
    /// Seconds since 1970.
    pub first_seen: u64,
    /// As of its last change.
    pub last_seen: u64,
    pub moves: u32,
}

/// An address of a host.
#[derive(Debug, Serialize)]
pub struct AddressView {
    pub ip: String,
    pub source: String,
}

impl From<agent_pb::Host> for HostView {
    fn from(host: agent_pb::Host) -> Self {
        Self {
            ports: host.locations.iter().map(|at| at.port).collect(),
            first_seen: host.first_seen,
            last_seen: host.last_seen,
            moves: host.moves,
            ..Self::new(host.key.unwrap_or_default(), host.addresses)
        }
    }
}

impl HostView {
    /// A host with these addresses, nowhere yet.
    pub fn new(key: agent_pb::HostKey, addresses: Vec<agent_pb::HostAddress>) -> Self {
        let addresses = addresses.into_iter().map(|address| AddressView {
            ip: ip(&address.ip),
            source: address.source,
        });
        Self {
            mac: mac_text(&key.mac),
            vlan: key.vlan,
            addresses: addresses.collect(),
            ports: vec![],
            first_seen: 0,
            last_seen: 0,
            moves: 0,
        }
    }
}

/// An address on the link as people write it.
pub fn mac_text(mac: &[u8]) -> String {
    let bytes: Vec<_> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

fn ip(octets: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or(v6).map(|ip| ip.to_string()).unwrap_or_default()
}

/// Hosts for people.
pub fn table(device: &HostsView) -> Table {
    let mut table = Table::new(["DEVICE", "MAC", "VLAN", "PORTS", "MOVES", "ADDRESSES"]);
    for host in &device.hosts {
        let ports: Vec<_> = host.ports.iter().map(u32::to_string).collect();
        table.row([
            device.device.as_str().into(),
            host.mac.as_str().into(),
            vlan_cell(host.vlan),
            ports.join(",").into(),
            Cell::number(host.moves),
            addresses_text(&host.addresses).into(),
        ]);
    }
    table
}

/// The VLAN of a host, if it has one.
pub fn vlan_cell(vlan: u32) -> Cell {
    match vlan {
        0 => Cell::number("-"),
        vlan => Cell::number(vlan),
    }
}

/// The addresses of a host, each with how it was learnt.
pub fn addresses_text(addresses: &[AddressView]) -> String {
    let addresses = addresses.iter();
    let addresses: Vec<_> = addresses
        .map(|address| format!("{} ({})", address.ip, address.source))
        .collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_host_has_addresses_and_places() {
        let host = agent_pb::Host {
            key: Some(agent_pb::HostKey {
                mac: vec![2, 0, 0, 0, 0, 1],
                vlan: 10,
            }),
            addresses: vec![
                agent_pb::HostAddress {
                    ip: vec![10, 0, 1, 5],
                    source: "arp".into(),
                },
                agent_pb::HostAddress {
                    ip: [&[0xfe, 0x80][..], &[0; 13], &[1]].concat(),
                    source: "nd".into(),
                },
            ],
            locations: vec![
                agent_pb::HostLocation { port: 2, since: 7 },
                agent_pb::HostLocation { port: 1, since: 5 },
            ],
            first_seen: 5,
            last_seen: 7,
            moves: 3,
        };
        let view = HostsView {
            device: "leaf1".into(),
            hosts: vec![host.into()],
        };
        expect![[r#"
            DEVICE  MAC                VLAN  PORTS  MOVES  ADDRESSES
            leaf1   02:00:00:00:00:01    10  2,1        3  10.0.1.5 (arp), fe80::1 (nd)
        "#]]
        .assert_eq(&table(&view).render(false));
    }
}
