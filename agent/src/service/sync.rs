//! SyncObjectives: the shell around one controller's stream.
//!
//! ```text
//! controller                     agent
//!     | hello(election id) ------> |   arbitration: primary of the default role, or refused
//!     | <----- hello(revision) --- |
//!     | batch, batch ... --------> |   one after the other
//!     | <----------- acks -------- |   when kept; also unasked when something changes
//!     | query ------------------> |   when the controller doubts what the agent holds
//!     | <------- holdings -------- |
//! ```

use std::sync::Arc;

use pointsman_model::wire::WireError;
use pointsman_model::{Change, Kind, Name, ObjectiveId};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::sync_request::Message;
use pointsman_proto::pointsman::agent::v1::sync_response;
use pointsman_proto::pointsman::objective::v1::{self as objective, Reason};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::exceptions::Exceptions;
use crate::agent::{Agent, Inbox, Reach, StreamNote, SyncError};
use crate::arbitration::{ArbitrationError, ElectionId, Event, RoleName, Standing, StreamId};
use crate::audit::{Mastership, Record, Rpc};
use crate::authorization::Caller;
use crate::objectives::{self, Batch, Inquiry};
use crate::p4runtime::status;
use crate::pipeliner::Refusal;

type Responses = ReceiverStream<Result<pb::SyncResponse, Status>>;

/// Answers that may wait for a slow controller, which then sends no more.
const ANSWERS: usize = 16;

/// Reads the hello, and serves the stream if its sender may be master.
pub(super) async fn open(
    agent: Arc<Agent>,
    caller: Caller,
    mut requests: Streaming<pb::SyncRequest>,
) -> Result<Responses, Status> {
    let first = requests.next().await;
    let first = first.ok_or_else(|| Status::invalid_argument("the stream has no hello"))??;
    let Some(Message::Hello(hello)) = first.message else {
        return Err(Status::invalid_argument(
            "the first message must be the hello",
        ));
    };
    let ours = agent.identity.device_id;
    if hello.device_id != ours {
        return Err(status::unknown_device(hello.device_id, ours));
    }
    let election_id = hello.election_id.as_ref();
    let election_id = election_id.map(|id| ElectionId::new(id.high, id.low));
    let election_id =
        election_id.ok_or_else(|| Status::invalid_argument("the hello has no election id"))?;
    let name = hello.controller.clone();
    let (stream, notes) = blocking(&agent, move |agent| {
        agent.open_controller(name, ours, election_id)
    })
    .await?;
    let mut session = Session {
        agent,
        controller: Controller {
            caller,
            name: hello.controller,
            election_id,
        },
        stream,
        cluster_id: hello.cluster_id,
        exceptions: hello.exceptions_only.then(Exceptions::default),
        batches: 0,
        notes,
        requests,
    };
    if let Err(refused) = session.admitted(election_id).await {
        session.close().await;
        return Err(refused);
    }
    session.record_mastership(Mastership::Gained).await?;
    let (answers, responses) = mpsc::channel(ANSWERS);
    tokio::spawn(session.serve(answers));
    Ok(ReceiverStream::new(responses))
}

struct Session {
    agent: Arc<Agent>,
    controller: Controller,
    stream: StreamId,
    cluster_id: String,
    /// If the controller wants no other acknowledgements.
    exceptions: Option<Exceptions>,
    /// Batches that were taken.
    batches: u64,
    notes: Inbox,
    requests: Streaming<pb::SyncRequest>,
}

/// Whose stream it is.
#[derive(Clone)]
struct Controller {
    caller: Caller,
    name: String,
    election_id: ElectionId,
}

impl Controller {
    /// Records what the controller has changed, or tried to.
    fn record(&self, rpc: Rpc, outcome: Result<(), &Status>) {
        if let Some(audit) = self.caller.audit() {
            let role = RoleName::default();
            let record = Record::new(self.caller.peer(), &role.0, Some(self.election_id), rpc);
            audit.record(record.with_outcome(outcome));
        }
    }
}

impl Session {
    /// Waits for arbitration to say that this stream is primary.
    async fn admitted(&mut self, given: ElectionId) -> Result<(), Status> {
        match self.notes.recv().await {
            Some(StreamNote::Standing(notice)) if notice.standing == Standing::Primary => Ok(()),
            Some(StreamNote::Standing(notice)) => {
                Err(status::arbitration(&ArbitrationError::NotPrimary {
                    given: Some(given),
                    highest: notice.highest,
                }))
            }
            Some(StreamNote::Refused(ArbitrationError::DuplicateElectionId { election_id })) => {
                Err(Status::permission_denied(format!(
                    "election id {election_id} is another stream's; use a higher one"
                )))
            }
            Some(StreamNote::Refused(error)) => Err(status::arbitration(&error)),
            _ => Err(Status::internal("arbitration gave no answer")),
        }
    }

