//! The clients: what they ask of the controllers, and how long the answers take.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use pointsman_proto::pointsman::objective::v1::State;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::made;
use super::report::{Batched, Single};
use crate::controllers::Cluster;
use crate::switches::Switch;

const PATIENCE: Duration = Duration::from_secs(60);
/// The first single objective; those of batches begin at zero.
const SINGLES: u32 = 0x80_0000;

/// Which controller a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Leader,
    Follower,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Leader => "the leader",
            Place::Follower => "a follower",
        }
    }
}

pub(super) struct Load {
    leader: ControllerClient<Channel>,
    follower: Option<ControllerClient<Channel>>,
    devices: Vec<String>,
}

impl Load {
    pub(super) async fn new(cluster: &Cluster, switches: &[Switch]) -> Result<Load> {
        let leader = cluster.leader().await?;
        let follower = (0..cluster.len()).find(|node| *node != leader);
        Ok(Load {
            leader: cluster.client(leader)?,
            follower: follower.map(|node| cluster.client(node)).transpose()?,
            devices: switches.iter().map(Switch::name).collect(),
        })
    }

    /// Whom it makes sense to ask.
    pub(super) fn places(&self) -> Vec<Place> {
        let follower = self.follower.as_ref().map(|_| Place::Follower);
        [Place::Leader].into_iter().chain(follower).collect()
    }

    /// Gives each switch what routes need, and waits until all is quiet.
    pub(super) async fn prepare(&self) -> Result<()> {
        let nexts = self.devices.iter();
        let nexts = nexts.map(|device| made::put(device, made::next()));
        apply(&mut self.leader.clone(), request(nexts.collect())).await
    }

    /// One objective after the other, each to the next switch.
    pub(super) async fn one_by_one(&self, at: Place, count: usize) -> Result<Single> {
        let client = match at {
            Place::Leader => Some(&self.leader),
            Place::Follower => self.follower.as_ref(),
        };
        let mut client = client.context("there is no such node")?.clone();
        let mut times = Histogram::new_with_bounds(1, PATIENCE.as_micros() as u64, 3)?;
        let offset = SINGLES + if at == Place::Leader { 0 } else { 0x40_0000 };
        for number in 0..count {
            let device = &self.devices[number % self.devices.len()];
            let change = made::put(device, made::route(offset + number as u32));
            let started = Instant::now();
            apply(&mut client, request(vec![change])).await?;
            times.record(started.elapsed().as_micros() as u64)?;
        }
        Ok(Single {
            at: at.name(),
            times,
        })
    }

    /// Many in each request, and some requests at a time.
    pub(super) async fn batched(
        &self,
        objectives: usize,
        batch: usize,
        clients: usize,
    ) -> Result<Batched> {
        let numbers: Vec<u32> = (0..objectives as u32).collect();
        // One switch after the other gets the next route, so that each request is for all of them.
        let requests = numbers.chunks(batch).map(|numbers| {
            let changes = numbers.iter().map(|number| {
                let device = &self.devices[*number as usize % self.devices.len()];
                made::put(device, made::route(*number))
            });
            request(changes.collect())
        });
        let requests: VecDeque<_> = requests.collect();
        let requests = Arc::new(Mutex::new(requests));
        let mut tasks = JoinSet::new();
        let started = Instant::now();
        for _ in 0..clients {
            let (mut client, requests) = (self.leader.clone(), Arc::clone(&requests));
            tasks.spawn(async move {
                loop {
                    let next = requests
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .pop_front();
                    match next {
                        Some(request) => apply(&mut client, request).await?,
                        None => return anyhow::Ok(()),
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.context("a client")??;
        }
        Ok(Batched {
            objectives,
            took: started.elapsed(),
        })
    }
}

fn request(objectives: Vec<pb::ObjectiveChange>) -> pb::ApplyRequest {
    pb::ApplyRequest {
        objectives,
        wait_milliseconds: PATIENCE.as_millis() as u32,
        ..pb::ApplyRequest::default()
    }
}

/// Applies, and insists that the switches hold it all.
async fn apply(client: &mut ControllerClient<Channel>, request: pb::ApplyRequest) -> Result<()> {
    let answer = client.apply(request).await?.into_inner();
    ensure!(answer.errors.is_empty(), "{:?}", answer.errors.first());
    let mut statuses = answer.statuses.iter();
    let missing = statuses.find(|status| status.state() != State::Applied);
    ensure!(missing.is_none(), "{missing:?}");
    Ok(())
}
