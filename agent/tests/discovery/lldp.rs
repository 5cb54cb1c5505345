//! Agents, one on XDP and one on the interpreter, and a stock `lldpd`.

use std::path::Path;
use std::process::Stdio;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::agent::v1::inventory_event::Change;
use pointsman_proto::pointsman::agent::v1::link_key::Neighbor;
use pointsman_proto::pointsman::agent::v1::{LinkState, gone};
use tonic::transport::Channel;

use crate::net::{Net, PATIENCE, skipped, until};
use crate::{is_root, link, snapshot};

fn neighbor(link: &pb::Link) -> (u64, u32) {
    match link.key.as_ref().and_then(|key| key.neighbor.as_ref()) {
        Some(Neighbor::Cluster(neighbor)) => (neighbor.device_id, neighbor.port),
        other => panic!("not of the cluster: {other:?}"),
    }
}

#[tokio::test]
async fn agents_find_each_other_and_a_stock_lldpd_and_nobody_is_fooled() {
    if !is_root() {
        return;
    }
    let mut net = Net::new();
    let (_, mut leaf1) = net.start_agent(1, "[1=p1, 2=p2]", "").await;
    let (second, mut leaf2) = net.start_agent(2, "[7=q1]", "target: interpreter\n").await;

    let here = link(&mut leaf1, 1, LinkState::TwoWay).await;
    let here = here.unwrap_or_else(|| panic!("no link:\n{}\n{}", net.log(1), net.log(2)));
    assert_eq!(neighbor(&here), (2, 7));
    assert!(here.authenticated);
    assert_eq!(
        (here.system_name.as_str(), here.port_id.as_str()),
        ("leaf2", "q1")
    );
    let there = link(&mut leaf2, 7, LinkState::TwoWay)
        .await
        .expect("it is the same");
    assert_eq!(neighbor(&there), (1, 1));

    // A frame of leaf2 that was recorded, once as it is, and once in the name of another device.
    let before = snapshot(&mut leaf1).await;
    let fooling = "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0003)
s.bind(('q1', 0x0003))
while True:
    frame, (_, _, kind, _, _) = s.recvfrom(2048)
    if frame[12:14] == b'\\x88\\xcc' and kind == socket.PACKET_OUTGOING:
        break
at = frame.index(b'\\xfa\\x50\\x4d\\x01') + 5 + 8
for _ in range(20):
    s.send(frame)
    s.send(frame[:at] + (3).to_bytes(8, 'big') + frame[at + 8:])
";
    net.python(fooling);
    let forged = until(async || net.log(1).contains("forged LLDP").then_some(())).await;
    forged.unwrap_or_else(|| panic!("nobody noticed:\n{}", net.log(1)));
    let after = snapshot(&mut leaf1).await;
    let links = |batch: &pb::InventoryBatch| {
        let changes = batch.events.iter().filter_map(|event| event.change.clone());
        let links = changes.filter(|change| matches!(change, Change::Link(_)));
        links.collect::<Vec<_>>()
    };
    assert_eq!(links(&after), links(&before));

    with_lldpd(&mut net, &mut leaf1).await;

    // Who watches from before is told what happens, and no more.
    let resume = pb::WatchInventoryRequest {
        boot_id: before.boot_id.clone(),
        sequence: before.sequence,
        once: false,
    };
    let watching = leaf1.watch_inventory(resume).await.expect("it answers");
    let mut watching = watching.into_inner();
    net.kill(second);
    let gone = async {
        while let Ok(Some(batch)) = watching.message().await {
            assert!(!batch.snapshot);
            let gone = batch.events.into_iter().any(|event| match event.change {
                Some(Change::Gone(gone)) => matches!(
                    gone.item,
                    Some(gone::Item::Link(key)) if key.local_port == 1
                ),
                _ => false,
            });
            if gone {
                return;
            }
        }
        panic!("the stream has ended");
    };
    let gone = tokio::time::timeout(PATIENCE, gone).await;
    gone.unwrap_or_else(|_| panic!("the link stays:\n{}", net.log(1)));
}

/// Debian's `lldpd` at port 2 of leaf1: each sees the other.
async fn with_lldpd(net: &mut Net, leaf1: &mut AgentClient<Channel>) {
    if !Path::new("/usr/sbin/lldpd").exists() {
        return skipped("lldpd is not installed");
    }
    let socket = net.files.path().join("lldpd.socket");
    let lldpd = net
        .in_namespace(&net.server, "/usr/sbin/lldpd")
        .args(["-d", "-I", "eth0", "-S", "a server", "-u"])
        .arg(&socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    net.running.push(lldpd.expect("lldpd starts"));
    let asked = |what: &[&str]| {
        let mut lldpcli = net.in_namespace(&net.server, "lldpcli");
        lldpcli.arg("-u").arg(&socket).args(what);
        let output = lldpcli.output().expect("lldpcli runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let seen = until(async || {
        let seen = asked(&["-f", "json", "show", "neighbors", "details"]);
        (seen.contains("leaf1") && seen.contains("pointsman:1")).then_some(seen)
    });
    let seen = seen.await.expect("lldpd sees the agent");
    for expected in ["\"p2\"", "P4 port 2", "Bridge", "Router", "FA,50,4D"] {
        assert!(seen.contains(expected), "{expected}: {seen}");
    }
    asked(&["configure", "lldp", "tx-interval", "1"]);
    let edge = link(leaf1, 2, LinkState::Edge).await;
    let edge = edge.unwrap_or_else(|| panic!("lldpd is not seen:\n{}", net.log(1)));
    assert_eq!(edge.system_description, "a server");
    assert_eq!(
        (
            edge.port_description.as_str(),
            edge.foreign_cluster.as_str()
        ),
        ("eth0", "")
    );
}
