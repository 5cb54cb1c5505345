//! An agent and a controller in the network namespace that this process is in, and the command that talks to them.
//! All of it goes with the [`Bed`], but for the links, which go with the namespace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use tonic::transport::Channel;

use super::report::Memory;
use super::watch::{self, Moments, Written};
use super::{Options, Step};

/// Where the servers are, in a namespace that has no others.
pub(super) const AGENT: &str = "127.0.0.1:9559";
const CONTROLLER: &str = "127.0.0.1:9700";
pub(super) const DEVICE_ID: u64 = 1;
/// How long nothing is written until nothing follows.
const SETTLED: std::time::Duration = std::time::Duration::from_millis(300);
/// Ports 1 and 2 are the ends of one link.
pub(super) const PORTS: usize = 2;

pub(super) struct Bed {
    command: PathBuf,
    directory: PathBuf,
    servers: Vec<Child>,
    client: ControllerClient<Channel>,
}

impl Bed {
    pub(super) async fn new(options: &Options) -> Result<Bed> {
        let directory =
            std::env::temp_dir().join(format!("many-objectives-{}", std::process::id()));
        std::fs::create_dir_all(&directory).context("a temporary directory")?;
        ip("link set lo up")?;
        ip("link add p1 type veth peer name p2")?;
        ip("link set p1 up")?;
        ip("link set p2 up")?;
        let agent = Command::new(&options.agent)
            .args(["--insecure", "--pipeline", "leaf_spine", "--pins", "none"])
            .args(["--target", &options.target, "--lldp", "disabled"])
            .args(["--port", "1=p1", "--port", "2=p2", "--listen", AGENT])
            .arg("--state-dir")
            .arg(directory.join("agent"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("agent.log"))?)
            .spawn()
            .context("the agent does not start")?;
        let mut servers = vec![agent];
        let controller = Command::new(&options.controller)
            .args(["--bootstrap", "--listen", CONTROLLER, "--data-dir"])
            .arg(directory.join("controller"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("controller.log"))?)
            .spawn();
        match controller {
            Ok(controller) => servers.push(controller),
            Err(error) => {
                stop(&mut servers);
                return Err(error).context("the controller does not start");
            }
        }
        let client = watch::connect(CONTROLLER).await;
        let served = watch::served(AGENT).await;
        let bed = match client {
            Ok(client) => Bed {
                command: options.command.clone(),
                directory,
                servers,
                client,
            },
            Err(error) => {
                stop(&mut servers);
                return Err(error);
            }
        };
        served.with_context(|| bed.log("agent"))?;
        Ok(bed)
    }

    /// Writes the file to apply, and says where it is.
    pub(super) fn write(&self, text: &str) -> Result<String> {
        let path = self.directory.join("objectives.yaml");
        std::fs::write(&path, text).context("the file of objectives")?;
        Ok(path.display().to_string())
    }

    /// Runs the command and insists that it succeeds.
    pub(super) fn pointsman(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.invocation(arguments);
        let output = command.output().with_context(|| format!("{command:?}"))?;
        self.succeeded(output, arguments)
    }

    /// Applies a file and waits until the switch has acknowledged it.
    pub(super) fn apply(&self, path: &str) -> Result<()> {
        self.pointsman(&apply(path)).map(drop)
    }

    /// The same, with the moments at which it was committed and acknowledged.
    pub(super) async fn apply_watched(&self, path: &str, objectives: usize) -> Result<Vec<Step>> {
        let mut command = self.invocation(&apply(path));
        let started = Instant::now();
        let running = tokio::task::spawn_blocking(move || {
            let output = command.output();
            (output, Instant::now())
        });
        let Moments {
            committed,
            acknowledged,
        } = watch::moments(self.client.clone(), objectives).await?;
        let (output, done) = running.await?;
        self.succeeded(output.context("pointsman apply")?, &["apply"])?;
        Ok(vec![
            Step::between("committed, from the start of apply", started, committed),
            Step::between(
                "acknowledged, from the start of apply",
                started,
                acknowledged,
            ),
            Step::between("apply says so", started, done),
        ])
    }

    /// What has been written so far, once nothing follows any more: acknowledgements are written after what they are of.
    pub(super) async fn written(&self) -> Result<Written> {
        let mut written = watch::written(self.client.clone(), AGENT).await?;
        loop {
            tokio::time::sleep(SETTLED).await;
            let now = watch::written(self.client.clone(), AGENT).await?;
            if now == written {
                return Ok(now);
            }
            written = now;
        }
    }

    /// What the servers take of memory, and have taken at most.
    pub(super) fn memory(&self) -> Result<Vec<Memory>> {
        let names = ["agent", "controller"];
        let servers = names.into_iter().zip(&self.servers);
        servers
            .map(|(name, server)| Memory::of(name, server.id()))
            .collect()
    }

    fn invocation(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.command);
        command
            .args(["--controller", CONTROLLER])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn succeeded(&self, output: Output, arguments: &[&str]) -> Result<Output> {
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "pointsman {}: {error}\n{}{}",
            arguments.join(" "),
            self.log("agent"),
            self.log("controller")
        );
        Ok(output)
    }

    fn log(&self, server: &str) -> String {
        let path = self.directory.join(format!("{server}.log"));
        std::fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        stop(&mut self.servers);
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn apply(path: &str) -> [&str; 5] {
    ["apply", "--wait", "600", "--file", path]
}

/// Each step is tried, whatever became of the one before.
fn stop(servers: &mut [Child]) {
    for server in servers {
        drop(server.kill());
        drop(server.wait());
    }
}

fn ip(arguments: &str) -> Result<()> {
    let mut command = Command::new(Path::new("ip"));
    command.args(arguments.split(' '));
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {error}");
    Ok(())
}
