//! StreamChannel: the shell around arbitration and packet I/O of one client.

use std::sync::Arc;

use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::stream_message_request::Update as Message;
use pointsman_proto::p4::v1::stream_message_response::Update as Answer;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinHandle};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::audited::Mastership;
use super::{notice, request, role, status};
use crate::agent::{Agent, Inbox, PacketIn, StreamNote};
use crate::arbitration::{Event, Notice, RoleName, StreamId};
use crate::authorization::{Caller, Permission};

/// What a client is sent.
pub type Responses = ReceiverStream<Result<p4::StreamMessageResponse, Status>>;

/// Answers on their way to the client; more wait in the stream's inbox.
const QUEUE: usize = 256;

/// Serves a stream until either side ends it, and gives its place back then.
pub fn open(
    agent: Arc<Agent>,
    caller: Caller,
    place: OwnedSemaphorePermit,
    requests: Streaming<p4::StreamMessageRequest>,
) -> Responses {
    let (responses, stream) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        serve(agent, caller, requests, responses).await;
        drop(place);
    });
    ReceiverStream::new(stream)
}

async fn serve(
    agent: Arc<Agent>,
    caller: Caller,
    mut requests: Streaming<p4::StreamMessageRequest>,
    responses: mpsc::Sender<Reply>,
) {
    let (stream, mut notes) = agent.streams.open();
    // An arbitration message may wait for writes under way. Notes go on; further messages wait.
    let mut arbitrating: Option<JoinHandle<()>> = None;
    let mut mastership = Mastership::new(&caller);
    let ending = loop {
        tokio::select! {
            note = next(&mut notes, &responses) => match note {
                Some((room, note)) => {
                    if let StreamNote::Standing(notice) = &note {
                        mastership.follow(notice).await;
                    }
                    match answer(&agent, note) {
                        Some(Ok(answer)) => room.send(Ok(answer)),
                        ending => break ending,
                    }
                }
                None => break None,
            },
            done = finished(&mut arbitrating), if arbitrating.is_some() => {
                arbitrating = None;
                if let Err(error) = done {
                    break Some(Err(Status::internal(error.to_string())));
                }
            }
            request = requests.next(), if arbitrating.is_none() => match request {
                Some(Ok(request)) => match handle(&agent, &caller, stream, request) {
                    Reaction::Nothing => {}
                    Reaction::Arbitrating(task) => arbitrating = Some(task),
                    // A client that does not read loses what it is told about its packets.
                    Reaction::Answer(answer) => drop(responses.try_send(Ok(answer))),
                    Reaction::End(status) => break Some(Err(status)),
                },
                Some(Err(_)) | None => break last_word(&agent, &mut notes),
            },
        }
    };
    mastership.end().await;
    let closed = tokio::task::spawn_blocking(move || agent.arbitrate(Event::Closed { stream }));
    if let Err(error) = closed.await {
        tracing::error!(%error, "a stream was not closed properly");
    }
    if let Some(status) = ending {
        // It is nobody's primary any more and may take its time to read this.
        let _ = responses.send(status).await;
    }
}

/// Why a stream is ended that its client has just ended, too: it may wait to be told.
fn last_word(agent: &Agent, notes: &mut Inbox) -> Option<Reply> {
    let notices = std::iter::from_fn(|| notes.try_notice());
    let mut answers = notices.map(|notice| answer(agent, notice));
    answers.find(|answer| !matches!(answer, Some(Ok(_))))?
}

async fn finished(task: &mut Option<JoinHandle<()>>) -> Result<(), JoinError> {
    match task {
        Some(task) => task.await,
        None => Ok(()),
    }
}

/// The next note when the client has room for it; packets from the client are taken meanwhile.
async fn next<'a>(
    notes: &mut Inbox,
    responses: &'a mpsc::Sender<Reply>,
) -> Option<(mpsc::Permit<'a, Reply>, StreamNote)> {
    let room = responses.reserve().await.ok()?;
    Some((room, notes.recv().await?))
}

type Reply = Result<p4::StreamMessageResponse, Status>;

/// What follows from a message at once; other answers come as notes.
enum Reaction {
    Nothing,
    /// Arbitration goes on.
    Arbitrating(JoinHandle<()>),
    /// Something is wrong with it.
    Answer(p4::StreamMessageResponse),
    /// The stream ends.
    End(Status),
}

