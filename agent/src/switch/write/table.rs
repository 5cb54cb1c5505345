//! Table entries with a key.

use pointsman_p4::dataplane::{
    ColorCounts, CounterData, DataPlaneError, EntryAction, EntryKey, EntryRef, GroupMember,
    MeterConfig, TableEntry as PlaneEntry,
};
use pointsman_p4::ir::{ActionProfileId, TableId};

use super::super::error::UpdateError;
use super::super::store::{OneShotGroup, StoredEntry};
use super::{Undo, Writer};
use crate::entity::{Entity, ExtraFields, OneShot, TableAction, TableEntry, Update};
use crate::schema::TableSchema;

/// What packets had counted before a change that takes it away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub counter: Option<CounterData>,
    pub meter: Option<ColorCounts>,
}

/// What is written of an entry's direct resources.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    pub meter: Option<MeterConfig>,
    pub counter: Option<CounterData>,
    pub meter_counts: Option<ColorCounts>,
}

impl Direct {
    fn of(extra: &ExtraFields) -> Direct {
        Direct {
            meter: extra.meter,
            counter: extra.counter,
            meter_counts: extra.meter_counts,
        }
    }
}

impl Writer<'_> {
    pub(super) fn insert_entry(
        &mut self,
        entry: &TableEntry,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let key = &entry.key;
        let Some(vacancy) = self.store.table(key.table).entries.vacancy(key) else {
            return Err(UpdateError::AlreadyExists {
                what: self.schema.describe_key(key),
            });
        };
        let action = entry.action.as_ref().ok_or_else(|| UpdateError::NotFound {
            what: format!("the action of {}", self.schema.describe_key(key)),
        })?;
        let (plane_action, one_shot) = self.realise(key.table, action)?;
        let plane_entry = PlaneEntry {
            key: key.clone(),
            action: plane_action,
        };
        let mut result = self.plane.insert(&plane_entry);
        if result.is_ok() {
            result = self.direct_resources(key.into(), &Direct::of(&entry.extra));
            if result.is_err() {
                // Nobody has seen it succeed, so it can go.
                let _ = self.plane.delete(key);
            }
        }
        if let Err(error) = result {
            self.dissolve(key.table, one_shot);
            return Err(self.refused(&Entity::TableEntry(entry.clone()))(error));
        }
        self.refer(key.table, action, 1);
        let stored = StoredEntry {
            action: as_stored(plane_entry.action, action),
            one_shot: one_shot.map(Box::new),
            extra: entry.extra.without_counts(),
            declared: false,
            is_const: false,
        };
        let entries = &mut self.store.table_mut(key.table).entries;
        entries.fill(vacancy, plane_entry.key, stored);
        undo.push(|| Update::delete(Entity::TableEntry(TableEntry::of_key(key.clone()))));
        Ok(())
    }

    pub(super) fn modify_entry(
        &mut self,
        entry: &TableEntry,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let key = &entry.key;
        // What it is so far; it becomes what it will be.
        let Some(mut stored) = self.store.entry(key).cloned() else {
            return Err(UpdateError::NotFound {
                what: self.schema.describe_key(key),
            });
        };
        if stored.is_const && entry.action.is_some() {
            return Err(UpdateError::Const {
                what: self.schema.describe_key(key),
            });
        }
        let named = EntryRef::Keyed(key);
        let extra = &entry.extra;
        let counts = self.counts(named, extra.counter.is_some(), extra.meter_counts.is_some());
        let changed = entry.action.as_ref().filter(|a| **a != stored.action);
        if let Some(action) = changed {
            let (plane_action, one_shot) = self.realise(key.table, action)?;
            let plane_entry = PlaneEntry {
                key: key.clone(),
                action: plane_action,
            };
            if let Err(error) = self.plane.modify(&plane_entry) {
                self.dissolve(key.table, one_shot);
                return Err(self.refused(&Entity::TableEntry(entry.clone()))(error));
            }
            stored.action = as_stored(plane_entry.action, action);
            stored.one_shot = one_shot.map(Box::new);
        }
        let sets_counts = extra.counter.is_some() || extra.meter_counts.is_some();
        if (extra.meter != stored.extra.meter || sets_counts)
            && let Err(error) = self.direct_resources(named, &Direct::of(extra))
        {
            self.put_back(key, stored, changed.is_some());
            return Err(self.refused(&Entity::TableEntry(entry.clone()))(error));
        }
        stored.extra = entry.extra.without_counts();
        let entries = &mut self.store.table_mut(key.table).entries;
        let place = entries.get_mut(key).expect("the entry was found above");
        let old = std::mem::replace(place, stored);
        if let Some(action) = changed {
            self.refer(key.table, action, 1);
            self.refer(key.table, &old.action, -1);
            self.dissolve(key.table, old.one_shot.as_deref().cloned());
        }
        undo.push(|| Update::modify(Entity::TableEntry(entity(key.clone(), old, counts))));
        Ok(())
    }

    pub(super) fn delete_entry(
        &mut self,
        key: &EntryKey,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let Some(old) = self.store.entry(key) else {
            return Err(UpdateError::NotFound {
                what: self.schema.describe_key(key),
            });
        };
        if old.is_const {
            return Err(UpdateError::Const {
                what: self.schema.describe_key(key),
            });
        }
        let described = self.schema.table_of(key.table);
        let has = |of: fn(&TableSchema) -> Option<u32>| described.and_then(of).is_some();
        let counts = self.counts(
            EntryRef::Keyed(key),
            has(|table| table.direct_counter),
            has(|table| table.direct_meter),
        );
        self.plane
            .delete(key)
            .map_err(|error| UpdateError::DataPlane {
                what: self.schema.describe_key(key),
                error,
            })?;
        let table = self.store.table_mut(key.table);
        let old = table
            .entries
            .remove(key)
            .expect("the entry was found above");
        if old.declared {
            table.removed.insert(key.clone());
        }
        self.refer(key.table, &old.action, -1);
        self.dissolve(key.table, old.one_shot.as_deref().cloned());
        undo.push(|| Update::insert(Entity::TableEntry(entity(key.clone(), old, counts))));
        Ok(())
    }

    /// Makes an entry in the data plane what the store says, after a modification to `new` that failed halfway.
    fn put_back(&mut self, key: &EntryKey, new: StoredEntry, changed: bool) {
        let old = self.store.entry(key).cloned();
        let old = old.expect("an entry that is modified is there");
        let mut result = self.configure_meter(key.into(), old.extra.meter);
        if changed {
            let plane_entry = PlaneEntry {
                key: key.clone(),
                action: realised(&old.action, old.one_shot.as_deref()),
            };
            result = result.and(self.plane.modify(&plane_entry));
            self.dissolve(key.table, new.one_shot.map(|made| *made));
        }
        if let Err(error) = result {
            tracing::error!(%error, "a modification could not be taken back");
        }
    }

    /// What an entry has counted, as far as it is wanted.
    pub(super) fn counts(&self, entry: EntryRef<'_>, counter: bool, meter: bool) -> Counts {
        let counter = counter.then(|| self.plane.direct_counter(entry).ok());
        let meter = meter.then(|| self.plane.direct_meter_counts(entry).ok());
        Counts {
            counter: counter.flatten(),
            meter: meter.flatten(),
        }
    }

    /// Configures the direct meter of an entry, if its table has one.
    pub(super) fn configure_meter(
        &self,
        entry: EntryRef<'_>,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError> {
        let table = self.schema.table_of(entry.table());
        match table.is_some_and(|table| table.direct_meter.is_some()) {
            true => self.plane.set_direct_meter(entry, config),
            false => Ok(()),
        }
    }

    /// Sets the meter of an entry that is in the data plane, and its counts if some are given.
    pub(super) fn direct_resources(
        &self,
        entry: EntryRef<'_>,
        direct: &Direct,
    ) -> Result<(), DataPlaneError> {
        self.configure_meter(entry, direct.meter)?;
        if let Some(counts) = direct.meter_counts {
            self.plane.set_direct_meter_counts(entry, counts)?;
        }
        match direct.counter {
            Some(data) => self.plane.set_direct_counter(entry, data),
            None => Ok(()),
        }
    }

    /// What the data plane is told to do for an action; a one-shot action becomes a group.
    pub(super) fn realise(
        &mut self,
        table: TableId,
        action: &TableAction,
    ) -> Result<(EntryAction, Option<OneShotGroup>), UpdateError> {
        match action {
            TableAction::Call(call) => Ok((EntryAction::Call(call.clone()), None)),
            TableAction::Member(id) => {
                let profile = self.profile_of(table);
                match self.store.profile(profile).members.contains_key(id) {
                    true => Ok((EntryAction::Member(*id), None)),
                    false => Err(self.no_such("member", *id, profile)),
                }
            }
            TableAction::Group(id) => {
                let profile = self.profile_of(table);
                match self.store.profile(profile).groups.contains_key(id) {
                    true => Ok((EntryAction::Group(*id), None)),
                    false => Err(self.no_such("group", *id, profile)),
                }
            }
            TableAction::OneShot(set) => {
                let group = self.make_one_shot(self.profile_of(table), set)?;
                Ok((EntryAction::Group(group.group), Some(group)))
            }
        }
    }

    /// The profile of a table whose entries refer to one.
    fn profile_of(&self, table: TableId) -> ActionProfileId {
        let table = self.schema.table_of(table);
        table
            .and_then(|t| t.profile)
            .expect("only tables with a profile have members, groups or action sets")
    }

    fn no_such(&self, kind: &str, id: u32, profile: ActionProfileId) -> UpdateError {
        UpdateError::NotFound {
            what: format!("{kind} {id} of {}", self.schema.profile_name(profile)),
        }
    }

    fn make_one_shot(
        &mut self,
        profile: ActionProfileId,
        set: &OneShot,
    ) -> Result<OneShotGroup, UpdateError> {
        if self.store.profile(profile).has_explicit_members() {
            return Err(UpdateError::MixedSelector {
                profile: self.schema.profile_name(profile).to_owned(),
                used: "members and groups",
            });
        }
        let ids = &mut self.store.profile_mut(profile).one_shots;
        let made = OneShotGroup {
            group: ids.take(),
            members: set.actions.iter().map(|_| ids.take()).collect(),
        };
        ids.users += 1;
        let result = self.fill_one_shot(profile, &made, set);
        if let Err(error) = result {
            self.remove_one_shot(profile, &made);
            return Err(UpdateError::DataPlane {
                what: format!("an action set of {}", self.schema.profile_name(profile)),
                error,
            });
        }
        Ok(made)
    }

    fn fill_one_shot(
        &mut self,
        profile: ActionProfileId,
        group: &OneShotGroup,
        set: &OneShot,
    ) -> Result<(), DataPlaneError> {
        let mut members = Vec::with_capacity(set.actions.len());
        for (id, action) in group.members.iter().zip(&set.actions) {
            self.plane.put_member(profile, *id, &action.call)?;
            members.push(GroupMember {
                member: *id,
                weight: action.weight,
                watch_port: action.watch_port,
            });
        }
        self.plane
            .put_group(profile, group.group, set.selection, &members)
    }

    /// Removes the group of a one-shot action that no entry refers to any more.
    pub(super) fn dissolve(&mut self, table: TableId, one_shot: Option<OneShotGroup>) {
        if let Some(group) = one_shot {
            let profile = self.profile_of(table);
            self.remove_one_shot(profile, &group);
        }
    }

    fn remove_one_shot(&mut self, profile: ActionProfileId, group: &OneShotGroup) {
        // What a failed attempt has not made is not there to be removed.
        let _ = self.plane.delete_group(profile, group.group);
        for member in &group.members {
            let _ = self.plane.delete_member(profile, *member);
        }
        let ids = &mut self.store.profile_mut(profile).one_shots;
        ids.users -= 1;
        ids.give_back(group.group);
        for member in &group.members {
            ids.give_back(*member);
        }
    }

    /// Counts a reference from an entry to a member or group up or down.
    pub(super) fn refer(&mut self, table: TableId, action: &TableAction, by: i32) {
        if matches!(action, TableAction::Call(_) | TableAction::OneShot(_)) {
            return;
        }
        let profile = self.store.profile_mut(self.profile_of(table));
        let users = match action {
            TableAction::Call(_) | TableAction::OneShot(_) => None,
            TableAction::Member(id) => profile.members.get_mut(id).map(|m| &mut m.users),
            TableAction::Group(id) => profile.groups.get_mut(id).map(|g| &mut g.users),
        };
        if let Some(users) = users {
            *users = users.saturating_add_signed(by);
        }
    }
}

