//! The answer to a Read, made and sent message by message.

use std::time::Duration;

use pointsman_proto::p4::v1 as p4;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use crate::p4runtime::status;

/// Entities in one message at most.
const ENTITIES: usize = 1024;

/// Bytes in one message, but for one that a single entity fills; clients take 4 MB.
const BYTES: usize = 1 << 20;

/// How long a client may leave a message unread before it is taken for dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// Entities that are made one at a time. They hold no lock.
pub(super) type Entities = Box<dyn Iterator<Item = p4::Entity> + Send>;

/// The messages that answer a request: all entities, then the errors of the filters, if any.
pub struct Answer {
    entities: std::iter::Flatten<std::vec::IntoIter<Entities>>,
    /// One that did not fit into the last message.
    left_over: Option<p4::Entity>,
    /// One for each filter, until they are sent.
    errors: Vec<p4::Error>,
}

impl Answer {
    pub(super) fn new(entities: Vec<Entities>, errors: Vec<p4::Error>) -> Answer {
        Answer {
            entities: entities.into_iter().flatten(),
            left_over: None,
            errors,
        }
    }
}

impl Iterator for Answer {
    type Item = Result<p4::ReadResponse, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut entities = Vec::new();
        let mut bytes = 0;
        while entities.len() < ENTITIES {
            let Some(entity) = self.left_over.take().or_else(|| self.entities.next()) else {
                break;
            };
            bytes += entity.encoded_len();
            if bytes > BYTES && !entities.is_empty() {
                self.left_over = Some(entity);
                break;
            }
            entities.push(entity);
        }
        if !entities.is_empty() {
            return Some(Ok(p4::ReadResponse { entities }));
        }
        let errors = std::mem::take(&mut self.errors);
        let failed = errors.iter().any(|error| error.canonical_code != 0);
        failed.then(|| Err(status::batch(&errors)))
    }
}

/// Sends an answer at the pace of the client.
pub async fn send(mut answer: Answer, responses: mpsc::Sender<Result<p4::ReadResponse, Status>>) {
    loop {
        let room = match timeout(PATIENCE, responses.reserve()).await {
            Ok(Ok(room)) => room,
            // The client has gone.
            Ok(Err(_)) => return,
            Err(_) => {
                drop(answer);
                let reason = "the client has read nothing for a minute; read again, or less";
                let _ = responses.send(Err(Status::aborted(reason))).await;
                return;
            }
        };
        let made = tokio::task::spawn_blocking(move || (answer.next(), answer));
        match made.await {
            Ok((Some(message), rest)) => {
                answer = rest;
                room.send(message);
            }
            Ok((None, _)) => return,
            Err(error) => {
                let ended = format!("the read ended early: {error}");
                return room.send(Err(Status::internal(ended)));
            }
        }
    }
}
