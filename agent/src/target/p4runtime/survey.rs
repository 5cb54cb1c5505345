//! What the server has: its pipeline, all that was written to it, and what it counts.

use std::collections::HashMap;

use pointsman_p4::dataplane::EntryAction;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::forwarding_pipeline_config::Cookie;
use pointsman_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use prost::Message as _;
use tonic::Status;

use super::difference::{self, Key, comparable, is_as_wanted, key};
use super::link::Link;
use super::question::{self, Question};
use crate::entity::{Entity, Operation, TableAction, TableEntry, Update};
use crate::p4runtime::decode;
use crate::schema::Schema;
use crate::switch::Pipeline;

/// What the server answered to one question.
pub(super) struct Answer {
    /// What it was.
    pub question: Question,
    /// What it has, or why it does not say.
    pub found: Result<Vec<Entity>, Status>,
}

/// A number by which the server can be asked whether it has this pipeline: FNV-1a of all of it.
pub(super) fn cookie(pipeline: &Pipeline) -> u64 {
    let info = pipeline.source.p4info.encode_to_vec();
    let bytes = info.iter().chain(&pipeline.source.device_config);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whether the server runs this pipeline, as far as it was set from here.
pub(super) fn runs(link: &Link, pipeline: &Pipeline) -> Result<bool, Status> {
    let request = p4::GetForwardingPipelineConfigRequest {
        device_id: link.options.device_id,
        response_type: ResponseType::CookieOnly.into(),
    };
    let got = link.call(async move |mut client| {
        let got = client.get_forwarding_pipeline_config(request).await;
        got.map(|response| response.into_inner().config)
    });
    match got {
        Ok(config) => {
            let cookie = config.and_then(|config| config.cookie);
            Ok(cookie.map(|c| c.cookie) == Some(self::cookie(pipeline)))
        }
        // Some servers have no other word for having none.
        Err(status) if status.code() == tonic::Code::FailedPrecondition => Ok(false),
        Err(status) => Err(status),
    }
}

/// Sets a pipeline on the server, or has it verified.
pub(super) fn set_pipeline(link: &Link, pipeline: &Pipeline, action: Action) -> Result<(), Status> {
    let connection = link.connection().map_err(Status::unavailable)?;
    let (high, low) = connection.election_id.halves();
    let request = p4::SetForwardingPipelineConfigRequest {
        device_id: link.options.device_id,
        election_id: Some(p4::Uint128 { high, low }),
        action: action.into(),
        config: Some(p4::ForwardingPipelineConfig {
            p4info: Some(pipeline.source.p4info.clone()),
            p4_device_config: pipeline.source.device_config.clone(),
            cookie: Some(Cookie {
                cookie: cookie(pipeline),
            }),
        }),
        ..p4::SetForwardingPipelineConfigRequest::default()
    };
    link.call(async move |mut client| {
        let set = client.set_forwarding_pipeline_config(request).await;
        set.map(drop)
    })
}

/// Reads with one filter.
pub(super) fn read(link: &Link, filters: Vec<p4::Entity>) -> Result<Vec<p4::Entity>, Status> {
    let request = p4::ReadRequest {
        device_id: link.options.device_id,
        entities: filters,
        ..p4::ReadRequest::default()
    };
    link.call(async move |mut client| {
        let mut stream = client.read(request).await?.into_inner();
        let mut entities = Vec::new();
        while let Some(response) = stream.message().await? {
            entities.extend(response.entities);
        }
        Ok(entities)
    })
}

/// Asks for everything that can be written to a pipeline, one kind at a time, so that what a server lacks does
/// not hide what it has.
pub(super) fn everything(link: &Link, schema: &Schema) -> Vec<Answer> {
    let questions = question::all(schema).into_iter();
    let answers = questions.map(|question| Answer {
        found: ask(link, schema, question.filter.clone()),
        question,
    });
    answers.collect()
}

fn ask(link: &Link, schema: &Schema, filter: Message) -> Result<Vec<Entity>, Status> {
    let entity = p4::Entity {
        entity: Some(filter),
    };
    let found = read(link, vec![entity])?.into_iter();
    Ok(found.filter_map(|e| typed(schema, e)).collect())
}

/// Whether the server is now as each of these updates, sent in this order, would make it. What it does not say is
/// taken as not done.
pub(super) fn done(link: &Link, schema: &Schema, updates: &[&Update]) -> Vec<bool> {
    let mut there: HashMap<Key, Entity> = HashMap::new();
    let mut asked: HashMap<Vec<u8>, bool> = HashMap::new();
    let mut last: HashMap<Key, bool> = HashMap::new();
    for update in updates {
        let filter = question::about(schema, &update.entity);
        let (Some(key), Some(filter)) = (key(&update.entity), filter) else {
            continue;
        };
        let entity = p4::Entity {
            entity: Some(filter.clone()),
        };
        let answered = *asked.entry(entity.encode_to_vec()).or_insert_with(|| {
            let found = ask(link, schema, filter);
            let answered = found.is_ok();
            for entity in found.unwrap_or_default() {
                if let Some(key) = difference::key(&entity) {
                    there.insert(key, comparable(entity));
                }
            }
            answered
        });
        let found = there.get(&key);
        let as_wanted = match update.operation {
            Operation::Delete => found.is_none(),
            Operation::Insert | Operation::Modify => {
                found.is_some_and(|found| is_as_wanted(found, &update.entity))
            }
        };
        // The last update of an entity decides for those before it.
        last.insert(key, answered && as_wanted);
    }
    let is_done = |update: &&Update| {
        let key = key(&update.entity);
        key.is_some_and(|key| last.get(&key).copied().unwrap_or(false))
    };
    updates.iter().map(is_done).collect()
}

/// An entity of the server. What the pipeline does not have, or nobody can write, is none of ours.
pub(super) fn typed(schema: &Schema, entity: p4::Entity) -> Option<Entity> {
    let is_default = matches!(&entity.entity, Some(Message::TableEntry(e)) if e.is_default_action);
    let is_created = matches!(
        entity.entity,
        Some(
            Message::TableEntry(_)
                | Message::ActionProfileMember(_)
                | Message::ActionProfileGroup(_)
                | Message::PacketReplicationEngineEntry(_)
        )
    );
    let kind = match is_created && !is_default {
        true => p4::update::Type::Insert,
        false => p4::update::Type::Modify,
    };
    let update = p4::Update {
        r#type: kind.into(),
        entity: Some(entity),
    };
    match decode::update(schema, &update) {
        Ok(update) => Some(update.entity),
        Err(error) => {
            tracing::debug!(%error, "the switch has something that is not compared");
            None
        }
    }
}

/// The entries that a program brings along.
pub(super) fn declared(pipeline: &Pipeline) -> Vec<TableEntry> {
    let entries = pointsman_p4::dataplane::declared_entries(&pipeline.program);
    let entries = entries.into_iter().filter_map(|entry| match entry.action {
        EntryAction::Call(call) => Some(TableEntry::new(entry.key, TableAction::Call(call))),
        EntryAction::Member(_) | EntryAction::Group(_) => None,
    });
    entries.collect()
}

/// Whether an update writes what packets change, which is never compared.
pub(super) fn is_counted(update: &Update) -> bool {
    matches!(
        update.entity,
        Entity::Counter(_) | Entity::DirectCounter(..) | Entity::Register(_)
    ) && update.operation == Operation::Modify
}
