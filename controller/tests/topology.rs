//! What controllers know of the fabric, over its API: the same everywhere, marked where it is stale, watched and gone on with.

#![allow(clippy::unwrap_used)]

mod support;

use pointsman_proto::pointsman::agent::v1::{OperState, inventory_event};
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::freshness;
use pointsman_proto::pointsman::controller::v1::topology_client::TopologyClient;
use support::fake_agent::FakeAgent;
use support::{TestController, device, eventually, request};
use tonic::transport::Channel;
use tonic::{Code, Streaming};

/// leaf1 and leaf2, each with a host at port 9, and spine1 between them.
struct Fabric {
    leaf1: FakeAgent,
    leaf2: FakeAgent,
    spine1: FakeAgent,
}

impl Fabric {
    async fn start() -> Self {
        let fabric = Self {
            leaf1: FakeAgent::start().await,
            leaf2: FakeAgent::start().await,
            spine1: FakeAgent::start().await,
        };
        for (leaf, number) in [(&fabric.leaf1, 1), (&fabric.leaf2, 2)] {
            let inventory = &mut leaf.held().inventory;
            inventory.port(1, OperState::Up);
            inventory.port(9, OperState::Up);
            inventory.link(1, 3, u32::from(number));
            inventory.host([10, 0, number, 5], 9);
        }
        for port in [1, 2] {
            let inventory = &mut fabric.spine1.held().inventory;
            inventory.port(port, OperState::Up);
            inventory.link(port, u64::from(port), 1);
        }
        fabric
    }

    fn devices(&self) -> Vec<pb::DeviceChange> {
        vec![
            device("leaf1", self.leaf1.address, 1),
            device("leaf2", self.leaf2.address, 2),
            device("spine1", self.spine1.address, 3),
        ]
    }

    /// A controller that knows all of it.
    async fn controller(&self) -> (TestController, TopologyClient<Channel>) {
        let mut controller = TestController::start().await;
        controller.must_apply(request(self.devices(), [])).await;
        let address = format!("http://{}", controller.server.address());
        let topology = TopologyClient::connect(address).await.unwrap();
        eventually("all views are fresh", || async {
            let inventories = inventories(&topology).await;
            let is_fresh = |one: &pb::DeviceInventory| {
                one.freshness.as_ref().unwrap().state() == freshness::State::Fresh
            };
            inventories.len() == 3 && inventories.iter().all(is_fresh)
        })
        .await;
        (controller, topology)
    }
}

async fn inventories(topology: &TopologyClient<Channel>) -> Vec<pb::DeviceInventory> {
    let request = pb::GetInventoryRequest {
        summary: true,
        ..Default::default()
    };
    let answer = topology.clone().get_inventory(request).await;
    answer.unwrap().into_inner().devices
}

/// `device:port device:port STATE reason` of each link.
async fn links(topology: &TopologyClient<Channel>) -> Vec<String> {
    let request = pb::GetLinksRequest::default();
    let answer = topology.clone().get_links(request).await.unwrap();
    let end = |end: &Option<pb::LinkEnd>| {
        let end = end.as_ref().unwrap();
        format!("{}:{}", end.device, end.port_name)
    };
    let links = answer.into_inner().links.into_iter();
    let words = links.map(|link| format!("{} {} {:?}", end(&link.a), end(&link.b), link.state()));
    words.collect()
}

async fn hosts(topology: &TopologyClient<Channel>, devices: &[&str]) -> Vec<pb::FabricHost> {
    let devices = devices.iter().map(|device| device.to_string());
    let request = pb::GetHostsRequest {
        devices: devices.collect(),
    };
    let answer = topology.clone().get_hosts(request).await;
    answer.unwrap().into_inner().hosts
}

