//! A target whose data plane holds up insertions into one table for as long as a test wants.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use pointsman_agent::switch::Pipeline;
use pointsman_agent::target::interpreter::InterpreterTarget;
use pointsman_agent::target::{
    Attachment, Fill, Interface, PacketOut, PortLiveness, Target, TargetError,
};
use pointsman_p4::dataplane::{
    Bits, Call, CloneSession, ColorCounts, CounterData, DataPlane, DataPlaneError, EntryAction,
    EntryKey, EntryRef, GroupMember, MeterConfig, Occupancy, Replica, Selection, TableEntry,
};
use pointsman_p4::ir::{ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId};

/// Where insertions wait.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    closed: Option<TableId>,
    waiting: usize,
}

impl Gate {
    /// Holds up insertions into a table.
    pub fn close(&self, table: TableId) {
        self.state.lock().expect("no panic").closed = Some(table);
    }

    /// Lets them go on.
    pub fn open(&self) {
        self.state.lock().expect("no panic").closed = None;
        self.changed.notify_all();
    }

    /// Waits until an insertion is held up.
    pub fn wait_for_one(&self) {
        let state = self.state.lock().expect("no panic");
        let waited = self.changed.wait_while(state, |state| state.waiting == 0);
        drop(waited.expect("no panic"));
    }

    fn pass(&self, table: TableId) {
        let mut state = self.state.lock().expect("no panic");
        state.waiting += 1;
        self.changed.notify_all();
        state = self
            .changed
            .wait_while(state, |state| state.closed == Some(table))
            .expect("no panic");
        state.waiting -= 1;
    }
}

/// The interpreter behind a gate.
pub struct Held {
    pub interpreter: InterpreterTarget,
    pub gate: Arc<Gate>,
}

impl Held {
    fn inner(&self) -> &dyn DataPlane {
        self.interpreter.plane().expect("a pipeline is loaded")
    }
}

impl Target for Held {
    fn kind(&self) -> &'static str {
        self.interpreter.kind()
    }
    fn verify(&self, pipeline: &Pipeline) -> Result<(), TargetError> {
        self.interpreter.verify(pipeline)
    }
    fn load(&mut self, pipeline: &Pipeline, fill: &mut Fill<'_>) -> Result<(), TargetError> {
        self.interpreter.load(pipeline, fill)
    }
    fn unload(&mut self) -> Result<(), TargetError> {
        self.interpreter.unload()
    }
    fn plane(&self) -> Option<&dyn DataPlane> {
        self.interpreter.plane().map(|_| self as &dyn DataPlane)
    }
    fn attach(&mut self, port: u32, interface: &Interface) -> Result<Attachment, TargetError> {
        self.interpreter.attach(port, interface)
    }
    fn detach(&mut self, port: u32) {
        self.interpreter.detach(port);
    }
    fn liveness(&self) -> Arc<dyn PortLiveness> {
        self.interpreter.liveness()
    }
    fn packet_out(&self) -> Arc<dyn PacketOut> {
        self.interpreter.packet_out()
    }
    fn slow_path_packets(&self) -> u64 {
        self.interpreter.slow_path_packets()
    }
}

macro_rules! delegate {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl DataPlane for Held {
            fn insert(&self, entry: &TableEntry) -> Done {
                self.gate.pass(entry.key.table);
                self.inner().insert(entry)
            }
            fn set_port_up(&self, port: u32, up: bool) {
                self.inner().set_port_up(port, up);
            }
            $(fn $name(&self, $($arg: $type),*) -> $result {
                self.inner().$name($($arg),*)
            })*
        }
    };
}

type Done = Result<(), DataPlaneError>;
type Read<T> = Result<T, DataPlaneError>;

delegate! {
    fn modify(entry: &TableEntry) -> Done;
    fn delete(key: &EntryKey) -> Done;
    fn set_default(table: TableId, action: Option<&EntryAction>) -> Done;
    fn put_member(profile: ActionProfileId, member: u32, call: &Call) -> Done;
    fn delete_member(profile: ActionProfileId, member: u32) -> Done;
    fn put_group(profile: ActionProfileId, group: u32, selection: Selection, members: &[GroupMember]) -> Done;
    fn delete_group(profile: ActionProfileId, group: u32) -> Done;
    fn set_multicast_group(group: u32, replicas: &[Replica]) -> Done;
    fn set_clone_session(session: u32, clone: Option<&CloneSession>) -> Done;
    fn counter(counter: CounterId, index: u32) -> Read<CounterData>;
    fn set_counter(counter: CounterId, index: u32, data: CounterData) -> Done;
    fn direct_counter(entry: EntryRef<'_>) -> Read<CounterData>;
    fn set_direct_counter(entry: EntryRef<'_>, data: CounterData) -> Done;
    fn set_meter(meter: MeterId, index: u32, config: Option<MeterConfig>) -> Done;
    fn set_direct_meter(entry: EntryRef<'_>, config: Option<MeterConfig>) -> Done;
    fn meter_counts(meter: MeterId, index: u32) -> Read<ColorCounts>;
    fn set_meter_counts(meter: MeterId, index: u32, counts: ColorCounts) -> Done;
    fn direct_meter_counts(entry: EntryRef<'_>) -> Read<ColorCounts>;
    fn set_direct_meter_counts(entry: EntryRef<'_>, counts: ColorCounts) -> Done;
    fn last_hit(key: &EntryKey) -> Read<Duration>;
    fn register(register: RegisterId, index: u32) -> Read<Bits>;
    fn set_register(register: RegisterId, index: u32, value: &Bits) -> Done;
    fn set_value_set(set: ValueSetId, members: &[Bits]) -> Done;
    fn occupancy(table: TableId) -> Occupancy;
}