    async fn serve(mut self, answers: mpsc::Sender<Result<pb::SyncResponse, Status>>) {
        let mut answer = Some(self.hello().await);
        loop {
            if let Some(answer) = answer.take() {
                let ends = answer.is_err();
                if answers.send(answer).await.is_err() || ends {
                    break;
                }
            }
            tokio::select! {
                note = self.notes.recv() => match note {
                    Some(note) => answer = self.note(note),
                    None => break,
                },
                request = self.requests.next() => match request {
                    Some(Ok(request)) => answer = Some(self.handle(request).await),
                    Some(Err(_)) | None => break,
                },
            }
        }
        if let Err(error) = self.record_mastership(Mastership::Lost).await {
            tracing::error!(%error, "a change of mastership was not recorded");
        }
        self.close().await;
    }

    async fn record_mastership(&self, change: Mastership) -> Result<(), Status> {
        let controller = self.controller.clone();
        blocking(&self.agent, move |_| {
            controller.record(Rpc::Mastership { change }, Ok(()));
        })
        .await
    }

    async fn close(self) {
        let stream = self.stream;
        let closed = blocking(&self.agent, move |agent| {
            agent.arbitrate(Event::Closed { stream });
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "a controller's stream was not closed properly");
        }
    }

    async fn hello(&mut self) -> Result<pb::SyncResponse, Status> {
        let cluster_id = self.cluster_id.clone();
        let hello = move |agent: &Agent| hello(agent, &cluster_id);
        let mut hello = blocking(&self.agent, hello).await?;
        if let Some(exceptions) = &mut self.exceptions {
            exceptions.filter(&mut hello.statuses);
        }
        Ok(response(sync_response::Message::Hello(hello)))
    }

    /// What a note is to the controller, if anything.
    fn note(&mut self, note: StreamNote) -> Option<Result<pb::SyncResponse, Status>> {
        match note {
            StreamNote::Acks { acks, revision } => {
                let acks = pb::AckBatch {
                    acks,
                    revision,
                    ..pb::AckBatch::default()
                };
                Some(Ok(self.acks(acks)))
            }
            StreamNote::Standing(notice) if notice.standing == Standing::Primary => None,
            StreamNote::Standing(_) => Some(Err(sync_status(&SyncError::NotMaster))),
            StreamNote::Refused(_) => Some(Err(Status::aborted(
                "the same controller has opened another stream",
            ))),
            // What the data plane notices goes to P4Runtime clients.
            StreamNote::PacketIn(_) | StreamNote::Learnt(_) | StreamNote::Idle(_) => None,
        }
    }

    fn acks(&mut self, mut acks: pb::AckBatch) -> pb::SyncResponse {
        if let Some(exceptions) = &mut self.exceptions {
            exceptions.filter(&mut acks.acks);
        }
        acks.batches = self.batches;
        response(sync_response::Message::Acks(acks))
    }

    async fn handle(&mut self, request: pb::SyncRequest) -> Result<pb::SyncResponse, Status> {
        match request.message {
            Some(Message::Batch(batch)) => self.take(batch).await,
            Some(Message::Query(query)) => self.inquire(query).await,
            Some(Message::Hello(_)) | None => Err(Status::invalid_argument(
                "after the hello there are only batches and queries",
            )),
        }
    }

    async fn inquire(&self, query: pb::HoldingsQuery) -> Result<pb::SyncResponse, Status> {
        let inquiry = Inquiry::new(query.bits, &query.buckets);
        let mut inquiry =
            inquiry.ok_or_else(|| Status::invalid_argument("the query names no such buckets"))?;
        let (revision, inquiry) = blocking(&self.agent, move |agent| {
            (agent.inquire(&mut inquiry), inquiry)
        })
        .await?;
        let (digests, objectives) = match inquiry {
            Inquiry::Digests(digests) => (digests.into_sums(), Vec::new()),
            Inquiry::Holdings { found, .. } => (Vec::new(), found),
        };
        let holdings = pb::Holdings {
            bits: query.bits,
            revision,
            digests,
            buckets: query.buckets,
            objectives,
        };
        Ok(response(sync_response::Message::Holdings(holdings)))
    }

    async fn take(&mut self, batch: pb::ChangeBatch) -> Result<pb::SyncResponse, Status> {
        let stream = self.stream;
        let cluster_id = self.cluster_id.clone();
        let controller = self.controller.clone();
        let acks = blocking(&self.agent, move |agent| {
            if let Some(audit) = controller.caller.audit() {
                audit.check()?;
            }
            let rpc = Rpc::SyncObjectives {
                controller: controller.name.clone(),
                revision: batch.revision,
                changes: batch.changes.len(),
            };
            let taken = take(agent, stream, &cluster_id, batch);
            let taken = taken.map_err(|error| sync_status(&error));
            controller.record(rpc, taken.as_ref().map(|_| ()));
            taken
        })
        .await?;
        let acks = acks?;
        self.batches += 1;
        Ok(self.acks(acks))
    }
}

