//! An agent and a controller in the network namespace that this process is in. All of it goes with the [`Bed`], but for the
//! links, which go with the namespace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pointsman_controller::config::{Config, Settings};
use pointsman_controller::server::Server;

use super::draw::PORTS;

/// Where the agent serves, in a namespace that has no other.
pub(super) const AGENT: &str = "127.0.0.1:9559";
/// Lines that messages quote of the log.
const LOG_LINES: usize = 30;

/// See above.
pub(super) struct Bed {
    program: PathBuf,
    target: String,
    agent: Option<Child>,
    controller: Option<Server>,
    directory: PathBuf,
}

impl Bed {
    /// Ports and directories; nothing runs yet.
    pub(super) fn new(program: &Path, target: &str) -> Result<Bed> {
        let directory = std::env::temp_dir().join(format!("sequences-{}", std::process::id()));
        let bed = Bed {
            program: program.to_owned(),
            target: target.to_owned(),
            agent: None,
            controller: None,
            directory,
        };
        std::fs::create_dir_all(bed.pins()).context("a temporary directory")?;
        run(Command::new("mount")
            .args(["-t", "bpf", "bpf"])
            .arg(bed.pins()))?;
        ip("link set lo up")?;
        for number in 1..=PORTS {
            ip(&format!("link add p{number} type veth peer name h{number}"))?;
            for interface in [format!("p{number}"), format!("h{number}")] {
                ip(&format!("link set {interface} addrgenmode none up"))?;
            }
        }
        Ok(bed)
    }

    /// Starts an agent on what the one before it has left.
    pub(super) fn start_agent(&mut self, drift: &str) -> Result<()> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))?;
        let ports = (1..=PORTS).map(|number| format!("--port={number}:swp{number}=p{number}"));
        let agent = Command::new(&self.program)
            .args(["--insecure", "--pipeline", "leaf_spine"])
            .args(["--target", &self.target, "--drift", drift])
            .args(ports)
            .args(["--listen", AGENT, "--state-dir"])
            .arg(self.directory.join("agent"))
            .arg("--pins")
            .arg(match self.target.as_str() {
                "xdp" => self.pins().into_os_string(),
                _ => "none".into(),
            })
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.agent = Some(agent.context("the agent does not start")?);
        Ok(())
    }

    /// Ends the agent, which must not have ended by itself.
    pub(super) fn end_agent(&mut self, kill: bool) -> Result<()> {
        let Some(mut agent) = self.agent.take() else {
            return Ok(());
        };
        let ended = agent.try_wait()?;
        ensure!(ended.is_none(), "the agent has ended by itself");
        match kill {
            true => agent.kill()?,
            false => run(Command::new("kill").arg(agent.id().to_string()))?,
        }
        agent.wait()?;
        Ok(())
    }

    /// Starts a controller on what the one before it has left. Returns where it serves.
    pub(super) async fn start_controller(&mut self) -> Result<String> {
        if let Some(before) = self.controller.take() {
            before.shutdown().await;
        }
        let settings = Settings {
            listen: Some("127.0.0.1:0".into()),
            data_dir: Some(self.directory.join("controller")),
            bootstrap: Some(true),
            ..Settings::default()
        };
        let config = Config::try_from(settings)?;
        let mut tries = 0;
        let server = loop {
            match Server::start(config.clone()).await {
                Ok(server) => break server,
                // A connection of the one before may have its store for a moment longer.
                Err(_) if tries < 200 => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => return Err(error.into()),
            }
            tries += 1;
        };
        let address = server.address().to_string();
        self.controller = Some(server);
        Ok(address)
    }

    /// Ends all that runs.
    pub(super) async fn end(mut self) -> Result<()> {
        if let Some(controller) = self.controller.take() {
            controller.shutdown().await;
        }
        self.end_agent(false)
    }

    /// Cuts the link of a port at its other end, or mends it.
    pub(super) fn set_port(&self, number: u32, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        ip(&format!("link set h{number} {state}"))
    }

    /// What agents have logged last.
    pub(super) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn pins(&self) -> PathBuf {
        self.directory.join("bpf")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Each step is tried, whatever became of the one before.
        if let Some(mut agent) = self.agent.take() {
            drop(agent.kill());
            drop(agent.wait());
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
