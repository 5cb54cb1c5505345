//! The contract of a data plane, on the interpreter's state.

use std::time::Duration;

use num_bigint::BigUint;

use crate::dataplane::{
    Bits, Call, CloneSession, ColorCounts, CounterData, DataPlaneError, EntryAction, EntryKey,
    EntryRef, GroupMember, MeterConfig, Occupancy, Replica, Selection, TableEntry,
};
use crate::ir::{
    ActionProfileId, CounterId, Implementation, MeterId, RegisterId, TableId, ValueSetId,
};

use super::Machine;
use super::bits::ones;
use super::meter::Meter;
use super::profile::{GroupState, ProfileState};
use super::table::Direct;

type Done = Result<(), DataPlaneError>;

impl Machine {
    /// Members and groups that an entry refers to exist.
    fn check_action(&self, table: TableId, action: &EntryAction) -> Done {
        let id = match self.program.tables[table.index()].implementation {
            Implementation::Direct => None,
            Implementation::Profile(id) => Some(id),
        };
        match (action, id) {
            (EntryAction::Call(_), _) => Ok(()),
            (EntryAction::Member(member), Some(id)) => self.check_member(id, *member),
            (EntryAction::Group(group), Some(id)) => self.check_group(id, *group),
            (_, None) => Err(DataPlaneError::Unsupported {
                what: format!("a member or group in {}", self.table_name(table)),
                why: "the table holds actions itself".to_owned(),
            }),
        }
    }

    fn check_member(&self, profile: ActionProfileId, member: u32) -> Done {
        if self.profile(profile).members.contains_key(&member) {
            return Ok(());
        }
        Err(DataPlaneError::NoSuchMember {
            profile: self.profile_name(profile),
            member,
        })
    }

    fn check_group(&self, profile: ActionProfileId, group: u32) -> Done {
        if self.profile(profile).groups.contains_key(&group) {
            return Ok(());
        }
        Err(DataPlaneError::NoSuchGroup {
            profile: self.profile_name(profile),
            group,
        })
    }

    fn profile(&self, profile: ActionProfileId) -> &ProfileState {
        &self.state.profiles[profile.index()]
    }

    fn profile_name(&self, profile: ActionProfileId) -> String {
        self.program.action_profiles[profile.index()].name.clone()
    }

    fn table_name(&self, table: TableId) -> String {
        self.program.tables[table.index()].name.clone()
    }

    /// Whether an entry or default of any table that uses the profile is this action.
    fn is_used(&self, profile: ActionProfileId, action: &EntryAction) -> bool {
        let tables = self.program.tables.iter().zip(&self.state.tables);
        (0..)
            .map(TableId)
            .zip(tables)
            .filter(|(_, (table, _))| table.implementation == Implementation::Profile(profile))
            .any(|(id, (_, own))| {
                let in_entries = match self.state.shared_table(id) {
                    Some(tables) => tables.has_action(id, action),
                    None => own.entries().any(|e| e.action == *action),
                };
                own.default.as_ref() == Some(action) || in_entries
            })
    }
}

fn check_range(what: &str, index: u32, size: u32) -> Done {
    if index < size {
        return Ok(());
    }
    Err(DataPlaneError::OutOfRange {
        what: what.to_owned(),
        index,
        size,
    })
}

/// The methods of [`DataPlane`](crate::dataplane::DataPlane), with the lock held.
impl Machine {
    pub(super) fn insert(&mut self, entry: &TableEntry) -> Done {
        let table = entry.key.table;
        self.check_action(table, &entry.action)?;
        let name = self.table_name(table);
        let now = self.state.now;
        let state = &mut self.state.tables[table.index()];
        if state.contains(&entry.key) {
            return Err(DataPlaneError::AlreadyExists);
        }
        if state.len() >= state.capacity() {
            return Err(DataPlaneError::Full {
                what: name,
                capacity: state.capacity(),
            });
        }
        state.insert(entry, now);
        Ok(())
    }

    pub(super) fn modify(&mut self, entry: &TableEntry) -> Done {
        let table = entry.key.table;
        self.check_action(table, &entry.action)?;
        match self.state.tables[table.index()].get_mut(&entry.key) {
            Some(found) => {
                found.action = entry.action.clone();
                Ok(())
            }
            None => Err(DataPlaneError::NotFound),
        }
    }

