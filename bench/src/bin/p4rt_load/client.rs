//! A P4Runtime client that is primary for as long as it lives.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow, bail};
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
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// The most bytes of one answer; a server may send a whole table in one.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// The most bytes of what follows an answer: the errors of a batch are there, one for each update.
const MAX_TRAILER_BYTES: u32 = 16 << 20;

/// A connection with its stream: mastership ends with that.
pub struct Client {
    rpc: P4RuntimeClient<Channel>,
    device_id: u64,
    election_id: p4::Uint128,
    _to_server: mpsc::Sender<p4::StreamMessageRequest>,
    _from_server: Streaming<p4::StreamMessageResponse>,
}

impl Client {
    /// Connects and becomes primary.
    pub async fn connect(address: SocketAddr, device_id: u64, election_id: u64) -> Result<Client> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .http2_max_header_list_size(MAX_TRAILER_BYTES);
        let channel = endpoint.connect().await;
        let channel = channel.with_context(|| {
            format!("cannot connect to {address}: is there a P4Runtime server without TLS?")
        })?;
        let mut rpc = P4RuntimeClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let election_id = p4::Uint128 {
            high: 0,
            low: election_id,
        };
        let (to_server, requests) = mpsc::channel(1);
        let hello = p4::MasterArbitrationUpdate {
            device_id,
            election_id: Some(election_id),
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
            device_id,
            election_id,
            _to_server: to_server,
            _from_server: from_server,
        })
    }

    /// Sets the pipeline that comes with Pointsman.
    pub async fn set_leaf_spine(&mut self) -> Result<()> {
        let program = programs::embedded("leaf_spine").context("leaf_spine is not embedded")?;
        let request = p4::SetForwardingPipelineConfigRequest {
            device_id: self.device_id,
            election_id: Some(self.election_id),
            action: Action::VerifyAndCommit.into(),
            config: Some(p4::ForwardingPipelineConfig {
                p4info: Some(parse_p4info(program.p4info)?),
                p4_device_config: program.bmv2_json.into(),
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

    /// Changes these entries; what goes wrong with the first of them is the error.
    pub async fn write(&mut self, kind: p4::update::Type, entities: Vec<Entity>) -> Result<()> {
        let updates = entities.into_iter().map(|entity| p4::Update {
            r#type: kind.into(),
            entity: Some(p4::Entity {
                entity: Some(entity),
            }),
        });
        let request = p4::WriteRequest {
            device_id: self.device_id,
            election_id: Some(self.election_id),
            updates: updates.collect(),
            ..Default::default()
        };
        let written = self.rpc.write(request).await;
        written.map_err(|status| first_error(&status))?;
        Ok(())
    }

    /// How many entities pass one of these filters.
    pub async fn read(&mut self, filters: Vec<Entity>) -> Result<usize> {
        let entities = filters.into_iter().map(|filter| p4::Entity {
            entity: Some(filter),
        });
        let request = p4::ReadRequest {
            device_id: self.device_id,
            entities: entities.collect(),
            ..Default::default()
        };
        let stream = self.rpc.read(request).await;
        let mut stream = stream.map_err(refused("a read"))?.into_inner();
        let mut found = 0;
        while let Some(answer) = stream.message().await.map_err(refused("a read"))? {
            found += answer.entities.len();
        }
        Ok(found)
    }
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
