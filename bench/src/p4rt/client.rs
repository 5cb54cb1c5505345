//! A P4Runtime client of a test: the RPCs, and one stream.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Event;
use pointsman_proto::p4::v1::update::Type;
use pointsman_proto::p4::v1::write_request::Atomicity;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::answer::{Answered, Written};
use super::failure::{Outcome, same};
use super::program::{ENTITIES, Program};
use super::stream::Stream;

/// A client with a stream, in a role, with an election id.
pub struct Client {
    /// The other RPCs.
    pub rpc: P4RuntimeClient<Channel>,
    /// The device that it talks about.
    pub device_id: u64,
    /// The role's name; empty for the default role.
    pub role: String,
    /// None is a client that can never be primary.
    pub election_id: Option<p4::Uint128>,
    /// Its stream.
    pub stream: Stream,
    /// The program whose packet-ins it reads.
    pub program: &'static Program,
}

impl Client {
    /// The next arbitration message.
    pub async fn arbitration(&mut self) -> Outcome<p4::MasterArbitrationUpdate> {
        let pick = |event: &Event| match event {
            Event::Arbitration(update) => Some(update.clone()),
            _ => None,
        };
        self.stream.next("an arbitration message", pick).await
    }

    /// The next arbitration message has this code.
    pub async fn arbitrated(&mut self, code: Code) -> Outcome<p4::MasterArbitrationUpdate> {
        let update = self.arbitration().await?;
        let status = update.status.as_ref().map(|s| Code::from_i32(s.code));
        same("the status of an arbitration message", status, Some(code))?;
        Ok(update)
    }

    /// The message that says who this client wants to be.
    pub fn hello(&self) -> p4::MasterArbitrationUpdate {
        p4::MasterArbitrationUpdate {
            device_id: self.device_id,
            role: (!self.role.is_empty()).then(|| p4::Role {
                name: self.role.clone(),
                ..Default::default()
            }),
            election_id: self.election_id,
            status: None,
        }
    }

    /// Sends an arbitration message.
    pub async fn arbitrate(&mut self, update: p4::MasterArbitrationUpdate) -> Outcome {
        self.election_id = update.election_id;
        self.stream.send(Request::Arbitration(update)).await
    }

    /// Inserts an entity.
    pub async fn insert(&mut self, entity: impl Into<Entity>) -> Written {
        self.write([insert(entity)]).await
    }

    /// Modifies an entity.
    pub async fn modify(&mut self, entity: impl Into<Entity>) -> Written {
        self.write([modify(entity)]).await
    }

    /// Deletes an entity.
    pub async fn delete(&mut self, entity: impl Into<Entity>) -> Written {
        self.write([delete(entity)]).await
    }

    /// Writes a batch that goes on after errors.
    pub async fn write(&mut self, updates: impl IntoIterator<Item = p4::Update>) -> Written {
        self.write_as(Atomicity::ContinueOnError, updates).await
    }

    /// Writes a batch.
    pub async fn write_as(
        &mut self,
        atomicity: Atomicity,
        updates: impl IntoIterator<Item = p4::Update>,
    ) -> Written {
        let request = self.request(atomicity, updates);
        self.send_write(request).await
    }

    /// A Write of this client that is not sent yet.
    pub fn request(
        &self,
        atomicity: Atomicity,
        updates: impl IntoIterator<Item = p4::Update>,
    ) -> p4::WriteRequest {
        p4::WriteRequest {
            device_id: self.device_id,
            role: self.role.clone(),
            election_id: self.election_id,
            updates: updates.into_iter().collect(),
            atomicity: atomicity.into(),
            ..Default::default()
        }
    }

    /// Sends a Write as it is.
    pub async fn send_write(&mut self, request: p4::WriteRequest) -> Written {
        let shown: Vec<_> = request.updates.iter().take(4).map(describe).collect();
        let updates = request.updates.len();
        let more = if updates > 4 { ", ..." } else { "" };
        Written {
            doing: format!("Write of {}{more}", shown.join(", ")),
            updates,
            result: self.rpc.write(request).await.map(drop),
        }
    }

