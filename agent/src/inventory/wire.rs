//! The inventory as messages.

use std::net::IpAddr;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::{gone, inventory_event, link_key};
use prost::Message;
use ring::digest::{SHA256, digest};

use super::item::{Item, Key, OperState, PortItem, TableItem};
use super::stock::Change;
use crate::hosts::{Host, HostId};
use crate::lldp::{Direction, Neighbor, NeighborId, NeighborKind};

/// What an item adds to the digest, see `InventoryBatch.digest`.
pub fn hash(item: &Item) -> u64 {
    let encoded = put(item).encode_to_vec();
    let hash = digest(&SHA256, &encoded);
    let first = hash.as_ref().first_chunk();
    u64::from_be_bytes(*first.expect("it has 32 bytes"))
}

/// An item that is there, as part of a snapshot.
pub fn put(item: &Item) -> pb::InventoryEvent {
    let change = match item {
        Item::Port(item) => inventory_event::Change::Port(port(item)),
        Item::Link(neighbor) => inventory_event::Change::Link(link(neighbor)),
        Item::Host(item) => inventory_event::Change::Host(host(item)),
        Item::Table(item) => inventory_event::Change::Table(table(item)),
    };
    pb::InventoryEvent {
        sequence: 0,
        change: Some(change),
    }
}

/// A change.
pub fn event(sequence: u64, change: &Change) -> pb::InventoryEvent {
    let event = match change {
        Change::Put(item) => put(item),
        Change::Gone(key) => pb::InventoryEvent {
            sequence: 0,
            change: Some(inventory_event::Change::Gone(pb::Gone {
                item: Some(match key {
                    Key::Port(number) => gone::Item::Port(*number),
                    Key::Link(port, id) => gone::Item::Link(key_of_link(*port, id)),
                    Key::Host(id) => gone::Item::Host(key_of_host(*id)),
                    Key::Table(id) => gone::Item::Table(*id),
                }),
            })),
        },
    };
    pb::InventoryEvent { sequence, ..event }
}

fn port(item: &PortItem) -> pb::Port {
    let state = match item.state {
        OperState::Up => pb::OperState::Up,
        OperState::Down => pb::OperState::Down,
        OperState::Unavailable => pb::OperState::Unavailable,
    };
    pb::Port {
        number: item.number,
        name: item.name.clone(),
        interface: item.interface.clone(),
        admin_up: item.admin_up,
        oper_state: state.into(),
        mac: item.mac.clone(),
        mtu: item.mtu,
        xdp_mode: item.xdp_mode.to_owned(),
        message: item.message.clone(),
        ..pb::Port::default()
    }
}

fn link(neighbor: &Neighbor) -> pb::Link {
    let mut link = pb::Link {
        key: Some(key_of_link(neighbor.local_port, &neighbor.id)),
        chassis_id: neighbor.chassis.chassis_text(),
        port_id: neighbor.port.port_text(),
        port_description: neighbor.port_description.clone(),
        system_name: neighbor.system_name.clone(),
        system_description: neighbor.system_description.clone(),
        ..pb::Link::default()
    };
    if let Some(capabilities) = neighbor.capabilities {
        let names = capabilities.names().into_iter();
        link.capabilities = names.map(str::to_owned).collect();
    }
    match neighbor.kind {
        NeighborKind::Cluster {
            is_authenticated,
            boot,
            direction,
        } => {
            link.authenticated = is_authenticated;
            link.boot = boot;
            link.set_state(match direction {
                Direction::Pending => pb::LinkState::Pending,
                Direction::TwoWay => pb::LinkState::TwoWay,
                Direction::OneWay => pb::LinkState::OneWay,
            });
        }
        NeighborKind::Foreign { cluster } => {
            link.foreign_cluster = cluster.map(|c| c.to_string()).unwrap_or_default();
            link.set_state(pb::LinkState::Edge);
        }
    }
    link
}

fn host(host: &Host) -> pb::Host {
    let addresses = host.addresses.iter().map(|(ip, source)| pb::HostAddress {
        ip: match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        },
        source: source.name().to_owned(),
    });
    let locations = host.locations.iter().map(|(port, since)| pb::HostLocation {
        port: *port,
        since: since.as_secs(),
    });
    pb::Host {
        key: Some(key_of_host(host.id)),
        addresses: addresses.collect(),
        locations: locations.collect(),
        first_seen: host.first_seen.as_secs(),
        last_seen: host.last_seen.as_secs(),
        moves: host.moves,
    }
}

fn table(item: &TableItem) -> pb::TableOccupancy {
    pb::TableOccupancy {
        name: item.name.clone(),
        id: item.id,
        entries: item.entries,
        capacity: item.capacity,
    }
}

fn key_of_host(id: HostId) -> pb::HostKey {
    pb::HostKey {
        mac: id.mac.0.to_vec(),
        vlan: id.vlan.into(),
    }
}

fn key_of_link(local_port: u32, id: &NeighborId) -> pb::LinkKey {
    let neighbor = match id {
        NeighborId::Cluster { device_id, port } => {
            link_key::Neighbor::Cluster(pb::ClusterNeighbor {
                device_id: *device_id,
                port: *port,
            })
        }
        NeighborId::Foreign { chassis, port } => link_key::Neighbor::Foreign(pb::ForeignNeighbor {
            chassis_subtype: chassis.subtype.into(),
            chassis_id: chassis.bytes.clone(),
            port_subtype: port.subtype.into(),
            port_id: port.bytes.clone(),
        }),
    };
    pb::LinkKey {
        local_port,
        neighbor: Some(neighbor),
    }
}
