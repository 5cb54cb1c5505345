//! An agent with two ports in the network namespace that this process is in. All of it goes with the [`Bed`].

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use tonic::transport::Channel;

use super::PATIENCE;
use super::client::Reacting;
use super::wires::Wires;

/// Where the agent serves, in a namespace that has no other.
const ADDRESS: &str = "127.0.0.1:9559";
const RETRY: Duration = Duration::from_millis(20);

/// Of an agent that does nothing by itself.
pub(super) const ROUTER: &str = "";
/// Of one that is a bridge, which learns as fast as it can.
pub(super) const BRIDGE: &str = "reactive:\n  frames_per_second: 10000000\n  bridges: [{ vlan: 10, untagged: [p1, p2], \
                                 stations_per_port: 65536 }]\n";

/// See above.
pub(super) struct Bed {
    agent: Child,
    directory: PathBuf,
}

impl Bed {
    /// Starts an agent with these lines in its configuration.
    pub(super) fn new(agent: &Path, more: &str) -> Result<Bed> {
        let directory = std::env::temp_dir().join(format!("packet-io-{}", std::process::id()));
        std::fs::create_dir_all(&directory).context("a temporary directory")?;
        let config = directory.join("agent.yaml");
        let state = directory.join("state");
        let text = format!(
            "insecure: true\npipeline: leaf_spine\ntarget: xdp\npins: none\nlisten: \"{ADDRESS}\"\nstate_dir: {state:?}\n\
             ports: [1=p1, 2=p2]\nlimits: {{ packet_ins_per_port: 10000000, slow_path_per_port: 10000000 }}\n{more}"
        );
        std::fs::write(&config, text)?;
        ip("link set lo up")?;
        for number in [1, 2] {
            let (port, host) = (format!("p{number}"), format!("host{number}"));
            ip(&format!("link add {port} type veth peer name {host}"))?;
            for interface in [&port, &host] {
                // Without an address of its own it finds no neighbours.
                ip(&format!("link set {interface} addrgenmode none up"))?;
            }
            // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
            run(Command::new("ethtool").args(["-K", &host, "gro", "on"]))?;
        }
        let log = std::fs::File::create(directory.join("log"))?;
        let agent = Command::new(agent)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the agent does not start")?;
        Ok(Bed { agent, directory })
    }

    /// What the agent has logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// The way in by port 1, and out by port 2.
    pub(super) fn wires(&self) -> Result<Wires> {
        Wires::open("host1", "host2")
    }

    /// A P4Runtime client, as soon as the agent serves.
    pub(super) async fn client(&self) -> Result<Reacting> {
        let address = format!("http://{ADDRESS}");
        let connected = soon(async || P4RuntimeClient::connect(address.clone()).await.ok()).await;
        let rpc = connected.context("no agent serves")?;
        Reacting::open(rpc).await
    }

    /// A client of the agent's own service, as soon as it serves.
    pub(super) async fn service(&self) -> Result<AgentClient<Channel>> {
        let address = format!("http://{ADDRESS}");
        let connected = soon(async || AgentClient::connect(address.clone()).await.ok()).await;
        connected.context("no agent serves")
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Each step is tried, whatever became of the one before.
        drop(self.agent.kill());
        drop(self.agent.wait());
        for number in [1, 2] {
            drop(ip(&format!("link del p{number}")));
        }
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

/// Asks until there is an answer.
pub(super) async fn soon<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        tokio::time::sleep(RETRY).await;
    }
    bail!("not in {PATIENCE:?}")
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
