//! A P4Runtime client that shares no code with this project drives an agent.
//!
//! The client is `tests/clients/route.py` with finsy from PyPI, in the Python environment that
//! `make clients` makes. Agent and client run in a network namespace of their own: two veth pairs
//! whose one ends are the switch's ports 1 and 2, and whose other ends the client sends on and
//! listens on. Needs root; see [`skipped`].

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

/// A network namespace and the agent in it; both end with this value.
struct Switch {
    namespace: String,
    state: tempfile::TempDir,
    agent: Option<Child>,
}

impl Switch {
    /// Ports p1 and p2 with peers host1 and host2, and no agent.
    fn new(name: &str) -> Self {
        let namespace = format!("{name}-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &namespace]));
        let switch = Self {
            namespace,
            state: tempfile::tempdir().expect("a directory"),
            agent: None,
        };
        // Not a frame that the client did not send.
        run(switch
            .command("sysctl")
            .args(["-qw", "net.ipv6.conf.default.disable_ipv6=1"]));
        run(switch.command("ip").args(["link", "set", "lo", "up"]));
        for number in ["1", "2"] {
            let (port, host) = (format!("p{number}"), format!("host{number}"));
            run(switch.command("ip").args([
                "link", "add", "name", &port, "type", "veth", "peer", "name", &host,
            ]));
            run(switch.command("ip").args(["link", "set", &port, "up"]));
            run(switch.command("ip").args(["link", "set", &host, "up"]));
            // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
            run(switch.command("ethtool").args(["-K", &host, "gro", "on"]));
        }
        switch
    }

    /// A command in the namespace, with the file systems of this process.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(program);
        command
    }

    fn log(&self) -> PathBuf {
        self.state.path().join("agent.log")
    }

    fn start_agent(&mut self, listen: &str) {
        let log = fs::File::create(self.log()).expect("a log file");
        let agent = self
            .command(env!("CARGO_BIN_EXE_pointsman-agent"))
            .args(["--device-id", "1", "--listen", listen, "--insecure"])
            .args(["--port", "1=p1", "--port", "2=p2"])
            .args(["--pipeline", "none"])
            .arg("--state-dir")
            .arg(self.state.path().join("state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the agent starts");
        self.agent = Some(agent);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
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

/// Whether what the program in this directory routes goes where the client says; `name` is this
/// test's own.
fn check(name: &str, program: &Path) {
    let python = repository().join(".venv/bin/python");
    if !is_root() {
        return skipped("network namespaces need root");
    }
    if !python.exists() {
        return skipped("there is no Python environment with the client; `make clients` makes it");
    }

    let mut switch = Switch::new(name);
    switch.start_agent("127.0.0.1:9559");
    let client = switch
        .command(python.to_str().expect("a printable path"))
        .arg(repository().join("tests/clients/route.py"))
        .arg("127.0.0.1:9559")
        .arg(program)
        .args(["host1", "host2"])
        .output()
        .expect("the client runs");

    assert!(
        client.status.success(),
        "client:\n{}{}\nagent:\n{}",
        String::from_utf8_lossy(&client.stdout),
        String::from_utf8_lossy(&client.stderr),
        fs::read_to_string(switch.log()).expect("the log")
    );
}

#[test]
fn an_independent_client_routes_with_leaf_spine() {
    check(
        "pm-client-leaf",
        &repository().join("p4/programs/leaf_spine"),
    );
}

#[test]
fn an_independent_client_routes_with_onos_fabric() {
    match pointsman_p4::vectors::directory() {
        Some(directory) => check("pm-client-fabric", &directory.join("pipelines/onos-fabric")),
        None => eprintln!("skipped: no shared pipelines beside the project"),
    }
}
