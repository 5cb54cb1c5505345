//! Which digests are sent. The data plane makes them whether or not anybody wants them, so that it is not
//! told.

use super::super::error::UpdateError;
use super::{Undo, Writer};
use crate::entity::{DigestEntry, Entity, Operation, Update};

impl Writer<'_> {
    pub(super) fn write_digest(
        &mut self,
        operation: Operation,
        entry: &DigestEntry,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::Digest(entry.clone());
        let old = self.store.digests().get(&entry.digest).copied();
        let old_entity = old.map(|config| {
            Entity::Digest(DigestEntry {
                digest: entry.digest,
                config,
            })
        });
        let inverse = match (operation, old_entity) {
            (Operation::Insert, Some(_)) => return Err(self.already_exists(&entity)),
            (Operation::Modify | Operation::Delete, None) => return Err(self.not_found(&entity)),
            (Operation::Insert, None) => Update::delete(entity),
            (Operation::Modify, Some(old)) => Update::modify(old),
            (Operation::Delete, Some(old)) => Update::insert(old),
        };
        undo.push(|| inverse);
        match operation {
            Operation::Delete => self.store.digests_mut().remove(&entry.digest),
            Operation::Insert | Operation::Modify => {
                self.store.digests_mut().insert(entry.digest, entry.config)
            }
        };
        Ok(())
    }
}
