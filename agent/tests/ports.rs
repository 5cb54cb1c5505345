//! Ports follow their Linux interfaces: an agent with XDP in a network namespace of its own,
//! whose interfaces come, go and lose their link. Needs root; see [`skipped`].

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::OperState;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::objective::v1::{PortRef, port_ref};
use tonic::Code;
use tonic::transport::Channel;

/// How long a change of a link may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the test cannot run here; a failure where `REQUIRE_NETNS` says that it has to.
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

/// A namespace with a management link to it, and the agent in it.
struct Switch {
    namespace: String,
    management: String,
    /// Where the agent listens, on the management link.
    address: String,
    state: tempfile::TempDir,
    agent: Option<Child>,
}

impl Switch {
    fn new() -> Switch {
        static SWITCHES: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id() * 2 + SWITCHES.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("ports-{id}");
        let management = format!("pm{id}");
        // Of a network for benchmarks, and another one in each run.
        let network = format!("198.19.{}.{}", id / 64 % 256, id % 64 * 4);
        let host = |n: u32| {
            let (start, last) = network.rsplit_once('.').expect("four numbers");
            format!("{start}.{}", last.parse::<u32>().expect("a number") + n)
        };
        run(&format!("ip netns add {namespace}"));
        let switch = Switch {
            namespace,
            management,
            address: format!("{}:9559", host(2)),
            state: tempfile::tempdir().expect("a directory"),
            agent: None,
        };
        let (ns, link) = (&switch.namespace, &switch.management);
        run(&format!(
            "ip link add {link} type veth peer name mgmt netns {ns}"
        ));
        run(&format!("ip addr add {}/30 dev {link}", host(1)));
        run(&format!("ip link set {link} up"));
        switch.ip(&format!("addr add {}/30 dev mgmt", host(2)));
        switch.ip("link set mgmt up");
        switch
    }

    fn ip(&self, arguments: &str) {
        run(&format!("ip -n {} {arguments}", self.namespace));
    }

    /// A veth pair within the namespace, both ends up.
    fn add_interface(&self, name: &str) {
        self.ip(&format!("link add {name} type veth peer name {name}-peer"));
        self.ip(&format!("link set {name} up"));
        self.ip(&format!("link set {name}-peer up"));
    }

    async fn start_agent(&mut self, ports: &str) -> AgentClient<Channel> {
        let log = std::fs::File::create(self.state.path().join("log")).expect("a log file");
        let agent = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(env!("CARGO_BIN_EXE_pointsman-agent"))
            .args(["--insecure", "--listen", &self.address, "--port", ports])
            .arg("--state-dir")
            .arg(self.state.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.agent = Some(agent.expect("the agent starts"));
        let address = format!("http://{}", self.address);
        let connected = until(async || AgentClient::connect(address.clone()).await.ok()).await;
        connected.unwrap_or_else(|| panic!("the agent does not listen:\n{}", self.log()))
    }

    /// Whether the driver takes VLAN tags out of frames.
    fn strips_vlan_tags(&self, interface: &str) -> bool {
        let ethtool = Command::new("ip")
            .args(["netns", "exec", &self.namespace, "ethtool", "-k", interface])
            .output();
        let features = ethtool.expect("ethtool runs").stdout;
        String::from_utf8_lossy(&features).contains("rx-vlan-offload: on")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.state.path().join("log")).unwrap_or_default()
    }

    fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // It may have ended by itself.
            drop(agent.kill());
            drop(agent.wait());
        }
    }

    /// Waits until a port is in a state, and returns it.
    async fn port(
        &self,
        client: &mut AgentClient<Channel>,
        number: u32,
        state: OperState,
    ) -> pb::Port {
        let mut seen = String::new();
        let found = until(async || {
            let ports = client.list_ports(pb::ListPortsRequest {}).await;
            let ports = ports.expect("the agent answers").into_inner().ports;
            seen = format!("{ports:?}");
            let mut ports = ports.into_iter();
            ports.find(|port| port.number == number && port.oper_state() == state)
        });
        let found = found.await;
        found.unwrap_or_else(|| panic!("port {number} is not {state:?}: {seen}\n{}", self.log()))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.kill_agent();
        let leftovers = [
            ["netns", "del", &self.namespace],
            ["link", "del", &self.management],
        ];
        for leftover in leftovers {
            // The link goes with its peer in the namespace.
            drop(Command::new("ip").args(leftover).output());
        }
    }
}

