//! A client that watches one controller, and notes how old each change is when it has read it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::topology_client::TopologyClient;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Streaming;
use tonic::transport::Channel;

use super::PATIENCE;
use super::storm::Sent;

/// Microseconds that a histogram tells apart at most.
const LONGEST_US: u64 = 600_000_000;

/// A running witness.
pub(super) struct Witness {
    /// How many changes it has read.
    read: watch::Receiver<u64>,
    task: JoinHandle<Result<Histogram<u64>>>,
    enough: watch::Sender<bool>,
}

/// Starts to watch; returns when everything there was before is read.
pub(super) async fn start(channel: Channel, sent: Arc<Sent>) -> Result<Witness> {
    let client = TopologyClient::new(channel).max_decoding_message_size(1 << 30);
    let answer = { client }.watch(pb::WatchTopologyRequest::default()).await;
    let mut batches = answer?.into_inner();
    while !batches
        .message()
        .await?
        .context("the stream ended")?
        .complete
    {}
    let (count, read) = watch::channel(0);
    let (enough, stop) = watch::channel(false);
    let task = tokio::spawn(note(batches, sent, count, stop));
    Ok(Witness { read, task, enough })
}

async fn note(
    mut batches: Streaming<pb::TopologyBatch>,
    sent: Arc<Sent>,
    count: watch::Sender<u64>,
    mut stop: watch::Receiver<bool>,
) -> Result<Histogram<u64>> {
    let mut latency = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
    loop {
        let batch = tokio::select! {
            _ = stop.changed() => return Ok(latency),
            batch = batches.message() => batch?.context("the stream ended")?,
        };
        ensure!(!batch.snapshot, "{} was told anew", batch.device);
        for event in &batch.events {
            let age = sent.age(batch.device_id, event.sequence);
            let Some(age) = age else {
                bail!("{} has changed unasked", batch.device)
            };
            latency.record(microseconds(age).clamp(1, LONGEST_US))?;
        }
        count.send_replace(latency.len());
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Witness {
    /// How old each of so many changes was when it was read.
    pub(super) async fn all_of(mut self, count: u64) -> Result<Histogram<u64>> {
        let all = self.read.wait_for(|read| *read >= count);
        let in_time = tokio::time::timeout(PATIENCE, all).await;
        let is_late = in_time.is_err();
        drop(in_time);
        self.enough.send_replace(true);
        let latency = self.task.await??;
        ensure!(!is_late, "{} of {count} changes came", latency.len());
        ensure!(
            latency.len() == count,
            "{} changes came, and {count} were sent",
            latency.len()
        );
        Ok(latency)
    }
}
