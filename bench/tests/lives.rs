//! Owners, groups and timeouts of objectives from files to a switch and back: one controller, one agent and the
//! `pointsman` command as processes.
#![allow(clippy::unwrap_used)]

mod switch;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// An agent without ports, a controller, and the command. They go with it.
struct Cluster {
    programs: PathBuf,
    directory: TempDir,
    agent_address: String,
    controller_address: String,
    agent: Child,
    controller: Child,
}

/// An address that nobody else has for now.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn server(command: &mut Command) -> Child {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    quiet.stderr(Stdio::null()).spawn().unwrap()
}

impl Cluster {
    fn start() -> Cluster {
        let programs = switch::programs();
        let directory = tempfile::tempdir().unwrap();
        let (agent_address, controller_address) = (free_address(), free_address());
        let agent = agent(&programs, &directory, &agent_address);
        let controller = server(
            Command::new(programs.join("pointsman-controller"))
                .args(["--bootstrap", "--peer-listen", "127.0.0.1:0"])
                .args(["--listen", &controller_address, "--data-dir"])
                .arg(directory.path().join("controller")),
        );
        Cluster {
            programs,
            directory,
            agent_address,
            controller_address,
            agent,
            controller,
        }
    }

    /// Kills the agent and starts another one on what is left of it.
    fn restart_agent(&mut self) {
        self.agent.kill().unwrap();
        self.agent.wait().unwrap();
        self.agent = agent(&self.programs, &self.directory, &self.agent_address);
    }

    /// Whether the command succeeds, and what it says.
    fn pointsman(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(self.programs.join("pointsman"))
            .args(["--controller", &self.controller_address])
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    fn apply(&self, yaml: &str, more: &[&str]) -> (bool, String) {
        let path = self.directory.path().join("file.yaml");
        std::fs::write(&path, yaml).unwrap();
        let path = path.display().to_string();
        self.pointsman(&[&["apply", "--file", &path], more].concat())
    }

    fn must_apply(&self, yaml: &str, more: &[&str]) {
        let (is_taken, text) = self.apply(yaml, more);
        assert!(is_taken, "{text}");
    }

    fn names(&self) -> String {
        self.pointsman(&["get", "objectives", "leaf1", "-o", "name"])
            .1
    }

    /// Waits for an answer of the command.
    fn eventually(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let (_, text) = self.pointsman(arguments);
            if wanted(&text) {
                return text;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in [&mut self.agent, &mut self.controller] {
            drop(server.kill());
            drop(server.wait());
        }
    }
}

fn agent(programs: &std::path::Path, directory: &TempDir, address: &str) -> Child {
    server(
        Command::new(programs.join("pointsman-agent"))
            .args(["--insecure", "--pipeline", "leaf_spine", "--pins", "none"])
            .args([
                "--target",
                "interpreter",
                "--listen",
                address,
                "--state-dir",
            ])
            .arg(directory.path().join("agent")),
    )
}

fn drop_from(name: &str, source: &str, more: &str) -> String {
    format!(
        "  - {{ forward: {name}, flag: versatile, selector: {{ ipv4_src: {source} }}, treatment: drop{more} }}\n"
    )
}

#[test]
fn objectives_keep_to_their_owners_and_groups_and_go_when_their_time_is_over() {
    let mut cluster = Cluster::start();
    let devices = format!(
        "devices: [ {{ name: leaf1, device_id: 1, address: {} }} ]\n---\n",
        cluster.agent_address
    );
    let web = format!(
        "{devices}device: leaf1\nowner: web\nobjectives:\n{}{}{}",
        drop_from("a", "10.0.0.1", ", group: pair"),
        drop_from("b", "10.0.0.2", ", group: pair"),
        drop_from("guest", "10.0.0.3", ", timeout: { hard: 4s }"),
    );
    cluster.eventually(&["status"], |text| !text.contains("cannot reach"));
    cluster.must_apply(&web, &["--wait", "30"]);
    let applied = Instant::now();
    let wide = cluster.pointsman(&["get", "objectives", "-o", "wide"]).1;
    for word in ["web", "pair", "hard: 4s"] {
        assert!(wide.contains(word), "{wide}");
    }

    // Another application neither changes nor prunes them.
    let other = format!(
        "device: leaf1\nowner: monitor\nobjectives:\n{}",
        drop_from("a", "10.9.0.0/16", "")
    );
    let (is_taken, text) = cluster.apply(&other, &[]);
    assert!(
        !is_taken && text.contains("belongs to application web"),
        "{text}"
    );
    let other = other.replace("forward: a", "forward: m");
    cluster.must_apply(&other, &["--prune"]);
    for name in ["forward/a", "forward/b", "forward/m"] {
        assert!(cluster.names().contains(name), "{}", cluster.names());
    }

    // The time of the guest goes on while its agent is away.
    cluster.restart_agent();
    let gone = |text: &str| text.contains("forward/a") && !text.contains("guest");
    cluster.eventually(&["get", "objectives", "leaf1", "-o", "name"], gone);
    let lived = applied.elapsed();
    assert!(lived > Duration::from_millis(2500), "{lived:?}");
    assert!(cluster.pointsman(&["history"]).1.contains("expired"));
    let address = cluster.agent_address.clone();
    cluster.eventually(
        &["get", "objectives", "--agent", &address, "-o", "name"],
        gone,
    );

    // Put again it is there again; taken over and pruned, it is not.
    cluster.must_apply(&web, &["--wait", "30"]);
    assert!(
        cluster.names().contains("forward/guest"),
        "{}",
        cluster.names()
    );
    cluster.must_apply(
        &other.replace("forward: m", "forward: a"),
        &["--take-over", "--prune"],
    );
    assert!(
        !cluster.names().contains("forward/m"),
        "{}",
        cluster.names()
    );
    let wide = cluster.pointsman(&["get", "objectives", "-o", "wide"]).1;
    assert!(wide.contains("monitor"), "{wide}");
}
