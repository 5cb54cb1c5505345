//! Default entries: what tables do on a miss.

use pointsman_p4::dataplane::EntryRef;

use super::super::error::UpdateError;
use super::super::store::StoredDefault;
use super::table::{Direct, realised};
use super::{Undo, Writer};
use crate::entity::{DefaultAction, Entity, Update};

impl Writer<'_> {
    pub(super) fn set_default(
        &mut self,
        default: &DefaultAction,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let table = default.table;
        let named = EntryRef::Default(table);
        let counts = self.counts(
            named,
            default.counter.is_some(),
            default.meter_counts.is_some(),
        );
        let (plane_action, one_shot) = match &default.action {
            Some(action) => {
                let (action, one_shot) = self.realise(table, action)?;
                (Some(action), one_shot)
            }
            None => (None, None),
        };
        let mut result = self.plane.set_default(table, plane_action.as_ref());
        if result.is_ok() {
            let direct = Direct {
                meter: default.meter,
                counter: default.counter,
                meter_counts: default.meter_counts,
            };
            result = self.direct_resources(named, &direct);
            if result.is_err() {
                self.put_default_back(named);
            }
        }
        if let Err(error) = result {
            self.dissolve(table, one_shot);
            return Err(self
                .refused(&Entity::DefaultAction(Box::new(default.clone())))(
                error
            ));
        }
        let stored = StoredDefault {
            action: default.action.clone(),
            one_shot,
            meter: default.meter,
            metadata: default.metadata.clone(),
            controller_metadata: default.controller_metadata,
        };
        let mut old = std::mem::replace(&mut self.store.table_mut(table).default, stored);
        self.dissolve(table, old.one_shot.take());
        if let Some(action) = &default.action {
            self.refer(table, action, 1);
        }
        if let Some(action) = &old.action {
            self.refer(table, action, -1);
        }
        undo.push(|| {
            Update::modify(Entity::DefaultAction(Box::new(DefaultAction {
                counter: counts.counter,
                meter_counts: counts.meter,
                ..old.to_entity(table)
            })))
        });
        Ok(())
    }

    /// Makes the default entry in the data plane what it was, after a change that failed halfway.
    fn put_default_back(&self, named: EntryRef<'_>) {
        let table = named.table();
        let old = &self.store.table(table).default;
        let action = old.action.as_ref();
        let action = action.map(|action| realised(action, old.one_shot.as_ref()));
        let result = self.plane.set_default(table, action.as_ref());
        if let Err(error) = result.and(self.configure_meter(named, old.meter)) {
            tracing::error!(%error, "a default entry could not be taken back");
        }
    }
}
