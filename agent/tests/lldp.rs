//! LLDP between agents, one on XDP and one on the interpreter, and with a stock `lldpd`, in network namespaces of
//! their own. Needs root, and `lldpd` for the last part; see [`skipped`].

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::agent::v1::inventory_event::Change;
use pointsman_proto::pointsman::agent::v1::link_key::Neighbor;
use pointsman_proto::pointsman::agent::v1::{LinkState, gone};
use tonic::transport::Channel;

/// How long anything may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a test cannot run here; a failure where `REQUIRE_NETNS` says that it has to.
fn skipped(reason: &str) {
    assert!(
        std::env::var_os("REQUIRE_NETNS").is_none(),
        "REQUIRE_NETNS is set, but {reason}"
    );
    eprintln!("skipped: {reason}");
}

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
}

/// A namespace of switches, one of a server behind them, and what runs there.
struct Net {
    switches: String,
    server: String,
    management: String,
    /// Of the namespace of switches.
    address: String,
    files: tempfile::TempDir,
    running: Vec<Child>,
}

impl Net {
    fn new() -> Net {
        let id = std::process::id();
        let network = format!("198.18.{}.{}", id / 64 % 256, id % 64 * 4);
        let host = |n: u32| {
            let (start, last) = network.rsplit_once('.').expect("four numbers");
            format!("{start}.{}", last.parse::<u32>().expect("a number") + n)
        };
        let net = Net {
            switches: format!("lldp-{id}"),
            server: format!("lldpd-{id}"),
            management: format!("lm{id}"),
            address: host(2),
            files: tempfile::tempdir().expect("a directory"),
            running: Vec::new(),
        };
        let (ns, server, link) = (&net.switches, &net.server, &net.management);
        run(&format!("ip netns add {ns}"));
        run(&format!("ip netns add {server}"));
        run(&format!(
            "ip link add {link} type veth peer name mgmt netns {ns}"
        ));
        run(&format!("ip addr add {}/30 dev {link}", host(1)));
        run(&format!("ip link set {link} up"));
        run(&format!("ip -n {ns} addr add {}/30 dev mgmt", host(2)));
        run(&format!("ip -n {ns} link set mgmt up"));
        run(&format!("ip -n {ns} link add p1 type veth peer name q1"));
        run(&format!(
            "ip -n {ns} link add p2 type veth peer name eth0 netns {server}"
        ));
        for interface in ["p1", "q1", "p2"] {
            run(&format!("ip -n {ns} link set {interface} up"));
        }
        run(&format!("ip -n {server} link set eth0 up"));
        run(&format!("ip -n {server} link set lo up"));
        net
    }

    fn in_namespace(&self, namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{namespace}"));
        command.arg(program);
        command
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path.to_str().expect("the path is text").to_owned()
    }

    /// Starts an agent and returns its place among what runs, and a client.
    async fn start_agent(
        &mut self,
        device_id: u32,
        ports: &str,
        more: &str,
    ) -> (usize, AgentClient<Channel>) {
        let address = format!("{}:{}", self.address, 9558 + device_id);
        let key = self.file("key", "a key that only these agents have\n");
        let config = format!(
            "name: leaf{device_id}\ndevice_id: {device_id}\ninsecure: true\nlisten: \"{address}\"\nports: {ports}\n\
             state_dir: {:?}\ndiscovery: {{ interval_seconds: 1, cluster_key: {key:?} }}\n{more}",
            self.files.path().join(format!("state{device_id}"))
        );
        let config = self.file(&format!("agent{device_id}.yaml"), &config);
        let log = self.files.path().join(format!("log{device_id}"));
        let log = std::fs::File::create(log).expect("a log file");
        let agent = self
            .in_namespace(&self.switches, env!("CARGO_BIN_EXE_pointsman-agent"))
            .args(["--config", &config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.running.push(agent.expect("the agent starts"));
        let address = format!("http://{address}");
        let client = until(async || AgentClient::connect(address.clone()).await.ok()).await;
        let client =
            client.unwrap_or_else(|| panic!("it does not listen:\n{}", self.log(device_id)));
        (self.running.len() - 1, client)
    }

    fn log(&self, device_id: u32) -> String {
        let log = self.files.path().join(format!("log{device_id}"));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    fn kill(&mut self, which: usize) {
        // It may have ended by itself.
        drop(self.running[which].kill());
        drop(self.running[which].wait());
    }

    /// Runs Python with raw sockets in the namespace of switches.
    fn python(&self, script: &str) {
        let output = self
            .in_namespace(&self.switches, "python3")
            .args(["-c", script])
            .output();
        let output = output.expect("python3 runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for which in 0..self.running.len() {
            self.kill(which);
        }
        for leftover in [
            ["netns", "del", &self.switches],
            ["netns", "del", &self.server],
            ["link", "del", &self.management],
        ] {
            // The link goes with its peer in the namespace.
            drop(Command::new("ip").args(leftover).output());
        }
    }
}

async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let asking = async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        loop {
            pace.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.ok()
}

/// What a client knows of an agent's surroundings, by snapshot.
async fn snapshot(client: &mut AgentClient<Channel>) -> (pb::InventoryBatch, Vec<pb::Link>) {
    let request = pb::WatchInventoryRequest {
        once: true,
        ..Default::default()
    };
    let batches = client.watch_inventory(request).await.expect("it answers");
    let batch = batches.into_inner().message().await.expect("no error");
    let batch = batch.expect("one batch is enough");
    assert!(batch.snapshot && !batch.more);
    let links = batch.events.iter().filter_map(|event| match &event.change {
        Some(Change::Link(link)) => Some(link.clone()),
        _ => None,
    });
    let links = links.collect();
    (batch, links)
}

async fn link(client: &mut AgentClient<Channel>, port: u32, state: LinkState) -> Option<pb::Link> {
    until(async || {
        let (_, links) = snapshot(client).await;
        let is_it = |link: &pb::Link| {
            link.state() == state && link.key.as_ref().is_some_and(|key| key.local_port == port)
        };
        links.into_iter().find(is_it)
    })
    .await
}

fn neighbor(link: &pb::Link) -> (u64, u32) {
    match link.key.as_ref().and_then(|key| key.neighbor.as_ref()) {
        Some(Neighbor::Cluster(neighbor)) => (neighbor.device_id, neighbor.port),
        other => panic!("not of the cluster: {other:?}"),
    }
}

#[tokio::test]
async fn agents_find_each_other_and_a_stock_lldpd_and_nobody_is_fooled() {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    if !id.stdout.starts_with(b"0\n") {
        return skipped("network namespaces need root");
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
    let before = snapshot(&mut leaf1).await.0;
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
    let after = snapshot(&mut leaf1).await.0;
    assert_eq!(
        (after.sequence, after.digest),
        (before.sequence, before.digest)
    );

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
