//! A pipeline in the kernel and the interpreter beside it, told the same.
//!
//! The interpreter is the slow path: it goes on with packets where the program in the kernel left
//! them, makes copies, and takes packets in from the control plane. Entries of shared tables are told
//! the kernel alone, where the interpreter looks them up, too. Nothing is counted twice, so counters
//! are the sum of both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pointsman_p4::dataplane::{
    Bits, Call, CloneSession, ColorCounts, CounterData, DataPlane, DataPlaneError, EntryAction,
    EntryKey, EntryRef, GroupMember, MeterConfig, Occupancy, Replica, Selection, TableEntry,
};
use pointsman_p4::interpreter::{
    Digest, Interpreter, Output, Packet, SharedCells, SharedTables, Trace,
};
use pointsman_p4::ir::{
    ActionProfileId, CounterId, MeterId, Program, RegisterId, TableId, ValueSetId,
};

use crate::compile::event::EventKind;
use crate::compile::handoff::Point;
use crate::handoff::Decoder;
use crate::pipeline::Pipeline;
use crate::switch::events::Event;
use crate::tables::selector::in_shares;

/// The interpreter of the pipeline that runs, shared with whoever reads events.
#[derive(Debug, Clone)]
pub struct SlowPath {
    interpreter: Arc<Interpreter>,
    /// The number of the pipeline.
    pipeline: u32,
    decoder: Arc<Decoder>,
    /// Packets that came, by point.
    taken: Arc<[AtomicU64]>,
}