/// `in>device>out` of each hop of the paths, or why there are none.
async fn paths(topology: &TopologyClient<Channel>, from: &str, to: &str) -> String {
    let request = pb::GetPathsRequest {
        from: from.into(),
        to: to.into(),
        max_paths: 0,
    };
    let answer = topology.clone().get_paths(request).await;
    let answer = answer.unwrap().into_inner();
    let paths = answer.paths.iter().map(|path| {
        let hops = path.hops.iter();
        let hops = hops.map(|hop| format!("{}>{}>{}", hop.in_port, hop.device, hop.out_port));
        hops.collect::<Vec<_>>().join(" ")
    });
    match answer.reason.as_str() {
        "" => paths.collect::<Vec<_>>().join("; "),
        reason => reason.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_graph_its_paths_and_hosts_follow_what_agents_see() {
    let fabric = Fabric::start().await;
    let (controller, topology) = fabric.controller().await;
    let up = ["leaf1:p1 spine1:p1 Up", "leaf2:p1 spine1:p2 Up"];
    assert_eq!(links(&topology).await, up);
    let there = "9>leaf1>1 1>spine1>2 1>leaf2>9";
    assert_eq!(paths(&topology, "10.0.1.5", "10.0.2.5").await, there);
    assert_eq!(
        paths(&topology, "02:00:0a:00:02:05", "spine1").await,
        "9>leaf2>1 2>spine1>0"
    );
    let hosts = hosts(&topology, &["leaf2"]).await;
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].attachments[0].port_name, "p9");

    fabric.leaf2.held().inventory.port(1, OperState::Down);
    fabric.leaf2.held().inventory.no_link(1);
    let none = "no links that are up lead from 10.0.1.5 to 10.0.2.5";
    eventually("the path is gone", || async {
        paths(&topology, "10.0.1.5", "10.0.2.5").await == none
    })
    .await;
    assert_eq!(links(&topology).await[1], "leaf2:p1 spine1:p2 Pending");
    controller.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_said() {
    let fabric = Fabric::start().await;
    let (_controller, topology) = fabric.controller().await;
    let ask = async |from: &str| {
        let request = pb::GetPathsRequest {
            from: from.into(),
            to: "leaf1".into(),
            max_paths: 0,
        };
        let status = topology.clone().get_paths(request).await.unwrap_err();
        (status.code(), status.message().to_owned())
    };
    let (code, message) = ask("leaf9").await;
    assert_eq!(code, Code::NotFound);
    assert!(message.contains("\"leaf9\" is no device"), "{message}");
    let (code, message) = ask("10.9.9.9").await;
    assert_eq!(code, Code::NotFound);
    assert!(message.contains("no switch has seen a host"), "{message}");
    let request = pb::GetLinksRequest {
        devices: vec!["leaf9".into()],
    };
    let status = topology.clone().get_links(request).await.unwrap_err();
    let expected = "there is no device \"leaf9\"; known devices: leaf1, leaf2, spine1";
    assert_eq!(status.message(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_away_is_stale_until_it_is_back_and_then_as_it_is_now() {
    let fabric = Fabric::start().await;
    let (_controller, topology) = fabric.controller().await;
    let stopped = fabric.leaf2.stop().await;
    let state = async || {
        let inventories = inventories(&topology).await;
        let freshness = inventories[1].freshness.clone().unwrap();
        (freshness.state(), freshness.reason)
    };
    eventually("leaf2 is stale", || async {
        state().await.0 == freshness::State::Stale
    })
    .await;
    eventually("it is said why", || async {
        state().await.1.starts_with("no agent answers at ")
    })
    .await;
    assert_eq!(links(&topology).await[1], "leaf2:p1 spine1:p2 Stale");
    let hosts = hosts(&topology, &[]).await;
    let stale: Vec<_> = hosts.iter().map(|host| host.attachments[0].stale).collect();
    assert_eq!(stale, [false, true]);
    assert_eq!(
        paths(&topology, "10.0.1.5", "10.0.2.5").await,
        "every switch that has seen 10.0.2.5 is stale"
    );
    let held = stopped.held.clone();
    {
        let inventory = &mut held.lock().unwrap().inventory;
        inventory.reboot("another boot");
        inventory.port(2, OperState::Up);
    }
    let _leaf2 = stopped.start().await;
    eventually("leaf2 is as it is now", || async {
        let inventories = inventories(&topology).await;
        let leaf2 = &inventories[1];
        (&*leaf2.boot_id, leaf2.ports, leaf2.hosts) == ("another boot", 1, 0)
    })
    .await;
    assert_eq!(state().await.0, freshness::State::Fresh);
}

/// The next batch that says something of a device.
async fn next(stream: &mut Streaming<pb::TopologyBatch>) -> pb::TopologyBatch {
    let next = tokio::time::timeout(std::time::Duration::from_secs(10), stream.message());
    next.await.unwrap().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_one_controller_goes_on_at_another_without_losing_or_repeating_anything() {
    let fabric = Fabric::start().await;
    let (first, topology) = fabric.controller().await;
    let (_second, other) = fabric.controller().await;
    let request = pb::WatchTopologyRequest::default();
    let answer = topology.clone().watch(request).await;
    let mut stream = answer.unwrap().into_inner();
    let mut known = Vec::new();
    loop {
        let batch = next(&mut stream).await;
        if batch.complete {
            break;
        }
        assert!(batch.snapshot && !batch.more);
        known.push(pb::Position {
            device: batch.device,
            boot_id: batch.boot_id,
            sequence: batch.sequence,
        });
    }
    assert_eq!(known.len(), 3);
    fabric.leaf1.held().inventory.port(9, OperState::Down);
    let batch = next(&mut stream).await;
    assert_eq!((&*batch.device, batch.snapshot), ("leaf1", false));
    assert_eq!(batch.events[0].sequence, batch.sequence);
    known[0].sequence = batch.sequence;
    first.server.shutdown().await;
    fabric.leaf1.held().inventory.port(9, OperState::Up);
    let last = fabric.leaf1.held().inventory.sequence();

    let request = pb::WatchTopologyRequest {
        known,
        ..Default::default()
    };
    let answer = other.clone().watch(request).await;
    let mut stream = answer.unwrap().into_inner();
    let mut events = Vec::new();
    while events.is_empty() {
        let batch = next(&mut stream).await;
        assert!(!batch.snapshot, "{batch:?}");
        events.extend(batch.events);
    }
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].sequence, last);
    let Some(inventory_event::Change::Port(port)) = &events[0].change else {
        panic!("{events:?}")
    };
    assert_eq!((port.number, port.oper_state()), (9, OperState::Up));
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_at_the_same_position_have_the_same_digest() {
    let fabric = Fabric::start().await;
    let (_first, one) = fabric.controller().await;
    let (_second, other) = fabric.controller().await;
    for round in 0..200_u32 {
        let state = if round % 2 == 0 {
            OperState::Down
        } else {
            OperState::Up
        };
        fabric.leaf1.held().inventory.port(1 + round % 7, state);
        fabric.spine1.held().inventory.host([10, 1, 1, 1], round);
    }
    let last = fabric.leaf1.held().inventory.sequence();
    let positions = async |topology: &TopologyClient<Channel>| {
        let inventories = inventories(topology).await.into_iter();
        let positions = inventories.map(|one| (one.boot_id, one.sequence, one.digest));
        positions.collect::<Vec<_>>()
    };
    eventually("both have everything", || async {
        let (one, other) = (positions(&one).await, positions(&other).await);
        one[0].1 == last && one == other
    })
    .await;
}
