//! Table entries and default actions.

use pointsman_p4::dataplane::{
    ColorCounts, CounterData, DataPlaneError, EntryAction, EntryKey, GroupMember,
    TableEntry as PlaneEntry,
};
use pointsman_p4::ir::{ActionProfileId, TableId};

use super::super::error::UpdateError;
use super::super::store::{OneShotGroup, StoredEntry};
use super::{Undo, Writer};
use crate::entity::{DefaultAction, Entity, OneShotAction, TableAction, TableEntry, Update};
use crate::schema::TableSchema;

/// What packets had counted before a change that takes it away.
#[derive(Debug, Clone, Copy)]
struct Counts {
    counter: Option<CounterData>,
    meter: Option<ColorCounts>,
}

impl Writer<'_> {
    pub(super) fn insert_entry(
        &mut self,
        entry: &TableEntry,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let key = &entry.key;
        if self.store.entry(key).is_some() {
            return Err(UpdateError::AlreadyExists {
                what: self.schema.describe_key(key),
            });
        }
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
            result = self.direct_resources(entry);
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
            action: match (plane_entry.action, action) {
                (EntryAction::Call(call), TableAction::Call(_)) => TableAction::Call(call),
                (_, action) => action.clone(),
            },
            one_shot,
            meter: entry.meter,
            idle_timeout_ns: entry.idle_timeout_ns,
            metadata: entry.metadata.clone(),
            controller_metadata: entry.controller_metadata,
            declared: false,
            is_const: false,
        };
        let entries = &mut self.store.table_mut(key.table).entries;
        entries.insert(plane_entry.key, stored);
        undo.push(|| Update::delete(Entity::TableEntry(TableEntry::of_key(key.clone()))));
        Ok(())
    }

    pub(super) fn modify_entry(
        &mut self,
        entry: &TableEntry,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let key = &entry.key;
        let Some(old) = self.store.entry(key).cloned() else {
            return Err(UpdateError::NotFound {
                what: self.schema.describe_key(key),
            });
        };
        if old.is_const && entry.action.is_some() {
            return Err(UpdateError::Const {
                what: self.schema.describe_key(key),
            });
        }
        let counts = Counts {
            counter: entry
                .counter
                .and_then(|_| self.plane.direct_counter(key).ok()),
            meter: entry
                .meter_counts
                .and_then(|_| self.plane.direct_meter_counts(key).ok()),
        };
        let mut new = StoredEntry {
            meter: entry.meter,
            idle_timeout_ns: entry.idle_timeout_ns,
            metadata: entry.metadata.clone(),
            controller_metadata: entry.controller_metadata,
            ..old.clone()
        };
        let changed = entry.action.as_ref().filter(|a| **a != old.action);
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
            new.action = action.clone();
            new.one_shot = one_shot;
        }
        let sets_counts = entry.counter.is_some() || entry.meter_counts.is_some();
        if (entry.meter != old.meter || sets_counts)
            && let Err(error) = self.direct_resources(entry)
        {
            self.put_back(key, &old, &new, changed.is_some());
            return Err(self.refused(&Entity::TableEntry(entry.clone()))(error));
        }
        if let Some(action) = changed {
            self.refer(key.table, action, 1);
            self.refer(key.table, &old.action, -1);
            self.dissolve(key.table, old.one_shot.clone());
        }
        let entries = &mut self.store.table_mut(key.table).entries;
        entries.insert(key.clone(), new);
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
        let resource = |of: fn(&TableSchema) -> Option<u32>| described.and_then(of);
        let counts = Counts {
            counter: resource(|table| table.direct_counter)
                .and_then(|_| self.plane.direct_counter(key).ok()),
            meter: resource(|table| table.direct_meter)
                .and_then(|_| self.plane.direct_meter_counts(key).ok()),
        };
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
        self.dissolve(key.table, old.one_shot.clone());
        undo.push(|| Update::insert(Entity::TableEntry(entity(key.clone(), old, counts))));
        Ok(())
    }

    pub(super) fn set_default(
        &mut self,
        default: &DefaultAction,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let table = default.table;
        let (plane_action, one_shot) = match &default.action {
            Some(action) => {
                let (action, one_shot) = self.realise(table, action)?;
                (Some(action), one_shot)
            }
            None => (None, None),
        };
        if let Err(error) = self.plane.set_default(table, plane_action.as_ref()) {
            self.dissolve(table, one_shot);
            return Err(self.refused(&Entity::DefaultAction(default.clone()))(error));
        }
        let stored = self.store.table_mut(table);
        let old_one_shot = std::mem::replace(&mut stored.default_one_shot, one_shot);
        self.dissolve(table, old_one_shot);
        let old = match &default.action {
            Some(action) => {
                self.refer(table, action, 1);
                self.store.table_mut(table).default.replace(default.clone())
            }
            None => self.store.table_mut(table).default.take(),
        };
        let old = old.unwrap_or(DefaultAction {
            table,
            action: None,
            metadata: Vec::new(),
            controller_metadata: 0,
        });
        if let Some(action) = &old.action {
            self.refer(table, action, -1);
        }
        undo.push(|| Update::modify(Entity::DefaultAction(old)));
        Ok(())
    }

    /// Makes an entry in the data plane what it was, after a modification that failed halfway.
    fn put_back(&mut self, key: &EntryKey, old: &StoredEntry, new: &StoredEntry, changed: bool) {
        let metered = self.schema.table_of(key.table);
        let mut result = match metered.is_some_and(|t| t.direct_meter.is_some()) {
            true => self.plane.set_direct_meter(key, old.meter),
            false => Ok(()),
        };
        if changed {
            let action = match (&old.action, &old.one_shot) {
                (TableAction::Call(call), _) => EntryAction::Call(call.clone()),
                (TableAction::Member(id), _) => EntryAction::Member(*id),
                (TableAction::Group(id), _) => EntryAction::Group(*id),
                (TableAction::OneShot(_), made) => {
                    EntryAction::Group(made.as_ref().map_or(0, |made| made.group))
                }
            };
            let plane_entry = PlaneEntry {
                key: key.clone(),
                action,
            };
            result = result.and(self.plane.modify(&plane_entry));
            self.dissolve(key.table, new.one_shot.clone());
        }
        if let Err(error) = result {
            tracing::error!(%error, "a modification could not be taken back");
        }
    }

    /// Sets the meter of an entry that is in the data plane, and its counter if one is given.
    fn direct_resources(&mut self, entry: &TableEntry) -> Result<(), DataPlaneError> {
        let metered = self.schema.table_of(entry.key.table);
        if metered.is_some_and(|t| t.direct_meter.is_some()) {
            self.plane.set_direct_meter(&entry.key, entry.meter)?;
        }
        if let Some(counts) = entry.meter_counts {
            self.plane.set_direct_meter_counts(&entry.key, counts)?;
        }
        match entry.counter {
            Some(data) => self.plane.set_direct_counter(&entry.key, data),
            None => Ok(()),
        }
    }

    /// What the data plane is told to do for an action; a one-shot action becomes a group.
    fn realise(
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
                let group = self.make_one_shot(self.profile_of(table), &set.actions)?;
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
        actions: &[OneShotAction],
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
            members: actions.iter().map(|_| ids.take()).collect(),
        };
        ids.users += 1;
        let result = self.fill_one_shot(profile, &made, actions);
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
        actions: &[OneShotAction],
    ) -> Result<(), DataPlaneError> {
        let mut members = Vec::with_capacity(actions.len());
        for (id, action) in group.members.iter().zip(actions) {
            self.plane.put_member(profile, *id, &action.call)?;
            members.push(GroupMember {
                member: *id,
                weight: action.weight,
                watch_port: action.watch_port,
            });
        }
        self.plane.put_group(profile, group.group, &members)
    }

    /// Removes the group of a one-shot action that no entry refers to any more.
    fn dissolve(&mut self, table: TableId, one_shot: Option<OneShotGroup>) {
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
    fn refer(&mut self, table: TableId, action: &TableAction, by: i32) {
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

/// A stored entry as it would be written, with its counter.
fn entity(key: EntryKey, stored: StoredEntry, counts: Counts) -> TableEntry {
    let whole = stored.to_entity(&key);
    TableEntry {
        counter: counts.counter,
        meter_counts: counts.meter,
        // What the program says of a const entry is never written.
        action: whole.action.filter(|_| !stored.is_const),
        ..whole
    }
}
