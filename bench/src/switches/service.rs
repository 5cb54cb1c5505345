//! The agent's gRPC service over a [`Memory`](super::Memory) and an inventory.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pointsman_agent::inventory::{Item, Known, Since, wire};
use pointsman_agent::service::inventory::{Batches, watch};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_server::Agent;
use pointsman_proto::pointsman::agent::v1::{inventory_event, sync_request, sync_response};
use pointsman_proto::pointsman::objective::v1 as objective;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{ElectionId, Shared};

/// Answers that may wait for a slow controller, which then sends no more.
const ANSWERS: usize = 16;

type Responses = ReceiverStream<Result<pb::SyncResponse, Status>>;

pub(super) struct Service {
    shared: Arc<Shared>,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>) -> Service {
        Service { shared }
    }
}

/// One controller's stream.
struct Session {
    shared: Arc<Shared>,
    election_id: ElectionId,
    cluster_id: String,
    requests: Streaming<pb::SyncRequest>,
    answers: mpsc::Sender<Result<pb::SyncResponse, Status>>,
    /// Batches that were taken.
    batches: u64,
}

impl Session {
    async fn serve(mut self) {
        let mut highest = self.shared.highest.subscribe();
        let ours = self.election_id;
        loop {
            let request = tokio::select! {
                request = self.requests.message() => Some(request),
                () = async { drop(highest.wait_for(|highest| *highest > ours).await) } => None,
            };
            let request = match request {
                Some(Ok(Some(request))) => request,
                Some(_) => return,
                None => {
                    let ended = Status::aborted("another controller is master");
                    // Whoever has gone needs no answer.
                    drop(self.answers.send(Err(ended)).await);
                    return;
                }
            };
            while self.shared.is_stuck.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let answer = self.answer(request);
            let ends = answer.is_err();
            if self.answers.send(answer).await.is_err() || ends {
                return;
            }
        }
    }

    fn answer(&mut self, request: pb::SyncRequest) -> Result<pb::SyncResponse, Status> {
        let now = Instant::now();
        let mut memory = self.shared.memory();
        match request.message {
            Some(sync_request::Message::Batch(batch)) => {
                let acks = memory.take(self.election_id, &self.cluster_id, batch, now);
                let acks = acks.ok_or_else(|| Status::aborted("another controller is master"))?;
                self.batches += 1;
                let batches = self.batches;
                let acks = pb::AckBatch { batches, ..acks };
                Ok(response(sync_response::Message::Acks(acks)))
            }
            Some(sync_request::Message::Query(query)) => {
                let holdings = memory.holdings(query);
                let holdings = holdings
                    .ok_or_else(|| Status::invalid_argument("there are no such buckets"))?;
                Ok(response(sync_response::Message::Holdings(holdings)))
            }
            Some(sync_request::Message::Hello(_)) | None => Err(Status::invalid_argument(
                "a batch or a query follows the hello",
            )),
        }
    }
}

fn response(message: sync_response::Message) -> pb::SyncResponse {
    pb::SyncResponse {
        message: Some(message),
    }
}

#[tonic::async_trait]
impl Agent for Service {
    type SyncObjectivesStream = Responses;
    type WatchInventoryStream = Batches;

