//! A P4Runtime client that is primary for as long as it lives.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::uri::PathAndQuery;
use pointsman_p4::p4info::parse_p4info;
use pointsman_p4::programs;
use pointsman_proto::google::rpc;
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::p4::v1::{stream_message_request, stream_message_response};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use crate::wire::WireCodec;

/// The most bytes of one answer; a server may send a whole table in one.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// The most bytes of what follows an answer: the errors of a batch are there, one for each update.
const MAX_TRAILER_BYTES: u32 = 16 << 20;
/// How much of an answer may be on its way.
const WINDOW_BYTES: u32 = 8 << 20;

const WRITE: PathAndQuery = PathAndQuery::from_static("/p4.v1.P4Runtime/Write");
const READ: PathAndQuery = PathAndQuery::from_static("/p4.v1.P4Runtime/Read");

/// A pipeline that this program can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The one that comes with Pointsman.
    LeafSpine,
    /// Two tables of a million entries, see `bench/programs/million.p4`.
    Million,
}

impl Program {
    /// BMv2 JSON and p4info.
    fn artefacts(self) -> (&'static str, &'static str) {
        match self {
            Program::LeafSpine => {
                let program = programs::embedded("leaf_spine").expect("leaf_spine is embedded");
                (program.bmv2_json, program.p4info)
            }
            Program::Million => (
                include_str!("../../../programs/million/bmv2.json"),
                include_str!("../../../programs/million/p4info.txtpb"),
            ),
        }
    }
}

/// A connection with its stream: mastership ends with that.
pub struct Client {
    rpc: P4RuntimeClient<Channel>,
    wire: Grpc<Channel>,
    device_id: u64,
    role: String,
    election_id: p4::Uint128,
    _to_server: mpsc::Sender<p4::StreamMessageRequest>,
    _from_server: Streaming<p4::StreamMessageResponse>,
}

