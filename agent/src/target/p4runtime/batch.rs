//! Batches on their way to the server, and what became of each update.
//!
//! Of a batch that fails without a word about its updates, it is looked up what the server has of it now; what is not
//! there as it should be is sent again, alone, for its own error.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;
use pointsman_proto::p4::v1::update::Type;
use pointsman_proto::p4::v1::write_request::Atomicity;
use prost::Message as _;
use tonic::{Code, Status};

use super::link::Link;
use super::outcome::{self, BatchOutcome, Outcome};
use super::survey;
use crate::entity::Update;
use crate::p4runtime::encode;
use crate::schema::Schema;
use crate::target::relay::RelayError;

/// Bytes of one request; servers accept 4 MB.
const REQUEST_BYTES: usize = 3 << 20;

/// Updates as the server gets them: without what is only stored.
pub(super) fn messages(schema: &Schema, updates: &[Update]) -> Vec<p4::Update> {
    let messages = updates.iter().map(|update| {
        let mut message = encode::update(schema, update);
        if let Some(entity) = message.entity.as_mut().and_then(|e| e.entity.as_mut()) {
            strip(entity);
        }
        message
    });
    messages.collect()
}

#[allow(deprecated)]
fn strip(entity: &mut Message) {
    match entity {
        Message::TableEntry(entry) => {
            entry.metadata.clear();
            entry.controller_metadata = 0;
        }
        Message::PacketReplicationEngineEntry(entry) => {
            if let Some(Replication::MulticastGroupEntry(group)) = &mut entry.r#type {
                group.metadata.clear();
            }
        }
        _ => {}
    }
}

/// Sends updates, as few requests as fit. One outcome for each.
pub(super) fn write(
    link: &Link,
    schema: &Schema,
    updates: &[Update],
) -> Result<Vec<Outcome>, RelayError> {
    let mut outcomes = Vec::with_capacity(updates.len());
    for request in requests(messages(schema, updates)) {
        let sent = &updates[outcomes.len()..outcomes.len() + request.len()];
        outcomes.extend(write_one(link, schema, sent, &request)?);
    }
    Ok(outcomes)
}

/// Sends updates of which packets must see all or none.
pub(super) fn write_atomically(link: &Link, updates: Vec<p4::Update>) -> Result<(), RelayError> {
    let count = updates.len();
    let result = send(link, updates, Atomicity::DataplaneAtomic);
    let Err(status) = &result else { return Ok(()) };
    let (code, message) = (status.code(), status.message().to_owned());
    match outcome::of(count, result) {
        BatchOutcome::Away(why) => Err(lost(link, why)),
        BatchOutcome::NotPrimary => Err(overtaken(link)),
        _ => Err(RelayError::Refused { code, message }),
    }
}

fn write_one(
    link: &Link,
    schema: &Schema,
    updates: &[Update],
    messages: &[p4::Update],
) -> Result<Vec<Outcome>, RelayError> {
    let mut outcomes = vec![Outcome::NotTried; updates.len()];
    let mut pending: Vec<usize> = (0..updates.len()).collect();
    while !pending.is_empty() {
        let batch: Vec<_> = pending.iter().map(|i| messages[*i].clone()).collect();
        let result = send(link, batch, Atomicity::ContinueOnError);
        match outcome::of(pending.len(), result) {
            BatchOutcome::Known(known) => {
                for (index, outcome) in pending.iter().zip(known) {
                    outcomes[*index] = outcome;
                }
            }
            BatchOutcome::Rejected { code, message } => {
                for index in &pending {
                    outcomes[*index] = Outcome::Refused {
                        code,
                        message: message.clone(),
                    };
                }
            }
            BatchOutcome::Unknown => {
                let sent: Vec<&Update> = pending.iter().map(|i| &updates[*i]).collect();
                let is_done = survey::done(link, schema, &sent);
                for (index, is_done) in pending.iter().zip(is_done) {
                    outcomes[*index] = match is_done {
                        true => Outcome::Done,
                        false => again(link, &messages[*index])?,
                    };
                }
            }
            BatchOutcome::Away(why) => return Err(lost(link, why)),
            BatchOutcome::NotPrimary => return Err(overtaken(link)),
        }
        let left = |index: &usize| outcomes[*index] == Outcome::NotTried;
        let rest: Vec<usize> = pending.iter().copied().filter(left).collect();
        if rest.len() == pending.len() {
            break;
        }
        pending = rest;
    }
    Ok(outcomes)
}

/// Sends an update that may have been applied before: what it would do may be done.
fn again(link: &Link, update: &p4::Update) -> Result<Outcome, RelayError> {
    let result = send(link, vec![update.clone()], Atomicity::ContinueOnError);
    match outcome::of(1, result) {
        BatchOutcome::Known(known) => {
            let outcome = known.into_iter().next().unwrap_or(Outcome::NotTried);
            let as_if_done = match update.r#type() {
                Type::Insert => Code::AlreadyExists,
                Type::Delete => Code::NotFound,
                Type::Modify | Type::Unspecified => return Ok(outcome),
            };
            Ok(match outcome {
                Outcome::Refused { code, .. } if code == as_if_done => Outcome::Done,
                outcome => outcome,
            })
        }
        BatchOutcome::Rejected { code, message } => Ok(Outcome::Refused { code, message }),
        BatchOutcome::Away(why) => Err(lost(link, why)),
        BatchOutcome::NotPrimary => Err(overtaken(link)),
        BatchOutcome::Unknown => Ok(Outcome::NotTried),
    }
}

/// Nobody knows what was applied: the server is compared with what is stored before the next write.
fn lost(link: &Link, why: String) -> RelayError {
    link.doubt(&why);
    RelayError::Away(format!("the switch at {}: {why}", link.options.address))
}

fn overtaken(link: &Link) -> RelayError {
    let why = "another client controls the switch; it will be overtaken";
    link.doubt(why);
    RelayError::Away(format!("the switch at {}: {why}", link.options.address))
}

fn send(link: &Link, updates: Vec<p4::Update>, atomicity: Atomicity) -> Result<(), Status> {
    let connection = link.connection().map_err(Status::unavailable)?;
    let (high, low) = connection.election_id.halves();
    let request = p4::WriteRequest {
        device_id: link.options.device_id,
        election_id: Some(p4::Uint128 { high, low }),
        updates,
        atomicity: atomicity.into(),
        ..p4::WriteRequest::default()
    };
    link.call(async move |mut client| client.write(request).await.map(drop))
}

/// Cuts updates into requests that servers accept.
fn requests(updates: Vec<p4::Update>) -> Vec<Vec<p4::Update>> {
    let mut requests = vec![Vec::new()];
    let mut bytes = 0;
    for update in updates {
        let length = update.encoded_len() + 8;
        if bytes + length > REQUEST_BYTES {
            requests.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        let last = requests.last_mut().expect("there is always one");
        last.push(update);
    }
    requests.retain(|request: &Vec<_>| !request.is_empty());
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_cut_where_a_server_would_not_take_them_in_one() {
        let update = p4::Update {
            entity: Some(p4::Entity {
                entity: Some(Message::TableEntry(p4::TableEntry {
                    metadata: vec![0; 1 << 20],
                    ..p4::TableEntry::default()
                })),
            }),
            ..p4::Update::default()
        };
        let sizes = |count| {
            let requests = requests(vec![update.clone(); count]);
            requests.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(5), [2, 2, 1]);
        assert!(sizes(0).is_empty());
    }
}
