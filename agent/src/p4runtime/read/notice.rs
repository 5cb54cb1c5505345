//! What the switch is to tell: digests.

use std::sync::Arc;

use pointsman_proto::p4::v1 as p4;

use super::{ReadError, Reader};
use crate::entity::{DigestEntry, Entity};
use crate::p4runtime::{decode, encode};

impl Reader<'_> {
    /// The digests that are sent. An id of 0 is all of them.
    pub(super) fn digests(&mut self, filter: &p4::DigestEntry) -> Result<(), ReadError> {
        let schema = Arc::clone(&self.schema);
        let wanted = match filter.digest_id {
            0 => None,
            id => Some(decode::digest_schema(&schema, id)?.list),
        };
        let digests = self.view.store.digests().iter();
        let digests = digests.filter(|(digest, _)| wanted.is_none_or(|id| id == **digest));
        let entries = digests.map(|(digest, config)| {
            let entry = Entity::Digest(DigestEntry {
                digest: *digest,
                config: *config,
            });
            encode::entity(&schema, &entry)
        });
        let entries: Vec<_> = entries.collect();
        self.push(entries.into_iter());
        Ok(())
    }
}