    /// Reads what one filter lets through.
    pub async fn read(&mut self, filter: impl Into<Entity>) -> Answered {
        self.read_all([Some(filter.into())]).await
    }

    /// Reads what several filters let through; None is an entity without any.
    pub async fn read_all(
        &mut self,
        filters: impl IntoIterator<Item = Option<Entity>>,
    ) -> Answered {
        let entities = filters.into_iter().map(|entity| p4::Entity { entity });
        let request = p4::ReadRequest {
            device_id: self.device_id,
            role: self.role.clone(),
            entities: entities.collect(),
        };
        read(&mut self.rpc, request).await
    }

    /// Sets the pipeline.
    pub async fn set(
        &mut self,
        action: Action,
        config: Option<p4::ForwardingPipelineConfig>,
    ) -> Result<(), Status> {
        let request = p4::SetForwardingPipelineConfigRequest {
            device_id: self.device_id,
            role: self.role.clone(),
            election_id: self.election_id,
            action: action.into(),
            config,
            ..Default::default()
        };
        let answer = self.rpc.set_forwarding_pipeline_config(request).await;
        answer.map(drop)
    }

    /// Gets the pipeline.
    pub async fn get(
        &mut self,
        response_type: ResponseType,
    ) -> Result<Option<p4::ForwardingPipelineConfig>, Status> {
        let request = p4::GetForwardingPipelineConfigRequest {
            device_id: self.device_id,
            response_type: response_type.into(),
        };
        let answer = self.rpc.get_forwarding_pipeline_config(request).await;
        answer.map(|answer| answer.into_inner().config)
    }
}

/// Reads whatever a request asks for.
pub async fn read(rpc: &mut P4RuntimeClient<Channel>, request: p4::ReadRequest) -> Answered {
    let shown = request.entities.iter().take(4);
    let shown: Vec<_> = shown.map(|e| describe_entity(e.entity.as_ref())).collect();
    let mut answered = Answered {
        doing: format!("Read of {}", shown.join(", ")),
        entities: Vec::new(),
        end: Ok(()),
    };
    let mut stream = match rpc.read(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            answered.end = Err(status);
            return answered;
        }
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                let entities = message.entities.into_iter();
                answered.entities.extend(entities.filter_map(|e| e.entity));
            }
            Ok(None) => return answered,
            Err(status) => {
                answered.end = Err(status);
                return answered;
            }
        }
    }
}

/// An INSERT.
pub fn insert(entity: impl Into<Entity>) -> p4::Update {
    update(Type::Insert, entity)
}

/// A MODIFY.
pub fn modify(entity: impl Into<Entity>) -> p4::Update {
    update(Type::Modify, entity)
}

/// A DELETE.
pub fn delete(entity: impl Into<Entity>) -> p4::Update {
    update(Type::Delete, entity)
}

/// An update of any type.
pub fn update(kind: Type, entity: impl Into<Entity>) -> p4::Update {
    p4::Update {
        r#type: kind.into(),
        entity: Some(p4::Entity {
            entity: Some(entity.into()),
        }),
    }
}

fn describe(update: &p4::Update) -> String {
    let kind = Type::try_from(update.r#type).map_or("?", |kind| kind.as_str_name());
    let entity = update.entity.as_ref().and_then(|e| e.entity.as_ref());
    format!("{kind} {}", describe_entity(entity))
}

fn describe_entity(entity: Option<&Entity>) -> String {
    let table = |entry: &p4::TableEntry| {
        let tables = ENTITIES.p4info.tables.iter();
        let mut preambles = tables.filter_map(|table| table.preamble.as_ref());
        let found = preambles.find(|preamble| preamble.id == entry.table_id);
        let name = found.map(|preamble| preamble.alias.clone());
        let default = if entry.is_default_action {
            " (default)"
        } else {
            ""
        };
        name.unwrap_or_else(|| format!("table {}", entry.table_id)) + default
    };
    match entity {
        None => "no entity".to_owned(),
        Some(Entity::TableEntry(entry)) => format!("TableEntry of {}", table(entry)),
        Some(other) => {
            let text = format!("{other:?}");
            let name = text.split('(').next().unwrap_or_default();
            name.to_owned()
        }
    }
}
