//! P4Runtime clients that share no code with this project drive agents.
//!
//! The clients are finsy and p4runtime-shell from PyPI, told what to do by the scripts in
//! `tests/clients`, in the Python environments that `make clients` makes. Agents and client run in a
//! network namespace of their own: veth pairs whose one ends are the ports of the first agent, and
//! whose other ends the client sends on and listens on. Needs root; see [`skipped`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Why the test cannot run here; a failure where `REQUIRE_NETNS` says that it has to.
fn skipped(reason: &str) {
    assert!(
        std::env::var_os("REQUIRE_NETNS").is_none(),
        "REQUIRE_NETNS is set, but {reason}"
    );
    eprintln!("skipped: {reason}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    id.stdout.starts_with(b"0\n")
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A network namespace and the agents in it; all end with this value.
struct Network {
    namespace: String,
    state: tempfile::TempDir,
    agents: Vec<Child>,
}

impl Network {
    /// As many ports p1, p2, ... with peers host1, host2, ... and no agent.
    fn new(name: &str, ports: u32) -> Self {
        let namespace = format!("{name}-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &namespace]));
        let network = Self {
            namespace,
            state: tempfile::tempdir().expect("a directory"),
            agents: Vec::new(),
        };
        // Not a frame that the client did not send.
        run(network
            .command("sysctl")
            .args(["-qw", "net.ipv6.conf.default.disable_ipv6=1"]));
        run(network.command("ip").args(["link", "set", "lo", "up"]));
        for number in 1..=ports {
            let (port, host) = (format!("p{number}"), format!("host{number}"));
            run(network.command("ip").args([
                "link", "add", "name", &port, "type", "veth", "peer", "name", &host,
            ]));
            run(network.command("ip").args(["link", "set", &port, "up"]));
            run(network.command("ip").args(["link", "set", &host, "up"]));
            // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
            run(network.command("ethtool").args(["-K", &host, "gro", "on"]));
        }
        network
    }

    /// A command in the namespace, with the file systems of this process.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(program);
        command
    }

    fn log(&self, device: usize) -> PathBuf {
        self.state.path().join(format!("agent{device}.log"))
    }

    /// Starts the agent of the next device, without a pipeline, on these ports.
    fn start_agent(&mut self, ports: &[u32]) -> String {
        let device = self.agents.len() + 1;
        let address = format!("127.0.0.1:{}", 9558 + device);
        let log = fs::File::create(self.log(device)).expect("a log file");
        let ports = ports.iter().map(|port| format!("--port={port}=p{port}"));
        let state = self.state.path().join(format!("state{device}"));
        let agent = self
            .command(env!("CARGO_BIN_EXE_pointsman-agent"))
            .args(["--device-id", &device.to_string(), "--listen", &address])
            .args(["--pipeline", "none", "--insecure", "--state-dir"])
            .arg(state)
            .args(ports)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the agent starts");
        self.agents.push(agent);
        address
    }

    /// Runs a script of `tests/clients`; it has to succeed.
    fn run_client(&self, python: &Path, script: &str, arguments: &[&str]) {
        let client = self
            .command(python.to_str().expect("a printable path"))
            .arg(repository().join("tests/clients").join(script))
            .args(arguments)
            .output()
            .expect("the client runs");
        let logs = (1..=self.agents.len()).map(|device| {
            let log = fs::read_to_string(self.log(device)).expect("the log");
            format!("agent {device}:\n{log}")
        });
        assert!(
            client.status.success(),
            "client:\n{}{}\n{}",
            String::from_utf8_lossy(&client.stdout),
            String::from_utf8_lossy(&client.stderr),
            logs.collect::<String>()
        );
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            // Nothing to do about either failure but to go on cleaning up.
            drop(agent.kill());
            drop(agent.wait());
        }
        drop(
            Command::new("ip")
                .args(["netns", "del", &self.namespace])
                .status(),
        );
    }
}

/// The interpreter of a client's Python environment; `None` if the test has to be skipped.
fn python(client: &str) -> Option<PathBuf> {
    let python = repository().join(".venv").join(client).join("bin/python");
    if !is_root() {
        skipped("network namespaces need root");
        return None;
    }
    if !python.exists() {
        skipped(&format!(
            "{client} is not installed; `make clients` does it"
        ));
        return None;
    }
    Some(python)
}

/// Whether what the program in this directory routes goes where finsy says; `name` is this test's own.
fn check_route(name: &str, program: &Path) {
    let Some(python) = python("finsy") else {
        return;
    };
    let mut network = Network::new(name, 2);
    let address = network.start_agent(&[1, 2]);
    let program = program.to_str().expect("a printable path");
    network.run_client(&python, "route.py", &[&address, program, "host1", "host2"]);
}

#[test]
fn finsy_routes_with_leaf_spine() {
    check_route(
        "pm-client-leaf",
        &repository().join("p4/programs/leaf_spine"),
    );
}

#[test]
fn finsy_routes_with_onos_fabric() {
    match pointsman_p4::vectors::directory() {
        Some(directory) => {
            check_route("pm-client-fabric", &directory.join("pipelines/onos-fabric"))
        }
        None => eprintln!("skipped: no shared pipelines beside the project"),
    }
}

#[test]
fn finsy_takes_the_tour() {
    let Some(python) = python("finsy") else {
        return;
    };
    let mut network = Network::new("pm-client-finsy", 3);
    let first = network.start_agent(&[1, 2, 3]);
    let second = network.start_agent(&[]);
    let third = network.start_agent(&[]);
    let agents = [first.as_str(), &second, &third];
    let arguments = [&agents[..], &["host1", "host2", "host3"]].concat();
    network.run_client(&python, "finsy_tour.py", &arguments);
}

#[test]
fn p4runtime_shell_takes_the_tour() {
    let Some(python) = python("shell") else {
        return;
    };
    let mut network = Network::new("pm-client-shell", 3);
    let address = network.start_agent(&[1, 2, 3]);
    let arguments = [address.as_str(), "host1", "host2", "host3"];
    network.run_client(&python, "shell_tour.py", &arguments);
}
