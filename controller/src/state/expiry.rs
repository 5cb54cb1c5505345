//! Objectives whose timeout is over: their switch has taken them out of the data plane, and they are wanted no more.
//!
//! The switch's agent keeps the clock, because only it knows when an objective was first applied and when a packet last
//! met it; the controller is told (`crate::distribution`) and forgets the objective in the version that expired, unless
//! another one is wanted by then. It is a change set like others for the history, but no way back brings back what
//! has expired: its time is over at any revision.

use std::collections::BTreeSet;

use super::history::{Past, Replaced};
use super::{Effect, Note, Response, Revision, RowKey, State, Summary};
use crate::objective::ObjectiveKey;

/// What has expired on a device, each in the version of a revision.
pub type Expired = Vec<(ObjectiveKey, Revision)>;

impl State {
    pub(super) fn expire(&mut self, name: &str, expired: Expired, time: u64) -> Effect {
        let nothing = Effect {
            response: Response::Done,
            touched: Vec::new(),
        };
        let Some(device) = self.devices.get_mut(name) else {
            return nothing;
        };
        let before = self.revision;
        let mut touched = vec![RowKey::Cluster, RowKey::Device(name.to_owned())];
        let mut replaced = Vec::new();
        for (key, version) in expired {
            let is_wanted = |stored: &super::Stored| stored.revision == version;
            if !device.objectives.get(&key).is_some_and(is_wanted) {
                continue;
            }
            self.revision = self.revision.next();
            let (old, forgotten) = device.delete(key.clone(), self.revision);
            let rows = forgotten.into_iter().chain([key.clone()]);
            touched.extend(rows.map(|key| RowKey::Objective(name.to_owned(), key)));
            replaced.push(Replaced::Objective(name.to_owned(), key, old));
        }
        if replaced.is_empty() {
            return nothing;
        }
        let past = Past {
            before,
            note: Note {
                time,
                author: String::new(),
                reason: "expired".to_owned(),
            },
            summary: Summary {
                deleted: u32::try_from(replaced.len()).unwrap_or(u32::MAX),
                ..Summary::default()
            },
            replaced,
            expired: true,
        };
        touched.push(RowKey::Past(self.revision));
        let forgotten = self
            .history
            .push(self.revision, past, self.settings.change_sets())
            .into_iter();
        touched.extend(forgotten.map(RowKey::Past));
        touched.sort_unstable();
        touched.dedup();
        Effect {
            response: Response::Done,
            touched,
        }
    }

    /// What is not there because it expired, and nothing has been done to it since.
    pub(super) fn gone_by_themselves(&self) -> BTreeSet<(&str, &ObjectiveKey)> {
        let mut gone = BTreeSet::new();
        for (_, past) in self.history.iter() {
            for replaced in &past.replaced {
                if let Replaced::Objective(device, key, _) = replaced {
                    match past.expired {
                        true => gone.insert((device.as_str(), key)),
                        false => gone.remove(&(device.as_str(), key)),
                    };
                }
            }
        }
        gone
    }
}