/// Asks until there is an answer, for as long as that may take.
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

/// Whether there are network namespaces here.
fn has_namespaces() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    let is_root = id.stdout.starts_with(b"0\n");
    if !is_root {
        skipped("network namespaces need root");
    }
    is_root
}

#[tokio::test]
async fn ports_follow_their_interfaces_and_those_that_were_added_survive_a_crash() {
    if !has_namespaces() {
        return;
    }
    let mut switch = Switch::new();
    let mut client = switch.start_agent("1=p1").await;

    let port = switch.port(&mut client, 1, OperState::Unavailable).await;
    assert!(port.message.contains("p1 does not exist"), "{port:?}");
    switch.add_interface("p1");
    let port = switch.port(&mut client, 1, OperState::Up).await;
    assert_eq!(
        (port.xdp_mode.as_str(), port.message.as_str()),
        ("native", "")
    );
    switch.ip("link set p1-peer down");
    let port = switch.port(&mut client, 1, OperState::Down).await;
    assert!(port.message.contains("no link"), "{port:?}");
    switch.ip("link del p1");
    switch.port(&mut client, 1, OperState::Unavailable).await;
    switch.add_interface("p1");
    switch.port(&mut client, 1, OperState::Up).await;

    let add = |interface: &str| pb::AddPortRequest {
        interface: interface.to_owned(),
        name: "uplink".to_owned(),
        number: 0,
    };
    let error = client.add_port(add("p2")).await.expect_err("there is none");
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("p1-peer"), "{}", error.message());
    switch.add_interface("p2");
    let port = client
        .add_port(add("p2"))
        .await
        .expect("there is one")
        .into_inner();
    assert_eq!((port.number, port.name.as_str()), (2, "uplink"));
    switch.port(&mut client, 2, OperState::Up).await;
    let error = client.add_port(add("p2")).await.expect_err("it is a port");
    assert_eq!(error.code(), Code::AlreadyExists);

    switch.kill_agent();
    let mut client = switch.start_agent("1=p1").await;
    switch.port(&mut client, 1, OperState::Up).await;
    let port = switch.port(&mut client, 2, OperState::Up).await;
    assert_eq!(port.name, "uplink");
    let uplink = pb::RemovePortRequest {
        port: Some(PortRef {
            port: Some(port_ref::Port::Name("uplink".to_owned())),
        }),
    };
    client.remove_port(uplink).await.expect("it is there");
    let ports = client
        .list_ports(pb::ListPortsRequest {})
        .await
        .expect("it answers");
    assert_eq!(ports.into_inner().ports.len(), 1);
}

#[tokio::test]
async fn interfaces_whose_names_fit_a_pattern_are_ports_as_they_come() {
    if !has_namespaces() {
        return;
    }
    let mut switch = Switch::new();
    switch.add_interface("swp4");
    let mut client = switch.start_agent("swp[0-9]").await;

    let port = switch.port(&mut client, 4, OperState::Up).await;
    assert_eq!((port.name.as_str(), port.driver.as_str()), ("swp4", "veth"));
    assert!(port.admin_up && port.speed_mbps > 0, "{port:?}");
    assert!(!switch.strips_vlan_tags("swp4"));
    switch.add_interface("swp7");
    switch.port(&mut client, 7, OperState::Up).await;
    switch.ip("link set swp7 down");
    let port = switch.port(&mut client, 7, OperState::Down).await;
    assert!(port.message.contains("is not up"), "{port:?}");
    let remove = pb::RemovePortRequest {
        port: Some(PortRef {
            port: Some(port_ref::Port::Number(7)),
        }),
    };
    let error = client.remove_port(remove.clone()).await;
    let error = error.expect_err("its interface is there");
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("swp[0-9]"), "{}", error.message());

    switch.kill_agent();
    switch.ip("link del swp7");
    let mut client = switch.start_agent("swp[0-9]").await;
    switch.port(&mut client, 4, OperState::Up).await;
    switch.port(&mut client, 7, OperState::Unavailable).await;
    client.remove_port(remove).await.expect("it is away");

    switch.kill_agent();
    let mut client = switch.start_agent("1=swp7").await;
    let ports = client.list_ports(pb::ListPortsRequest {}).await;
    let ports = ports.expect("it answers").into_inner().ports;
    let numbers: Vec<u32> = ports.iter().map(|port| port.number).collect();
    assert_eq!(numbers, [1], "no pattern, no port of it");
}
