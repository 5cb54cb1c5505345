//! Digest configuration.

use pointsman_proto::p4::v1 as p4;

use super::error::{DecodeError, invalid};
use crate::entity::{DigestConfig, DigestEntry, Entity};
use crate::schema::{DigestSchema, Schema};

/// The digest of an id.
pub fn digest_schema(schema: &Schema, id: u32) -> Result<&DigestSchema, DecodeError> {
    schema.digest(id).ok_or_else(|| {
        let known = schema.digests.iter();
        let known = known.map(|d| format!("{:#010x} {}", d.id, d.name));
        DecodeError::UnknownId {
            place: "digest entry".to_owned(),
            kind: "digest",
            id,
            known: match schema.digests.as_slice() {
                [] => "none".to_owned(),
                _ => known.collect::<Vec<_>>().join(", "),
            },
        }
    })
}

/// A digest entry; without a config every message is sent at once and remembered for no time.
pub(super) fn digest(schema: &Schema, entry: &p4::DigestEntry) -> Result<Entity, DecodeError> {
    let digest = digest_schema(schema, entry.digest_id)?;
    let place = || format!("digest {}", digest.name);
    let config = entry.config.unwrap_or_default();
    let negative = |what, number| invalid(place(), format!("{what} {number} is negative"));
    Ok(Entity::Digest(DigestEntry {
        digest: digest.list,
        config: DigestConfig {
            max_timeout_ns: u64::try_from(config.max_timeout_ns)
                .map_err(|_| negative("max_timeout_ns", config.max_timeout_ns))?,
            max_list_size: u32::try_from(config.max_list_size)
                .map_err(|_| negative("max_list_size", config.max_list_size.into()))?,
            ack_timeout_ns: u64::try_from(config.ack_timeout_ns)
                .map_err(|_| negative("ack_timeout_ns", config.ack_timeout_ns))?,
        },
    }))
}