impl SlowPath {
    fn new(fast: &Pipeline) -> SlowPath {
        let interpreter = Interpreter::new(Arc::clone(fast.program()));
        interpreter.share(Arc::clone(fast.cells()) as Arc<dyn SharedCells>);
        interpreter.share_tables(Arc::clone(fast.shared_tables()) as Arc<dyn SharedTables>);
        let points = fast.decoder().points();
        SlowPath {
            interpreter: Arc::new(interpreter),
            pipeline: fast.number(),
            decoder: Arc::clone(fast.decoder()),
            taken: points.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Carries on with an event; what comes out leaves by its port. `now` is the kernel's clock,
    /// [`monotonic_clock`](crate::sys::monotonic_clock): meters and timestamps are shared with it.
    pub fn handle(&self, event: &Event, now: Duration) -> Vec<Output> {
        if event.kind == EventKind::PacketIn {
            return Vec::new();
        }
        if let Some(taken) = self.taken.get(event.point as usize) {
            taken.fetch_add(1, Relaxed);
        }
        let handoff = (event.pipeline == self.pipeline)
            .then(|| self.decoder.decode(self.interpreter.program(), event))
            .flatten();
        match (handoff, event.kind) {
            (Some(handoff), EventKind::Handoff) => self.interpreter.resume(handoff, now),
            (Some(handoff), _) => self.interpreter.copies(handoff, now),
            // Left from the pipeline before this one: what that did to the packet means nothing here.
            (None, EventKind::Handoff) => {
                let packet = Packet {
                    port: event.ingress_port,
                    bytes: event.packet.clone(),
                };
                self.interpreter.process(&packet, now)
            }
            (None, _) => Vec::new(),
        }
    }

    /// Where packets leave the kernel, and how many have.
    pub fn taken(&self) -> impl Iterator<Item = (&Point, u64)> {
        let counts = self.taken.iter().map(|count| count.load(Relaxed));
        self.decoder.points().iter().zip(counts)
    }

    /// What runs.
    pub fn program(&self) -> &Arc<Program> {
        self.interpreter.program()
    }

    /// Digests since the last call; see [`Interpreter::take_digests`].
    pub fn take_digests(&self) -> Vec<Digest> {
        self.interpreter.take_digests()
    }

    /// Tells it whether a port can carry packets.
    pub fn set_port_up(&self, port: u32, up: bool) {
        self.interpreter.set_port_up(port, up);
    }

    /// Takes a packet in at a port.
    pub fn process(&self, packet: &Packet, now: Duration) -> Vec<Output> {
        self.interpreter.process(packet, now)
    }

    /// What would happen to a packet that came in at a port now, in whichever plane: they agree, and it is found
    /// out here. Nothing is sent or counted.
    pub fn trace(&self, packet: &Packet, now: Duration) -> Trace {
        self.interpreter.trace(packet, now)
    }
}

/// Both planes of one program.
pub struct Plane {
    fast: Pipeline,
    slow: SlowPath,
}

impl Plane {
    /// Puts an interpreter beside a pipeline that holds only what its program declares.
    pub fn new(fast: Pipeline) -> Plane {
        let slow = SlowPath::new(&fast);
        Plane { fast, slow }
    }

    /// The part in the kernel.
    pub fn fast(&self) -> &Pipeline {
        &self.fast
    }

    /// The part in the agent.
    pub fn slow_path(&self) -> &SlowPath {
        &self.slow
    }

    /// The interpreter, if it has to be told the entries of a table.
    fn mirror(&self, table: TableId) -> Option<&Interpreter> {
        match self.fast.shared_tables().has_table(table) {
            true => None,
            false => Some(&self.slow.interpreter),
        }
    }

    /// The interpreter, if it keeps counts of an entry: its tables' own, and all that miss there.
    fn also_counts(&self, entry: EntryRef<'_>) -> Option<&Interpreter> {
        match entry {
            EntryRef::Keyed(key) => self.mirror(key.table),
            EntryRef::Default(_) => Some(&self.slow.interpreter),
        }
    }

    /// Tells both planes. They check the same things, so the second agrees with the first.
    fn both(
        &self,
        change: impl Fn(&dyn DataPlane) -> Result<(), DataPlaneError>,
    ) -> Result<(), DataPlaneError> {
        change(&self.fast)?;
        change(&*self.slow.interpreter)
    }
}

impl DataPlane for Plane {
    fn foresee(&self, keys: &[&EntryKey]) {
        self.fast.foresee(keys);
    }

    fn insert(&self, entry: &TableEntry) -> Result<(), DataPlaneError> {
        self.fast.insert(entry)?;
        let slow = self.mirror(entry.key.table);
        let slow = slow.map_or(Ok(()), |slow| slow.insert(entry));
        if slow.is_err() {
            // In both or in neither.
            self.fast.delete(&entry.key)?;
        }
        slow
    }

    fn modify(&self, entry: &TableEntry) -> Result<(), DataPlaneError> {
        self.fast.modify(entry)?;
        let slow = self.mirror(entry.key.table);
        slow.map_or(Ok(()), |slow| slow.modify(entry))
    }

    fn delete(&self, key: &EntryKey) -> Result<(), DataPlaneError> {
        self.fast.delete(key)?;
        let slow = self.mirror(key.table);
        slow.map_or(Ok(()), |slow| slow.delete(key))
    }

    fn set_default(
        &self,
        table: TableId,
        action: Option<&EntryAction>,
    ) -> Result<(), DataPlaneError> {
        self.both(|plane| plane.set_default(table, action))
    }

    fn put_member(
        &self,
        profile: ActionProfileId,
        member: u32,
        call: &Call,
    ) -> Result<(), DataPlaneError> {
        self.both(|plane| plane.put_member(profile, member, call))
    }

    fn delete_member(&self, profile: ActionProfileId, member: u32) -> Result<(), DataPlaneError> {
        // The interpreter knows who refers to it.
        self.slow.interpreter.delete_member(profile, member)?;
        self.fast.delete_member(profile, member)
    }

    fn put_group(
        &self,
        profile: ActionProfileId,
        group: u32,
        selection: Selection,
        members: &[GroupMember],
    ) -> Result<(), DataPlaneError> {
        // Both get what the kernel has room for, so that they choose alike.
        let members = in_shares(members);
        self.both(|plane| plane.put_group(profile, group, selection, &members))
    }

    fn delete_group(&self, profile: ActionProfileId, group: u32) -> Result<(), DataPlaneError> {
        self.slow.interpreter.delete_group(profile, group)?;
        self.fast.delete_group(profile, group)
    }

    fn set_multicast_group(&self, group: u32, replicas: &[Replica]) -> Result<(), DataPlaneError> {
        self.slow.interpreter.set_multicast_group(group, replicas)
    }

    fn set_clone_session(
        &self,
        session: u32,
        clone: Option<&CloneSession>,
    ) -> Result<(), DataPlaneError> {
        self.slow.interpreter.set_clone_session(session, clone)
    }

    fn counter(&self, counter: CounterId, index: u32) -> Result<CounterData, DataPlaneError> {
        let fast = self.fast.counter(counter, index)?;
        Ok(fast + self.slow.interpreter.counter(counter, index)?)
    }

    fn set_counter(
        &self,
        counter: CounterId,
        index: u32,
        data: CounterData,
    ) -> Result<(), DataPlaneError> {
        self.fast.set_counter(counter, index, data)?;
        self.slow
            .interpreter
            .set_counter(counter, index, CounterData::default())
    }

    fn direct_counter(&self, entry: EntryRef<'_>) -> Result<CounterData, DataPlaneError> {
        let fast = self.fast.direct_counter(entry)?;
        match self.also_counts(entry) {
            Some(slow) => Ok(fast + slow.direct_counter(entry)?),
            None => Ok(fast),
        }
    }

    fn set_direct_counter(
        &self,
        entry: EntryRef<'_>,
        data: CounterData,
    ) -> Result<(), DataPlaneError> {
        self.fast.set_direct_counter(entry, data)?;
        let slow = self.also_counts(entry);
        slow.map_or(Ok(()), |slow| {
            slow.set_direct_counter(entry, CounterData::default())
        })
    }

    fn set_meter(
        &self,
        meter: MeterId,
        index: u32,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError> {
        self.both(|plane| plane.set_meter(meter, index, config))
    }

    fn set_direct_meter(
        &self,
        entry: EntryRef<'_>,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError> {
        self.fast.set_direct_meter(entry, config)?;
        let slow = self.also_counts(entry);
        slow.map_or(Ok(()), |slow| slow.set_direct_meter(entry, config))
    }

    fn meter_counts(&self, meter: MeterId, index: u32) -> Result<ColorCounts, DataPlaneError> {
        let fast = self.fast.meter_counts(meter, index)?;
        Ok(fast + self.slow.interpreter.meter_counts(meter, index)?)
    }

    fn set_meter_counts(
        &self,
        meter: MeterId,
        index: u32,
        counts: ColorCounts,
    ) -> Result<(), DataPlaneError> {
        self.fast.set_meter_counts(meter, index, counts)?;
        self.slow
            .interpreter
            .set_meter_counts(meter, index, ColorCounts::default())
    }

    fn direct_meter_counts(&self, entry: EntryRef<'_>) -> Result<ColorCounts, DataPlaneError> {
        let fast = self.fast.direct_meter_counts(entry)?;
        match self.also_counts(entry) {
            Some(slow) => Ok(fast + slow.direct_meter_counts(entry)?),
            None => Ok(fast),
        }
    }

    fn set_direct_meter_counts(
        &self,
        entry: EntryRef<'_>,
        counts: ColorCounts,
    ) -> Result<(), DataPlaneError> {
        self.fast.set_direct_meter_counts(entry, counts)?;
        let slow = self.also_counts(entry);
        slow.map_or(Ok(()), |slow| {
            slow.set_direct_meter_counts(entry, ColorCounts::default())
        })
    }

    fn last_hit(&self, key: &EntryKey) -> Result<Duration, DataPlaneError> {
        let fast = self.fast.last_hit(key)?;
        match self.mirror(key.table) {
            Some(slow) => Ok(fast.max(slow.last_hit(key)?)),
            None => Ok(fast),
        }
    }

    /// The interpreter knows which cells are shared.
    fn register(&self, register: RegisterId, index: u32) -> Result<Bits, DataPlaneError> {
        self.slow.interpreter.register(register, index)
    }

    fn set_register(
        &self,
        register: RegisterId,
        index: u32,
        value: &Bits,
    ) -> Result<(), DataPlaneError> {
        if self.fast.is_in_batch() {
            let register = &self.fast.program().registers[register.index()].name;
            return Err(DataPlaneError::Unsupported {
                what: format!(
                    "a cell of register {register} in a batch that is atomic for packets"
                ),
                why: "packets write registers as well; write it in a batch of its own".to_owned(),
            });
        }
        self.slow.interpreter.set_register(register, index, value)
    }

    fn set_value_set(&self, set: ValueSetId, members: &[Bits]) -> Result<(), DataPlaneError> {
        self.both(|plane| plane.set_value_set(set, members))
    }

    fn set_port_up(&self, port: u32, up: bool) {
        self.fast.set_port_up(port, up);
        self.slow.interpreter.set_port_up(port, up);
    }

    fn occupancy(&self, table: TableId) -> Occupancy {
        self.fast.occupancy(table)
    }

    /// Packets on the slow path wait while the batch is written. One that left the kernel before starts
    /// over: see [`Handoff`](pointsman_p4::interpreter::Handoff).
    fn atomically(&self, batch: &mut dyn FnMut()) -> Result<(), DataPlaneError> {
        let written = self.fast.begin_batch()?;
        self.slow.interpreter.between_packets(|| {
            batch();
            drop(written);
            self.slow.interpreter.set_version(self.fast.version());
        });
        Ok(())
    }
}
