//! The controllers of a run: processes on loopback, in a network namespace that has no others.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use pointsman_proto::pointsman::controller::v1::topology_client::TopologyClient;
use tonic::transport::{Channel, Endpoint};

use super::report::Memory;
use super::{PATIENCE, RETRY};
use crate::switches::{ElectionId, Switch};

pub(super) struct Bed {
    program: PathBuf,
    directory: PathBuf,
    nodes: Vec<Child>,
    /// Of each switch, before the controllers of now were started.
    election_ids: Vec<ElectionId>,
}

impl Bed {
    pub(super) async fn start(program: &Path, count: usize) -> Result<Bed> {
        let name = format!("fabric-views-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).context("a temporary directory")?;
        let mut bed = Bed {
            program: program.to_owned(),
            directory,
            nodes: vec![],
            election_ids: vec![],
        };
        bed.spawn(count)?;
        bed.wait_until_served().await?;
        Ok(bed)
    }

    fn spawn(&mut self, count: usize) -> Result<()> {
        for index in 0..count {
            let log = std::fs::File::options()
                .create(true)
                .append(true)
                .open(self.directory.join(format!("c{index}.log")))?;
            let node = Command::new(&self.program)
                .args(["--bootstrap", "--listen", &address(index), "--data-dir"])
                .arg(self.directory.join(format!("c{index}")))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            self.nodes
                .push(node.context("the controller does not start")?);
        }
        Ok(())
    }

    async fn wait_until_served(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for index in 0..self.nodes.len() {
            while ControllerClient::new(self.channel(index)?)
                .get_status(pb::GetStatusRequest::default())
                .await
                .is_err()
            {
                if Instant::now() > deadline || self.nodes[index].try_wait()?.is_some() {
                    bail!("{} does not serve:\n{}", self.name(index), self.log(index));
                }
                tokio::time::sleep(RETRY).await;
            }
        }
        Ok(())
    }

    pub(super) async fn add_devices(
        &self,
        specs: impl IntoIterator<Item = pb::DeviceSpec>,
    ) -> Result<()> {
        let devices = specs.into_iter().map(|spec| pb::DeviceChange {
            remove: false,
            device: Some(spec),
        });
        let request = pb::ApplyRequest {
            devices: devices.collect(),
            ..pb::ApplyRequest::default()
        };
        for index in 0..self.nodes.len() {
            let mut client = ControllerClient::new(self.channel(index)?);
            let answer = client.apply(request.clone()).await?.into_inner();
            ensure!(answer.errors.is_empty(), "{:?}", answer.errors);
        }
        Ok(())
    }

    /// The switches that nobody has claimed since the controllers were started.
    pub(super) async fn without_master(&self, switches: &[Switch]) -> Result<Vec<String>> {
        let missing = switches.iter().enumerate().filter(|(index, switch)| {
            let before = self.election_ids.get(*index).copied().unwrap_or_default();
            switch.highest_election_id() <= before
        });
        Ok(missing.map(|(_, switch)| switch.name()).collect())
    }

    pub(super) async fn stop(&mut self, switches: &[Switch]) -> Result<()> {
        for node in &self.nodes {
            let killed = Command::new("kill").arg(node.id().to_string()).status()?;
            ensure!(killed.success(), "a controller does not run any more");
        }
        for mut node in std::mem::take(&mut self.nodes) {
            let status = tokio::task::spawn_blocking(move || node.wait()).await??;
            ensure!(status.success(), "a controller ended with {status}");
        }
        self.election_ids = switches.iter().map(Switch::highest_election_id).collect();
        Ok(())
    }

    pub(super) async fn start_again(&mut self, count: usize) -> Result<()> {
        self.spawn(count)?;
        self.wait_until_served().await
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn name(&self, index: usize) -> String {
        format!("c{}", index + 1)
    }

    pub(super) fn channel(&self, index: usize) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", address(index)))?;
        Ok(endpoint.tcp_nodelay(true).connect_lazy())
    }

    pub(super) fn topology(&self, index: usize) -> Result<TopologyClient<Channel>> {
        Ok(TopologyClient::new(self.channel(index)?))
    }

    pub(super) fn memory(&self, index: usize) -> Result<Memory> {
        Memory::of(self.nodes[index].id())
    }

    pub(super) fn log(&self, index: usize) -> String {
        let path = self.directory.join(format!("c{index}.log"));
        let log = std::fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// Makes addresses of loopback usable.
pub(super) fn prepare() -> Result<()> {
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    ensure!(up.success(), "loopback cannot be used");
    Ok(())
}

fn address(index: usize) -> String {
    format!("127.0.77.{}:9700", index + 1)
}

impl Drop for Bed {
    /// Each step is tried, whatever became of the one before.
    fn drop(&mut self) {
        for node in &mut self.nodes {
            drop(node.kill());
            drop(node.wait());
        }
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
