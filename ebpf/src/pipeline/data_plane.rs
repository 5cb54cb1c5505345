//! The tables of a loaded pipeline, as a data plane: what its writers do for each operation.
//!
//! Multicast groups and clone sessions are not here: no program in the kernel makes copies.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use pointsman_p4::dataplane::{
    Bits, Call, CloneSession, ColorCounts, CounterData, DataPlane, DataPlaneError, EntryAction,
    EntryKey, EntryRef, GroupMember, MeterConfig, Occupancy, Replica, Selection, TableEntry,
};
use pointsman_p4::ir::{
    self, ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId,
};

use crate::tables::cells::{CounterPlan, MeterPlan};
use crate::tables::records::{GROUP, MEMBER, Record};
use crate::tables::selector::{Profile, ProfileError};
use crate::tables::table::{Content, TableWriter, kernel};
use crate::tables::value_set::ValueSetPlan;

use super::Pipeline;

/// The profile of a table, which stays as it is while this is held.
type HeldProfile<'a> = (ActionProfileId, RwLockReadGuard<'a, Profile>);

impl Pipeline {
    /// The profile that entries of a table refer to. To be held until the entry is written.
    fn profile_of(&self, table: TableId) -> Option<HeldProfile<'_>> {
        match self.program.tables[table.index()].implementation {
            ir::Implementation::Profile(id) => Some((id, self.tables.profile(id))),
            ir::Implementation::Direct => None,
        }
    }

    fn profile_mut(&self, profile: ActionProfileId) -> RwLockWriteGuard<'_, Profile> {
        self.tables.profile_mut(profile)
    }

    fn table(&self, table: TableId) -> MutexGuard<'_, TableWriter> {
        self.tables.table(table)
    }

    /// What a record says for an action, with its arguments and their widths.
    fn content<'a>(
        &'a self,
        table: TableId,
        profile: Option<&HeldProfile<'_>>,
        action: &'a EntryAction,
    ) -> Result<Content<'a>, DataPlaneError> {
        let missing = || DataPlaneError::Unsupported {
            what: format!(
                "a member or group in table {}",
                self.program.tables[table.index()].name
            ),
            why: "the table has no action profile; give it an action".to_owned(),
        };
        let what = match action {
            EntryAction::Call(call) => {
                return Ok(Content {
                    what: call.action.0,
                    args: Some(&call.args),
                    widths: &self.widths[call.action.index()],
                });
            }
            EntryAction::Member(member) => {
                let (id, profile) = profile.ok_or_else(missing)?;
                let index = profile.member(*member);
                MEMBER | index.ok_or_else(|| self.no_member(*id, *member))?
            }
            EntryAction::Group(group) => {
                let (id, profile) = profile.ok_or_else(missing)?;
                let index = profile.group(*group);
                GROUP | index.ok_or_else(|| self.no_group(*id, *group))?
            }
        };
        Ok(Content {
            what,
            args: None,
            widths: &[],
        })
    }

    fn no_member(&self, profile: ActionProfileId, member: u32) -> DataPlaneError {
        let profile = self.program.action_profiles[profile.index()].name.clone();
        DataPlaneError::NoSuchMember { profile, member }
    }

    fn no_group(&self, profile: ActionProfileId, group: u32) -> DataPlaneError {
        let profile = self.program.action_profiles[profile.index()].name.clone();
        DataPlaneError::NoSuchGroup { profile, group }
    }

    fn profile_error(&self, profile: ActionProfileId, error: ProfileError) -> DataPlaneError {
        let name = &self.program.action_profiles[profile.index()].name;
        match error {
            ProfileError::Full { what, capacity } => DataPlaneError::Full {
                what: format!("the {what} of action profile {name}"),
                capacity: u64::from(capacity),
            },
            ProfileError::NoSuchMember(member) => self.no_member(profile, member),
            ProfileError::GroupTooBig(found) => DataPlaneError::Full {
                what: format!("a group of action profile {name} ({found} members by weight)"),
                capacity: u64::from(crate::tables::selector::MAX_GROUP_MEMBERS),
            },
            ProfileError::Grace(error) => kernel(error),
        }
    }

    fn counter_cell(&self, counter: CounterId, index: u32) -> Result<CounterPlan, DataPlaneError> {
        let shape = &self.program.counters[counter.index()];
        match self.plan.counters.get(&counter) {
            Some(plan) if index < shape.size => Ok(*plan),
            _ => Err(out_of_range(&shape.name, index, shape.size)),
        }
    }

    fn direct_cell(&self, entry: EntryRef<'_>) -> Result<(CounterPlan, u32), DataPlaneError> {
        let table = entry.table();
        let plan = self.plan.tables[table.index()].counter;
        let plan = plan.ok_or_else(|| self.lacks(table, "a direct counter"))?;
        Ok((plan, self.table(table).direct_cell(entry)?))
    }

    fn meter_cell(&self, meter: MeterId, index: u32) -> Result<MeterPlan, DataPlaneError> {
        let shape = &self.program.meters[meter.index()];
        match self.plan.meters.get(&meter) {
            Some(plan) if index < shape.size => Ok(*plan),
            _ => Err(out_of_range(&shape.name, index, shape.size)),
        }
    }

    fn direct_meter_cell(&self, entry: EntryRef<'_>) -> Result<(MeterPlan, u32), DataPlaneError> {
        let table = entry.table();
        let plan = self.plan.tables[table.index()].meter;
        let plan = plan.ok_or_else(|| self.lacks(table, "a direct meter"))?;
        Ok((plan, self.table(table).direct_cell(entry)?))
    }

    fn lacks(&self, table: TableId, what: &str) -> DataPlaneError {
        let name = &self.program.tables[table.index()].name;
        DataPlaneError::Unsupported {
            what: format!("{what} of table {name}"),
            why: "the program does not give it any".to_owned(),
        }
    }

    fn register_at(&self, register: RegisterId, index: u32) -> Result<usize, DataPlaneError> {
        let shape = &self.program.registers[register.index()];
        if index >= shape.size {
            return Err(out_of_range(&shape.name, index, shape.size));
        }
        Ok((self.plan.registers[&register].0 + 8 * index) as usize)
    }
}

