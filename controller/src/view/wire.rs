//! Messages of `WatchInventory`, made from and turned into the controller's own types, and what each adds to the digest.

use std::sync::Arc;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::{gone, inventory_event, link_key};
use prost::Message;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::device::{Batch, Position};
use super::item::{
    Change, Direction, Host, HostId, Item, Key, Link, LinkTexts, MacAddr, Neighbor, OperState,
    Port, Table,
};

/// What an agent sent that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// A host without address.
    #[error("a host has an address of {0} bytes on the link, and not of 6")]
    Mac(usize),
    /// A link without its key.
    #[error("a link does not say whose it is")]
    Link,
    /// A host without its key.
    #[error("a host does not say which it is")]
    Host,
}

/// Where a stream is to go on.
pub fn request(known: Option<Position>) -> pb::WatchInventoryRequest {
    let known = known.unwrap_or_default();
    pb::WatchInventoryRequest {
        boot_id: known.boot_id,
        sequence: known.sequence,
        once: false,
    }
}

/// A batch as the core takes it.
///
/// # Errors
/// When it holds what no agent says.
pub fn batch(batch: pb::InventoryBatch) -> Result<Batch, WireError> {
    let changes = batch.events.into_iter().map(change);
    Ok(Batch {
        position: Position {
            boot_id: batch.boot_id,
            sequence: batch.sequence,
        },
        is_snapshot: batch.snapshot,
        more: batch.more,
        changes: changes.collect::<Result<_, _>>()?,
        digest: batch.digest,
    })
}

fn change(event: pb::InventoryEvent) -> Result<(u64, Change), WireError> {
    let sequence = event.sequence;
    let event = pb::InventoryEvent {
        sequence: 0,
        ..event
    };
    let hash = match &event.change {
        Some(inventory_event::Change::Gone(_)) | None => 0,
        Some(_) => hash(&event),
    };
    let change = match event.change {
        None => Change::Unknown,
        Some(inventory_event::Change::Gone(gone)) => match gone.item {
            None => Change::Unknown,
            Some(gone::Item::Port(number)) => Change::Gone(Key::Port(number)),
            Some(gone::Item::Table(id)) => Change::Gone(Key::Table(id)),
            Some(gone::Item::Host(key)) => Change::Gone(Key::Host(host_id(&key)?)),
            Some(gone::Item::Link(key)) => {
                Change::Gone(Key::Link(key.local_port, neighbor(key.neighbor)?))
            }
        },
        Some(inventory_event::Change::Port(port)) => Change::Put(Item::Port(port_item(port)), hash),
        Some(inventory_event::Change::Link(link)) => {
            Change::Put(Item::Link(link_item(link)?), hash)
        }
        Some(inventory_event::Change::Host(host)) => {
            Change::Put(Item::Host(host_item(host)?), hash)
        }
        Some(inventory_event::Change::Table(table)) => {
            Change::Put(Item::Table(table_item(table)), hash)
        }
    };
    Ok((sequence, change))
}

/// What an item adds to the digest, see `InventoryBatch.digest`.
fn hash(event: &pb::InventoryEvent) -> u64 {
    let hash = Sha256::digest(event.encode_to_vec());
    u64::from_be_bytes(*hash.first_chunk().expect("it has 32 bytes"))
}

fn port_item(port: pb::Port) -> Arc<Port> {
    let state = match port.oper_state() {
        pb::OperState::Up => OperState::Up,
        pb::OperState::Down => OperState::Down,
        pb::OperState::Unavailable => OperState::Unavailable,
        pb::OperState::Unspecified => OperState::Unknown,
    };
    Arc::new(Port {
        number: port.number,
        name: port.name,
        interface: port.interface,
        state,
        admin_up: port.admin_up,
        mac: port.mac,
        mtu: port.mtu,
        speed_mbps: port.speed_mbps,
        driver: port.driver,
        xdp_mode: port.xdp_mode,
        message: port.message,
    })
}

fn link_item(link: pb::Link) -> Result<Arc<Link>, WireError> {
    let direction = match link.state() {
        pb::LinkState::Pending => Direction::Pending,
        pb::LinkState::TwoWay => Direction::TwoWay,
        pb::LinkState::OneWay => Direction::OneWay,
        pb::LinkState::Edge => Direction::Edge,
        pb::LinkState::Unspecified => Direction::Unknown,
    };
    let key = link.key.ok_or(WireError::Link)?;
    Ok(Arc::new(Link {
        local_port: key.local_port,
        neighbor: neighbor(key.neighbor)?,
        direction,
        is_authenticated: link.authenticated,
        boot: link.boot,
        foreign_cluster: link.foreign_cluster,
        about: LinkTexts {
            chassis_id: link.chassis_id,
            port_id: link.port_id,
            port_description: link.port_description,
            system_name: link.system_name,
            system_description: link.system_description,
            capabilities: link.capabilities,
        },
    }))
}

