//! What every data plane can be told: entries, groups, replication, counters.
//!
//! The seam between a switch agent, which knows P4Runtime, sessions and who may write
//! what, and whatever forwards packets: the XDP pipeline of `pointsman-ebpf` or the
//! reference interpreter. Values are typed and checked by the caller against p4info;
//! a data plane refuses only what it cannot hold.
//!
//! When a call returns, the next packet sees the change whole; no packet ever sees half of it.

mod bits;
mod declared;
mod entry;
mod error;
mod operation;
mod packed;

pub use bits::Bits;
pub use declared::declared_entries;
pub use entry::{
    BackupReplica, Call, CloneSession, Color, ColorCounts, CounterData, EntryAction, EntryKey,
    EntryRef, GroupMember, Match, MeterConfig, Occupancy, Replica, Selection, TableEntry,
};
pub use error::DataPlaneError;
pub use operation::Operation;
pub use packed::{Args, Matches};

use std::time::Duration;

use crate::ir::{ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId};

/// How many entries it pays to [foresee](DataPlane::foresee) together: what they need fits the nearest cache.
pub const FORESEEN: usize = 32;

/// A data plane that runs one program.
///
/// Ids are those of the [`Program`](crate::ir::Program) that it was made for.
///
/// It may be told several things at once: its locks are inside, and what concerns different tables need
/// not wait for each other. Whoever calls keeps two calls about the same table, profile, group, session,
/// cell or set one after the other, so that all parts of a data plane see them in the same order.
pub trait DataPlane: Send + Sync {
    /// Calls about these entries come soon. Nothing changes; a data plane whose memory is large may
    /// look at many places of it at once here rather than wait for one after the other then.
    fn foresee(&self, _keys: &[&EntryKey]) {}

    /// Adds an entry. `AlreadyExists` if there is one with this key.
    fn insert(&self, entry: &TableEntry) -> Result<(), DataPlaneError>;

    /// Replaces the action of an entry; its counter goes on.
    fn modify(&self, entry: &TableEntry) -> Result<(), DataPlaneError>;

    /// Removes an entry.
    fn delete(&self, key: &EntryKey) -> Result<(), DataPlaneError>;

    /// What happens on a miss; `None` is what the program says. The counter and meter of the default
    /// entry go on.
    fn set_default(
        &self,
        table: TableId,
        action: Option<&EntryAction>,
    ) -> Result<(), DataPlaneError>;

    /// Adds or replaces a member of a profile.
    fn put_member(
        &self,
        profile: ActionProfileId,
        member: u32,
        call: &Call,
    ) -> Result<(), DataPlaneError>;

    /// Removes a member that no entry and no group refers to.
    fn delete_member(&self, profile: ActionProfileId, member: u32) -> Result<(), DataPlaneError>;

    /// Adds or replaces a group as a whole. Members count in the order given. A member whose
    /// `watch_port` is down is passed over while another is up.
    fn put_group(
        &self,
        profile: ActionProfileId,
        group: u32,
        selection: Selection,
        members: &[GroupMember],
    ) -> Result<(), DataPlaneError>;

    /// Removes a group that no entry refers to.
    fn delete_group(&self, profile: ActionProfileId, group: u32) -> Result<(), DataPlaneError>;

    /// Replaces a multicast group; no replicas removes it.
    fn set_multicast_group(&self, group: u32, replicas: &[Replica]) -> Result<(), DataPlaneError>;

    /// Replaces a clone session; `None` removes it.
    fn set_clone_session(
        &self,
        session: u32,
        clone: Option<&CloneSession>,
    ) -> Result<(), DataPlaneError>;

    /// Reads a cell of an indirect counter.
    fn counter(&self, counter: CounterId, index: u32) -> Result<CounterData, DataPlaneError>;

    /// Writes a cell of an indirect counter.
    fn set_counter(
        &self,
        counter: CounterId,
        index: u32,
        data: CounterData,
    ) -> Result<(), DataPlaneError>;

    /// Reads the direct counter of an entry.
    fn direct_counter(&self, entry: EntryRef<'_>) -> Result<CounterData, DataPlaneError>;

    /// Writes the direct counter of an entry.
    fn set_direct_counter(
        &self,
        entry: EntryRef<'_>,
        data: CounterData,
    ) -> Result<(), DataPlaneError>;

    /// Configures a cell of an indirect meter; `None` makes it always green.
    fn set_meter(
        &self,
        meter: MeterId,
        index: u32,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError>;

    /// Configures the direct meter of an entry; `None` makes it always green. That of a default entry
    /// then leaves the colour of packets as it is: BMv2 knows none, and `NoAction` reads none.
    fn set_direct_meter(
        &self,
        entry: EntryRef<'_>,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError>;

    /// Reads what a cell of an indirect meter has counted.
    fn meter_counts(&self, meter: MeterId, index: u32) -> Result<ColorCounts, DataPlaneError>;

    /// Writes what a cell of an indirect meter has counted.
    fn set_meter_counts(
        &self,
        meter: MeterId,
        index: u32,
        counts: ColorCounts,
    ) -> Result<(), DataPlaneError>;

    /// Reads what the direct meter of an entry has counted.
    fn direct_meter_counts(&self, entry: EntryRef<'_>) -> Result<ColorCounts, DataPlaneError>;

    /// Writes what the direct meter of an entry has counted.
    fn set_direct_meter_counts(
        &self,
        entry: EntryRef<'_>,
        counts: ColorCounts,
    ) -> Result<(), DataPlaneError>;

    /// When a packet last hit an entry of a table with idle timeouts; when the entry was added, if
    /// none has. On the clock by which packets are run: the kernel's monotonic one, in an agent.
    fn last_hit(&self, key: &EntryKey) -> Result<Duration, DataPlaneError>;

    /// Reads a cell of a register.
    fn register(&self, register: RegisterId, index: u32) -> Result<Bits, DataPlaneError>;

    /// Writes a cell of a register.
    fn set_register(
        &self,
        register: RegisterId,
        index: u32,
        value: &Bits,
    ) -> Result<(), DataPlaneError>;

    /// Replaces the members of a value set.
    fn set_value_set(&self, set: ValueSetId, members: &[Bits]) -> Result<(), DataPlaneError>;

    /// Tells whether a port can carry packets, for `watch_port`. Ports start up.
    fn set_port_up(&self, port: u32, up: bool);

    /// How full a table is.
    fn occupancy(&self, table: TableId) -> Occupancy;

    /// Lets packets see all that `batch` tells this data plane, or nothing of it: they see it at one
    /// moment, after `batch` and before this returns. What it takes back is as if it had not been.
    ///
    /// Registers cannot be part of it where packets write them at the same time. The caller keeps
    /// everybody else from telling the data plane anything meanwhile.
    ///
    /// # Errors
    /// `batch` was not called.
    fn atomically(&self, batch: &mut dyn FnMut()) -> Result<(), DataPlaneError> {
        let _ = batch;
        Err(DataPlaneError::Unsupported {
            what: "a batch that packets see all of or nothing".to_owned(),
            why: "this target cannot do it; give up that it is atomic for packets".to_owned(),
        })
    }
}