    pub(super) fn delete(&mut self, key: &EntryKey) -> Done {
        match self.state.tables[key.table.index()].remove(key) {
            true => Ok(()),
            false => Err(DataPlaneError::NotFound),
        }
    }

    pub(super) fn set_default(&mut self, table: TableId, action: Option<&EntryAction>) -> Done {
        if let Some(action) = action {
            self.check_action(table, action)?;
        }
        self.state.tables[table.index()].default = action.cloned();
        Ok(())
    }

    pub(super) fn put_member(
        &mut self,
        profile: ActionProfileId,
        member: u32,
        call: &Call,
    ) -> Done {
        let capacity = self.program.action_profiles[profile.index()].size;
        let members = &self.profile(profile).members;
        if !members.contains_key(&member) && members.len() as u64 >= u64::from(capacity) {
            return Err(DataPlaneError::Full {
                what: self.profile_name(profile),
                capacity: u64::from(capacity),
            });
        }
        let members = &mut self.state.profiles[profile.index()].members;
        members.insert(member, call.clone());
        Ok(())
    }

    pub(super) fn delete_member(&mut self, profile: ActionProfileId, member: u32) -> Done {
        self.check_member(profile, member)?;
        let groups = self.profile(profile).groups.values();
        let mut members = groups.flat_map(|group| &group.members);
        if members.any(|m| m.member == member)
            || self.is_used(profile, &EntryAction::Member(member))
        {
            return Err(DataPlaneError::InUse {
                what: format!("member {member} of {}", self.profile_name(profile)),
            });
        }
        self.state.profiles[profile.index()].members.remove(&member);
        Ok(())
    }

    pub(super) fn put_group(
        &mut self,
        profile: ActionProfileId,
        group: u32,
        selection: Selection,
        members: &[GroupMember],
    ) -> Done {
        for member in members {
            self.check_member(profile, member.member)?;
        }
        let groups = &mut self.state.profiles[profile.index()].groups;
        let members = members.to_vec();
        groups.insert(group, GroupState { selection, members });
        Ok(())
    }

    pub(super) fn delete_group(&mut self, profile: ActionProfileId, group: u32) -> Done {
        self.check_group(profile, group)?;
        if self.is_used(profile, &EntryAction::Group(group)) {
            return Err(DataPlaneError::InUse {
                what: format!("group {group} of {}", self.profile_name(profile)),
            });
        }
        self.state.profiles[profile.index()].groups.remove(&group);
        Ok(())
    }

    pub(super) fn set_multicast_group(&mut self, group: u32, replicas: &[Replica]) -> Done {
        if replicas.is_empty() {
            self.state.multicast_groups.remove(&group);
        } else {
            let groups = &mut self.state.multicast_groups;
            groups.insert(group, replicas.to_vec());
        }
        Ok(())
    }

    pub(super) fn set_clone_session(&mut self, session: u32, clone: Option<&CloneSession>) -> Done {
        match clone {
            Some(clone) => self.state.clone_sessions.insert(session, clone.clone()),
            None => self.state.clone_sessions.remove(&session),
        };
        Ok(())
    }

    pub(super) fn counter(
        &self,
        counter: CounterId,
        index: u32,
    ) -> Result<CounterData, DataPlaneError> {
        let declared = &self.program.counters[counter.index()];
        check_range(&declared.name, index, declared.size)?;
        let cell = self.state.counters.get(&(counter, index));
        Ok(cell.copied().unwrap_or_default())
    }

    pub(super) fn set_counter(
        &mut self,
        counter: CounterId,
        index: u32,
        data: CounterData,
    ) -> Done {
        let declared = &self.program.counters[counter.index()];
        check_range(&declared.name, index, declared.size)?;
        self.state.counters.insert((counter, index), data);
        Ok(())
    }

    fn direct(&self, entry: EntryRef<'_>) -> Result<&Direct, DataPlaneError> {
        let direct = self.state.tables[entry.table().index()].direct(entry);
        direct.ok_or(DataPlaneError::NotFound)
    }

    fn direct_mut(&mut self, entry: EntryRef<'_>) -> Result<&mut Direct, DataPlaneError> {
        let direct = self.state.tables[entry.table().index()].direct_mut(entry);
        direct.ok_or(DataPlaneError::NotFound)
    }

