//! A bridge that an agent is by itself: frames between interfaces, with no controller.

use std::process::Stdio;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::objective::v1::State;
use tonic::transport::Channel;

use crate::is_root;
use crate::net::{Net, run, until};

const HOSTS: [&str; 3] = ["q1", "q3", "q4"];
const A: &str = "020000000001";
const B: &str = "020000000002";
const BRIDGE: &str = "reactive: { bridges: [{ vlan: 10, untagged: [\"p*\"], idle_seconds: 6 }] }\n";

/// Sends a frame by one interface, and says by which others it came out.
fn sent(net: &Net, by: &str, to: &str, from: &str) -> Vec<String> {
    let script = format!(
        r#"
import select, socket, sys
def wire(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
    s.bind((name, 0))
    return s
wires = {{name: wire(name) for name in {HOSTS:?}}}
frame = bytes.fromhex("{to}{from}88b5") + bytes(50)
wires["{by}"].send(frame)
came = set()
while True:
    ready = select.select(list(wires.values()), [], [], 0.3)[0]
    if not ready:
        break
    for name, s in wires.items():
        if s in ready:
            bytes_, (_, _, kind, _, _) = s.recvfrom(2000)
            if bytes_ == frame and kind != socket.PACKET_OUTGOING:
                came.add(name)
print(*sorted(came))
"#
    );
    let output = net
        .in_namespace(&net.switches, "python3")
        .args(["-c", &script])
        .stderr(Stdio::inherit())
        .output();
    let output = output.expect("python3 runs");
    assert!(output.status.success());
    let names = String::from_utf8_lossy(&output.stdout);
    names.split_whitespace().map(str::to_owned).collect()
}

/// The next to which frames for a station go, and how that objective fares.
async fn way(leaf: &mut AgentClient<Channel>, station: &str) -> Option<(String, State)> {
    let name = format!("local/bridge10/station/{station}");
    let request = pb::ListObjectivesRequest { entries: false };
    let answer = leaf.list_objectives(request).await.expect("it answers");
    let mut all = answer.into_inner().objectives.into_iter();
    all.find_map(|found| {
        let objective = found.objective?;
        let state = found.status?.state();
        match objective.kind? {
            pointsman_proto::pointsman::objective::v1::objective::Kind::Forward(forward)
                if objective.name == name =>
            {
                Some((forward.next, state))
            }
            _ => None,
        }
    })
}

async fn comes(leaf: &mut AgentClient<Channel>, station: &str, port: Option<&str>) -> bool {
    let wanted = port.map(|port| (format!("local/bridge10/port/{port}"), State::Applied));
    let reached = until(async || (way(leaf, station).await == wanted).then_some(()));
    reached.await.is_some()
}

async fn slow_packets(leaf: &mut AgentClient<Channel>) -> u64 {
    let status = leaf.get_status(pb::GetStatusRequest {}).await;
    status.expect("it answers").into_inner().slow_path_packets
}

#[tokio::test]
async fn a_bridge_learns_from_first_frames_follows_moves_and_forgets() {
    if !is_root() {
        return;
    }
    let mut net = Net::new();
    let ns = net.switches.clone();
    // Or its own neighbour discovery is flooded, too.
    let quiet = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1";
    run(&format!("ip netns exec {ns} {quiet}"));
    for n in [3, 4] {
        run(&format!(
            "ip -n {ns} link add p{n} type veth peer name q{n}"
        ));
        run(&format!("ip -n {ns} link set p{n} up"));
        run(&format!("ip -n {ns} link set q{n} up"));
    }
    for host in HOSTS {
        // Or frames that are redirected to it go nowhere.
        run(&format!("ip netns exec {ns} ethtool -K {host} gro on"));
    }
    let ports = "[1=p1, 3=p3, 4=p4]";
    let (agent, mut leaf) = net.start_agent_with(1, ports, BRIDGE).await;
    let (a, b) = ("02:00:00:00:00:01", "02:00:00:00:00:02");

    // To somebody unknown: flooded; and the sender is known from then on.
    let flooded = until(async || (sent(&net, "q1", B, A) == ["q3", "q4"]).then_some(()));
    flooded
        .await
        .unwrap_or_else(|| panic!("not flooded:\n{}", net.log(1)));
    assert!(comes(&mut leaf, a, Some("p1")).await, "{}", net.log(1));
    assert_eq!(sent(&net, "q3", A, B), ["q1"], "the way back is known");
    assert!(comes(&mut leaf, b, Some("p3")).await, "{}", net.log(1));

    // All else is the kernel's alone.
    let before = slow_packets(&mut leaf).await;
    assert_eq!(sent(&net, "q1", B, A), ["q3"]);
    assert_eq!(sent(&net, "q3", A, B), ["q1"]);
    assert_eq!(slow_packets(&mut leaf).await, before);

    // Another agent in its place goes on with what was learnt.
    net.kill(agent);
    let (_, mut leaf) = net.start_agent_with(1, ports, BRIDGE).await;
    assert!(comes(&mut leaf, b, Some("p3")).await, "{}", net.log(1));
    let to_b = until(async || (sent(&net, "q1", B, A) == ["q3"]).then_some(()));
    to_b.await
        .unwrap_or_else(|| panic!("forgotten:\n{}", net.log(1)));

    // A moves; only its own frames tell.
    let moved = until(async || {
        assert_eq!(sent(&net, "q4", B, A), ["q3"]);
        let (next, _) = way(&mut leaf, a).await?;
        (next == "local/bridge10/port/p4").then_some(())
    });
    moved
        .await
        .unwrap_or_else(|| panic!("not moved:\n{}", net.log(1)));
    assert_eq!(sent(&net, "q3", A, B), ["q4"]);

    assert!(
        comes(&mut leaf, a, None).await,
        "it is silent: {}",
        net.log(1)
    );
    assert_eq!(sent(&net, "q3", A, B), ["q1", "q4"], "flooded again");
}

const SUBNETS: &str = "reactive: { host_routes: [\
    { vlan: 10, gateway: 10.7.0.1/24, mac: \"02:00:00:00:00:fe\", untagged: [p1] }, \
    { vlan: 20, gateway: 10.8.0.1/24, mac: \"02:00:00:00:00:fe\", untagged: [p2] }] }\n";

/// Two Linux hosts in two subnets, with nothing between them but an agent of which they are told nothing.
#[tokio::test]
async fn hosts_of_two_subnets_reach_each_other_from_the_first_packet_on() {
    if !is_root() {
        return;
    }
    let mut net = Net::new();
    let (here, there) = (net.switches.clone(), net.server.clone());
    let hosts = [
        (&here, "q1", "10.7.0.5", "10.7.0.1"),
        (&there, "eth0", "10.8.0.5", "10.8.0.1"),
    ];
    for (namespace, interface, ip, gateway) in hosts {
        run(&format!(
            "ip netns exec {namespace} ethtool -K {interface} gro on tx off"
        ));
        run(&format!(
            "ip -n {namespace} addr add {ip}/24 dev {interface}"
        ));
        run(&format!(
            "ip -n {namespace} route add 10.0.0.0/8 via {gateway}"
        ));
    }
    let (_, mut leaf) = net.start_agent_with(1, "[1=p1, 2=p2]", SUBNETS).await;
    let ready = until(async || {
        let status = leaf
            .get_status(pb::GetStatusRequest {})
            .await
            .ok()?
            .into_inner();
        (status.ports_up == 2 && status.objectives_applied == 4).then_some(())
    });
    ready
        .await
        .unwrap_or_else(|| panic!("not ready:\n{}", net.log(1)));

    // The host there has said nothing yet: the first packet waits until it has answered.
    let ping = net
        .in_namespace(&here, "ping")
        .args(["-c1", "-W5", "-I", "q1", "10.8.0.5"])
        .output();
    let ping = ping.expect("ping runs");
    let said = String::from_utf8_lossy(&ping.stdout).into_owned();
    assert!(ping.status.success(), "{said}\n{}", net.log(1));
    let mut routes = Vec::new();
    let installed = until(async || {
        let request = pb::ListObjectivesRequest { entries: false };
        let answer = leaf.list_objectives(request).await.ok()?.into_inner();
        let applied = answer.objectives.into_iter();
        let applied = applied.filter(|o| {
            o.status
                .as_ref()
                .is_some_and(|s| s.state() == State::Applied)
        });
        routes = applied.filter_map(|o| Some(o.objective?.name)).collect();
        let has = |ip: &str| {
            routes
                .iter()
                .any(|name| name.ends_with(&format!("/host/{ip}")))
        };
        (has("10.7.0.5") && has("10.8.0.5")).then_some(())
    });
    let installed = installed.await;
    assert!(installed.is_some(), "{routes:?}\n{}", net.log(1));
}
