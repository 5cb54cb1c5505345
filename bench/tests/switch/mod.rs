//! An agent in a network namespace of its own, for tests that know it by its address only.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Where the agent listens, within its namespace.
pub const ADDRESS: &str = "127.0.0.1:9559";

/// An agent of device 1 without a pipeline. Its ports are p1, p2, ...; the other ends are host1, host2, ...
pub struct Switch {
    namespace: String,
    agent: Option<Child>,
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

/// The agent as it is now: a test of this crate does not build another crate's program by itself.
fn agent() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--workspace",
        "--bin",
        "pointsman-agent",
    ]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(
        cargo.status().unwrap().success(),
        "the agent does not build"
    );
    profile.join("pointsman-agent")
}

impl Switch {
    /// Starts one on a target, with so many ports; `name` is the test's own.
    pub fn start(name: &str, target: &str, ports: u32) -> Switch {
        let agent = agent();
        let namespace = format!("{name}-{target}-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &namespace]));
        let mut switch = Switch {
            namespace,
            agent: None,
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
        let state = switch.state.path().join("state");
        let ports = (1..=ports).map(|port| format!("--port={port}=p{port}"));
        let log = std::fs::File::create(switch.log()).unwrap();
        let agent = switch
            .command(agent.to_str().unwrap())
            .args(["--target", target, "--pipeline", "none", "--insecure"])
            .args(["--listen", ADDRESS, "--device-id", "1", "--state-dir"])
            .arg(state)
            .args(ports)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        switch.agent = Some(agent.unwrap());
        switch.wait();
        switch
    }

    /// A command in the namespace, with the file systems of this process.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(program);
        command
    }

    fn log(&self) -> PathBuf {
        self.state.path().join("agent.log")
    }

    /// Waits until the agent listens.
    fn wait(&mut self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            // `ss` looks at the namespace's own sockets.
            let listening = self
                .command("ss")
                .args(["-Hlt", "sport", "=", ":9559"])
                .output();
            if !listening.unwrap().stdout.is_empty() {
                return;
            }
            let ended = self.agent.as_mut().unwrap().try_wait().unwrap();
            let late = std::time::Instant::now() > deadline;
            assert!(
                ended.is_none() && !late,
                "the agent does not listen:\n{}",
                self.said()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// What the agent has logged.
    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// What a client of the agent printed; it has to succeed, and the agent to live on.
    pub fn succeeds(&mut self, client: &mut Command) -> Output {
        let output = client.output().unwrap();
        let ended = self.agent.as_mut().unwrap().try_wait().unwrap();
        assert!(
            output.status.success() && ended.is_none(),
            "{}{}\nagent ({ended:?}):\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.said()
        );
        output
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            // Nothing to do about either failure but to go on cleaning up.
            drop(agent.kill());
            drop(agent.wait());
        }
        let delete = ["netns", "del", &self.namespace];
        drop(Command::new("ip").args(delete).status());
    }
}
