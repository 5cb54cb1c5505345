//! A change to a data plane as a value, so that it can be read from a file and replayed.

use crate::ir::{ActionProfileId, CounterId, MeterId, RegisterId, TableId, ValueSetId};

use super::{
    Bits, Call, CloneSession, CounterData, DataPlane, DataPlaneError, EntryAction, EntryKey,
    GroupMember, MeterConfig, Replica, Selection, TableEntry,
};

/// A change to a data plane: the methods of [`DataPlane`] as data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    Insert(TableEntry),
    Modify(TableEntry),
    Delete(EntryKey),
    SetDefault {
        table: TableId,
        action: Option<EntryAction>,
    },
    PutMember {
        profile: ActionProfileId,
        member: u32,
        call: Call,
    },
    DeleteMember {
        profile: ActionProfileId,
        member: u32,
    },
    PutGroup {
        profile: ActionProfileId,
        group: u32,
        selection: Selection,
        members: Vec<GroupMember>,
    },
    DeleteGroup {
        profile: ActionProfileId,
        group: u32,
    },
    SetMulticastGroup {
        group: u32,
        replicas: Vec<Replica>,
    },
    SetCloneSession {
        session: u32,
        clone: Option<CloneSession>,
    },
    SetValueSet {
        set: ValueSetId,
        members: Vec<Bits>,
    },
    SetCounter {
        counter: CounterId,
        index: u32,
        data: CounterData,
    },
    SetMeter {
        meter: MeterId,
        index: u32,
        config: Option<MeterConfig>,
    },
    SetRegister {
        register: RegisterId,
        index: u32,
        value: Bits,
    },
}

impl Operation {
    /// Makes the change.
    pub fn apply(&self, data_plane: &dyn DataPlane) -> Result<(), DataPlaneError> {
        match self {
            Operation::Insert(entry) => data_plane.insert(entry),
            Operation::Modify(entry) => data_plane.modify(entry),
            Operation::Delete(key) => data_plane.delete(key),
            Operation::SetDefault { table, action } => {
                data_plane.set_default(*table, action.as_ref())
            }
            Operation::PutMember {
                profile,
                member,
                call,
            } => data_plane.put_member(*profile, *member, call),
            Operation::DeleteMember { profile, member } => {
                data_plane.delete_member(*profile, *member)
            }
            Operation::PutGroup {
                profile,
                group,
                selection,
                members,
            } => data_plane.put_group(*profile, *group, *selection, members),
            Operation::DeleteGroup { profile, group } => data_plane.delete_group(*profile, *group),
            Operation::SetMulticastGroup { group, replicas } => {
                data_plane.set_multicast_group(*group, replicas)
            }
            Operation::SetCloneSession { session, clone } => {
                data_plane.set_clone_session(*session, clone.as_ref())
            }
            Operation::SetValueSet { set, members } => data_plane.set_value_set(*set, members),
            Operation::SetCounter {
                counter,
                index,
                data,
            } => data_plane.set_counter(*counter, *index, *data),
            Operation::SetMeter {
                meter,
                index,
                config,
            } => data_plane.set_meter(*meter, *index, *config),
            Operation::SetRegister {
                register,
                index,
                value,
            } => data_plane.set_register(*register, *index, value),
        }
    }
}
