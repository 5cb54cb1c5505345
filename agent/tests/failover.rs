//! Failover nexts on real ports, as an operator sees them: packets, statuses, and both again after `kill -9` and a
//! cold start. In a network namespace with a BPF file system of its own; root, or the test says that it was skipped.

mod common;

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::master::Master;
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::objective::v1::{Reason, State, Status};
use tonic::transport;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long packets may be under way.
const FLIGHT: Duration = Duration::from_millis(300);
const FLOWS: u16 = 24;

const OBJECTIVES: &str = "
  - filter: hosts
    key: { in_port: 1 }
    conditions: { vlan_vid: untagged, eth_dst: 02:00:00:00:01:01 }
    treatment: { push_vlan: 10 }
  - next: uplinks
    type: failover
    buckets:
      - { set: { eth_src: 02:00:00:00:01:01, eth_dst: 02:00:00:00:00:02 }, output: 2 }
      - { set: { eth_src: 02:00:00:00:01:01, eth_dst: 02:00:00:00:00:03 }, output: 3 }
  - forward: out
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.0.0/24 }
    next: uplinks
";

/// To 10.0.0.5 by way of the router; the source port is the flow's.
const PACKET: [u8; 46] = [
    0x02, 0x00, 0x00, 0x00, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x08, 0x00, 0x45, 0x00,
    0x00, 0x20, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x65, 0xc6, 0x0a, 0x01, 0x01, 0x01, 0x0a, 0x00,
    0x00, 0x05, 0x03, 0xe8, 0x07, 0xd0, 0x00, 0x0c, 0x00, 0x00, 0xfa, 0x11, 0x0e, 0x4f,
];
const SOURCE_PORT: std::ops::Range<usize> = 34..36;
/// What tells a packet of ours from others, at its end.
const MARK: std::ops::Range<usize> = 40..46;

/// A switch with ports 1 to 3, in a namespace; their other ends are here.
struct Bed {
    id: u32,
    files: tempfile::TempDir,
    agent: Option<Child>,
}

impl Bed {
    /// None without privileges.
    fn new() -> Option<Bed> {
        let id = Command::new("id").arg("-u").output().expect("id");
        if id.stdout.trim_ascii() != b"0" {
            let required = std::env::var_os("REQUIRE_NETNS").is_some();
            assert!(!required, "REQUIRE_NETNS is set, but this is not root");
            eprintln!("skipped: only root may make network namespaces");
            return None;
        }
        let bed = Bed {
            id: std::process::id(),
            files: tempfile::tempdir().expect("a directory"),
            agent: None,
        };
        let bpf = bed.files.path().join("bpf");
        std::fs::create_dir(&bpf).expect("a directory");
        run(&format!("mount -t bpf bpf {}", bpf.display()));
        let ns = bed.namespace();
        run(&format!("ip netns add {ns}"));
        for port in 0..=3 {
            let host = bed.host(port);
            run(&format!(
                "ip link add {host} type veth peer name p{port} netns {ns}"
            ));
            run(&format!("ip link set {host} addrgenmode none up"));
            run(&format!("ip -n {ns} link set p{port} addrgenmode none up"));
            // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
            run(&format!("ethtool -K {host} gro on"));
        }
        // Port 0 is none of the switch's, but the way to its agent.
        run(&format!(
            "ip addr add {}/30 dev {}",
            bed.address(1),
            bed.host(0)
        ));
        run(&format!("ip -n {ns} addr add {}/30 dev p0", bed.address(2)));
        Some(bed)
    }

    fn namespace(&self) -> String {
        format!("failover-{}", self.id)
    }

    fn host(&self, port: u32) -> String {
        format!("fo{}h{port}", self.id)
    }

    /// Of a network for benchmarks, and another one in each run.
    fn address(&self, host: u32) -> String {
        format!("198.18.{}.{}", self.id / 64 % 256, self.id % 64 * 4 + host)
    }

    fn set_link(&self, port: u32, state: &str) {
        run(&format!("ip link set {} {state}", self.host(port)));
    }

    fn command(&self, target: &str) -> Command {
        let mut agent = Command::new("nsenter");
        agent
            .arg(format!("--net=/run/netns/{}", self.namespace()))
            .arg(env!("CARGO_BIN_EXE_pointsman-agent"))
            .args([
                "--insecure",
                "--target",
                target,
                "--port",
                "1=p1",
                "--port",
                "2=p2",
                "--port",
                "3=p3",
            ])
            .args(["--listen", &format!("{}:9559", self.address(2)), "--pins"])
            .arg(self.files.path().join("bpf"))
            .arg("--state-dir")
            .arg(self.files.path().join(target));
        agent
    }

    async fn start(&mut self, target: &str) -> AgentClient<transport::Channel> {
        let log = std::fs::File::create(self.files.path().join("log")).expect("a log file");
        let mut agent = self.command(target);
        let agent = agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.agent = Some(agent.spawn().expect("the agent starts"));
        let address = format!("http://{}:9559", self.address(2));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(client) = AgentClient::connect(address.clone()).await {
                return client;
            }
            assert!(
                Instant::now() < deadline,
                "the agent does not listen:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // It may have ended by itself.
            drop(agent.kill());
            drop(agent.wait());
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.files.path().join("log")).unwrap_or_default()
    }

