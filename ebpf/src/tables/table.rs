//! A table as its writer sees it: keys in the shape of its structure, records, counter cells.

use std::sync::Arc;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

use pointsman_p4::dataplane::{
    Args, Bits, Color, ColorCounts, CounterData, DataPlaneError, EntryKey, EntryRef, Occupancy,
};
use pointsman_p4::interpreter::Passing;
use pointsman_p4::ir::Table;
use smallvec::SmallVec;

use crate::plan::TablePlan;
use crate::sys::SysError;

use super::arena::Memories;
use super::grace::Grace;
use super::index::{Index, IndexError};
use super::key::KeyWords;
use super::owners::{Difference, Inherited, Owner, key_hash};
use super::quick_hash::QuickHashMap;
use super::records::{GROUP, MEMBER, NOTHING, Record, RecordPool, Sharing};
use super::shape::{Shape, Shaped};
use super::slots::{SlotError, Slots};

/// The cell of the default entry, which packets meet that miss.
pub const DEFAULT_CELL: u32 = 0;

/// The writer of a table.
#[derive(Debug)]
pub struct TableWriter {
    name: String,
    shape: Shape,
    plan: TablePlan,
    memory: Memories,
    index: Index,
    records: RecordPool,
    cells: Option<Slots>,
    /// Cells that packets count in already, while the table is filled.
    inherited: Option<Inherited>,
    entries: u32,
    /// What packets on the slow path did, by cell.
    slow_uses: QuickHashMap<u32, SlowUse>,
    /// How many entries have each member or group, as their records name it.
    references: QuickHashMap<u32, u32>,
}

/// What an entry does, as its record holds it.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// See [`super::records`].
    pub what: u32,
    /// Arguments, of an action.
    pub args: Option<&'a Args>,
    /// Their widths.
    pub widths: &'a [u32],
}

/// What packets on the slow path did to the cell of an entry; programs in the kernel count for
/// themselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct SlowUse {
    /// All of them.
    pub count: CounterData,
    /// By what the direct meter said.
    pub colors: ColorCounts,
    /// When the last one came.
    pub last_hit: Duration,
}

impl SlowUse {
    fn add(&mut self, packet: &Passing, color: Option<Color>) {
        let one = CounterData {
            packets: 1,
            bytes: packet.length as u64,
        };
        self.count = self.count + one;
        if let Some(color) = color {
            let count = self.colors.of_mut(color);
            *count = *count + one;
        }
        self.last_hit = packet.now;
    }
}

impl TableWriter {
    /// An empty table; the memory is zero.
    pub fn new(table: &Table, plan: &TablePlan, memory: &Memories) -> TableWriter {
        let sharing = match plan.owners {
            None if plan.records.key_words == 0 => Sharing::Shared,
            _ => Sharing::Own,
        };
        TableWriter {
            name: table.name.clone(),
            shape: Shape::new(table, &plan.layout, plan.structure.form()),
            index: Index::new(&plan.structure, &memory.tables),
            records: RecordPool::new(plan.records, Arc::clone(&memory.tables), sharing),
            // DEFAULT_CELL is the default entry's, and that of all entries where there are no cells.
            // As many as there is room for: some may be held.
            cells: plan
                .owners
                .map(|owners| Slots::new(DEFAULT_CELL + 1..owners.cells)),
            inherited: None,
            plan: plan.clone(),
            memory: memory.clone(),
            entries: 0,
            slow_uses: QuickHashMap::default(),
            references: QuickHashMap::default(),
        }
    }

    /// Entries that are inserted from now on get the cells that they had before, and those go on as they
    /// are; until [`end_inheritance`](TableWriter::end_inheritance).
    pub fn inherit(&mut self) {
        let Some(owners) = self.plan.owners else {
            return;
        };
        let inherited = Inherited::read(&owners, &self.memory.cells);
        self.cells = Some(Slots::but(1..owners.cells, inherited.cells()));
        self.inherited = Some(inherited);
    }

