//! A client that applies one change to a switch after the other, and remembers what was acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use pointsman_proto::pointsman::objective::v1 as objective;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::controllers::Cluster;

/// Nexts that are written in turn.
const NEXTS: u32 = 32;
/// How long a node may take before another one is asked.
const ATTEMPT: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(2);

/// Applies numbered changes until it is told to stop.
pub(super) struct Writer {
    device: String,
    nodes: Vec<ControllerClient<Channel>>,
    journal: Arc<Journal>,
}

/// What was acknowledged. Each next has the number of the change that made it what it is.
#[derive(Default)]
pub(super) struct Journal(Mutex<Written>);

#[derive(Default)]
struct Written {
    /// The last number of each next that was acknowledged.
    acknowledged: BTreeMap<String, u32>,
    moments: Vec<Instant>,
}

impl Writer {
    pub(super) fn new(cluster: &Cluster, device: String) -> Result<Writer> {
        let nodes = (0..cluster.len()).map(|index| cluster.client(index));
        Ok(Writer {
            device,
            nodes: nodes.collect::<Result<_>>()?,
            journal: Arc::default(),
        })
    }

    pub(super) fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal)
    }

    /// Each change is sent to one node after the other until one says that the switch holds it.
    pub(super) async fn run(mut self, enough: CancellationToken) -> Result<()> {
        let mut asked = 0;
        for number in 1.. {
            let name = format!("n{}", number % NEXTS);
            let request = self.request(&name, number);
            loop {
                if enough.is_cancelled() {
                    return Ok(());
                }
                let node = &mut self.nodes[asked];
                let answer = tokio::time::timeout(ATTEMPT, node.apply(request.clone())).await;
                if let Ok(Ok(answer)) = answer
                    && is_applied(answer.get_ref())
                {
                    break;
                }
                asked = (asked + 1) % self.nodes.len();
                tokio::time::sleep(PAUSE).await;
            }
            self.journal.note(name, number);
        }
        Ok(())
    }

    fn request(&self, name: &str, number: u32) -> pb::ApplyRequest {
        let change = objective::Change {
            operation: objective::Operation::Put.into(),
            objective: Some(next(name, number)),
        };
        pb::ApplyRequest {
            objectives: vec![pb::ObjectiveChange {
                device: self.device.clone(),
                change: Some(change),
            }],
            wait_milliseconds: ATTEMPT.as_millis() as u32,
            ..pb::ApplyRequest::default()
        }
    }
}

fn is_applied(answer: &pb::ApplyResponse) -> bool {
    let mut statuses = answer.statuses.iter();
    answer.errors.is_empty() && statuses.all(|s| s.state() == objective::State::Applied)
}

/// A next that a switch with a routing pipeline takes; the number is in the address that it sets.
fn next(name: &str, number: u32) -> objective::Objective {
    use objective::instruction::Instruction as Kind;
    let set = |field: &str, value: Vec<u8>| {
        Kind::Set(objective::SetField {
            field: field.to_owned(),
            value,
        })
    };
    let mut destination = vec![2, 0];
    destination.extend(number.to_be_bytes());
    let port = objective::PortRef {
        port: Some(objective::port_ref::Port::Number(2)),
    };
    let treatment = [
        set("eth_src", vec![2, 0, 0, 0, 1, 1]),
        set("eth_dst", destination),
        Kind::Output(port),
    ];
    let treatment = treatment.map(|instruction| objective::Instruction {
        instruction: Some(instruction),
    });
    let bucket = objective::Bucket {
        treatment: treatment.to_vec(),
        ..objective::Bucket::default()
    };
    objective::Objective {
        name: name.to_owned(),
        kind: Some(objective::objective::Kind::Next(objective::Next {
            r#type: objective::NextType::Simple.into(),
            buckets: vec![bucket],
            ..objective::Next::default()
        })),
        ..objective::Objective::default()
    }
}

/// The number in a next that [`next`] made.
fn number_of(objective: &objective::Objective) -> Option<u32> {
    use objective::instruction::Instruction as Kind;
    let Some(objective::objective::Kind::Next(next)) = &objective.kind else {
        return None;
    };
    let treatment = &next.buckets.first()?.treatment;
    let mut set = treatment.iter().filter_map(|i| match &i.instruction {
        Some(Kind::Set(set)) if set.field == "eth_dst" => set.value.last_chunk::<4>(),
        _ => None,
    });
    set.next().map(|number| u32::from_be_bytes(*number))
}

impl Journal {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: String, number: u32) {
        let mut written = self.written();
        written.acknowledged.insert(name, number);
        written.moments.push(Instant::now());
    }

    /// How many changes were acknowledged.
    pub(super) fn count(&self) -> u64 {
        self.written().moments.len() as u64
    }

    /// When a change was first acknowledged after a moment.
    pub(super) fn first_after(&self, moment: Instant) -> Option<Instant> {
        let written = self.written();
        let after = written.moments.partition_point(|at| *at < moment);
        written.moments.get(after).copied()
    }

    /// What is not among these objectives as it was acknowledged, or as it was written later.
    fn missing_among<'a>(
        &self,
        found: impl Iterator<Item = &'a objective::Objective>,
    ) -> Vec<String> {
        let found: BTreeMap<_, _> = found
            .filter_map(|objective| Some((objective.name.as_str(), number_of(objective)?)))
            .collect();
        let written = self.written();
        let missing = written.acknowledged.iter().filter(|(name, number)| {
            let found = found.get(name.as_str());
            found.is_none_or(|found| found < number)
        });
        missing
            .map(|(name, number)| format!("{name} {number}"))
            .collect()
    }

    /// The same, of what a node says is wanted.
    pub(super) async fn missing(
        &self,
        cluster: &Cluster,
        node: usize,
        device: &str,
    ) -> Result<Vec<String>> {
        let request = pb::GetObjectivesRequest {
            device: device.to_owned(),
            ..pb::GetObjectivesRequest::default()
        };
        let mut client = cluster.client(node)?;
        let answer = client.get_objectives(request).await?.into_inner();
        let objectives = answer.devices.iter().flat_map(|device| &device.objectives);
        let objectives = objectives.filter_map(|status| status.objective.as_ref());
        Ok(self.missing_among(objectives))
    }

    /// The same, of what a switch holds.
    pub(super) fn missing_of(
        &self,
        held: &BTreeMap<(i32, String), (objective::Objective, u64)>,
    ) -> Vec<String> {
        self.missing_among(held.values().map(|(objective, _)| objective))
    }
}