impl DataPlane for Pipeline {
    fn foresee(&self, keys: &[&EntryKey]) {
        for keys in keys.chunk_by(|one, other| one.table == other.table) {
            self.table(keys[0].table).foresee(keys);
        }
    }

    fn insert(&self, entry: &TableEntry) -> Result<(), DataPlaneError> {
        let profile = self.profile_of(entry.key.table);
        let content = self.content(entry.key.table, profile.as_ref(), &entry.action)?;
        let mut table = self.table(entry.key.table);
        table.insert(&self.grace, &entry.key, content)?;
        let plan = &self.plan.tables[entry.key.table.index()];
        if let Some(meter) = plan.meter.filter(|_| !table.is_shared()) {
            let cell = table.cell(&entry.key)?;
            self.cells.set_direct_meter(&entry.key, Some((meter, cell)));
        }
        if let (Some(hits), Some(ticks)) = (plan.hits, self.ticks) {
            let cell = table.cell(&entry.key)?;
            // A packet may have been faster, and an entry may have been here before the agent.
            if hits.read(&self.memory.cells, cell) == 0 {
                hits.write(&self.memory.cells, cell, ticks.now());
            }
        }
        Ok(())
    }

    fn modify(&self, entry: &TableEntry) -> Result<(), DataPlaneError> {
        let profile = self.profile_of(entry.key.table);
        let content = self.content(entry.key.table, profile.as_ref(), &entry.action)?;
        self.table(entry.key.table)
            .modify(&self.grace, &entry.key, content)
    }

    fn delete(&self, key: &EntryKey) -> Result<(), DataPlaneError> {
        let mut table = self.table(key.table);
        table.delete(key)?;
        if self.plan.tables[key.table.index()].meter.is_some() && !table.is_shared() {
            self.cells.set_direct_meter(key, None);
        }
        Ok(())
    }