/// What the data plane was told to do for an action, if a one-shot action became this group.
pub(super) fn realised(action: &TableAction, one_shot: Option<&OneShotGroup>) -> EntryAction {
    match action {
        TableAction::Call(call) => EntryAction::Call(call.clone()),
        TableAction::Member(id) => EntryAction::Member(*id),
        TableAction::Group(id) => EntryAction::Group(*id),
        TableAction::OneShot(_) => EntryAction::Group(one_shot.map_or(0, |made| made.group)),
    }
}

/// An action as it was written, given what it became.
fn as_stored(realised: EntryAction, written: &TableAction) -> TableAction {
    match (realised, written) {
        (EntryAction::Call(call), TableAction::Call(_)) => TableAction::Call(call),
        (_, written) => written.clone(),
    }
}

/// A stored entry as it would be written, with its counter.
fn entity(key: EntryKey, stored: StoredEntry, counts: Counts) -> TableEntry {
    let mut whole = stored.to_entity(&key);
    if counts.counter.is_some() || counts.meter.is_some() {
        let extra = whole.extra.make();
        extra.counter = counts.counter;
        extra.meter_counts = counts.meter;
    }
    // What the program says of a const entry is never written.
    whole.action = whole.action.filter(|_| !stored.is_const);
    whole
}
