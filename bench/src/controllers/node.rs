//! One process of `pointsman-controller`, with its directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::clock::Clock;
use super::network::Place;

const API_PORT: u16 = 9700;
const PEER_PORT: u16 = 9701;
/// Of a log that is shown.
const LOG_LINES: usize = 30;

pub(super) struct Node {
    program: PathBuf,
    name: String,
    place: Place,
    directory: PathBuf,
    clock: Clock,
    running: Option<Child>,
}

impl Node {
    pub(super) fn new(program: &Path, index: usize, place: Place, directory: PathBuf) -> Node {
        Node {
            program: program.to_owned(),
            name: format!("c{}", index + 1),
            place,
            clock: Clock::new(directory.join("clock")),
            directory,
            running: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn api(&self) -> String {
        SocketAddr::new(self.place.address, API_PORT).to_string()
    }

    fn peer(&self) -> String {
        SocketAddr::new(self.place.address, PEER_PORT).to_string()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// The program with the settings of this node, where the node is.
    fn command(&self) -> Command {
        let mut command = match &self.place.namespace {
            None => Command::new(&self.program),
            Some(namespace) => {
                let mut command = Command::new("nsenter");
                command
                    .arg(format!("--net=/run/netns/{namespace}"))
                    .arg(&self.program);
                command
            }
        };
        command
            .args(["--listen", &self.api(), "--peer-listen", &self.peer()])
            .args(["--node-name", &self.name, "--data-dir"])
            .arg(self.directory.join("store"))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, mut command: Command) -> Result<String> {
        let output = command.output().with_context(|| format!("{command:?}"))?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?}: {error}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Makes a new cluster in its directory.
    pub(super) fn initialize(&self) -> Result<()> {
        let mut command = self.command();
        command.arg("init");
        self.run(command).map(drop)
    }

    /// Joins the cluster that made the token.
    pub(super) fn join(&self, token: &str) -> Result<()> {
        let mut command = self.command();
        command.args(["join", token]);
        self.run(command).map(drop)
    }

    /// Starts the process; it may not serve yet.
    pub(super) fn start(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "{} runs already", self.name);
        let mut command = self.command();
        self.clock.give(&mut command)?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .context("the log")?;
        command.stdout(Stdio::null()).stderr(log);
        let running = command.spawn().with_context(|| format!("{command:?}"))?;
        self.running = Some(running);
        Ok(())
    }

    pub(super) fn kill(&mut self) -> Result<()> {
        let mut running = self.running.take();
        let running = running.as_mut();
        let running = running.with_context(|| format!("{} does not run", self.name))?;
        running.kill()?;
        running.wait()?;
        Ok(())
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&self) -> Result<()> {
        let pid = self.pid();
        let pid = pid.with_context(|| format!("{} does not run", self.name))?;
        let mut command = Command::new("kill");
        command.arg(pid.to_string());
        self.run(command).map(drop)
    }

    /// Does it not run any more? An error if it ended with one.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        let Some(running) = &mut self.running else {
            return Ok(true);
        };
        let Some(status) = running.try_wait()? else {
            return Ok(false);
        };
        self.running = None;
        if !status.success() {
            bail!("{} ended with {status}:\n{}", self.name, self.log());
        }
        Ok(true)
    }

    pub(super) fn set_clock(&self, seconds: i64) -> Result<()> {
        self.clock.set(seconds)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The end of its log.
    pub(super) fn log(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            // It may have ended by itself.
            drop(running.kill());
            drop(running.wait());
        }
    }
}
