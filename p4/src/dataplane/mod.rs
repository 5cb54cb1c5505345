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

pub use bits::Bits;
pub use declared::declared_entries;
pub use entry::{
    Call, CloneSession, CounterData, EntryAction, EntryKey, GroupMember, Match, MeterConfig,
    Occupancy, Replica, TableEntry,
};
pub use error::DataPlaneError;
pub use operation::Operation;

use crate::ir::{ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId};

/// A data plane that runs one program.
///
/// Ids are those of the [`Program`](crate::ir::Program) that it was made for.
pub trait DataPlane: Send {
    /// Adds an entry. `AlreadyExists` if there is one with this key.
    fn insert(&mut self, entry: &TableEntry) -> Result<(), DataPlaneError>;

    /// Replaces the action of an entry; its counter goes on.
    fn modify(&mut self, entry: &TableEntry) -> Result<(), DataPlaneError>;

    /// Removes an entry.
    fn delete(&mut self, key: &EntryKey) -> Result<(), DataPlaneError>;

    /// What happens on a miss; `None` is what the program says.
    fn set_default(
        &mut self,
        table: TableId,
        action: Option<&EntryAction>,
    ) -> Result<(), DataPlaneError>;

    /// Adds or replaces a member of a profile.
    fn put_member(
        &mut self,
        profile: ActionProfileId,
        member: u32,
        call: &Call,
    ) -> Result<(), DataPlaneError>;

    /// Removes a member that no entry and no group refers to.
    fn delete_member(
        &mut self,
        profile: ActionProfileId,
        member: u32,
    ) -> Result<(), DataPlaneError>;

    /// Adds or replaces a group as a whole. Members count in the order given. A member whose
    /// `watch_port` is down is passed over while another is up.
    fn put_group(
        &mut self,
        profile: ActionProfileId,
        group: u32,
        members: &[GroupMember],
    ) -> Result<(), DataPlaneError>;

    /// Removes a group that no entry refers to.
    fn delete_group(&mut self, profile: ActionProfileId, group: u32) -> Result<(), DataPlaneError>;

    /// Replaces a multicast group; no replicas removes it.
    fn set_multicast_group(
        &mut self,
        group: u32,
        replicas: &[Replica],
    ) -> Result<(), DataPlaneError>;

    /// Replaces a clone session; `None` removes it.
    fn set_clone_session(
        &mut self,
        session: u32,
        clone: Option<&CloneSession>,
    ) -> Result<(), DataPlaneError>;

    /// Reads a cell of an indirect counter.
    fn counter(&self, counter: CounterId, index: u32) -> Result<CounterData, DataPlaneError>;

    /// Writes a cell of an indirect counter.
    fn set_counter(
        &mut self,
        counter: CounterId,
        index: u32,
        data: CounterData,
    ) -> Result<(), DataPlaneError>;

    /// Reads the direct counter of an entry.
    fn direct_counter(&self, key: &EntryKey) -> Result<CounterData, DataPlaneError>;

    /// Writes the direct counter of an entry.
    fn set_direct_counter(
        &mut self,
        key: &EntryKey,
        data: CounterData,
    ) -> Result<(), DataPlaneError>;

    /// Configures a cell of an indirect meter; `None` makes it always green.
    fn set_meter(
        &mut self,
        meter: MeterId,
        index: u32,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError>;

    /// Configures the direct meter of an entry; `None` makes it always green.
    fn set_direct_meter(
        &mut self,
        key: &EntryKey,
        config: Option<MeterConfig>,
    ) -> Result<(), DataPlaneError>;

    /// Reads a cell of a register.
    fn register(&self, register: RegisterId, index: u32) -> Result<Bits, DataPlaneError>;

    /// Writes a cell of a register.
    fn set_register(
        &mut self,
        register: RegisterId,
        index: u32,
        value: &Bits,
    ) -> Result<(), DataPlaneError>;

    /// Replaces the members of a value set.
    fn set_value_set(&mut self, set: ValueSetId, members: &[Bits]) -> Result<(), DataPlaneError>;

    /// Tells whether a port can carry packets, for `watch_port`. Ports start up.
    fn set_port_up(&mut self, port: u32, up: bool);

    /// How full a table is.
    fn occupancy(&self, table: TableId) -> Occupancy;
}
