//! The interpreter as others hold it: behind one lock, so that each packet and each change sees the
//! others whole. What happens under the lock is in the other files.

use std::sync::{MutexGuard, PoisonError, RwLockReadGuard};
use std::time::Duration;

use crate::dataplane::{
    Bits, Call, CloneSession, ColorCounts, CounterData, DataPlane, DataPlaneError, EntryAction,
    EntryKey, EntryRef, GroupMember, MeterConfig, Occupancy, Replica, Selection, TableEntry,
};
use crate::ir::{ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId};

use super::{Handoff, Interpreter, Machine, Output, Packet};

impl Interpreter {
    /// Runs a packet through the switch. Outputs are in the order in which they leave.
    ///
    /// `now` is the time since the switch started; it must not run backwards.
    pub fn process(&self, packet: &Packet, now: Duration) -> Vec<Output> {
        let _open = self.open();
        self.lock().process(packet, now)
    }

    /// Goes on with a packet of the other plane; as [`process`](Self::process) does.
    pub fn resume(&self, handoff: Handoff, now: Duration) -> Vec<Output> {
        let _open = self.open();
        self.lock().resume(handoff, now)
    }

    /// Makes the clones and sends the digest that a packet at the end of a control asked for; the
    /// packet itself goes on in the other plane.
    pub fn copies(&self, handoff: Handoff, now: Duration) -> Vec<Output> {
        let _open = self.open();
        self.lock().copies(handoff, now)
    }

    /// Makes a change while no packet runs; packets wait for it.
    pub fn between_packets(&self, change: impl FnOnce()) {
        let _closed = self.open.write().unwrap_or_else(PoisonError::into_inner);
        change();
    }

    /// Says which version of the other plane's tables this one holds. Packets that went through another
    /// one start over.
    pub fn set_version(&self, version: u32) {
        self.lock().version = version;
    }

    pub(super) fn open(&self) -> RwLockReadGuard<'_, ()> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Machine> {
        // There is no invariant that a panic in the middle could break for good, but that a trial ends.
        self.machine.lock().unwrap_or_else(|poisoned| {
            let mut machine = poisoned.into_inner();
            machine.state.end_trial();
            machine
        })
    }
}

/// Each method locks and calls the machine's own.
macro_rules! delegate {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        impl DataPlane for Interpreter {
            $(fn $name(&self, $($arg: $type),*) $(-> $result)? {
                self.lock().$name($($arg),*)
            })*

            fn atomically(&self, batch: &mut dyn FnMut()) -> Done {
                self.between_packets(batch);
                Ok(())
            }
        }
    };
}

type Done = Result<(), DataPlaneError>;

delegate! {
    fn insert(entry: &TableEntry) -> Done;
    fn modify(entry: &TableEntry) -> Done;
    fn delete(key: &EntryKey) -> Done;
    fn set_default(table: TableId, action: Option<&EntryAction>) -> Done;
    fn put_member(profile: ActionProfileId, member: u32, call: &Call) -> Done;
    fn delete_member(profile: ActionProfileId, member: u32) -> Done;
    fn put_group(profile: ActionProfileId, group: u32, selection: Selection, members: &[GroupMember]) -> Done;
    fn delete_group(profile: ActionProfileId, group: u32) -> Done;
    fn set_multicast_group(group: u32, replicas: &[Replica]) -> Done;
    fn set_clone_session(session: u32, clone: Option<&CloneSession>) -> Done;
    fn counter(counter: CounterId, index: u32) -> Result<CounterData, DataPlaneError>;
    fn set_counter(counter: CounterId, index: u32, data: CounterData) -> Done;
    fn direct_counter(entry: EntryRef<'_>) -> Result<CounterData, DataPlaneError>;
    fn set_direct_counter(entry: EntryRef<'_>, data: CounterData) -> Done;
    fn set_meter(meter: MeterId, index: u32, config: Option<MeterConfig>) -> Done;
    fn set_direct_meter(entry: EntryRef<'_>, config: Option<MeterConfig>) -> Done;
    fn meter_counts(meter: MeterId, index: u32) -> Result<ColorCounts, DataPlaneError>;
    fn set_meter_counts(meter: MeterId, index: u32, counts: ColorCounts) -> Done;
    fn direct_meter_counts(entry: EntryRef<'_>) -> Result<ColorCounts, DataPlaneError>;
    fn set_direct_meter_counts(entry: EntryRef<'_>, counts: ColorCounts) -> Done;
    fn last_hit(key: &EntryKey) -> Result<Duration, DataPlaneError>;
    fn register(register: RegisterId, index: u32) -> Result<Bits, DataPlaneError>;
    fn set_register(register: RegisterId, index: u32, value: &Bits) -> Done;
    fn set_value_set(set: ValueSetId, members: &[Bits]) -> Done;
    fn set_port_up(port: u32, up: bool);
    fn occupancy(table: TableId) -> Occupancy;
}
