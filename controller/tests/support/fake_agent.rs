//! An agent without a switch: it takes objectives, remembers what it was sent,
//! and fails where it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pointsman_model::holdings::{self, Digests};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_server::{Agent, AgentServer};
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::inventory::{self, FakeInventory};

type Key = (i32, String);

/// A batch that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub is_snapshot: bool,
    pub revisions: Vec<u64>,
}

/// What the agent holds, as a real one does on disk, and what it is told to do.
#[derive(Default)]
pub struct Held {
    pub cluster_id: String,
    pub revision: u64,
    pub objectives: BTreeMap<Key, (objective_pb::Objective, u64)>,
    pub highest_election_id: (u64, u64),
    pub batches: Vec<Batch>,
    pub hellos: usize,
    /// Names of objectives that the switch refuses when it applies them.
    pub broken: BTreeSet<String>,
    /// Names of objectives that a check refuses.
    pub unsupported: BTreeSet<String>,
    /// It does not know of queries and exceptions, as agents of earlier versions.
    pub is_old: bool,
    /// It reads nothing of its stream.
    pub is_stuck: bool,
    /// The objectives of which it was sent the content, in order.
    pub contents: Vec<String>,
    /// What it was asked for.
    pub queries: Vec<pb::HoldingsQuery>,
    /// Die after half of the next batch.
    pub dies_mid_batch: bool,
    /// What it sees around it.
    pub inventory: FakeInventory,
}

impl Held {
    pub fn names(&self) -> Vec<&str> {
        self.objectives
            .keys()
            .map(|(_, name)| name.as_str())
            .collect()
    }
}

/// The agent; it can be stopped and started again with what it holds.
pub struct FakeAgent {
    pub address: SocketAddr,
    held: Arc<Mutex<Held>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl FakeAgent {
    pub async fn start() -> Self {
        Self::serve("127.0.0.1:0".parse().unwrap(), Arc::default()).await
    }

    async fn serve(address: SocketAddr, held: Arc<Mutex<Held>>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let service = Service {
            held: held.clone(),
            stop: stop.clone(),
        };
        let serving = tonic::transport::Server::builder()
            .add_service(AgentServer::new(service).max_decoding_message_size(1 << 30))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                stop.clone().cancelled_owned(),
            );
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            address,
            held,
            stop,
            task,
        }
    }

    /// Closes every connection and stops listening.
    pub async fn stop(self) -> StoppedAgent {
        self.stop.cancel();
        self.task.await.unwrap();
        StoppedAgent {
            address: self.address,
            held: self.held,
        }
    }

    pub fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }
}

/// What is left of a stopped agent.
pub struct StoppedAgent {
    pub address: SocketAddr,
    pub held: Arc<Mutex<Held>>,
}

impl StoppedAgent {
    pub async fn start(self) -> FakeAgent {
        FakeAgent::serve(self.address, self.held).await
    }
}

struct Service {
    held: Arc<Mutex<Held>>,
    stop: CancellationToken,
}

type SyncStream = ReceiverStream<Result<pb::SyncResponse, Status>>;

#[tonic::async_trait]
impl Agent for Service {
    type SyncObjectivesStream = SyncStream;
    type WatchInventoryStream = ReceiverStream<Result<pb::InventoryBatch, Status>>;

    async fn sync_objectives(
        &self,
        request: Request<Streaming<pb::SyncRequest>>,
    ) -> Result<Response<SyncStream>, Status> {
        let mut incoming = request.into_inner();
        let Some(pb::sync_request::Message::Hello(hello)) = incoming
            .message()
            .await?
            .and_then(|request| request.message)
        else {
            return Err(Status::invalid_argument(
                "the first message must be a hello",
            ));
        };
        let (outgoing, answers) = mpsc::channel(16);
        outgoing.try_send(Ok(greet(&self.held, &hello)?)).unwrap();
        let (held, stop) = (self.held.clone(), self.stop.clone());
        let cluster_id = hello.cluster_id;
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mut batches = 0;
            while held.lock().unwrap().is_stuck {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            while let Ok(Some(request)) = incoming.message().await {
                let answer = match request.message {
                    Some(pb::sync_request::Message::Batch(batch)) => {
                        batches += 1;
                        take(&held, &cluster_id, batch, batches)
                    }
                    Some(pb::sync_request::Message::Query(query)) => answer(&held, query),
                    _ => None,
                };
                let Some(answer) = answer else {
                    return;
                };
                if outgoing.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        }));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn check_objectives(
        &self,
        request: Request<pb::CheckObjectivesRequest>,
    ) -> Result<Response<pb::CheckObjectivesResponse>, Status> {
        let unsupported = self.held.lock().unwrap().unsupported.clone();
        let results = request.into_inner().changes.into_iter().map(|change| {
            let name = change.objective.unwrap_or_default().name;
            if unsupported.contains(&name) {
                failed(
                    objective_pb::Reason::UnsupportedByPipeline,
                    "the pipeline has no table for it",
                    0,
                )
            } else {
                applied(0)
            }
        });
        Ok(Response::new(pb::CheckObjectivesResponse {
            results: results.collect(),
        }))
    }

