//! What switches learn of their surroundings, in network namespaces: neighbours by LLDP, hosts by ARP and neighbour
//! discovery, stations by their first frames, and what garbage does to it (nothing). Needs root, `python3`, and `lldpd` for a part; see
//! [`net::skipped`].

mod bridging;
mod garbage;
mod hosts;
mod lldp;
mod net;

use std::process::Command;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::LinkState;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::agent::v1::inventory_event::Change;
use tonic::transport::Channel;

use net::{skipped, until};

/// Whether namespaces can be made here.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    let is_root = id.stdout.starts_with(b"0\n");
    if !is_root {
        skipped("network namespaces need root");
    }
    is_root
}

/// What an agent sees now.
async fn snapshot(client: &mut AgentClient<Channel>) -> pb::InventoryBatch {
    let request = pb::WatchInventoryRequest {
        once: true,
        ..Default::default()
    };
    let batches = client.watch_inventory(request).await.expect("it answers");
    let mut batches = batches.into_inner();
    let mut all = pb::InventoryBatch::default();
    while let Some(batch) = batches.message().await.expect("no error") {
        let before = std::mem::take(&mut all.events);
        all = batch;
        all.events.splice(..0, before);
    }
    all
}

async fn link(client: &mut AgentClient<Channel>, port: u32, state: LinkState) -> Option<pb::Link> {
    until(async || {
        let events = snapshot(client).await.events.into_iter();
        let links = events.filter_map(|event| match event.change {
            Some(Change::Link(link)) => Some(link),
            _ => None,
        });
        links.into_iter().find(|link| {
            link.state() == state && link.key.as_ref().is_some_and(|key| key.local_port == port)
        })
    })
    .await
}

/// The hosts that an agent knows.
async fn hosts(client: &mut AgentClient<Channel>) -> Vec<pb::Host> {
    let events = snapshot(client).await.events.into_iter();
    let hosts = events.filter_map(|event| match event.change {
        Some(Change::Host(host)) => Some(host),
        _ => None,
    });
    hosts.collect()
}
