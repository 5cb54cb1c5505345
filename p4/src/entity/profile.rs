//! Members and groups of action profiles.

use crate::dataplane::Call;
use crate::ir::ActionProfileId;

/// A member of an action profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The profile.
    pub profile: ActionProfileId,
    /// Its id within the profile.
    pub id: u32,
    /// What it does. `None` only in a deletion, which ignores it.
    pub call: Option<Call>,
}

/// A group of an action selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The profile.
    pub profile: ActionProfileId,
    /// Its id within the profile.
    pub id: u32,
    /// Its members, in the order they were given.
    pub members: Vec<GroupMember>,
    /// The most members or weight it will ever have; 0 leaves that to the profile.
    pub max_size: u32,
    /// How watched ports were written, and are read.
    pub ports: PortForm,
}

pub use crate::dataplane::GroupMember;

use super::PortForm;
