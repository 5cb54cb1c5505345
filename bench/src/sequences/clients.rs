//! Clients of the agent and of the controller: what is asked of them, and what they say is there.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use pointsman_agent::entity::{Entity, Update};
use pointsman_agent::p4runtime::{decode, encode};
use pointsman_agent::schema::Schema;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;
use pointsman_proto::p4::v1::stream_message_request::Update as ToAgent;
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::bed::AGENT;

/// How long an agent may take to serve.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// The role of a client beside the controller, and its election id there.
const ROLE: &str = "ops";
const ELECTION_ID: p4::Uint128 = p4::Uint128 { high: 0, low: 1 };

/// A P4Runtime client beside the controller, and the agent's service.
pub(super) struct Client {
    p4runtime: P4RuntimeClient<Channel>,
    pub(super) service: AgentClient<Channel>,
    _requests: mpsc::Sender<p4::StreamMessageRequest>,
    _responses: Streaming<p4::StreamMessageResponse>,
}

impl Client {
    /// Connects as soon as the agent serves.
    pub(super) async fn open() -> Result<Client> {
        let start = Instant::now();
        loop {
            match Client::try_open().await {
                Ok(client) => return Ok(client),
                Err(error) if start.elapsed() > PATIENCE => {
                    return Err(error.context("the agent does not serve"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    async fn try_open() -> Result<Client> {
        let channel = Channel::from_shared(format!("http://{AGENT}"))?;
        let channel = channel.connect().await?;
        let mut p4runtime = P4RuntimeClient::new(channel.clone());
        let (requests, stream) = mpsc::channel(4);
        let hello = p4::MasterArbitrationUpdate {
            device_id: 1,
            election_id: Some(ELECTION_ID),
            role: Some(p4::Role {
                name: ROLE.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let hello = p4::StreamMessageRequest {
            update: Some(ToAgent::Arbitration(hello)),
        };
        requests.send(hello).await?;
        let responses = p4runtime
            .stream_channel(ReceiverStream::new(stream))
            .await?;
        let mut responses = responses.into_inner();
        responses.message().await?.context("the stream ends")?;
        Ok(Client {
            p4runtime,
            service: AgentClient::new(channel),
            _requests: requests,
            _responses: responses,
        })
    }

    /// Writes one update.
    pub(super) async fn write(
        &mut self,
        schema: &Schema,
        update: &Update,
    ) -> Result<(), tonic::Status> {
        let request = p4::WriteRequest {
            device_id: 1,
            role: ROLE.to_owned(),
            election_id: Some(ELECTION_ID),
            updates: vec![encode::update(schema, update)],
            ..Default::default()
        };
        self.p4runtime.write(request).await.map(drop)
    }

    /// Everything that the switch says was written to it.
    pub(super) async fn read(&mut self, schema: &Schema) -> Result<Vec<Entity>> {
        use p4::entity::Entity as Filter;
        let replication = |of| {
            Filter::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry {
                r#type: Some(of),
            })
        };
        let tables = schema.tables.iter().map(|table| {
            Filter::TableEntry(p4::TableEntry {
                table_id: table.id,
                meter_config: table.direct_meter.is_some().then(p4::MeterConfig::default),
                ..Default::default()
            })
        });
        let others = [
            Filter::ActionProfileMember(p4::ActionProfileMember::default()),
            Filter::ActionProfileGroup(p4::ActionProfileGroup::default()),
            replication(Replication::MulticastGroupEntry(Default::default())),
            replication(Replication::CloneSessionEntry(Default::default())),
        ];
        let filters = tables.chain(others).map(|filter| p4::Entity {
            entity: Some(filter),
        });
        let request = p4::ReadRequest {
            device_id: 1,
            entities: filters.collect(),
            ..Default::default()
        };
        let mut answers = self.p4runtime.read(request).await?.into_inner();
        let mut found = Vec::new();
        while let Some(answer) = answers.message().await? {
            for entity in answer.entities {
                let update = p4::Update {
                    r#type: p4::update::Type::Insert.into(),
                    entity: Some(entity),
                };
                // What programs declare cannot be inserted, and is no objective's.
                if let Ok(update) = decode::update(schema, &update) {
                    found.push(update.entity);
                }
            }
        }
        Ok(found)
    }

    /// What the agent says is not as objectives want it.
    pub(super) async fn drift(&mut self) -> Result<agent_pb::GetDriftResponse> {
        let request = agent_pb::GetDriftRequest { foreign: false };
        Ok(self.service.get_drift(request).await?.into_inner())
    }

    /// Has that put right.
    pub(super) async fn repair(&mut self) -> Result<()> {
        let answer = self
            .service
            .repair(agent_pb::RepairRequest::default())
            .await?;
        match answer.into_inner().failed.pop() {
            None => Ok(()),
            Some(failed) => bail!("not put right: {failed}"),
        }
    }
}
