//! Network namespaces with agents in them.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use tonic::transport::Channel;

/// How long anything may take to be seen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why a test cannot run here; a failure where `REQUIRE_NETNS` says that it has to.
pub fn skipped(reason: &str) {
    assert!(
        std::env::var_os("REQUIRE_NETNS").is_none(),
        "REQUIRE_NETNS is set, but {reason}"
    );
    eprintln!("skipped: {reason}");
}

pub fn run(command: &str) {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
}

/// A namespace of switches, one of a server behind them, and what runs there.
pub struct Net {
    pub switches: String,
    pub server: String,
    management: String,
    /// Of the namespace of switches.
    pub address: String,
    pub files: tempfile::TempDir,
    pub running: Vec<Child>,
}

impl Net {
    pub fn new() -> Net {
        // Tests of one process run at the same time.
        static NETS: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id() * 4 + NETS.fetch_add(1, Ordering::Relaxed);
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

    pub fn in_namespace(&self, namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{namespace}"));
        command.arg(program);
        command
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, text).expect("it can be written");
        path.to_str().expect("the path is text").to_owned()
    }

    /// Starts an agent that knows a key, and returns its place among what runs, and a client.
    pub async fn start_agent(
        &mut self,
        device_id: u32,
        ports: &str,
        more: &str,
    ) -> (usize, AgentClient<Channel>) {
        let key = self.file("key", "a key that only these agents have\n");
        let discovery =
            format!("discovery: {{ interval_seconds: 1, cluster_key: {key:?} }}\n{more}");
        self.start_agent_with(device_id, ports, &discovery).await
    }

    /// The same with other lines in its configuration.
    pub async fn start_agent_with(
        &mut self,
        device_id: u32,
        ports: &str,
        more: &str,
    ) -> (usize, AgentClient<Channel>) {
        let address = format!("{}:{}", self.address, 9558 + device_id);
        let config = format!(
            "name: leaf{device_id}\ndevice_id: {device_id}\ninsecure: true\nlisten: \"{address}\"\nports: {ports}\n\
             pins: none\nstate_dir: {:?}\n{more}",
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

    pub fn log(&self, device_id: u32) -> String {
        let log = self.files.path().join(format!("log{device_id}"));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    pub fn kill(&mut self, which: usize) {
        // It may have ended by itself.
        drop(self.running[which].kill());
        drop(self.running[which].wait());
    }

    /// Runs Python with raw sockets in the namespace of switches.
    pub fn python(&self, script: &str) {
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

/// Asks until there is an answer, for as long as that may take.
pub async fn until<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Option<T> {
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
