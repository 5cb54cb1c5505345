//! StreamChannel: the shell around arbitration and packet I/O of one client.

use std::sync::Arc;

use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::stream_message_request::Update as Message;
use pointsman_proto::p4::v1::stream_message_response::Update as Answer;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{request, status};
use crate::agent::{Agent, PacketIn, StreamNote};
use crate::arbitration::{Event, Notice, RoleName, StreamId};
use crate::authorization::{Caller, Permission};

/// What a client is sent.
pub type Responses = ReceiverStream<Result<p4::StreamMessageResponse, Status>>;

/// Notes and packets that may wait for a slow client; more packets are dropped.
const QUEUE: usize = 4096;

/// Serves a stream until either side ends it.
pub fn open(
    agent: Arc<Agent>,
    caller: Caller,
    requests: Streaming<p4::StreamMessageRequest>,
) -> Responses {
    let (responses, stream) = mpsc::channel(QUEUE);
    tokio::spawn(serve(agent, caller, requests, responses));
    ReceiverStream::new(stream)
}

async fn serve(
    agent: Arc<Agent>,
    caller: Caller,
    mut requests: Streaming<p4::StreamMessageRequest>,
    responses: mpsc::Sender<Result<p4::StreamMessageResponse, Status>>,
) {
    let (outbox, mut notes) = mpsc::channel(QUEUE);
    let stream = agent.lock().streams.open(outbox);
    loop {
        let answer = tokio::select! {
            note = notes.recv() => match note.and_then(|note| answer(&agent, note)) {
                Some(answer) => answer,
                None => break,
            },
            request = requests.next() => match request {
                Some(Ok(request)) => match handle(&agent, &caller, stream, request).await {
                    Ok(()) => continue,
                    Err(answer) => answer,
                },
                Some(Err(_)) | None => break,
            },
        };
        let ends = answer.is_err();
        if responses.send(answer).await.is_err() || ends {
            break;
        }
    }
    let closed = tokio::task::spawn_blocking(move || agent.arbitrate(Event::Closed { stream }));
    if let Err(error) = closed.await {
        tracing::error!(%error, "a stream was not closed properly");
    }
}

type Reply = Result<p4::StreamMessageResponse, Status>;

/// Acts on a message. An error is the answer to it; other answers come as notes.
async fn handle(
    agent: &Arc<Agent>,
    caller: &Caller,
    stream: StreamId,
    request: p4::StreamMessageRequest,
) -> Result<(), Reply> {
    match request.update {
        Some(Message::Arbitration(update)) => {
            let event = arbitration(caller, stream, update).map_err(Err)?;
            let agent = agent.clone();
            let done = tokio::task::spawn_blocking(move || agent.arbitrate(event)).await;
            done.map_err(|error| Err(Status::internal(error.to_string())))
        }
        Some(Message::Packet(packet)) => {
            let metadata = packet.metadata.iter();
            let metadata: Vec<_> = metadata
                .map(|field| (field.metadata_id, field.value.clone()))
                .collect();
            let allowed = caller.may(Permission::PacketOut, None);
            let allowed = allowed.map_err(|denied| (Code::PermissionDenied, denied.to_string()));
            let sent = allowed.and_then(|()| {
                let sent = agent.packet_out(stream, &metadata, &packet.payload);
                sent.map_err(|error| (error.code(), error.to_string()))
            });
            sent.map_err(|(code, message)| {
                let details = p4::stream_error::Details::PacketOut(p4::PacketOutError {
                    packet_out: Some(packet),
                });
                Ok(stream_error(code, message, Some(details)))
            })
        }
        Some(Message::DigestAck(ack)) => {
            let details = p4::stream_error::Details::DigestListAck(p4::DigestListAckError {
                digest_list_ack: Some(ack),
            });
            let message = "no such digest list was sent".to_owned();
            Err(Ok(stream_error(Code::NotFound, message, Some(details))))
        }
        Some(Message::Other(other)) => {
            let details =
                p4::stream_error::Details::Other(p4::StreamOtherError { other: Some(other) });
            let message = "this message is not known here".to_owned();
            Err(Ok(stream_error(
                Code::Unimplemented,
                message,
                Some(details),
            )))
        }
        None => {
            let message = "the message is empty".to_owned();
            Err(Ok(stream_error(Code::InvalidArgument, message, None)))
        }
    }
}

fn arbitration(
    caller: &Caller,
    stream: StreamId,
    update: p4::MasterArbitrationUpdate,
) -> Result<Event, Status> {
    if update.device_id == 0 {
        return Err(Status::invalid_argument("device_id 0 is not valid"));
    }
    let role = update.role.unwrap_or_default();
    #[allow(deprecated)]
    if role.id != 0 && role.name.is_empty() {
        return Err(Status::invalid_argument(
            "roles are named since P4Runtime 1.4; give the role a name",
        ));
    }
    let needed: &[Permission] = match update.election_id {
        Some(_) => &[Permission::Primary],
        None => &[Permission::Backup, Permission::Primary],
    };
    caller.may_one(needed, Some(&role.name))?;
    Ok(Event::Update {
        stream,
        device_id: update.device_id,
        role: RoleName(role.name),
        role_config: role.config.map(|config| config.encode_to_vec()),
        election_id: update.election_id.as_ref().map(request::election_id),
    })
}

/// What a note is to the client; `None` ends the stream.
fn answer(agent: &Agent, note: StreamNote) -> Option<Reply> {
    match note {
        StreamNote::Standing(notice) => Some(Ok(standing(agent, notice))),
        StreamNote::Refused(error) => Some(Err(status::arbitration(&error))),
        StreamNote::PacketIn(packet) => Some(Ok(packet_in(packet))),
        // Only controllers that synchronise objectives are sent these.
        StreamNote::Acks(_) => None,
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
        config: config.and_then(|bytes| prost_types::Any::decode(bytes).ok()),
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