    fn set_default(
        &self,
        table: TableId,
        action: Option<&EntryAction>,
    ) -> Result<(), DataPlaneError> {
        let declared = self.program.tables[table.index()].default.as_ref();
        let declared = declared.map(|d| EntryAction::Call(call(&d.call)));
        let profile = self.profile_of(table);
        let content = match action.or(declared.as_ref()) {
            Some(action) => Some(self.content(table, profile.as_ref(), action)?),
            None => None,
        };
        self.table(table).set_default(&self.grace, content)
    }

    fn put_member(
        &self,
        profile: ActionProfileId,
        member: u32,
        call: &Call,
    ) -> Result<(), DataPlaneError> {
        let widths = &self.widths[call.action.index()];
        let record = Record::call(call, widths, 0, &[]);
        self.profile_mut(profile)
            .put_member(&self.grace, member, &record)
            .map_err(|e| self.profile_error(profile, e))
    }

    fn delete_member(&self, profile: ActionProfileId, member: u32) -> Result<(), DataPlaneError> {
        match self.profile_mut(profile).delete_member(member) {
            true => Ok(()),
            false => Err(self.no_member(profile, member)),
        }
    }

    fn put_group(
        &self,
        profile: ActionProfileId,
        group: u32,
        selection: Selection,
        members: &[GroupMember],
    ) -> Result<(), DataPlaneError> {
        self.profile_mut(profile)
            .put_group(&self.grace, group, selection, members)
            .map_err(|e| self.profile_error(profile, e))
    }

    fn delete_group(&self, profile: ActionProfileId, group: u32) -> Result<(), DataPlaneError> {
        match self.profile_mut(profile).delete_group(group) {
            true => Ok(()),
            false => Err(self.no_group(profile, group)),
        }
    }

    /// Replication is the interpreter's: see [`crate::switch`].
    fn set_multicast_group(&self, _: u32, _: &[Replica]) -> Result<(), DataPlaneError> {
        Ok(())
    }

    /// Replication is the interpreter's: see [`crate::switch`].
    fn set_clone_session(&self, _: u32, _: Option<&CloneSession>) -> Result<(), DataPlaneError> {
        Ok(())
    }

    fn counter(&self, counter: CounterId, index: u32) -> Result<CounterData, DataPlaneError> {
        Ok(self
            .counter_cell(counter, index)?
            .read(&self.memory.cells, index))
    }

    fn set_counter(
        &self,
        counter: CounterId,
        index: u32,
        data: CounterData,
    ) -> Result<(), DataPlaneError> {
        let plan = self.counter_cell(counter, index)?;
        if !self.inherits() {
            plan.write(&self.memory.cells, index, data);
        }
        Ok(())
    }

    fn direct_counter(&self, entry: EntryRef<'_>) -> Result<CounterData, DataPlaneError> {
        let (plan, cell) = self.direct_cell(entry)?;
        let slow = self.table(entry.table()).slow_use(cell).count;
        Ok(plan.read(&self.memory.cells, cell) + slow)
    }

    fn set_direct_counter(
        &self,
        entry: EntryRef<'_>,
        data: CounterData,
    ) -> Result<(), DataPlaneError> {
        let (plan, cell) = self.direct_cell(entry)?;
        if self.inherits() {
            return Ok(());
        }
        plan.write(&self.memory.cells, cell, data);
        if let Some(slow) = self.table(entry.table()).slow_use_mut(cell) {
            slow.count = CounterData::default();
        }
        Ok(())
    }

