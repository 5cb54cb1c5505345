//! What controller and agent say of what was written, and when.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use tonic::transport::Channel;

/// How long a server may take to serve, and an apply to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(30);
const APPLY_PATIENCE: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_millis(20);
/// How often the watcher asks: each question counts all objectives.
const RHYTHM: Duration = Duration::from_millis(50);

/// How much was written, ever.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Updates that the agent wrote to its data plane.
    pub(super) updates: u64,
    /// Revisions of the replicated state.
    pub(super) revisions: u64,
    /// Entries of the replicated log.
    pub(super) log_entries: u64,
}

impl Written {
    pub(super) fn since(&self, before: &Written) -> Written {
        Written {
            updates: self.updates - before.updates,
            revisions: self.revisions - before.revisions,
            log_entries: self.log_entries - before.log_entries,
        }
    }
}

/// When something had been done.
pub(super) struct Moments {
    pub(super) committed: Instant,
    pub(super) acknowledged: Instant,
}

pub(super) async fn connect(address: &str) -> Result<ControllerClient<Channel>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ControllerClient::connect(format!("http://{address}")).await {
            Ok(client) => return Ok(client),
            Err(_) if Instant::now() < deadline => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(error).context("no controller serves"),
        }
    }
}

/// Waits until an agent serves.
pub(super) async fn served(address: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while agent_status(address).await.is_err() {
        ensure!(Instant::now() < deadline, "no agent serves");
        tokio::time::sleep(RETRY).await;
    }
    Ok(())
}

async fn agent_status(address: &str) -> Result<agent_pb::AgentStatus> {
    let mut client = AgentClient::connect(format!("http://{address}")).await?;
    let status = client.get_status(agent_pb::GetStatusRequest {}).await?;
    Ok(status.into_inner())
}

pub(super) async fn written(mut client: ControllerClient<Channel>, agent: &str) -> Result<Written> {
    let cluster = client
        .get_status(pb::GetStatusRequest {})
        .await?
        .into_inner();
    Ok(Written {
        updates: agent_status(agent).await?.updates_written,
        revisions: cluster.revision,
        log_entries: cluster.log_index,
    })
}

/// Watches an apply of so many objectives, the first that there is.
pub(super) async fn moments(
    mut client: ControllerClient<Channel>,
    objectives: usize,
) -> Result<Moments> {
    let deadline = Instant::now() + APPLY_PATIENCE;
    let mut committed = None;
    while Instant::now() < deadline {
        let answer = client.get_devices(pb::GetDevicesRequest::default()).await?;
        for device in answer.into_inner().devices {
            let (applied, failed) = (device.objectives_applied, device.objectives_failed);
            let all = applied + failed + device.objectives_pending;
            if all as usize == objectives {
                committed.get_or_insert_with(Instant::now);
            }
            if let Some(committed) = committed
                && device.objectives_pending == 0
            {
                ensure!(failed == 0, "{failed} objectives failed");
                return Ok(Moments {
                    committed,
                    acknowledged: Instant::now(),
                });
            }
        }
        tokio::time::sleep(RHYTHM).await;
    }
    bail!("{objectives} objectives were not acknowledged within {APPLY_PATIENCE:?}")
}