fn handle(
    agent: &Arc<Agent>,
    caller: &Caller,
    stream: StreamId,
    request: p4::StreamMessageRequest,
) -> Reaction {
    let (code, message, details) = match request.update {
        Some(Message::Arbitration(update)) => {
            return match may_arbitrate(caller, &update) {
                Ok(()) => {
                    let agent = agent.clone();
                    let arbitrate = move || agent.arbitrate(arbitration(&agent, stream, update));
                    Reaction::Arbitrating(tokio::task::spawn_blocking(arbitrate))
                }
                Err(status) => Reaction::End(status),
            };
        }
        Some(Message::Packet(packet)) => {
            let metadata = packet.metadata.iter();
            let metadata: Vec<_> = metadata
                .map(|field| (field.metadata_id, field.value.clone()))
                .collect();
            let role = agent.packet_io.subscribers.role_of(stream);
            let role = role.as_ref().map(|role| role.0.as_str());
            let allowed = caller.may(Permission::PacketOut, role);
            let allowed = allowed.map_err(|denied| (Code::PermissionDenied, denied.to_string()));
            let sent = allowed.and_then(|()| {
                let sent = agent.packet_out(stream, &metadata, &packet.payload);
                sent.map_err(|error| (error.code(), error.to_string()))
            });
            let Err((code, message)) = sent else {
                return Reaction::Nothing;
            };
            let details = p4::stream_error::Details::PacketOut(p4::PacketOutError {
                packet_out: Some(packet),
            });
            (code, message, Some(details))
        }
        Some(Message::DigestAck(ack)) => {
            let acknowledged = agent.acknowledge(stream, ack.digest_id, ack.list_id);
            let Err(error) = acknowledged else {
                return Reaction::Nothing;
            };
            let details = p4::stream_error::Details::DigestListAck(p4::DigestListAckError {
                digest_list_ack: Some(ack),
            });
            (error.code(), error.to_string(), Some(details))
        }
        Some(Message::Other(other)) => {
            let details =
                p4::stream_error::Details::Other(p4::StreamOtherError { other: Some(other) });
            let message = "this message is not known here".to_owned();
            (Code::Unimplemented, message, Some(details))
        }
        None => (
            Code::InvalidArgument,
            "the message is empty".to_owned(),
            None,
        ),
    };
    Reaction::Answer(stream_error(code, message, details))
}

/// Does the policy let the client claim what it claims?
fn may_arbitrate(caller: &Caller, update: &p4::MasterArbitrationUpdate) -> Result<(), Status> {
    let role = update.role.as_ref();
    let name = role.map_or("", |role| &role.name);
    #[allow(deprecated, reason = "it is refused")]
    request::check_role(name, role.map_or(0, |role| role.id))?;
    let needed: &[Permission] = match update.election_id {
        Some(_) => &[Permission::Primary],
        None => &[Permission::Backup, Permission::Primary],
    };
    caller.may_one(needed, Some(name))?;
    Ok(())
}

/// What a message means to arbitration. Its role configuration is held to the pipeline of the moment.
fn arbitration(agent: &Agent, stream: StreamId, update: p4::MasterArbitrationUpdate) -> Event {
    let role = update.role.unwrap_or_default();
    let role_config = match &role.config {
        None => Ok(None),
        Some(message) => {
            let state = agent.shared();
            let pipeline = state.draft.as_ref().unwrap_or(&state.switch).pipeline();
            let pipeline = pipeline.map(|p| (&p.source.p4info, &*p.schema));
            role::role_config(message, pipeline).map(Some)
        }
    };
    Event::Update {
        stream,
        device_id: update.device_id,
        role: RoleName(role.name),
        role_config,
        election_id: update.election_id.as_ref().map(request::election_id),
    }
}

/// What a note is to the client; `None` ends the stream.
fn answer(agent: &Agent, note: StreamNote) -> Option<Reply> {
    match note {
        StreamNote::Standing(notice) => Some(Ok(standing(agent, notice))),
        StreamNote::Refused(error) => Some(Err(status::arbitration(&error))),
        StreamNote::PacketIn(packet) => Some(Ok(packet_in(packet))),
        StreamNote::Learnt(learnt) => Some(Ok(response(notice::digest_list(&learnt)))),
        StreamNote::Idle(idle) => Some(Ok(response(notice::idle(&idle)))),
        // Only controllers that synchronise objectives are sent these.
        StreamNote::Acks { .. } => None,
    }
}

fn standing(agent: &Agent, notice: Notice) -> p4::StreamMessageResponse {
    let message = match notice.standing.code() {
        Code::Ok => "you are the primary",
        Code::AlreadyExists => "you are a backup; there is a primary",
        _ => "you are a backup; there is no primary",
    };
    let config = notice.role_config.as_deref();
    let role = (!notice.role.0.is_empty() || config.is_some()).then(|| p4::Role {
        name: notice.role.0,
        // It was encoded from such a message.
        config: config.and_then(role::message),
        ..p4::Role::default()
    });
    response(Answer::Arbitration(p4::MasterArbitrationUpdate {
        device_id: agent.identity.device_id,
        role,
        election_id: notice.highest.map(|highest| {
            let (high, low) = highest.halves();
            p4::Uint128 { high, low }
        }),
        status: Some(rpc::Status {
            code: notice.standing.code().into(),
            message: message.to_owned(),
            details: Vec::new(),
        }),
    }))
}

fn packet_in(packet: PacketIn) -> p4::StreamMessageResponse {
    let metadata = packet
        .metadata
        .iter()
        .map(|(id, value)| p4::PacketMetadata {
            metadata_id: *id,
            value: value.clone(),
        });
    response(Answer::Packet(p4::PacketIn {
        metadata: metadata.collect(),
        payload: packet.payload,
    }))
}

fn stream_error(
    code: Code,
    message: String,
    details: Option<p4::stream_error::Details>,
) -> p4::StreamMessageResponse {
    response(Answer::Error(p4::StreamError {
        canonical_code: code.into(),
        message,
        details,
        ..p4::StreamError::default()
    }))
}

fn response(update: Answer) -> p4::StreamMessageResponse {
    p4::StreamMessageResponse {
        update: Some(update),
    }
}
