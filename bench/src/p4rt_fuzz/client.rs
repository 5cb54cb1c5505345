//! A P4Runtime client: a stream, and answers as the specification shapes them.

use anyhow::{Context, Result, bail, ensure};
use pointsman_proto::google::rpc;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::p4::v1::stream_message_request::Update as ToServer;
use pointsman_proto::p4::v1::stream_message_response::Update as FromServer;
use pointsman_proto::p4::v1::write_request::Atomicity;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// The errors of a batch are in what follows an answer.
const MAX_TRAILER_BYTES: u32 = 16 << 20;
/// Messages of the server that may wait.
const QUEUE: usize = 4096;

/// What a Write was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// All of it is done.
    Done,
    /// A code and a message for each update; some are not `Ok`.
    Each(Vec<(Code, String)>),
    /// The request as a whole is refused.
    Refused(Code, String),
}

/// A client with a stream of its own.
pub struct Client {
    rpc: P4RuntimeClient<Channel>,
    /// P4Runtime's `device_id`.
    pub device_id: u64,
    /// Unset for a client that will never be primary.
    pub election_id: Option<u64>,
    to_server: mpsc::Sender<p4::StreamMessageRequest>,
    from_server: mpsc::Receiver<FromServer>,
}

fn election(id: u64) -> p4::Uint128 {
    p4::Uint128 { high: 0, low: id }
}

impl Client {
    /// Connects and opens the stream; the answer to that is the first message.
    pub async fn connect(
        address: &str,
        device_id: u64,
        election_id: Option<u64>,
    ) -> Result<Client> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .http2_max_header_list_size(MAX_TRAILER_BYTES);
        let channel = endpoint.connect().await;
        let channel = channel.with_context(|| format!("cannot connect to {address}"))?;
        let mut rpc = P4RuntimeClient::new(channel).max_decoding_message_size(256 << 20);
        let (to_server, requests) = mpsc::channel(QUEUE);
        let hello = p4::StreamMessageRequest {
            update: Some(ToServer::Arbitration(p4::MasterArbitrationUpdate {
                device_id,
                election_id: election_id.map(election),
                ..Default::default()
            })),
        };
        to_server.send(hello).await?;
        let stream = rpc.stream_channel(ReceiverStream::new(requests)).await?;
        Ok(Client {
            rpc,
            device_id,
            election_id,
            to_server,
            from_server: pump(stream.into_inner()),
        })
    }

    /// The highest election id that the default role has seen, or 0.
    pub async fn highest(address: &str, device_id: u64) -> Result<u64> {
        let mut client = Client::connect(address, device_id, None).await?;
        match client.message().await {
            Some(FromServer::Arbitration(update)) => Ok(update.election_id.map_or(0, |id| id.low)),
            answer => bail!("no answer to arbitration: {answer:?}"),
        }
    }

    /// Connects and waits until it is primary.
    pub async fn primary(address: &str, device_id: u64, election_id: u64) -> Result<Client> {
        let mut client = Client::connect(address, device_id, Some(election_id)).await?;
        let answer = client.message().await;
        let Some(FromServer::Arbitration(update)) = answer else {
            bail!("no answer to arbitration: {answer:?}");
        };
        let code = update.status.map_or(0, |status| status.code);
        ensure!(
            code == Code::Ok as i32,
            "not primary with election id {election_id}: the highest is {:?}",
            update.election_id
        );
        Ok(client)
    }

    /// The next message of the stream; `None` when it has ended.
    pub async fn message(&mut self) -> Option<FromServer> {
        self.from_server.recv().await
    }

    /// The next message, if it has come already.
    pub fn try_message(&mut self) -> Option<FromServer> {
        self.from_server.try_recv().ok()
    }

    /// Sends a message on the stream.
    pub async fn send(&self, update: ToServer) -> Result<()> {
        let message = p4::StreamMessageRequest {
            update: Some(update),
        };
        self.to_server
            .send(message)
            .await
            .context("the stream has ended")
    }

    /// Writes a batch.
    pub async fn write(&mut self, updates: Vec<p4::Update>, atomicity: Atomicity) -> Reply {
        let request = p4::WriteRequest {
            device_id: self.device_id,
            election_id: self.election_id.map(election),
            updates,
            atomicity: atomicity.into(),
            ..Default::default()
        };
        match self.rpc.write(request).await {
            Ok(_) => Reply::Done,
            Err(status) => refusal(&status),
        }
    }

    /// All entities that pass these filters.
    pub async fn read(&mut self, filters: Vec<p4::Entity>) -> Result<Vec<p4::Entity>, Status> {
        let request = p4::ReadRequest {
            device_id: self.device_id,
            entities: filters,
            ..Default::default()
        };
        let mut stream = self.rpc.read(request).await?.into_inner();
        let mut entities = Vec::new();
        while let Some(answer) = stream.message().await? {
            entities.extend(answer.entities);
        }
        Ok(entities)
    }

    /// Sets, saves or commits a pipeline.
    pub async fn set_pipeline(
        &mut self,
        action: Action,
        config: Option<p4::ForwardingPipelineConfig>,
    ) -> Result<(), Status> {
        let request = p4::SetForwardingPipelineConfigRequest {
            device_id: self.device_id,
            election_id: self.election_id.map(election),
            action: action.into(),
            config,
            ..Default::default()
        };
        let set = self.rpc.set_forwarding_pipeline_config(request).await;
        set.map(drop)
    }
}

/// One error for each update if the status has them.
fn refusal(status: &Status) -> Reply {
    let details = rpc::Status::decode(status.details()).unwrap_or_default();
    if status.code() != Code::Unknown || details.details.is_empty() {
        return Reply::Refused(status.code(), status.message().to_owned());
    }
    let errors = details.details.iter().map(|any| {
        let error = p4::Error::decode(any.value.as_slice()).unwrap_or_default();
        (Code::from_i32(error.canonical_code), error.message)
    });
    Reply::Each(errors.collect())
}

fn pump(mut stream: Streaming<p4::StreamMessageResponse>) -> mpsc::Receiver<FromServer> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Ok(Some(message)) = stream.message().await {
            let Some(update) = message.update else {
                continue;
            };
            if sender.send(update).await.is_err() {
                return;
            }
        }
    });
    receiver
}
