//! What has to be there: the objectives of each revision, and entries that are no objective's.

use std::collections::BTreeMap;

use pointsman_model::{Objective, ObjectiveId};

/// Objectives by kind and name.
pub(super) type Objectives = BTreeMap<ObjectiveId, Objective>;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What is wanted now.
    pub(super) objectives: Objectives,
    /// What was wanted at revisions that there is a way back to.
    past: BTreeMap<u64, Objectives>,
    /// Entries of clients, by their keys as text.
    pub(super) foreign: BTreeMap<String, String>,
    /// Entries of objectives that a client has written to, and which nothing has put right since: what is there.
    pub(super) tampered: BTreeMap<String, Option<String>>,
}

impl Model {
    /// Objectives have changed with this revision.
    pub(super) fn change(&mut self, objectives: Objectives, revision: u64) {
        self.objectives = objectives;
        self.past.insert(revision, self.objectives.clone());
        // Which entries that has written is not for a model to say.
        self.tampered.clear();
    }

    /// The revisions that there is a way back to.
    pub(super) fn revisions(&self) -> Vec<u64> {
        self.past.keys().copied().collect()
    }

    /// What was wanted at one.
    pub(super) fn at(&self, revision: u64) -> Option<&Objectives> {
        self.past.get(&revision)
    }
}