    pub(super) fn direct_counter(
        &self,
        entry: EntryRef<'_>,
    ) -> Result<CounterData, DataPlaneError> {
        Ok(self.direct(entry)?.counter)
    }

    pub(super) fn set_direct_counter(&mut self, entry: EntryRef<'_>, data: CounterData) -> Done {
        self.direct_mut(entry)?.counter = data;
        Ok(())
    }

    pub(super) fn set_meter(
        &mut self,
        meter: MeterId,
        index: u32,
        config: Option<MeterConfig>,
    ) -> Done {
        let declared = &self.program.meters[meter.index()];
        check_range(&declared.name, index, declared.size)?;
        match config {
            Some(config) => {
                let cell = Meter::new(config, self.state.now);
                self.state.meters.insert((meter, index), cell)
            }
            None => self.state.meters.remove(&(meter, index)),
        };
        Ok(())
    }

    pub(super) fn set_direct_meter(
        &mut self,
        entry: EntryRef<'_>,
        config: Option<MeterConfig>,
    ) -> Done {
        let now = self.state.now;
        self.direct_mut(entry)?.meter = config.map(|config| Meter::new(config, now));
        Ok(())
    }

    pub(super) fn meter_counts(
        &self,
        meter: MeterId,
        index: u32,
    ) -> Result<ColorCounts, DataPlaneError> {
        let declared = &self.program.meters[meter.index()];
        check_range(&declared.name, index, declared.size)?;
        let cell = self.state.meter_counts.get(&(meter, index));
        Ok(cell.copied().unwrap_or_default())
    }

    pub(super) fn set_meter_counts(
        &mut self,
        meter: MeterId,
        index: u32,
        counts: ColorCounts,
    ) -> Done {
        let declared = &self.program.meters[meter.index()];
        check_range(&declared.name, index, declared.size)?;
        self.state.meter_counts.insert((meter, index), counts);
        Ok(())
    }

    pub(super) fn direct_meter_counts(
        &self,
        entry: EntryRef<'_>,
    ) -> Result<ColorCounts, DataPlaneError> {
        let counts = self.direct(entry)?.colors.as_deref();
        Ok(counts.copied().unwrap_or_default())
    }

    pub(super) fn set_direct_meter_counts(
        &mut self,
        entry: EntryRef<'_>,
        counts: ColorCounts,
    ) -> Done {
        self.direct_mut(entry)?.colors = Some(Box::new(counts));
        Ok(())
    }

    pub(super) fn last_hit(&self, key: &EntryKey) -> Result<Duration, DataPlaneError> {
        let entry = self.state.tables[key.table.index()].get(key);
        entry.map(|e| e.last_hit).ok_or(DataPlaneError::NotFound)
    }

    pub(super) fn register(
        &self,
        register: RegisterId,
        index: u32,
    ) -> Result<Bits, DataPlaneError> {
        let declared = &self.program.registers[register.index()];
        check_range(&declared.name, index, declared.size)?;
        Ok(Bits::from(&self.state.register(register, index)))
    }

    pub(super) fn set_register(&mut self, register: RegisterId, index: u32, value: &Bits) -> Done {
        let declared = &self.program.registers[register.index()];
        check_range(&declared.name, index, declared.size)?;
        let value = BigUint::from(value) & ones(declared.width);
        self.state.set_register(register, index, value);
        Ok(())
    }

    pub(super) fn set_value_set(&mut self, set: ValueSetId, members: &[Bits]) -> Done {
        let declared = &self.program.value_sets[set.index()];
        if members.len() as u64 > u64::from(declared.size) {
            return Err(DataPlaneError::Full {
                what: declared.name.clone(),
                capacity: u64::from(declared.size),
            });
        }
        self.state.value_sets[set.index()] = members.iter().map(BigUint::from).collect();
        Ok(())
    }

    pub(super) fn set_port_up(&mut self, port: u32, up: bool) {
        if up {
            self.state.ports_down.remove(&port);
        } else {
            self.state.ports_down.insert(port);
        }
    }

    pub(super) fn occupancy(&self, table: TableId) -> Occupancy {
        let state = &self.state.tables[table.index()];
        Occupancy {
            entries: state.len(),
            capacity: state.capacity(),
            structure: state.structure(),
        }
    }
}