    /// Cells whose owners are gone can be used again. Says what ran otherwise than it does now.
    pub fn end_inheritance(&mut self) -> Difference {
        let (Some(inherited), Some(owners)) = (self.inherited.take(), self.plan.owners) else {
            return Difference::default();
        };
        let (free, difference) = inherited.end(&owners, &self.memory.cells, self.entries);
        for cell in free {
            self.give_up_cell(cell);
        }
        difference
    }

    /// How full it is.
    pub fn occupancy(&self) -> Occupancy {
        Occupancy {
            entries: u64::from(self.entries),
            capacity: u64::from(self.plan.capacity),
            structure: self.plan.structure.name(),
        }
    }

    /// Looks where entries are or could be, so that the memory there is near when they are written.
    pub fn foresee(&self, keys: &[&EntryKey]) {
        let keys = keys.iter().filter_map(|key| self.shape.key(key).ok());
        self.index.foresee(&self.records, keys);
    }

    /// Adds an entry.
    pub fn insert(
        &mut self,
        grace: &Grace,
        key: &EntryKey,
        content: Content<'_>,
    ) -> Result<(), DataPlaneError> {
        let shaped = self.shape.key(key)?;
        if self.index.get(&self.records, &shaped).is_some() {
            return Err(DataPlaneError::AlreadyExists);
        }
        if self.entries >= self.plan.capacity {
            return Err(self.full());
        }
        let cell = self.take_cell(grace, &shaped)?;
        if let Err(error) = self.publish(grace, &shaped, content, cell) {
            if let (Some(cells), Some(owners)) = (&mut self.cells, self.plan.owners) {
                owners.write(&self.memory.cells, cell, None);
                cells.put_back(cell);
            }
            return Err(error);
        }
        self.refer(content.what, 1);
        self.count_entries(self.entries + 1);
        Ok(())
    }

    fn publish(
        &mut self,
        grace: &Grace,
        key: &Shaped,
        content: Content<'_>,
        cell: u32,
    ) -> Result<(), DataPlaneError> {
        let slot = self.write(grace, key, content, cell)?;
        self.own(cell, key, slot);
        self.index.insert(grace, key, slot).map_err(|error| {
            self.records.put_back(slot);
            self.index_error(error)
        })
    }

    /// Replaces what an entry does; its cell stays.
    pub fn modify(
        &mut self,
        grace: &Grace,
        key: &EntryKey,
        content: Content<'_>,
    ) -> Result<(), DataPlaneError> {
        let shaped = self.shape.key(key)?;
        let old = self
            .index
            .get(&self.records, &shaped)
            .ok_or(DataPlaneError::NotFound)?;
        let cell = self.records.cell(old);
        let slot = self.write(grace, &shaped, content, cell)?;
        self.own(cell, &shaped, slot);
        self.refer(content.what, 1);
        self.refer(self.records.what(old), -1);
        let old = self.index.replace(&self.records, &shaped, slot);
        old.into_iter().for_each(|slot| self.records.retire(slot));
        Ok(())
    }

    /// Removes an entry.
    pub fn delete(&mut self, key: &EntryKey) -> Result<(), DataPlaneError> {
        let shaped = self.shape.key(key)?;
        let removed = self.index.remove(&self.records, &shaped);
        let slot = removed.ok_or(DataPlaneError::NotFound)?;
        let cell = self.records.cell(slot);
        match &mut self.inherited {
            // It may be inserted again.
            Some(inherited) if cell != 0 => inherited.give_back(key_hash(&shaped), cell),
            _ => self.give_up_cell(cell),
        }
        self.refer(self.records.what(slot), -1);
        self.records.retire(slot);
        self.count_entries(self.entries - 1);
        Ok(())
    }

