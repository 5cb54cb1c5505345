//! What views hold, as messages.

use std::time::Instant;

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;

use crate::view::device::Freshness;
use crate::view::fabric::{FabricHost, Summary};
use crate::view::graph::{Edge, End, FabricLink, LinkState};
use crate::view::watcher::{DeviceUpdate, News, Update};
use crate::view::wire;

/// What is known of a device, without items.
pub(super) fn inventory(summary: Summary, now: Instant) -> pb::DeviceInventory {
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

/// A link between devices.
pub(super) fn link(link: FabricLink) -> pb::FabricLink {
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

/// A neighbour that is no device.
pub(super) fn edge(edge: Edge) -> pb::EdgeNeighbor {
    pb::EdgeNeighbor {
        device: edge.device,
        stale: edge.is_stale,
        link: Some(wire::link(&edge.link)),
    }
}

/// A host and its places.
pub(super) fn host(host: FabricHost) -> pb::FabricHost {
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

/// What somebody is told who watches.
pub(super) fn batch(update: Update) -> pb::TopologyBatch {
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
