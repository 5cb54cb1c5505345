//! A controller that says which way packets go, and is gone afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pointsman_model::{Model, NextType};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::agent::v1::sync_request::Message as ToAgent;
use pointsman_proto::pointsman::agent::v1::sync_response::Message as FromAgent;
use pointsman_proto::pointsman::objective::v1::State;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::MEMBERS;

/// How long the agent may take to serve, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(20);

/// Lets packets from port 1 go to a next of this type, with a bucket for each member.
pub(super) async fn give(address: &str, next_type: NextType) -> Result<()> {
    let mut client = connect(address).await?;
    let (requests, stream) = tokio::sync::mpsc::channel(2);
    requests.send(hello()).await.context("the stream")?;
    let responses = client.sync_objectives(ReceiverStream::new(stream)).await?;
    let mut responses = responses.into_inner();
    let FromAgent::Hello(hello) = next(&mut responses).await? else {
        bail!("the agent does not say hello");
    };
    requests
        .send(batch(next_type, hello.revision)?)
        .await
        .context("the stream")?;
    let FromAgent::Acks(acks) = next(&mut responses).await? else {
        bail!("the agent does not acknowledge");
    };
    for ack in acks.acks.into_iter().filter(|ack| ack.exists) {
        let status = ack.status.unwrap_or_default();
        let is_applied = status.state() == State::Applied;
        ensure!(is_applied, "{}: {}", ack.name, status.message);
    }
    Ok(())
}

async fn connect(address: &str) -> Result<AgentClient<Channel>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match AgentClient::connect(format!("http://{address}")).await {
            Ok(client) => return Ok(client),
            Err(_) if Instant::now() < deadline => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(error).context("no agent serves"),
        }
    }
}

async fn next(responses: &mut Streaming<pb::SyncResponse>) -> Result<FromAgent> {
    let message = tokio::time::timeout(PATIENCE, responses.message()).await;
    let message = message.context("the agent does not answer")??;
    message
        .and_then(|message| message.message)
        .context("the agent ends the stream")
}

fn hello() -> pb::SyncRequest {
    let hello = pb::SyncHello {
        device_id: 1,
        election_id: Some(pb::ElectionId { high: 0, low: 1 }),
        controller: "fast_repair".to_owned(),
        cluster_id: "fast_repair".to_owned(),
        ..pb::SyncHello::default()
    };
    pb::SyncRequest {
        message: Some(ToAgent::Hello(hello)),
    }
}

/// All objectives, in the place of those that there are.
fn batch(next_type: NextType, revision: u64) -> Result<pb::SyncRequest> {
    let model = Model::parse("way", &way(next_type));
    let model = model.map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let changes = (revision + 1..).zip(&model.objectives);
    let changes = changes.map(|(revision, located)| pb::RevisedChange {
        change: Some((&located.value.change).into()),
        revision,
        ..pb::RevisedChange::default()
    });
    let changes: Vec<_> = changes.collect();
    let batch = pb::ChangeBatch {
        revision: revision + changes.len() as u64,
        changes,
        snapshot: true,
        ..pb::ChangeBatch::default()
    };
    Ok(pb::SyncRequest {
        message: Some(ToAgent::Batch(batch)),
    })
}

fn way(next_type: NextType) -> String {
    let bucket = |port| {
        format!(
            "      - {{ set: {{ eth_src: 02:00:00:00:01:01, eth_dst: 02:00:00:00:01:{port:02} }}, output: {port} }}\n"
        )
    };
    format!(
        "device: switch
objectives:
  - filter: port1
    key: {{ in_port: 1 }}
    conditions: {{ vlan_vid: untagged, eth_dst: 02:00:00:00:01:01 }}
    treatment: {{ push_vlan: 10 }}
  - forward: out
    flag: specific
    selector: {{ eth_type: ipv4, ipv4_dst: 10.0.0.0/24 }}
    next: members
  - next: members
    type: {}
    buckets:
{}",
        next_type.name(),
        MEMBERS.map(bucket).concat()
    )
}