fn neighbor(neighbor: Option<link_key::Neighbor>) -> Result<Neighbor, WireError> {
    Ok(match neighbor.ok_or(WireError::Link)? {
        link_key::Neighbor::Cluster(cluster) => Neighbor::Cluster {
            device_id: cluster.device_id,
            port: cluster.port,
        },
        link_key::Neighbor::Foreign(foreign) => Neighbor::Foreign {
            chassis: (foreign.chassis_subtype, foreign.chassis_id),
            port: (foreign.port_subtype, foreign.port_id),
        },
    })
}

fn host_id(key: &pb::HostKey) -> Result<HostId, WireError> {
    let mac = <[u8; 6]>::try_from(key.mac.as_slice());
    Ok(HostId {
        mac: MacAddr(mac.map_err(|_| WireError::Mac(key.mac.len()))?),
        vlan: key.vlan,
    })
}

fn host_item(host: pb::Host) -> Result<Arc<Host>, WireError> {
    let addresses = host.addresses.into_iter().map(|at| (at.ip, at.source));
    let locations = host.locations.into_iter().map(|at| (at.port, at.since));
    Ok(Arc::new(Host {
        id: host_id(&host.key.ok_or(WireError::Host)?)?,
        addresses: addresses.collect(),
        locations: locations.collect(),
        first_seen: host.first_seen,
        last_seen: host.last_seen,
        moves: host.moves,
    }))
}

fn table_item(table: pb::TableOccupancy) -> Arc<Table> {
    Arc::new(Table {
        id: table.id,
        name: table.name,
        entries: table.entries,
        capacity: table.capacity,
    })
}

/// A change as messages carry it; nothing if there is no word for it here.
pub fn event(sequence: u64, change: &Change) -> Option<pb::InventoryEvent> {
    let change = match change {
        Change::Unknown => return None,
        Change::Put(item, _) => put(item),
        Change::Gone(key) => inventory_event::Change::Gone(pb::Gone {
            item: Some(match key {
                Key::Port(number) => gone::Item::Port(*number),
                Key::Link(port, neighbor) => gone::Item::Link(link_key(*port, neighbor)),
                Key::Table(id) => gone::Item::Table(*id),
                Key::Host(id) => gone::Item::Host(host_key(*id)),
            }),
        }),
    };
    Some(pb::InventoryEvent {
        sequence,
        change: Some(change),
    })
}

/// An item that is there, as part of a snapshot.
pub fn item(item: &Item) -> pb::InventoryEvent {
    pb::InventoryEvent {
        sequence: 0,
        change: Some(put(item)),
    }
}

fn put(item: &Item) -> inventory_event::Change {
    match item {
        Item::Port(item) => inventory_event::Change::Port(port(item)),
        Item::Link(item) => inventory_event::Change::Link(link(item)),
        Item::Host(item) => inventory_event::Change::Host(host(item)),
        Item::Table(item) => inventory_event::Change::Table(pb::TableOccupancy {
            name: item.name.clone(),
            id: item.id,
            entries: item.entries,
            capacity: item.capacity,
        }),
    }
}

/// A port; what it counts is not known here.
pub fn port(port: &Port) -> pb::Port {
    let state = match port.state {
        OperState::Up => pb::OperState::Up,
        OperState::Down => pb::OperState::Down,
        OperState::Unavailable => pb::OperState::Unavailable,
        OperState::Unknown => pb::OperState::Unspecified,
    };
    pb::Port {
        number: port.number,
        name: port.name.clone(),
        interface: port.interface.clone(),
        oper_state: state.into(),
        admin_up: port.admin_up,
        mac: port.mac.clone(),
        mtu: port.mtu,
        speed_mbps: port.speed_mbps,
        driver: port.driver.clone(),
        xdp_mode: port.xdp_mode.clone(),
        message: port.message.clone(),
        ..pb::Port::default()
    }
}

/// A link.
pub fn link(link: &Link) -> pb::Link {
    let state = match link.direction {
        Direction::Pending => pb::LinkState::Pending,
        Direction::TwoWay => pb::LinkState::TwoWay,
        Direction::OneWay => pb::LinkState::OneWay,
        Direction::Edge => pb::LinkState::Edge,
        Direction::Unknown => pb::LinkState::Unspecified,
    };
    let about = &link.about;
    pb::Link {
        key: Some(link_key(link.local_port, &link.neighbor)),
        state: state.into(),
        authenticated: link.is_authenticated,
        boot: link.boot,
        foreign_cluster: link.foreign_cluster.clone(),
        chassis_id: about.chassis_id.clone(),
        port_id: about.port_id.clone(),
        port_description: about.port_description.clone(),
        system_name: about.system_name.clone(),
        system_description: about.system_description.clone(),
        capabilities: about.capabilities.clone(),
    }
}

fn link_key(local_port: u32, neighbor: &Neighbor) -> pb::LinkKey {
    let neighbor = match neighbor {
        Neighbor::Cluster { device_id, port } => link_key::Neighbor::Cluster(pb::ClusterNeighbor {
            device_id: *device_id,
            port: *port,
        }),
        Neighbor::Foreign { chassis, port } => link_key::Neighbor::Foreign(pb::ForeignNeighbor {
            chassis_subtype: chassis.0,
            chassis_id: chassis.1.clone(),
            port_subtype: port.0,
            port_id: port.1.clone(),
        }),
    };
    pb::LinkKey {
        local_port,
        neighbor: Some(neighbor),
    }
}

