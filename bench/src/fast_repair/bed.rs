//! An agent with three ports in the network namespace that this process is in. All of it goes with the [`Bed`], but
//! for the links, which go with the namespace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use pointsman_model::NextType;

use super::objectives;

/// Where the agent serves, in a namespace that has no other.
const ADDRESS: &str = "127.0.0.1:9559";
/// See above.
pub(super) struct Bed {
    agent: Child,
    directory: PathBuf,
}

impl Bed {
    pub(super) fn new(agent: &Path) -> Result<Bed> {
        let directory = std::env::temp_dir().join(format!("fast-repair-{}", std::process::id()));
        std::fs::create_dir_all(&directory).context("a temporary directory")?;
        ip("link set lo up")?;
        for number in [1, 2, 3] {
            let (port, host) = (name("p", number), name("host", number));
            ip(&format!("link add {port} type veth peer name {host}"))?;
            for interface in [&port, &host] {
                // Nobody but the stream sends: without an address of its own it finds no neighbours.
                ip(&format!("link set {interface} addrgenmode none up"))?;
            }
            // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
            run(Command::new("ethtool").args(["-K", &host, "gro", "on"]))?;
        }
        let log = std::fs::File::create(directory.join("log"))?;
        let agent = Command::new(agent)
            .args(["--insecure", "--pipeline", "leaf_spine", "--target", "xdp"])
            .args(["--port", "1=p1", "--port", "2=p2", "--port", "3=p3"])
            .args(["--listen", ADDRESS, "--pins", "none", "--state-dir"])
            .arg(directory.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the agent does not start")?;
        Ok(Bed { agent, directory })
    }

    /// The switch's interface of a port.
    pub(super) fn port(&self, number: u32) -> String {
        name("p", number)
    }

    /// The other end of it.
    pub(super) fn host(&self, number: u32) -> String {
        name("host", number)
    }

    /// What the agent has logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Cuts the link of a port at its other end, or mends it.
    pub(super) fn set_host(&self, number: u32, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        ip(&format!("link set {} {state}", self.host(number)))
    }

    /// Gives packets their way, as a controller that is gone afterwards.
    pub(super) async fn give_way(&self, next_type: NextType) -> Result<()> {
        objectives::give(ADDRESS, next_type).await
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Each step is tried, whatever became of the one before.
        drop(self.agent.kill());
        drop(self.agent.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn name(kind: &str, number: u32) -> String {
    format!("{kind}{number}")
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