impl Client {
    /// Connects and becomes primary of a role; the empty name is the default role's.
    pub async fn connect(
        address: SocketAddr,
        device_id: u64,
        role: &str,
        election_id: u64,
    ) -> Result<Client> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .http2_max_header_list_size(MAX_TRAILER_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .tcp_nodelay(true);
        let channel = endpoint.connect().await;
        let channel = channel.with_context(|| {
            format!("cannot connect to {address}: is there a P4Runtime server without TLS?")
        })?;
        let wire = Grpc::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut rpc = P4RuntimeClient::new(channel);
        let election_id = p4::Uint128 {
            high: 0,
            low: election_id,
        };
        let (to_server, requests) = mpsc::channel(1);
        let hello = p4::MasterArbitrationUpdate {
            device_id,
            election_id: Some(election_id),
            role: (!role.is_empty()).then(|| p4::Role {
                name: role.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let hello = p4::StreamMessageRequest {
            update: Some(stream_message_request::Update::Arbitration(hello)),
        };
        to_server.send(hello).await.expect("the receiver is here");
        let stream = rpc.stream_channel(ReceiverStream::new(requests)).await;
        let mut from_server = stream.map_err(refused("arbitration"))?.into_inner();
        arbitrated(&mut from_server, election_id).await?;
        Ok(Client {
            rpc,
            wire,
            device_id,
            role: role.to_owned(),
            election_id,
            _to_server: to_server,
            _from_server: from_server,
        })
    }

    /// Sets a pipeline.
    pub async fn set_pipeline(&mut self, program: Program) -> Result<()> {
        let (bmv2_json, p4info) = program.artefacts();
        let request = p4::SetForwardingPipelineConfigRequest {
            device_id: self.device_id,
            role: self.role.clone(),
            election_id: Some(self.election_id),
            action: Action::VerifyAndCommit.into(),
            config: Some(p4::ForwardingPipelineConfig {
                p4info: Some(parse_p4info(p4info)?),
                p4_device_config: bmv2_json.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let set = self.rpc.set_forwarding_pipeline_config(request).await;
        set.map_err(refused("the pipeline"))?;
        Ok(())
    }

    /// The p4info of the pipeline that the server has.
    pub async fn p4info(&mut self) -> Result<P4Info> {
        let request = p4::GetForwardingPipelineConfigRequest {
            device_id: self.device_id,
            ..Default::default()
        };
        let answer = self.rpc.get_forwarding_pipeline_config(request).await;
        let config = answer.map_err(refused("the p4info"))?.into_inner().config;
        let info = config.and_then(|config| config.p4info);
        info.context("the server has no pipeline: give it one with --set-pipeline")
    }

    /// A request that changes these entries.
    pub fn write_request(&self, kind: p4::update::Type, entities: Vec<Entity>) -> Bytes {
        let updates = entities.into_iter().map(|entity| p4::Update {
            r#type: kind.into(),
            entity: Some(p4::Entity {
                entity: Some(entity),
            }),
        });
        let request = p4::WriteRequest {
            device_id: self.device_id,
            role: self.role.clone(),
            election_id: Some(self.election_id),
            updates: updates.collect(),
            ..Default::default()
        };
        request.encode_to_vec().into()
    }

    /// Sends a [write request](Client::write_request) and waits for the answer; what goes wrong with
    /// the first of its entries is the error. Calls may be made before others return.
    pub fn write(&self, request: Bytes) -> impl Future<Output = Result<()>> + use<> {
        let mut wire = self.wire.clone();
        async move {
            wire.ready().await.context("the connection is broken")?;
            let written = wire.unary(Request::new(request), WRITE, WireCodec).await;
            written.map_err(|status| first_error(&status))?;
            Ok(())
        }
    }

    /// A request for what passes one of these filters.
    pub fn read_request(&self, filters: Vec<Entity>) -> Bytes {
        let entities = filters.into_iter().map(|filter| p4::Entity {
            entity: Some(filter),
        });
        let request = p4::ReadRequest {
            device_id: self.device_id,
            role: self.role.clone(),
            entities: entities.collect(),
        };
        request.encode_to_vec().into()
    }

    /// Sends a [read request](Client::read_request); the messages of the answer are those that
    /// [`entities`] counts.
    pub async fn read(&mut self, request: Bytes) -> Result<Vec<Bytes>> {
        self.wire
            .ready()
            .await
            .context("the connection is broken")?;
        let stream = self
            .wire
            .server_streaming(Request::new(request), READ, WireCodec)
            .await;
        let mut stream = stream.map_err(refused("a read"))?.into_inner();
        let mut answers = Vec::new();
        while let Some(answer) = stream.message().await.map_err(refused("a read"))? {
            answers.push(answer);
        }
        Ok(answers)
    }
}

/// How many entities are in the messages of an answer.
pub fn entities(answers: Vec<Bytes>) -> Result<usize> {
    let counts = answers.into_iter().map(|answer| {
        let answer = p4::ReadResponse::decode(answer).context("an answer is not readable")?;
        Ok(answer.entities.len())
    });
    counts.sum()
}

/// Waits for the answer to the first message on a stream.
async fn arbitrated(
    stream: &mut Streaming<p4::StreamMessageResponse>,
    mine: p4::Uint128,
) -> Result<()> {
    let answer = stream.message().await.map_err(refused("arbitration"))?;
    let update = answer.and_then(|answer| answer.update);
    let Some(stream_message_response::Update::Arbitration(update)) = update else {
        bail!("the server did not answer the arbitration message");
    };
    let code = update.status.map_or(0, |status| status.code);
    if code != Code::Ok as i32 {
        let highest = update.election_id.unwrap_or_default();
        bail!(
            "not primary with election id {}: the highest so far is {{{}, {}}}; give a higher --election-id",
            mine.low,
            highest.high,
            highest.low
        );
    }
    Ok(())
}

fn refused(what: &'static str) -> impl Fn(Status) -> anyhow::Error {
    move |status| {
        let (code, message) = (status.code(), status.message());
        anyhow!("the server refuses {what}: {code:?}: {message}")
    }
}

/// The first of the errors that a Write is answered with, one for each of its updates.
fn first_error(status: &Status) -> anyhow::Error {
    let details = rpc::Status::decode(status.details()).unwrap_or_default();
    let errors: Vec<p4::Error> = details
        .details
        .iter()
        .filter_map(|any| p4::Error::decode(any.value.as_slice()).ok())
        .collect();
    let failed = errors.iter().filter(|e| e.canonical_code != 0).count();
    match errors.iter().find(|e| e.canonical_code != 0) {
        Some(first) => {
            let code = Code::from_i32(first.canonical_code);
            let (message, all) = (&first.message, errors.len());
            let hint = match code {
                Code::AlreadyExists => "; --set-pipeline empties the tables",
                Code::ResourceExhausted => "; give fewer --entries",
                _ => "",
            };
            anyhow!("{failed} of {all} are refused, the first with {code:?}: {message}{hint}")
        }
        None => refused("a write")(status.clone()),
    }
}
