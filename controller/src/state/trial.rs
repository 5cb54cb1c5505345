//! A change on trial: it is taken back at a time of its own unless somebody confirms it, so that one which cuts its
//! author off from the switches mends itself.
//!
//! The trial is part of the replicated state; whoever leads takes the change back when the time is over
//! (`crate::trials`). Until then nothing else is changed, because the way back would take that back too.

use serde::{Deserialize, Serialize};

use super::{ChangeSet, Effect, Note, Rejection, Response, Revision, RowKey, State, Subject};
use crate::status::Reason;

/// A change set on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The revision that it led to.
    pub revision: Revision,
    /// The one before it.
    pub back_to: Revision,
    /// When it is taken back, in seconds since 1970.
    pub until: u64,
}

impl State {
    /// The change set that is on trial, if one is.
    pub fn trial(&self) -> Option<Trial> {
        self.trial
    }

    /// The change set that ends a trial by taking it back.
    pub fn take_back(&self, trial: Trial) -> Option<ChangeSet> {
        let note = Note {
            time: trial.until,
            author: String::new(),
            reason: format!("revision {} was not confirmed in time", trial.revision),
        };
        // What is on trial is the latest change, so that there is always a way back.
        self.back_to(trial.back_to, note).ok()
    }

    /// Nothing is changed while a change is on trial, but by the way back.
    pub(super) fn check_trial(&self, changes: &ChangeSet) -> Option<Rejection> {
        let trial = self.trial.filter(|_| !changes.ends_trial)?;
        let message = format!(
            "revision {} is on trial; `pointsman confirm` keeps it, `pointsman rollback {}` takes it back",
            trial.revision, trial.back_to
        );
        Some(Rejection::new(Subject::Request, Reason::Conflict, message))
    }

    pub(super) fn confirm(&mut self, revision: Option<Revision>) -> Effect {
        match (self.trial, revision) {
            (Some(trial), revision) if revision.is_none_or(|wanted| wanted == trial.revision) => {
                self.trial = None;
                Effect {
                    response: Response::Confirmed(trial.revision),
                    touched: vec![RowKey::Cluster],
                }
            }
            (trial, _) => {
                let message = match trial {
                    Some(trial) => format!("revision {} is on trial, and no other", trial.revision),
                    None => "nothing is on trial; it may have been taken back already: see `pointsman history`".to_owned(),
                };
                let rejection = Rejection::new(Subject::Request, Reason::Conflict, message);
                Effect {
                    response: Response::Rejected(vec![rejection]),
                    touched: Vec::new(),
                }
            }
        }
    }
}
