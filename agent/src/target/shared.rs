//! A data plane that packets run through while it is written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pointsman_p4::dataplane::{
    Bits, Call, CloneSession, CounterData, DataPlane, DataPlaneError, EntryAction, EntryKey,
    GroupMember, MeterConfig, Occupancy, Replica, TableEntry,
};
use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_p4::ir::{ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId};

/// An interpreter behind a lock: each write and each packet sees the other whole.
#[derive(Debug, Clone)]
pub struct SharedPlane(Arc<Mutex<Interpreter>>);

impl SharedPlane {
    /// Shares an interpreter.
    pub fn new(interpreter: Interpreter) -> SharedPlane {
        SharedPlane(Arc::new(Mutex::new(interpreter)))
    }

    /// Runs a packet.
    pub fn process(&self, packet: &Packet, now: Duration) -> Vec<Output> {
        self.lock().process(packet, now)
    }

    fn lock(&self) -> MutexGuard<'_, Interpreter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Done = Result<(), DataPlaneError>;

/// Each method locks and calls the interpreter's own.
macro_rules! delegate {
    ($(write $write:ident($($warg:ident: $wtype:ty),*);)* $(read $read:ident($($rarg:ident: $rtype:ty),*) -> $result:ty;)*) => {
        impl DataPlane for SharedPlane {
            $(fn $write(&mut self, $($warg: $wtype),*) -> Done {
                self.lock().$write($($warg),*)
            })*
            $(fn $read(&self, $($rarg: $rtype),*) -> $result {
                self.lock().$read($($rarg),*)
            })*
            fn set_port_up(&mut self, port: u32, up: bool) {
                self.lock().set_port_up(port, up);
            }
        }
    };
}

delegate! {
    write insert(entry: &TableEntry);
    write modify(entry: &TableEntry);
    write delete(key: &EntryKey);
    write set_default(table: TableId, action: Option<&EntryAction>);
    write put_member(profile: ActionProfileId, member: u32, call: &Call);
    write delete_member(profile: ActionProfileId, member: u32);
    write put_group(profile: ActionProfileId, group: u32, members: &[GroupMember]);
    write delete_group(profile: ActionProfileId, group: u32);
    write set_multicast_group(group: u32, replicas: &[Replica]);
    write set_clone_session(session: u32, clone: Option<&CloneSession>);
    write set_counter(counter: CounterId, index: u32, data: CounterData);
    write set_direct_counter(key: &EntryKey, data: CounterData);
    write set_meter(meter: MeterId, index: u32, config: Option<MeterConfig>);
    write set_direct_meter(key: &EntryKey, config: Option<MeterConfig>);
    write set_register(register: RegisterId, index: u32, value: &Bits);
    write set_value_set(set: ValueSetId, members: &[Bits]);
    read counter(counter: CounterId, index: u32) -> Result<CounterData, DataPlaneError>;
    read direct_counter(key: &EntryKey) -> Result<CounterData, DataPlaneError>;
    read register(register: RegisterId, index: u32) -> Result<Bits, DataPlaneError>;
    read occupancy(table: TableId) -> Occupancy;
}
