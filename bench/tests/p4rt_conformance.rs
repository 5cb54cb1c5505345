//! Our agent meets every requirement of the conformance suite, on both of its own data planes.
//!
//! The agent and the suite are the programs themselves, in a network namespace of their own: root, or
//! the tests say aloud that they were skipped.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

/// What the specification leaves to a server and ours does not offer: it answers UNIMPLEMENTED.
const NOT_OFFERED: [&str; 3] = [
    "one_shot.group_action",
    "one_shot.other_mode",
    "one_shot.other_size",
];

/// The part of a finding that counts here.
#[derive(Deserialize)]
struct Finding {
    id: String,
    result: String,
}

#[derive(Deserialize)]
struct Report {
    findings: Vec<Finding>,
}

/// Whether this test may make namespaces; `REQUIRE_NETNS` makes it an error if not.
fn privileged() -> bool {
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

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
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

/// An agent in its namespace, with two ports.
struct Switch {
    namespace: String,
    agent: Option<Child>,
    state: tempfile::TempDir,
}

impl Switch {
    fn start(target: &str) -> Switch {
        let namespace = format!("p4rt-{target}-{}", std::process::id());
        run(&format!("ip netns add {namespace}"));
        let mut switch = Switch {
            namespace,
            agent: None,
            state: tempfile::tempdir().unwrap(),
        };
        let ns = &switch.namespace;
        run(&format!("ip -n {ns} link set lo up"));
        for port in ["swp1", "swp2"] {
            run(&format!(
                "ip -n {ns} link add {port} type veth peer name {port}h"
            ));
            run(&format!("ip -n {ns} link set {port} up"));
            run(&format!("ip -n {ns} link set {port}h up"));
        }
        let agent = Command::new("ip")
            .args(["netns", "exec", ns])
            .arg(agent())
            .args(["--target", target, "--pipeline", "none", "--insecure"])
            .args(["--listen", "127.0.0.1:9559", "--device-id", "1"])
            .args(["--port", "1=swp1", "--port", "2=swp2", "--state-dir"])
            .arg(switch.state.path())
            .stdin(Stdio::null())
            .spawn();
        switch.agent = Some(agent.unwrap());
        switch
    }

    /// Asks it everything, and holds it to the answers.
    fn conforms(&self) {
        let json = self.state.path().join("findings.json");
        let output = Command::new("ip")
            .args(["netns", "exec", &self.namespace])
            .arg(env!("CARGO_BIN_EXE_p4rt_conformance"))
            .args(["127.0.0.1:9559", "--port", "1", "--patience", "10"])
            .args(["--known-failing", "tests/p4rt_not_yet.txt"])
            .arg("--json")
            .arg(&json)
            .output()
            .unwrap();
        let table = String::from_utf8_lossy(&output.stdout);
        println!("{table}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "not everything is met\n{error}");
        let report: Report = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        let left_out = report.findings.iter().filter(|f| f.result == "not_offered");
        let left_out: Vec<_> = left_out.map(|f| f.id.as_str()).collect();
        assert_eq!(left_out, NOT_OFFERED, "what we say we do not offer");
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let _ = Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
    }
}

#[test]
fn the_interpreter_meets_every_requirement() {
    if privileged() {
        Switch::start("interpreter").conforms();
    }
}

#[test]
fn xdp_meets_every_requirement() {
    if privileged() {
        Switch::start("xdp").conforms();
    }
}