    async fn sync_objectives(
        &self,
        request: Request<Streaming<pb::SyncRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|first| first.message);
        let Some(sync_request::Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument("the first message is the hello"));
        };
        let election_id = ElectionId::from(hello.election_id.unwrap_or_default());
        let greeting = {
            let mut memory = self.shared.memory();
            memory.open(election_id).map_err(|highest| {
                Status::permission_denied(format!("{election_id:?} is not above {highest:?}"))
            })?;
            // While the lock is held, so that a lower one never comes after a higher one.
            self.shared.highest.send_replace(election_id);
            memory.hello(&self.shared.boot_id, &hello.cluster_id)
        };
        let (answers, responses) = mpsc::channel(ANSWERS);
        let greeting = Ok(response(sync_response::Message::Hello(greeting)));
        answers
            .try_send(greeting)
            .expect("a new channel has room for one");
        let session = Session {
            shared: Arc::clone(&self.shared),
            election_id,
            cluster_id: hello.cluster_id,
            requests,
            answers,
            batches: 0,
        };
        let stop = self.shared.stop.clone();
        tokio::spawn(stop.run_until_cancelled_owned(session.serve()));
        Ok(Response::new(ReceiverStream::new(responses)))
    }

    async fn watch_inventory(
        &self,
        request: Request<pb::WatchInventoryRequest>,
    ) -> Result<Response<Batches>, Status> {
        let inventory = Arc::clone(&self.shared.inventory);
        let boot_id = self.shared.boot_id.clone();
        Ok(Response::new(watch(inventory, boot_id, request.get_ref())))
    }

    /// Any objective is fine.
    async fn check_objectives(
        &self,
        request: Request<pb::CheckObjectivesRequest>,
    ) -> Result<Response<pb::CheckObjectivesResponse>, Status> {
        let applied = objective::Status {
            state: objective::State::Applied.into(),
            ..objective::Status::default()
        };
        let results = vec![applied; request.get_ref().changes.len()];
        Ok(Response::new(pb::CheckObjectivesResponse { results }))
    }

    async fn get_status(
        &self,
        _: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::AgentStatus>, Status> {
        let memory = self.shared.memory();
        let objectives = u32::try_from(memory.objectives().len()).unwrap_or(u32::MAX);
        Ok(Response::new(pb::AgentStatus {
            device_id: self.shared.device_id,
            boot_id: self.shared.boot_id.clone(),
            target: "none".to_owned(),
            pipeline: "none".to_owned(),
            objectives_applied: objectives,
            ports_total: self.shared.ports,
            revision: memory.revision(),
            ..pb::AgentStatus::default()
        }))
    }

    async fn list_ports(
        &self,
        _: Request<pb::ListPortsRequest>,
    ) -> Result<Response<pb::ListPortsResponse>, Status> {
        let Since::Snapshot { items, .. } = self.shared.inventory.since(Known::Nothing) else {
            return Ok(Response::new(pb::ListPortsResponse::default()));
        };
        let ports = items.iter().filter(|item| matches!(***item, Item::Port(_)));
        let ports = ports.filter_map(|item| match wire::put(item).change {
            Some(inventory_event::Change::Port(port)) => Some(port),
            _ => None,
        });
        let ports = ports.collect();
        Ok(Response::new(pb::ListPortsResponse { ports }))
    }

    async fn list_tables(
        &self,
        _: Request<pb::ListTablesRequest>,
    ) -> Result<Response<pb::ListTablesResponse>, Status> {
        Ok(Response::new(pb::ListTablesResponse::default()))
    }

    async fn list_objectives(
        &self,
        _: Request<pb::ListObjectivesRequest>,
    ) -> Result<Response<pb::ListObjectivesResponse>, Status> {
        let memory = self.shared.memory();
        let objectives = memory.objectives().values();
        let objectives = objectives.map(|(objective, _)| objective::ObjectiveStatus {
            objective: Some(objective.clone()),
            ..objective::ObjectiveStatus::default()
        });
        Ok(Response::new(pb::ListObjectivesResponse {
            objectives: objectives.collect(),
            revision: memory.revision(),
        }))
    }

    async fn trace(
        &self,
        _: Request<pb::TraceRequest>,
    ) -> Result<Response<pb::TraceResponse>, Status> {
        Err(nothing("it has no pipeline"))
    }

    async fn get_drift(
        &self,
        _: Request<pb::GetDriftRequest>,
    ) -> Result<Response<pb::GetDriftResponse>, Status> {
        Ok(Response::new(pb::GetDriftResponse::default()))
    }

    async fn repair(
        &self,
        _: Request<pb::RepairRequest>,
    ) -> Result<Response<pb::RepairResponse>, Status> {
        Ok(Response::new(pb::RepairResponse::default()))
    }

    async fn add_port(&self, _: Request<pb::AddPortRequest>) -> Result<Response<pb::Port>, Status> {
        Err(nothing("its ports are fixed"))
    }

    async fn remove_port(
        &self,
        _: Request<pb::RemovePortRequest>,
    ) -> Result<Response<pb::RemovePortResponse>, Status> {
        Err(nothing("its ports are fixed"))
    }
}

fn nothing(why: &str) -> Status {
    Status::unimplemented(format!("this switch is a simulation: {why}"))
}