    fn set_meter(
        &self,
        meter: MeterId,
        index: u32,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError> {
        let plan = self.meter_cell(meter, index)?;
        self.inheritance
            .configure(&self.memory.cells, plan, index, config);
        Ok(())
    }

    fn set_direct_meter(
        &self,
        entry: EntryRef<'_>,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError> {
        let (plan, cell) = self.direct_meter_cell(entry)?;
        self.inheritance
            .configure(&self.memory.cells, plan, cell, config);
        Ok(())
    }

    fn meter_counts(&self, meter: MeterId, index: u32) -> Result<ColorCounts, DataPlaneError> {
        Ok(self
            .meter_cell(meter, index)?
            .counts(&self.memory.cells, index))
    }

    fn set_meter_counts(
        &self,
        meter: MeterId,
        index: u32,
        counts: ColorCounts,
    ) -> Result<(), DataPlaneError> {
        let plan = self.meter_cell(meter, index)?;
        if !self.inherits() {
            plan.set_counts(&self.memory.cells, index, counts);
        }
        Ok(())
    }

    fn direct_meter_counts(&self, entry: EntryRef<'_>) -> Result<ColorCounts, DataPlaneError> {
        let (plan, cell) = self.direct_meter_cell(entry)?;
        let slow = self.table(entry.table()).slow_use(cell).colors;
        Ok(plan.counts(&self.memory.cells, cell) + slow)
    }

    fn set_direct_meter_counts(
        &self,
        entry: EntryRef<'_>,
        counts: ColorCounts,
    ) -> Result<(), DataPlaneError> {
        let (plan, cell) = self.direct_meter_cell(entry)?;
        if self.inherits() {
            return Ok(());
        }
        plan.set_counts(&self.memory.cells, cell, counts);
        if let Some(slow) = self.table(entry.table()).slow_use_mut(cell) {
            slow.colors = ColorCounts::default();
        }
        Ok(())
    }

    fn last_hit(&self, key: &EntryKey) -> Result<Duration, DataPlaneError> {
        let hits = self.plan.tables[key.table.index()].hits;
        let (Some(hits), Some(ticks)) = (hits, self.ticks) else {
            return Err(self.lacks(key.table, "idle timeouts"));
        };
        let table = self.table(key.table);
        let cell = table.cell(key)?;
        let fast = ticks.time(hits.read(&self.memory.cells, cell));
        Ok(fast.max(table.slow_use(cell).last_hit))
    }

    fn register(&self, register: RegisterId, index: u32) -> Result<Bits, DataPlaneError> {
        let at = self.register_at(register, index)?;
        Ok(Bits::from(self.memory.cells.u64(at).load(Acquire)))
    }

    fn set_register(
        &self,
        register: RegisterId,
        index: u32,
        value: &Bits,
    ) -> Result<(), DataPlaneError> {
        let at = self.register_at(register, index)?;
        self.memory
            .cells
            .u64(at)
            .store(value.to_u64().unwrap_or(u64::MAX), Release);
        Ok(())
    }

    fn set_value_set(&self, set: ValueSetId, members: &[Bits]) -> Result<(), DataPlaneError> {
        let shape = &self.program.value_sets[set.index()];
        if members.len() > shape.size as usize {
            return Err(DataPlaneError::Full {
                what: format!("the value set {}", shape.name),
                capacity: u64::from(shape.size),
            });
        }
        if !ValueSetPlan::holds(shape) {
            // Packets that meet it are the interpreter's.
            return Ok(());
        }
        let members: Vec<u64> = members.iter().filter_map(Bits::to_u64).collect();
        let written = lock(&self.value_sets[set.index()]).set(&self.grace, &members);
        written.map_err(kernel)
    }

    fn set_port_up(&self, port: u32, up: bool) {
        self.shared.ports.set_live(port, up);
    }

    fn occupancy(&self, table: TableId) -> Occupancy {
        self.table(table).occupancy()
    }
}

/// What a panic leaves of a writer is as good as what an error leaves of it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn call(call: &ir::ActionCall) -> Call {
    Call {
        action: call.action,
        args: call.args.iter().map(Bits::from).collect(),
    }
}

fn out_of_range(what: &str, index: u32, size: u32) -> DataPlaneError {
    DataPlaneError::OutOfRange {
        what: what.to_owned(),
        index,
        size,
    }
}