    async fn get_status(
        &self,
        _request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::AgentStatus>, Status> {
        Ok(Response::new(pb::AgentStatus {
            pipeline: "fake".into(),
            ..Default::default()
        }))
    }

    async fn list_ports(
        &self,
        _request: Request<pb::ListPortsRequest>,
    ) -> Result<Response<pb::ListPortsResponse>, Status> {
        let port = pb::Port {
            number: 1,
            name: "p1".into(),
            ..Default::default()
        };
        Ok(Response::new(pb::ListPortsResponse { ports: vec![port] }))
    }

    async fn list_tables(
        &self,
        _request: Request<pb::ListTablesRequest>,
    ) -> Result<Response<pb::ListTablesResponse>, Status> {
        Ok(Response::new(pb::ListTablesResponse::default()))
    }

    async fn trace(
        &self,
        request: Request<pb::TraceRequest>,
    ) -> Result<Response<pb::TraceResponse>, Status> {
        let packet = request.into_inner().packet;
        Ok(Response::new(pb::TraceResponse {
            packet_bytes: u32::try_from(packet.len()).unwrap_or_default(),
            ..pb::TraceResponse::default()
        }))
    }

    async fn get_drift(
        &self,
        _: Request<pb::GetDriftRequest>,
    ) -> Result<Response<pb::GetDriftResponse>, Status> {
        Ok(Response::new(pb::GetDriftResponse {
            policy: "refuse".into(),
            ..Default::default()
        }))
    }

    async fn repair(
        &self,
        _: Request<pb::RepairRequest>,
    ) -> Result<Response<pb::RepairResponse>, Status> {
        Ok(Response::new(pb::RepairResponse::default()))
    }

    async fn list_objectives(
        &self,
        _request: Request<pb::ListObjectivesRequest>,
    ) -> Result<Response<pb::ListObjectivesResponse>, Status> {
        let held = self.held.lock().unwrap();
        let objectives =
            held.objectives
                .values()
                .map(|(objective, revision)| objective_pb::ObjectiveStatus {
                    objective: Some(objective.clone()),
                    status: Some(applied(*revision)),
                    entries: vec![format!("table: {} -> action", objective.name)],
                    ..Default::default()
                });
        let objectives = objectives.collect();
        Ok(Response::new(pb::ListObjectivesResponse {
            objectives,
            revision: held.revision,
        }))
    }

    async fn watch_inventory(
        &self,
        request: Request<pb::WatchInventoryRequest>,
    ) -> Result<Response<Self::WatchInventoryStream>, Status> {
        let (outgoing, batches) = mpsc::channel(1);
        let watching = inventory::watch(self.held.clone(), request.into_inner(), outgoing);
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(watching));
        Ok(Response::new(ReceiverStream::new(batches)))
    }

    async fn add_port(&self, _: Request<pb::AddPortRequest>) -> Result<Response<pb::Port>, Status> {
        Err(Status::unimplemented("the fake agent's ports are fixed"))
    }

    async fn remove_port(
        &self,
        _: Request<pb::RemovePortRequest>,
    ) -> Result<Response<pb::RemovePortResponse>, Status> {
        Err(Status::unimplemented("the fake agent's ports are fixed"))
    }
}

fn applied(revision: u64) -> objective_pb::Status {
    let state = objective_pb::State::Applied.into();
    objective_pb::Status {
        state,
        revision,
        applied_revision: revision,
        ..Default::default()
    }
}

fn failed(reason: objective_pb::Reason, message: &str, revision: u64) -> objective_pb::Status {
    let state = objective_pb::State::Failed.into();
    objective_pb::Status {
        state,
        reason: reason.into(),
        message: message.into(),
        revision,
        applied_revision: 0,
    }
}

fn status(held: &Held, name: &str, revision: u64) -> objective_pb::Status {
    if held.broken.contains(name) {
        failed(
            objective_pb::Reason::TableFull,
            "the table is full",
            revision,
        )
    } else {
        applied(revision)
    }
}

