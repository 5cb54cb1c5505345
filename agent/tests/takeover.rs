//! Agents that end and begin, as operators see them: what forwards stays, what is not wanted goes, and two do not
//! run at once. In a network namespace with a BPF file system of its own; root, or the tests say that they were
//! skipped. What becomes of packets and writes is `bench/tests/warm_restart.rs`'s to show.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace with two ports, p1 and p2.
struct Bed {
    namespace: String,
    directory: tempfile::TempDir,
    agent: Option<Child>,
}

impl Bed {
    /// None without privileges.
    fn new(name: &str) -> Option<Bed> {
        let id = Command::new("id").arg("-u").output().expect("id");
        if id.stdout.trim_ascii() != b"0" {
            assert!(
                std::env::var_os("REQUIRE_NETNS").is_none(),
                "REQUIRE_NETNS is set, but this is not root"
            );
            eprintln!("skipped: only root may make network namespaces");
            return None;
        }
        let bed = Bed {
            namespace: format!("{name}-{}", std::process::id()),
            directory: tempfile::tempdir().expect("a directory"),
            agent: None,
        };
        let bpf = bed.directory.path().join("bpf");
        std::fs::create_dir(&bpf).expect("a directory");
        succeed(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(bpf));
        let namespace = &bed.namespace;
        succeed(Command::new("ip").args(["netns", "add", namespace]));
        for port in ["p1", "p2"] {
            let peer = format!("{port}-peer");
            for arguments in [
                &["link", "add", port, "type", "veth", "peer", "name", &peer][..],
                &["link", "set", port, "up"],
                &["link", "set", &peer, "up"],
            ] {
                succeed(bed.command("ip").args(arguments));
            }
        }
        succeed(bed.command("ip").args(["link", "set", "lo", "up"]));
        Some(bed)
    }

    /// In the namespace, with the file systems of this process.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace));
        command.arg(program);
        command
    }

    fn agent(&self, state: &str, arguments: &[&str]) -> Command {
        let mut agent = self.command(env!("CARGO_BIN_EXE_pointsman-agent"));
        agent
            .args(["--insecure", "--listen", "127.0.0.1:9559", "--pins"])
            .arg(self.directory.path().join("bpf"))
            .arg("--state-dir")
            .arg(self.directory.path().join(state))
            .args(arguments);
        agent
    }

    /// Starts an agent and waits until it has its ports.
    fn start(&mut self, ports: &[&str]) {
        let log = std::fs::File::create(self.log()).expect("a log file");
        let ports: Vec<String> = ports.iter().map(|port| format!("--port={port}")).collect();
        let mut agent = self.agent("state", &[]);
        let agent = agent.args(&ports).stdin(Stdio::null()).stderr(log);
        self.agent = Some(agent.spawn().expect("the agent starts"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = std::fs::read_to_string(self.log()).unwrap_or_default();
            if said.contains("serving gRPC") && said.matches("port attached").count() == ports.len()
            {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the agent does not come up:\n{said}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().expect("it runs");
            agent.wait().expect("it ends");
        }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// The XDP program of an interface, as `ip` shows it.
    fn program(&self, interface: &str) -> Option<String> {
        let shown = self
            .command("ip")
            .args(["link", "show", interface])
            .output();
        let shown = String::from_utf8(shown.expect("ip").stdout).expect("text");
        let program = shown.lines().find(|line| line.contains("prog/xdp"));
        program.map(|line| line.trim().to_owned())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            drop(agent.kill());
            drop(agent.wait());
        }
        let namespace = ["netns", "del", &self.namespace];
        drop(Command::new("ip").args(namespace).status());
        let bpf = self.directory.path().join("bpf");
        drop(Command::new("umount").arg(bpf).status());
    }
}

fn succeed(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}

fn fails(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(!output.status.success(), "{command:?} succeeds");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn ports_stay_with_their_programs_until_they_are_not_wanted_or_all_is_taken_down() {
    let Some(mut bed) = Bed::new("takeover") else {
        return;
    };
    bed.start(&["1=p1", "2=p2"]);
    let program = bed.program("p1").expect("the port runs a program");
    bed.kill();
    assert_eq!(bed.program("p1").as_ref(), Some(&program), "it forwards on");

    bed.start(&["2=p2"]);
    assert_eq!(bed.program("p1"), None, "it is no port any more");
    let left = bed.program("p2").expect("the other one still is");
    assert_eq!(left, program, "nothing about it has changed");
    let said = std::fs::read_to_string(bed.log()).expect("the log");
    assert!(said.contains("counts_go_on=true"), "{said}");
    assert!(said.contains("it is taken down"), "{said}");

    let error = fails(&mut bed.agent("another-state", &["--port=1=p1"]));
    assert!(
        error.contains("another agent of this device id runs"),
        "{error}"
    );
    let error = fails(&mut bed.agent("state", &["detach"]));
    assert!(
        error.contains("another agent of this device id runs"),
        "{error}"
    );
    bed.kill();
    succeed(&mut bed.agent("state", &["detach"]));
    assert_eq!(bed.program("p2"), None);
}

#[test]
fn an_agent_that_cannot_start_leaves_what_forwards_alone() {
    let Some(mut bed) = Bed::new("no-takeover") else {
        return;
    };
    bed.start(&["1=p1", "2=p2"]);
    let program = bed.program("p1").expect("the port runs a program");
    bed.kill();
    let state = bed.directory.path().join("state/state");
    let mut bytes = std::fs::read(&state).expect("the state file");
    bytes[10] ^= 1;
    std::fs::write(&state, &bytes).expect("it can be written");
    let error = fails(&mut bed.agent("state", &["--port=1=p1"]));
    assert!(error.contains("state"), "{error}");
    assert_eq!(bed.program("p1"), Some(program), "it forwards on");
    assert_eq!(
        std::fs::read(&state).expect("the state file"),
        bytes,
        "nothing is wiped"
    );
    let output = bed.agent("state", &["doctor", "--port=1=p1"]).output();
    let said = String::from_utf8(output.expect("it runs").stdout).expect("text");
    assert!(said.contains("failed   state directory"), "{said}");
}