/// What the agent has, for a controller of a cluster.
fn hello(agent: &Agent, cluster_id: &str) -> pb::AgentHello {
    let state = agent.shared();
    let objectives = &state.objectives;
    let ours = objectives.cluster_id == cluster_id;
    let ids = objectives.iter().map(|wanted| wanted.objective.id());
    let ids = ids.filter(|id| !id.name.is_local());
    pb::AgentHello {
        boot_id: agent.identity.boot_id.clone(),
        revision: if ours { objectives.revision } else { 0 },
        cluster_id: objectives.cluster_id.clone(),
        statuses: ids.map(|id| objectives.ack(&id)).collect(),
        answers_queries: true,
    }
}

/// Takes a batch; what is no objective in it fails on its own.
fn take(
    agent: &Agent,
    stream: StreamId,
    cluster_id: &str,
    batch: pb::ChangeBatch,
) -> Result<pb::AckBatch, SyncError> {
    let mut changes = Vec::with_capacity(batch.changes.len());
    let mut known = Vec::new();
    let mut bad = Vec::new();
    for revised in &batch.changes {
        let change = revised.change.as_ref();
        if revised.revision_only {
            known.extend(id_of(change).map(|id| (id, revised.revision)));
            continue;
        }
        match change
            .ok_or(WireError::Missing("change").into())
            .and_then(read_change)
        {
            Ok(change) => changes.push((change, revised.revision)),
            Err(error) => bad.extend(bad_ack(change, &error, revised.revision)),
        }
    }
    let batch_of_changes = Batch {
        changes,
        revised: known,
        snapshot: batch.snapshot,
    };
    let reach = Reach {
        revision: batch.revision,
        is_difference: batch.difference,
    };
    let mut acks = agent.take_batch(stream, cluster_id, batch_of_changes, reach)?;
    acks.acks.extend(bad);
    Ok(acks)
}

/// Why a change makes no sense on any switch.
#[derive(Debug, Error)]
pub(super) enum ChangeError {
    /// It is not in order.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It is about what is the switch's own.
    #[error(
        "{0}: names that begin with {local} are of objectives that switches have by themselves; choose another",
        local = Name::LOCAL
    )]
    Local(Name),
}

/// Reads a change of a controller.
pub(super) fn read_change(change: &objective::Change) -> Result<Change, ChangeError> {
    let change = Change::try_from(change)?;
    match change.objective.name.is_local() {
        true => Err(ChangeError::Local(change.objective.name)),
        false => Ok(change),
    }
}

fn kind_of(objective: &objective::Objective) -> Option<Kind> {
    Some(match objective.kind.as_ref()? {
        objective::objective::Kind::Filter(_) => Kind::Filter,
        objective::objective::Kind::Forward(_) => Kind::Forward,
        objective::objective::Kind::Next(_) => Kind::Next,
    })
}

/// The objective that a change is about, if it is one of a controller.
fn id_of(change: Option<&objective::Change>) -> Option<ObjectiveId> {
    let objective = change?.objective.as_ref()?;
    let name = Name::new(&objective.name).filter(|name| !name.is_local())?;
    Some(ObjectiveId {
        kind: kind_of(objective)?,
        name,
    })
}

fn bad_ack(
    change: Option<&objective::Change>,
    error: &ChangeError,
    revision: u64,
) -> Option<pb::Ack> {
    let objective = change?.objective.as_ref()?;
    Some(pb::Ack {
        kind: objective::Kind::from(kind_of(objective)?).into(),
        name: objective.name.clone(),
        exists: true,
        status: Some((&bad_change(error, revision)).into()),
    })
}

/// The status of a change that makes no sense on any switch.
pub(super) fn bad_change(error: &ChangeError, revision: u64) -> objectives::Status {
    let refusal = Refusal::new(Reason::BadParameters, error.to_string());
    objectives::Status::failed(revision, refusal)
}

fn sync_status(error: &SyncError) -> Status {
    match error {
        SyncError::NotMaster => Status::aborted(error.to_string()),
        SyncError::SnapshotNeeded => Status::failed_precondition(error.to_string()),
        SyncError::Journal(error) => status::journal(error),
    }
}

fn response(message: sync_response::Message) -> pb::SyncResponse {
    pb::SyncResponse {
        message: Some(message),
    }
}

async fn blocking<T: Send + 'static>(
    agent: &Arc<Agent>,
    call: impl FnOnce(&Agent) -> T + Send + 'static,
) -> Result<T, Status> {
    let agent = agent.clone();
    let done = tokio::task::spawn_blocking(move || call(&agent)).await;
    done.map_err(|error| Status::internal(format!("the request ended early: {error}")))
}