    /// Sends a packet of each flow; the ports that they come out of, and how many there were.
    fn ports_of_flows(&self) -> (BTreeSet<u32>, u16) {
        let (mut sender, _) = open(&self.host(1));
        let ends = [2, 3].map(|port| (port, open(&self.host(port)).1));
        for flow in 0..FLOWS {
            let mut packet = PACKET;
            packet[SOURCE_PORT].copy_from_slice(&(1000 + flow).to_be_bytes());
            sender
                .send_to(&packet, None)
                .expect("there is room")
                .expect("it is sent");
        }
        let mut seen = (BTreeSet::new(), 0);
        for (port, mut receiver) in ends {
            let deadline = Instant::now() + FLIGHT;
            while Instant::now() < deadline && seen.1 < FLOWS {
                // An interface that is down has nothing to read.
                let Ok(frame) = receiver.next() else { continue };
                if frame.ends_with(&PACKET[MARK]) {
                    seen.0.insert(port);
                    seen.1 += 1;
                }
            }
        }
        seen
    }

    /// Waits until the packets of all flows come out of one port, or of none.
    fn expect_port(&self, expected: Option<u32>, when: &str) {
        let deadline = Instant::now() + PATIENCE;
        let expected: BTreeSet<u32> = expected.into_iter().collect();
        let count = if expected.is_empty() { 0 } else { FLOWS };
        loop {
            let seen = self.ports_of_flows();
            if seen == (expected.clone(), count) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{when}: {seen:?}\n{}",
                self.log()
            );
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.kill();
        drop(
            Command::new("ip")
                .args(["netns", "del", &self.namespace()])
                .status(),
        );
        for port in 0..=3 {
            // It goes with its peer, sooner or later.
            drop(
                Command::new("ip")
                    .args(["link", "del", &self.host(port)])
                    .output(),
            );
        }
        drop(
            Command::new("umount")
                .arg(self.files.path().join("bpf"))
                .status(),
        );
    }
}

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().expect("a program"))
        .args(words)
        .output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
}

fn open(name: &str) -> (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>) {
    let interfaces = pnet_datalink::interfaces();
    let interface = interfaces
        .iter()
        .find(|i| i.name == name)
        .expect("it is there");
    let config = Config {
        read_timeout: Some(Duration::from_millis(20)),
        ..Config::default()
    };
    match pnet_datalink::channel(interface, config).expect("a packet socket") {
        Channel::Ethernet(sender, receiver) => (sender, receiver),
        _ => panic!("{name} is an Ethernet interface"),
    }
}

/// Waits until the next fares so, and returns why.
async fn expect_reason(client: &mut AgentClient<transport::Channel>, reason: Reason) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = pb::ListObjectivesRequest { entries: false };
        let answer = client.list_objectives(request).await.expect("it answers");
        let mut objectives = answer.into_inner().objectives.into_iter();
        let found = objectives.find(|found| {
            let objective = found.objective.as_ref();
            objective.is_some_and(|objective| objective.name == "uplinks")
        });
        let found = found.expect("it is there");
        let status: Status = found.status.expect("it has a status");
        assert_eq!(status.state(), State::Applied, "{status:?}");
        if status.reason() == reason {
            return status.message;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn packets_take_the_first_live_port(bed: &mut Bed, target: &str) {
    let mut client = bed.start(target).await;
    let mut master = Master::open_with(client.clone(), 1)
        .await
        .expect("it is the first");
    let acks = master.put(OBJECTIVES).await;
    assert!(
        acks.iter().all(|ack| ack.ends_with(": applied")),
        "{acks:?}"
    );
    expect_reason(&mut client, Reason::Unspecified).await;
    bed.expect_port(Some(2), "both are up");

    bed.set_link(2, "down");
    bed.expect_port(Some(3), "the first is down");
    let message = expect_reason(&mut client, Reason::PortDown).await;
    assert_eq!(
        message,
        "port 2 of bucket 1 is down; packets take bucket 2, port 3"
    );
    let told = master.acks().await.acks;
    assert!(told.iter().any(|ack| ack.name == "uplinks"), "{told:?}");

    drop(master);
    bed.kill();
    if target == "xdp" {
        bed.expect_port(Some(3), "no agent runs");
    }
    let mut client = bed.start(target).await;
    bed.expect_port(Some(3), "the agent is back");
    expect_reason(&mut client, Reason::PortDown).await;
    bed.set_link(2, "up");
    bed.expect_port(Some(2), "the first is up again");
    expect_reason(&mut client, Reason::Unspecified).await;

    bed.kill();
    run_to_end(&mut bed.command(target), "detach");
    let mut client = bed.start(target).await;
    bed.expect_port(Some(2), "after a cold start");
    bed.set_link(2, "down");
    bed.expect_port(Some(3), "after a cold start, the first is down");
    bed.set_link(3, "down");
    bed.expect_port(None, "none is up");
    let message = expect_reason(&mut client, Reason::PortDown).await;
    assert!(
        message.starts_with("port 2 of bucket 1 is down"),
        "{message}"
    );
    bed.set_link(3, "up");
    bed.expect_port(Some(3), "the second is up again");
    bed.set_link(2, "up");
    bed.expect_port(Some(2), "both are up again");
    bed.kill();
    run_to_end(&mut bed.command(target), "detach");
}

fn run_to_end(command: &mut Command, subcommand: &str) {
    let output = command.arg(subcommand).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{subcommand}: {error}");
}

#[tokio::test]
async fn packets_take_the_first_live_port_before_and_after_the_agent_is_killed() {
    let Some(mut bed) = Bed::new() else { return };
    for target in ["xdp", "interpreter"] {
        packets_take_the_first_live_port(&mut bed, target).await;
    }
}