    /// Sets what happens on a miss; `None` does nothing. If the table counts or meters, there is a record
    /// even of that, so that programs find the cell of the default entry.
    pub fn set_default(
        &mut self,
        grace: &Grace,
        content: Option<Content<'_>>,
    ) -> Result<(), DataPlaneError> {
        let nothing = Content {
            what: NOTHING,
            args: None,
            widths: &[],
        };
        let has_direct = self.plan.has_direct();
        let slot = match content.or(has_direct.then_some(nothing)) {
            Some(content) => {
                let zero: KeyWords = SmallVec::from_elem(0, self.plan.layout.words.len());
                self.write(grace, &Shaped::Words(zero), content, DEFAULT_CELL)?
            }
            None => 0,
        };
        let default = self.memory.tables.u32(self.plan.default_at as usize);
        let old = default.swap(slot, Release);
        if old != 0 {
            self.records.retire(old);
        }
        Ok(())
    }

    /// Packets that do not see yet what is written from now on may still count in the cells of entries
    /// that are removed: those are not used again until they are released, unless a table that was full
    /// has no others left.
    pub fn hold_cells(&mut self) {
        self.cells.iter_mut().for_each(Slots::hold);
    }

    /// See [`hold_cells`](TableWriter::hold_cells).
    pub fn release_cells(&mut self) {
        self.cells.iter_mut().for_each(Slots::release);
    }

    /// The cell of an entry in the direct counter and meter.
    pub fn direct_cell(&self, entry: EntryRef<'_>) -> Result<u32, DataPlaneError> {
        match entry {
            EntryRef::Keyed(key) => self.cell(key),
            EntryRef::Default(_) => Ok(DEFAULT_CELL),
        }
    }

    /// The cell of an entry with a key in the direct counter and meter, and where its last hit is.
    pub fn cell(&self, key: &EntryKey) -> Result<u32, DataPlaneError> {
        let slot = self.index.get(&self.records, &self.shape.key(key)?);
        Ok(self.records.cell(slot.ok_or(DataPlaneError::NotFound)?))
    }

    /// What packets on the slow path did to a cell.
    pub fn slow_use(&self, cell: u32) -> SlowUse {
        self.slow_uses.get(&cell).copied().unwrap_or_default()
    }

    /// The same, to be changed, if there were any.
    pub fn slow_use_mut(&mut self, cell: u32) -> Option<&mut SlowUse> {
        self.slow_uses.get_mut(&cell)
    }

    /// Whether packets on the slow path are looked up here.
    pub fn is_shared(&self) -> bool {
        matches!(
            self.index,
            Index::Direct(_) | Index::Hash(_) | Index::Trie(_)
        )
    }

    /// The record of the entry of a shared table that these values of the parts of its key hit.
    pub fn lookup(&self, key: &[Bits]) -> Option<u32> {
        let words = self.plan.layout.pack(key);
        self.index.lookup(&self.records, words)
    }

    /// The record of an entry.
    pub fn slot(&self, key: &EntryKey) -> Option<u32> {
        self.index.get(&self.records, &self.shape.key(key).ok()?)
    }

    /// The records of its entries.
    pub fn records(&self) -> &RecordPool {
        &self.records
    }

    /// Counts and meters a packet on the slow path that hits an entry; says its colour.
    pub fn pass(&mut self, slot: u32, packet: &Passing) -> Option<Color> {
        // Entries without cells of their own count nothing.
        self.cells.as_ref()?;
        let cell = self.records.cell(slot);
        let meter = self.plan.meter.zip(packet.units);
        let color =
            meter.map(|(meter, units)| meter.mark(&self.memory.cells, cell, units, packet.now));
        self.slow_uses.entry(cell).or_default().add(packet, color);
        color
    }

    /// Whether an entry has this member or group.
    pub fn refers_to(&self, what: u32) -> bool {
        self.references.contains_key(&what)
    }

