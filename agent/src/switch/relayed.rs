//! What a transaction has told the model of a switch in another process, and not yet the switch.
//!
//! Updates wait here until their batch is sent. For each is kept which part of the transaction's undo
//! takes it back, in case the switch refuses it.

use std::ops::Range;
use std::sync::Arc;

use super::error::UpdateError;
use super::write::Writer;
use crate::entity::Update;
use crate::target::relay::{Relay, RelayError};

/// The way to a switch in another process.
pub(super) struct Relayed {
    relay: Arc<dyn Relay>,
    waiting: Vec<Waiting>,
    /// How much of the undo takes back what the switch has.
    sent: usize,
}

struct Waiting {
    update: Update,
    undo: Range<usize>,
}

impl Relayed {
    pub fn new(relay: Arc<dyn Relay>) -> Relayed {
        Relayed {
            relay,
            waiting: Vec::new(),
            sent: 0,
        }
    }

    /// Notes an update that the model took.
    pub fn push(&mut self, update: Update, undo: Range<usize>) {
        self.waiting.push(Waiting { update, undo });
    }

    /// Sends what waits. Takes back what the switch refused, and says why: position in the batch and
    /// error of each.
    pub fn send(
        &mut self,
        writer: &mut Writer<'_>,
        undo: &mut Vec<Update>,
    ) -> Vec<(usize, UpdateError)> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Vec::new();
        }
        let updates: Vec<Update> = waiting.iter().map(|w| w.update.clone()).collect();
        let results = match self.relay.write(writer.schema, &updates) {
            Ok(results) => results,
            Err(error) => {
                let away = |update: &Update| UpdateError::Upstream {
                    what: writer.schema.describe(&update.entity),
                    code: error.code(),
                    message: error.to_string(),
                };
                updates.iter().map(|update| Err(away(update))).collect()
            }
        };
        let mut refused = Vec::new();
        for (index, (waiting, result)) in waiting.into_iter().zip(results).enumerate().rev() {
            if let Err(error) = result {
                writer.roll_back(undo.drain(waiting.undo).collect());
                refused.push((index, error));
            }
        }
        refused.reverse();
        self.sent = undo.len();
        refused
    }

    /// Sends what waits so that packets see all of it or none. If the switch refuses, nothing stays.
    pub fn send_atomically(
        &mut self,
        writer: &mut Writer<'_>,
        undo: &mut Vec<Update>,
    ) -> Result<(), RelayError> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let updates: Vec<Update> = waiting.iter().map(|w| w.update.clone()).collect();
        let result = self.relay.write_atomically(writer.schema, &updates);
        if let (Err(_), Some(first)) = (&result, waiting.first()) {
            writer.roll_back(undo.split_off(first.undo.start));
        }
        self.sent = undo.len();
        result
    }

    /// Takes back on the switch, too, what a rolled back part of the undo takes back.
    pub fn roll_back(&mut self, schema: &crate::schema::Schema, undo: &[Update], start: usize) {
        self.waiting.retain(|waiting| waiting.undo.start < start);
        let sent = self.sent.saturating_sub(start).min(undo.len());
        self.sent = self.sent.min(start);
        let inverses: Vec<Update> = undo[..sent].iter().rev().cloned().collect();
        if inverses.is_empty() {
            return;
        }
        match self.relay.write(schema, &inverses) {
            Ok(results) => {
                for error in results.into_iter().filter_map(Result::err) {
                    tracing::error!(%error, "the switch could not be rolled back");
                }
            }
            // It is compared with what is stored when it is back.
            Err(error) => tracing::warn!(%error, "the switch was not rolled back"),
        }
    }
}
