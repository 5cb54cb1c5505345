//! A network namespace with an agent in it, links to its two ports, and a BPF file system for what it pins.
//!
//! The other ends of the links are in our own namespace, so that packets can be sent without entering
//! another. All of it goes with the [`Bed`].

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Lines that messages quote of the log.
const LOG_LINES: usize = 40;

/// See above.
pub(super) struct Bed {
    agent: PathBuf,
    running: Option<Child>,
    namespace: String,
    /// Of a network for benchmarks, and another one in each run.
    network: String,
    /// The first host of that network that is ours.
    first_host: u32,
    hosts: [String; 2],
    management: String,
    directory: PathBuf,
}

impl Bed {
    pub(super) fn new(agent: PathBuf) -> Result<Bed> {
        let id = std::process::id();
        let directory = std::env::temp_dir().join(format!("warm-restart-{id}"));
        let bed = Bed {
            agent,
            running: None,
            namespace: format!("warm-{id}"),
            network: format!("198.19.{}", id / 64 % 256),
            first_host: id % 64 * 4,
            hosts: [format!("wa{id}"), format!("wb{id}")],
            management: format!("wm{id}"),
            directory,
        };
        bed.make()?;
        Ok(bed)
    }

    fn make(&self) -> Result<()> {
        let ns = &self.namespace;
        std::fs::create_dir_all(self.pins()).context("a temporary directory")?;
        let pins = self.pins();
        run(Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&pins))?;
        ip(&format!("netns add {ns}"))?;
        ip(&format!("-n {ns} link set lo up"))?;
        let [first, second] = &self.hosts;
        for (ours, theirs) in [(first, "p1"), (second, "p2"), (&self.management, "mgmt")] {
            ip(&format!(
                "link add {ours} type veth peer name {theirs} netns {ns}"
            ))?;
            // Nobody but the stream sends: without an address of its own it finds no neighbours.
            ip(&format!("link set {ours} addrgenmode none up"))?;
            ip(&format!("-n {ns} link set {theirs} addrgenmode none up"))?;
        }
        // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
        for host in &self.hosts {
            run(Command::new("ethtool").args(["-K", host, "gro", "on"]))?;
        }
        let (network, host) = (&self.network, self.first_host);
        let management = &self.management;
        ip(&format!(
            "addr add {network}.{}/30 dev {management}",
            host + 1
        ))?;
        ip(&format!(
            "-n {ns} addr add {network}.{}/30 dev mgmt",
            host + 2
        ))
    }

    /// Where the agent serves.
    pub(super) fn address(&self) -> String {
        format!("{}.{}:9559", self.network, self.first_host + 2)
    }

    /// The interfaces at the other ends of ports 1 and 2.
    pub(super) fn hosts(&self) -> [String; 2] {
        self.hosts.clone()
    }

    /// What agents have logged last.
    pub(super) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Starts an agent on what the one before it has left.
    pub(super) fn start_agent(&mut self) -> Result<()> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))?;
        let mut agent = Command::new("nsenter");
        agent
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .arg(&self.agent)
            .args(["--insecure", "--pipeline", "leaf_spine", "--target", "xdp"])
            .args(["--port", "1=p1", "--port", "2=p2"])
            .args(["--listen", &self.address(), "--state-dir"])
            .arg(self.directory.join("state"))
            .arg("--pins")
            .arg(self.pins())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let running = agent.spawn().context("the agent does not start")?;
        self.running = Some(running);
        Ok(())
    }

    /// Kills the agent, which must not have ended by itself.
    pub(super) fn kill_agent(&mut self) -> Result<()> {
        let Some(mut agent) = self.running.take() else {
            return Ok(());
        };
        let ended = agent.try_wait()?;
        ensure!(
            ended.is_none(),
            "the agent has ended by itself:\n{}",
            self.log()
        );
        agent.kill()?;
        agent.wait()?;
        Ok(())
    }

    fn pins(&self) -> PathBuf {
        self.directory.join("bpf")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Each step is tried, whatever became of the one before.
        drop(self.kill_agent());
        drop(ip(&format!("netns del {}", self.namespace)));
        for ours in self.hosts.iter().chain([&self.management]) {
            if Path::new("/sys/class/net").join(ours).exists() {
                drop(ip(&format!("link del {ours}")));
            }
        }
        drop(run(Command::new("umount").arg(self.pins())));
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn ip(arguments: &str) -> Result<()> {
    run(Command::new("ip").args(arguments.split(' ')))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output();
    let output = output.with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {error}");
    Ok(())
}
