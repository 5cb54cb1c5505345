//! Drift in the state file.
//!
//! What clients write to entries of objectives is not kept with what else they write: where it would go depends on what
//! objectives have there. So it is kept as what has become of each such entry, and made again after them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::pointsman::agent::v1::StateDrift;
use pointsman_proto::pointsman::objective::v1 as pb;

use super::State;
use crate::arbitration::ElectionId;
use crate::entity::{Entity, Update};
use crate::objectives::KeptDrift;
use crate::p4runtime::decode::{self, DecodeError};
use crate::p4runtime::encode;
use crate::pipeliner::{Drift, Drifted, EntityKey, Writer};
use crate::schema::Schema;

impl State {
    /// What has drifted, or is right again, since the last call.
    pub(super) fn turned_drifts(&mut self) -> Vec<StateDrift> {
        let turned = self.objectives.take_turned();
        let Some(pipeline) = self.switch.pipeline() else {
            return Vec::new();
        };
        let saved = turned.iter().map(|key| {
            let drift = self.objectives.drifted(key).map(|drifted| drifted.drift);
            // What is beneath is found again.
            saved(
                &pipeline.schema,
                key,
                drift.filter(|drift| !drift.is_beneath),
            )
        });
        saved.collect()
    }

    /// All that has drifted.
    pub(super) fn saved_drifts(&self) -> Vec<StateDrift> {
        let Some(pipeline) = self.switch.pipeline() else {
            return Vec::new();
        };
        let saved = |Drifted { key, drift, .. }| saved(&pipeline.schema, key, Some(drift));
        let drifts = self.objectives.drifts();
        let kept = drifts.filter(|drifted| !drifted.drift.is_beneath);
        kept.map(saved).collect()
    }
}

fn saved(schema: &Schema, key: &EntityKey, drift: Option<&Drift>) -> StateDrift {
    let entry = Update::delete(key.to_entity());
    let found = drift.and_then(|drift| drift.found.as_ref());
    StateDrift {
        entry: Some(encode::update(schema, &entry)),
        over: drift.is_none(),
        found: found.map(|found| encode::entity(schema, found)),
        by: drift.map(|drift| writer_message(&drift.by)),
        time: drift.map_or(0, |drift| milliseconds(drift.time)),
    }
}

/// Reads a drift that was kept; `None` if it is of nothing that objectives could need.
pub(super) fn from_saved(
    schema: &Schema,
    saved: &StateDrift,
) -> Result<Option<KeptDrift>, DecodeError> {
    let entry = saved.entry.clone().unwrap_or_default();
    let key = EntityKey::find(&decode::update(schema, &entry)?.entity);
    let found = saved.found.as_ref().map(|found| read(schema, found));
    let by = saved.by.clone().unwrap_or_default();
    let time = Duration::from_millis(u64::try_from(saved.time).unwrap_or(0));
    let found = found.transpose()?;
    let drift = Drift {
        found,
        by: writer(by),
        time: UNIX_EPOCH + time,
        is_beneath: false,
    };
    Ok(key.map(|key| KeptDrift { key, drift }))
}

fn read(schema: &Schema, entity: &p4::Entity) -> Result<Entity, DecodeError> {
    let update = p4::Update {
        r#type: p4::update::Type::Insert.into(),
        entity: Some(entity.clone()),
    };
    let update = decode::update(schema, &update)?;
    Ok(update.entity)
}

/// Since 1970.
pub fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// As messages carry it.
pub fn writer_message(writer: &Writer) -> pb::Writer {
    let (high, low) = writer
        .election_id
        .map_or((0, 0), |id| ElectionId(id).halves());
    pb::Writer {
        role: writer.role.clone(),
        election_id_high: high,
        election_id_low: low,
        identity: writer.identity.clone().unwrap_or_default(),
        address: writer.address.clone(),
    }
}

fn writer(saved: pb::Writer) -> Writer {
    let ElectionId(id) = ElectionId::new(saved.election_id_high, saved.election_id_low);
    Writer {
        role: saved.role,
        election_id: (id != 0).then_some(id),
        identity: Some(saved.identity).filter(|identity| !identity.is_empty()),
        address: saved.address,
    }
}
