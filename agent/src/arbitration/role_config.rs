//! What a role may do (specification, section 5.2 "Role Config").
//!
//! The specification leaves the form of a role's configuration to servers and clients. The one that
//! clients know is Stratum's `P4RoleConfig`, and it is the one taken here. A role without a
//! configuration, and the default role always, may do everything.

use std::collections::BTreeSet;
use std::sync::Arc;

use thiserror::Error;

/// What a role may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleConfig {
    /// The message as it came, to be given back in notifications.
    pub message: Arc<[u8]>,
    /// p4info ids that only this role writes.
    pub exclusive: BTreeSet<u32>,
    /// p4info ids that it writes with others.
    pub shared: BTreeSet<u32>,
    /// Which packets it is sent.
    pub packet_ins: PacketIns,
    /// Whether it sets pipelines.
    pub can_push_pipeline: bool,
}

/// Which packets a role is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PacketIns {
    /// None.
    None,
    /// All.
    All,
    /// Those whose metadata field has this value.
    With {
        /// The p4info id of the field.
        metadata_id: u32,
        /// Its value in the shortest form.
        value: Vec<u8>,
    },
}

/// Why a role's configuration is refused: INVALID_ARGUMENT (specification, section 5.3, 1.3 and 2.3).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleConfigError {
    /// Some other message.
    #[error("role.config is a {type_url:?}; this switch takes stratum.P4RoleConfig")]
    UnknownType {
        /// What came.
        type_url: String,
    },
    /// Not what its type says.
    #[error("role.config is no stratum.P4RoleConfig: {0}")]
    Malformed(String),
    /// The default role cannot have one.
    #[error("the default role may do everything and takes no role.config; name a role")]
    DefaultRole,
    /// The pipeline has nothing with this id.
    #[error(
        "role.config has the id {id:#010x}, and the pipeline has nothing that is written by it"
    )]
    UnknownId {
        /// The id.
        id: u32,
    },
    /// An id that is both.
    #[error("role.config has the id {id:#010x} both as exclusive and as shared")]
    BothWays {
        /// The id.
        id: u32,
    },
    /// A filter for packets that are not sent.
    #[error("role.config has a packet_in_filter, but receives_packet_ins is not set")]
    FilterWithoutPackets,
    /// A filter that no packet passes.
    #[error("packet_in_filter: {0}")]
    Filter(String),
    /// Another role has the id.
    #[error("id {id:#010x} is {} to role {role:?} already", if *.exclusive { "exclusive" } else { "shared" })]
    Conflict {
        /// The id.
        id: u32,
        /// Whose.
        role: String,
        /// How that role has it.
        exclusive: bool,
    },
}

impl RoleConfig {
    /// Whether the role reads and writes what has this id.
    pub fn has(&self, id: u32) -> bool {
        self.exclusive.contains(&id) || self.shared.contains(&id)
    }

    /// Every id that the role has.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.exclusive.iter().chain(&self.shared).copied()
    }

    /// Whether the role is sent a packet with this metadata.
    pub fn receives(&self, metadata: &[(u32, Vec<u8>)]) -> bool {
        match &self.packet_ins {
            PacketIns::None => false,
            PacketIns::All => true,
            // Switches that pad byte strings do so here, too.
            PacketIns::With { metadata_id, value } => metadata.iter().any(|(id, found)| {
                id == metadata_id && without_zeros(found) == without_zeros(value)
            }),
        }
    }

    /// Can both roles have what their configurations say? What is exclusive to one is neither
    /// exclusive to the other nor shared by it.
    pub fn check_beside(&self, other: &RoleConfig, role: &str) -> Result<(), RoleConfigError> {
        let conflict = |id: Option<&u32>, exclusive| match id {
            None => Ok(()),
            Some(id) => Err(RoleConfigError::Conflict {
                id: *id,
                role: role.to_owned(),
                exclusive,
            }),
        };
        conflict(self.exclusive.intersection(&other.exclusive).next(), true)?;
        conflict(self.shared.intersection(&other.exclusive).next(), true)?;
        conflict(self.exclusive.intersection(&other.shared).next(), false)
    }
}

fn without_zeros(value: &[u8]) -> &[u8] {
    let zeros = value.iter().take_while(|byte| **byte == 0).count();
    &value[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(exclusive: &[u32], shared: &[u32]) -> RoleConfig {
        RoleConfig {
            message: Arc::from([]),
            exclusive: exclusive.iter().copied().collect(),
            shared: shared.iter().copied().collect(),
            packet_ins: PacketIns::None,
            can_push_pipeline: false,
        }
    }

    #[test]
    fn what_is_exclusive_to_a_role_no_other_may_have() {
        let check = |ours: RoleConfig, theirs: RoleConfig| ours.check_beside(&theirs, "other");
        assert!(check(config(&[1], &[3]), config(&[2], &[3])).is_ok());
        assert!(check(config(&[1], &[]), config(&[1], &[])).is_err());
        assert!(check(config(&[1], &[]), config(&[], &[1])).is_err());
        let error = check(config(&[], &[1]), config(&[1], &[])).expect_err("it is exclusive");
        assert_eq!(
            error.to_string(),
            "id 0x00000001 is exclusive to role \"other\" already"
        );
    }

    #[test]
    fn packets_are_sent_to_roles_that_receive_them_and_pass_their_filter() {
        let with = |packet_ins| RoleConfig {
            packet_ins,
            ..config(&[], &[])
        };
        let metadata = [(1, vec![7]), (2, vec![9])];
        assert!(!with(PacketIns::None).receives(&metadata));
        assert!(with(PacketIns::All).receives(&metadata));
        let only = |metadata_id, value: u8| {
            let value = vec![value];
            with(PacketIns::With { metadata_id, value }).receives(&metadata)
        };
        assert!(only(2, 9));
        assert!(
            with(PacketIns::With {
                metadata_id: 2,
                value: vec![0, 9]
            })
            .receives(&metadata)
        );
        assert!(!only(2, 7));
        assert!(!only(3, 9));
    }
}
