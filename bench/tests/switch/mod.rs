//! An agent in a network namespace of its own, for tests that know it by its address only.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Where the agent listens, within its namespace.
pub const ADDRESS: &str = "127.0.0.1:9559";

/// Where another server listens that the agent is in front of.
pub const BEHIND: &str = "127.0.0.1:9560";

/// An agent of device 1 without a pipeline. The ports are p1, p2, ...; the other ends are host1, host2, ...
pub struct Switch {
    namespace: String,
    /// The last one is the one to talk to.
    servers: Vec<Child>,
    state: tempfile::TempDir,
}

/// Whether this test may make namespaces; `REQUIRE_NETNS` makes it an error if not.
pub fn privileged() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    let root = id.stdout.trim_ascii() == b"0";
    assert!(
        root || std::env::var_os("REQUIRE_NETNS").is_none(),
        "REQUIRE_NETNS is set, but this is not root"
    );
    if !root {
        eprintln!("skipped: only root may make network namespaces");
    }
    root
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}

/// The agent as it is now.
pub fn agent() -> PathBuf {
    built(&["pointsman-agent"]).join("pointsman-agent")
}

/// The directory of agent, controller and command as they are now.
pub fn programs() -> PathBuf {
    built(&["pointsman-agent", "pointsman-controller", "pointsman"])
}

/// Builds programs and says in which directory they are: a test of this crate does not build another crate's program
/// by itself.
fn built(programs: &[&str]) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace"]);
    for program in programs {
        cargo.args(["--bin", program]);
    }
    // What cargo told this test of its crate is no setting of that build: other crates would be built again for it.
    for (name, _) in std::env::vars_os() {
        let is_of_test = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_"]
                .iter()
                .any(|p| name.starts_with(p))
        };
        if name.to_str().is_some_and(is_of_test) {
            cargo.env_remove(name);
        }
    }
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(
        cargo.status().unwrap().success(),
        "{programs:?} do not build"
    );
    profile.to_owned()
}

impl Switch {
    /// Starts one on a target, with so many ports; `name` is the test's own.
    pub fn start(name: &str, target: &str, ports: u32) -> Switch {
        let mut switch = Switch::namespace(&format!("{name}-{target}"), ports);
        switch.agent(ADDRESS, target, &ports_of(ports));
        switch
    }

    /// Starts one on the interpreter, and one in front of it, which is the one to talk to.
    pub fn behind_a_proxy(name: &str, ports: u32) -> Switch {
        let mut switch = Switch::namespace(&format!("{name}-proxy"), ports);
        switch.agent(BEHIND, "interpreter", &ports_of(ports));
        switch.agent(ADDRESS, "p4runtime", &to(BEHIND));
        switch
    }

    /// Starts an agent in front of another program that serves P4Runtime at [`BEHIND`].
    pub fn in_front_of(name: &str, server: &str, arguments: &[&str], ports: u32) -> Switch {
        let mut switch = Switch::namespace(&format!("{name}-other"), ports);
        // It may look for its interfaces in /sys, which `ip netns exec` shows as the namespace has it.
        let mut entered = Command::new("ip");
        entered.args(["netns", "exec", &switch.namespace, server]);
        switch.serve(entered.args(arguments), BEHIND);
        switch.agent(ADDRESS, "p4runtime", &to(BEHIND));
        switch
    }

    fn namespace(name: &str, ports: u32) -> Switch {
        let namespace = format!("{name}-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &namespace]));
        let switch = Switch {
            namespace,
            servers: Vec::new(),
            state: tempfile::tempdir().unwrap(),
        };
        // Not a frame that the test did not send.
        run(switch
            .command("sysctl")
            .args(["-qw", "net.ipv6.conf.default.disable_ipv6=1"]));
        run(switch.command("ip").args(["link", "set", "lo", "up"]));
        for number in 1..=ports {
            let (port, host) = (format!("p{number}"), format!("host{number}"));
            run(switch.command("ip").args([
                "link", "add", "name", &port, "type", "veth", "peer", "name", &host,
            ]));
            for interface in [&port, &host] {
                run(switch.command("ip").args(["link", "set", interface, "up"]));
            }
            // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
            run(switch.command("ethtool").args(["-K", &host, "gro", "on"]));
        }
        switch
    }

    /// Starts an agent of device 1.
    fn agent(&mut self, address: &str, target: &str, arguments: &[String]) {
        let state = self.state.path().join(format!("state-{target}"));
        let mut agent = self.command(agent().to_str().unwrap());
        agent
            .args(["--target", target, "--pipeline", "none", "--insecure"])
            .args(["--listen", address, "--device-id", "1", "--state-dir"])
            .arg(state)
            .args(arguments);
        self.serve(&mut agent, address);
    }

    /// Starts a program and waits until it listens.
    fn serve(&mut self, program: &mut Command, address: &str) {
        let log = std::fs::File::create(self.log(self.servers.len())).unwrap();
        let also = log.try_clone().unwrap();
        let server = program.stdin(Stdio::null()).stdout(also).stderr(log);
        self.servers.push(server.spawn().unwrap());
        self.wait(address);
    }

    /// A command in the namespace, with the file systems of this process.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(program);
        command
    }

    fn log(&self, server: usize) -> PathBuf {
        self.state.path().join(format!("server{server}.log"))
    }

    /// Waits until the last server listens.
    fn wait(&mut self, address: &str) {
        let (_, port) = address.split_once(':').unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            // `ss` looks at the namespace's own sockets.
            let listening = self
                .command("ss")
                .args(["-Hlt", "sport", "=", &format!(":{port}")])
                .output();
            if !listening.unwrap().stdout.is_empty() {
                return;
            }
            let ended = self.servers.last_mut().unwrap().try_wait().unwrap();
            let late = std::time::Instant::now() > deadline;
            assert!(
                ended.is_none() && !late,
                "nothing listens at {address}:\n{}",
                self.said()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// What the servers have logged.
    fn said(&self) -> String {
        let logs = (0..self.servers.len()).map(|server| {
            let log = std::fs::read_to_string(self.log(server)).unwrap_or_default();
            format!("server {server}:\n{log}")
        });
        logs.collect()
    }

    /// What a client of the agent printed; it has to succeed, and the servers to live on.
    pub fn succeeds(&mut self, client: &mut Command) -> Output {
        let output = client.output().unwrap();
        let ended: Vec<_> = self.servers.iter_mut().map(|s| s.try_wait()).collect();
        let live_on = ended.iter().all(|ended| matches!(ended, Ok(None)));
        assert!(
            output.status.success() && live_on,
            "{}{}\nended: {ended:?}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.said()
        );
        output
    }
}

/// What an agent is told of its ports.
fn ports_of(ports: u32) -> Vec<String> {
    let ports = 1..=ports;
    ports.map(|port| format!("--port={port}=p{port}")).collect()
}

/// What a proxy is told of the server behind it.
fn to(address: &str) -> Vec<String> {
    vec![
        format!("--upstream={address}"),
        "--upstream-device-id=1".to_owned(),
    ]
}

impl Drop for Switch {
    fn drop(&mut self) {
        for server in self.servers.iter_mut().rev() {
            // Nothing to do about either failure but to go on cleaning up.
            drop(server.kill());
            drop(server.wait());
        }
        let delete = ["netns", "del", &self.namespace];
        drop(Command::new("ip").args(delete).status());
    }
}