fn host(host: &Host) -> pb::Host {
    let locations = host.locations.iter().map(|(port, since)| pb::HostLocation {
        port: *port,
        since: *since,
    });
    pb::Host {
        key: Some(host_key(host.id)),
        addresses: host_addresses(&host.addresses),
        locations: locations.collect(),
        first_seen: host.first_seen,
        last_seen: host.last_seen,
        moves: host.moves,
    }
}

/// The addresses of a host, each with how it was learnt.
pub fn host_addresses(addresses: &[(Vec<u8>, String)]) -> Vec<pb::HostAddress> {
    let addresses = addresses.iter().map(|(ip, source)| pb::HostAddress {
        ip: ip.clone(),
        source: source.clone(),
    });
    addresses.collect()
}

/// Which host it is.
pub fn host_key(id: HostId) -> pb::HostKey {
    pb::HostKey {
        mac: id.mac.0.to_vec(),
        vlan: id.vlan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(change: inventory_event::Change) -> pb::InventoryEvent {
        pb::InventoryEvent {
            sequence: 0,
            change: Some(change),
        }
    }

    fn link_at(port: u32, neighbor: link_key::Neighbor) -> pb::Link {
        pb::Link {
            key: Some(pb::LinkKey {
                local_port: port,
                neighbor: Some(neighbor),
            }),
            state: pb::LinkState::TwoWay.into(),
            authenticated: true,
            boot: 7,
            foreign_cluster: "0011".into(),
            chassis_id: "pointsman:11".into(),
            port_id: "swp1".into(),
            port_description: "to the spine".into(),
            system_name: "spine1".into(),
            system_description: "a switch".into(),
            capabilities: vec!["bridge".into()],
        }
    }

    #[test]
    fn items_leave_as_they_came() {
        let cluster = link_key::Neighbor::Cluster(pb::ClusterNeighbor {
            device_id: 11,
            port: 1,
        });
        let foreign = link_key::Neighbor::Foreign(pb::ForeignNeighbor {
            chassis_subtype: 4,
            chassis_id: vec![2, 0, 0, 0, 0, 1],
            port_subtype: 5,
            port_id: b"eth0".to_vec(),
        });
        let port = pb::Port {
            number: 1,
            name: "swp1".into(),
            interface: "eth1".into(),
            oper_state: pb::OperState::Up.into(),
            mac: vec![2, 0, 0, 0, 0, 9],
            mtu: 9000,
            xdp_mode: "native".into(),
            message: "slow".into(),
            admin_up: true,
            speed_mbps: 1000,
            driver: "veth".into(),
            ..pb::Port::default()
        };
        let host = pb::Host {
            key: Some(pb::HostKey {
                mac: vec![2, 0, 0, 0, 0, 3],
                vlan: 10,
            }),
            addresses: vec![pb::HostAddress {
                ip: vec![10, 0, 0, 3],
                source: "arp".into(),
            }],
            locations: vec![pb::HostLocation { port: 3, since: 5 }],
            first_seen: 5,
            last_seen: 6,
            moves: 1,
        };
        let table = pb::TableOccupancy {
            name: "acl".into(),
            id: 9,
            entries: 3,
            capacity: 1024,
        };
        let events = [
            event(inventory_event::Change::Port(port)),
            event(inventory_event::Change::Link(link_at(1, cluster))),
            event(inventory_event::Change::Link(link_at(2, foreign))),
            event(inventory_event::Change::Host(host)),
            event(inventory_event::Change::Table(table)),
        ];
        let message = pb::InventoryBatch {
            events: events.to_vec(),
            ..pb::InventoryBatch::default()
        };
        let changes = batch(message).unwrap().changes;
        let back = changes.iter().map(|(_, change)| match change {
            Change::Put(one, _) => item(one),
            other => panic!("{other:?}"),
        });
        assert_eq!(back.collect::<Vec<_>>(), events);
    }

    #[test]
    fn what_is_gone_is_named_and_what_is_new_to_this_version_is_counted() {
        let gone = |item| event(inventory_event::Change::Gone(pb::Gone { item: Some(item) }));
        let key = pb::HostKey {
            mac: vec![2, 0, 0, 0, 0, 3],
            vlan: 10,
        };
        let bad = pb::HostKey {
            mac: vec![2],
            vlan: 10,
        };
        let of = |event: pb::InventoryEvent| change(event).map(|(_, change)| change);
        let id = host_id(&key).unwrap();
        assert_eq!(
            of(gone(gone::Item::Host(key))),
            Ok(Change::Gone(Key::Host(id)))
        );
        assert_eq!(of(gone(gone::Item::Host(bad))), Err(WireError::Mac(1)));
        assert_eq!(of(pb::InventoryEvent::default()), Ok(Change::Unknown));
    }
}