    /// An entry begins or ceases to have a member or group.
    fn refer(&mut self, what: u32, by: i32) {
        if what & (MEMBER | GROUP) == 0 {
            return;
        }
        let users = self.references.entry(what).or_default();
        *users = users.saturating_add_signed(by);
        if *users == 0 {
            self.references.remove(&what);
        }
    }

    /// A table becomes populated after its first entry is there, and stops after its last has gone.
    fn count_entries(&mut self, entries: u32) {
        if (entries > 0) != (self.entries > 0) {
            let populated = self.memory.tables.u32(self.plan.populated_at as usize);
            populated.store(u32::from(entries > 0), Release);
        }
        self.entries = entries;
    }

    /// The cell that an entry had before, as it is, or an empty one.
    fn take_cell(&mut self, grace: &Grace, key: &Shaped) -> Result<u32, DataPlaneError> {
        let Some(cells) = &mut self.cells else {
            return Ok(DEFAULT_CELL);
        };
        let inherited = self.inherited.as_mut();
        if let Some(cell) = inherited.and_then(|inherited| inherited.take(key_hash(key))) {
            return Ok(cell);
        }
        let cell = cells.take(grace).map_err(|e| self.slot_error(e))?;
        self.clear_cell(cell);
        Ok(cell)
    }

    /// Says beside a cell whose it is, and what that entry does by its record.
    fn own(&self, cell: u32, key: &Shaped, slot: u32) {
        if let Some(owners) = self.plan.owners {
            let owner = Owner {
                key: key_hash(key),
                content: self.records.content_hash(slot),
            };
            owners.write(&self.memory.cells, cell, Some(owner));
        }
    }

    /// The cell of an entry that is gone.
    fn give_up_cell(&mut self, cell: u32) {
        if let (Some(cells), Some(owners)) = (&mut self.cells, self.plan.owners) {
            owners.write(&self.memory.cells, cell, None);
            cells.retire(cell);
        }
    }

    fn clear_cell(&mut self, cell: u32) {
        self.slow_uses.remove(&cell);
        if let Some(counter) = self.plan.counter {
            counter.write(&self.memory.cells, cell, Default::default());
        }
        if let Some(meter) = self.plan.meter {
            meter.configure(&self.memory.cells, cell, None);
            meter.set_counts(&self.memory.cells, cell, Default::default());
        }
        if let Some(hits) = self.plan.hits {
            hits.write(&self.memory.cells, cell, 0);
        }
    }

    fn write(
        &mut self,
        grace: &Grace,
        key: &Shaped,
        content: Content<'_>,
        cell: u32,
    ) -> Result<u32, DataPlaneError> {
        let words: &[u64] = match key {
            Shaped::Words(words) if self.plan.records.key_words > 0 => words,
            _ => &[],
        };
        let Content { what, args, widths } = content;
        let record = Record {
            what,
            cell,
            key: words,
            args,
            widths,
        };
        self.records
            .write(grace, &record)
            .map_err(|e| self.slot_error(e))
    }

    fn full(&self) -> DataPlaneError {
        DataPlaneError::Full {
            what: format!("table {}", self.name),
            capacity: u64::from(self.plan.capacity),
        }
    }

    fn slot_error(&self, error: SlotError) -> DataPlaneError {
        match error {
            SlotError::Full => self.full(),
            SlotError::Grace(error) => kernel(error),
        }
    }

    fn index_error(&self, error: IndexError) -> DataPlaneError {
        match error {
            IndexError::Full { what, capacity } => DataPlaneError::Full {
                what: format!("{what} of table {}", self.name),
                capacity: u64::from(capacity),
            },
            IndexError::Grace(error) => kernel(error),
        }
    }
}

/// The kernel's refusal as a data plane reports it.
pub fn kernel(error: SysError) -> DataPlaneError {
    DataPlaneError::Kernel {
        what: "waiting for programs to end".to_owned(),
        error: error.to_string(),
    }
}