fn greet(held: &Mutex<Held>, hello: &pb::SyncHello) -> Result<pb::SyncResponse, Status> {
    let mut held = held.lock().unwrap();
    let election_id = hello.election_id.unwrap_or_default();
    let election_id = (election_id.high, election_id.low);
    if election_id < held.highest_election_id {
        return Err(Status::permission_denied(format!(
            "election id {election_id:?} is below {:?}",
            held.highest_election_id
        )));
    }
    held.highest_election_id = election_id;
    held.hellos += 1;
    let statuses = held
        .objectives
        .iter()
        .map(|((kind, name), (_, revision))| pb::Ack {
            kind: *kind,
            name: name.clone(),
            exists: true,
            status: Some(status(&held, name, *revision)),
        });
    let is_told = |ack: &pb::Ack| held.is_old || held.broken.contains(&ack.name);
    let is_ours = held.cluster_id == hello.cluster_id;
    let hello = pb::AgentHello {
        boot_id: "boot".into(),
        revision: if is_ours { held.revision } else { 0 },
        cluster_id: held.cluster_id.clone(),
        statuses: statuses.filter(is_told).collect(),
        answers_queries: !held.is_old,
    };
    Ok(pb::SyncResponse {
        message: Some(pb::sync_response::Message::Hello(hello)),
    })
}

/// Says what it holds.
fn answer(held: &Mutex<Held>, query: pb::HoldingsQuery) -> Option<pb::SyncResponse> {
    let mut held = held.lock().unwrap();
    held.queries.push(query.clone());
    let mut digests = Digests::new(query.bits);
    let mut found = Vec::new();
    for ((kind, name), (objective, revision)) in &held.objectives {
        let place = holdings::place(objective_pb::Kind::try_from(*kind).unwrap(), name);
        let content = holdings::content(objective);
        digests.add(place, *revision, content);
        if query
            .buckets
            .contains(&holdings::bucket_of(place, query.bits))
        {
            found.push(pb::Holding {
                kind: *kind,
                name: name.clone(),
                revision: *revision,
                content,
            });
        }
    }
    let asks_for_digests = query.buckets.is_empty();
    let holdings = pb::Holdings {
        bits: query.bits,
        revision: held.revision,
        digests: if asks_for_digests {
            digests.into_sums()
        } else {
            vec![]
        },
        buckets: query.buckets,
        objectives: found,
    };
    Some(pb::SyncResponse {
        message: Some(pb::sync_response::Message::Holdings(holdings)),
    })
}

/// Takes a batch and acknowledges it; `None` if the agent dies of it.
fn take(
    held: &Mutex<Held>,
    cluster_id: &str,
    batch: pb::ChangeBatch,
    batches: u64,
) -> Option<pb::SyncResponse> {
    let mut held = held.lock().unwrap();
    if held.is_old {
        assert!(!batch.difference, "an old agent knows of no differences");
    }
    held.batches.push(Batch {
        is_snapshot: batch.snapshot,
        revisions: batch.changes.iter().map(|change| change.revision).collect(),
    });
    if batch.snapshot {
        held.objectives.clear();
    }
    let dies_after = held.dies_mid_batch.then_some(batch.changes.len() / 2);
    let mut acks = Vec::new();
    for (index, revised) in batch.changes.into_iter().enumerate() {
        if dies_after == Some(index) {
            held.dies_mid_batch = false;
            return None;
        }
        let change = revised.change.unwrap();
        let deletes = change.operation() == objective_pb::Operation::Delete;
        let objective = change.objective.unwrap();
        let kind = match objective.kind {
            Some(objective_pb::objective::Kind::Filter(_)) => objective_pb::Kind::Filter,
            Some(objective_pb::objective::Kind::Forward(_)) => objective_pb::Kind::Forward,
            Some(objective_pb::objective::Kind::Next(_)) => objective_pb::Kind::Next,
            None => objective_pb::Kind::Unspecified,
        };
        let (kind, name) = (i32::from(kind), objective.name.clone());
        if held.is_old || held.broken.contains(&name) {
            acks.push(pb::Ack {
                kind,
                name: name.clone(),
                exists: !deletes,
                status: Some(status(&held, &name, revised.revision)),
            });
        }
        if revised.revision_only {
            let known = held.objectives.get_mut(&(kind, name)).unwrap();
            known.1 = revised.revision;
        } else if deletes {
            held.objectives.remove(&(kind, name));
        } else {
            held.contents.push(name.clone());
            held.objectives
                .insert((kind, name), (objective, revised.revision));
        }
    }
    held.cluster_id = cluster_id.to_owned();
    held.revision = batch.revision;
    let acks = pb::AckBatch {
        acks,
        revision: batch.revision,
        batches: if held.is_old { 0 } else { batches },
    };
    Some(pb::SyncResponse {
        message: Some(pb::sync_response::Message::Acks(acks)),
    })
}
