//! What packets leave behind in a data plane: counters and registers.

use pointsman_ebpf::compile::fields_read;
use pointsman_p4::dataplane::{DataPlane, EntryRef, Operation, declared_entries};
use pointsman_p4::ir::{CounterId, Program, RegisterId, TableId};
use serde::Serialize;

/// A counter or register that holds something else than the interpreter's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateDifference {
    /// Which.
    pub what: String,
    /// What the interpreter holds.
    pub expected: String,
    /// What the target holds.
    pub found: String,
}

/// The first cell in which two data planes of a program differ that were told the same and were sent the same
/// packets: counters, registers, and direct counters of the entries.
pub fn compare_state(
    program: &Program,
    operations: &[Operation],
    expected: &dyn DataPlane,
    found: &dyn DataPlane,
) -> Option<StateDifference> {
    counters(program, expected, found)
        .or_else(|| registers(program, expected, found))
        .or_else(|| direct_counters(program, operations, expected, found))
}

fn counters(
    program: &Program,
    expected: &dyn DataPlane,
    found: &dyn DataPlane,
) -> Option<StateDifference> {
    let all = program.counters.iter().enumerate();
    let mut indirect = all.filter(|(_, counter)| counter.table.is_none());
    indirect.find_map(|(id, counter)| {
        let id = CounterId(id as u32);
        (0..counter.size).find_map(|index| {
            let what = || format!("the counter {}[{index}]", counter.name);
            differ(what, expected.counter(id, index), found.counter(id, index))
        })
    })
}

/// Registers of a program that reads the clock are not compared: the interpreter's stands still.
fn registers(
    program: &Program,
    expected: &dyn DataPlane,
    found: &dyn DataPlane,
) -> Option<StateDifference> {
    if reads_the_clock(program) {
        return None;
    }
    program
        .registers
        .iter()
        .enumerate()
        .find_map(|(id, register)| {
            let id = RegisterId(id as u32);
            (0..register.size).find_map(|index| {
                let what = || format!("the register {}[{index}]", register.name);
                differ(
                    what,
                    expected.register(id, index),
                    found.register(id, index),
                )
            })
        })
}

/// Whether a program looks at a timestamp.
pub fn reads_the_clock(program: &Program) -> bool {
    let standard = &program.standard;
    let times = [
        standard.ingress_global_timestamp,
        standard.enq_timestamp,
        standard.egress_global_timestamp,
    ];
    let read = fields_read(program);
    times.iter().flatten().any(|field| read.contains(field))
}

fn direct_counters(
    program: &Program,
    operations: &[Operation],
    expected: &dyn DataPlane,
    found: &dyn DataPlane,
) -> Option<StateDifference> {
    let declared = declared_entries(program);
    let inserted = operations.iter().filter_map(|operation| match operation {
        Operation::Insert(entry) => Some(entry),
        _ => None,
    });
    let tables = (0..program.tables.len() as u32).map(TableId);
    let keys = declared.iter().chain(inserted).map(|entry| &entry.key);
    let entries = keys
        .map(EntryRef::Keyed)
        .chain(tables.map(EntryRef::Default));
    let is_counted = |e: &EntryRef<'_>| program.tables[e.table().index()].counter.is_some();
    entries.filter(is_counted).find_map(|entry| {
        let table = &program.tables[entry.table().index()].name;
        let what = || format!("the direct counter of {table}, entry {entry:?}");
        differ(
            what,
            expected.direct_counter(entry),
            found.direct_counter(entry),
        )
    })
}

fn differ<T: PartialEq + std::fmt::Debug>(
    what: impl FnOnce() -> String,
    expected: T,
    found: T,
) -> Option<StateDifference> {
    (expected != found).then(|| StateDifference {
        what: what(),
        expected: format!("{expected:?}"),
        found: format!("{found:?}"),
    })
}
