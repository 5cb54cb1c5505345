//! Which entities a request may touch: those of its role, and those that the policy allows its sender.

use std::collections::HashSet;
use std::sync::Arc;

use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use thiserror::Error;

use super::objects::{self, Owner};
use crate::arbitration::RoleConfig;
use crate::authorization::{Caller, Denied, Object, Objects, Permission};

/// How a policy names what is in no p4info.
const MULTICAST_GROUPS: &str = "multicast_groups";
const CLONE_SESSIONS: &str = "clone_sessions";

/// The entities that a request may touch.
#[derive(Debug, Clone)]
pub struct Scope {
    caller: Caller,
    permission: Permission,
    role: String,
    /// What the role has; everything without.
    config: Option<Arc<RoleConfig>>,
    /// What the policy allows; everything without.
    allowed: Option<Allowed>,
}

#[derive(Debug, Clone, Default)]
struct Allowed {
    ids: HashSet<u32>,
    multicast_groups: bool,
    clone_sessions: bool,
}

/// Why an entity is not touched: PERMISSION_DENIED for this one.
#[derive(Debug, Error)]
pub enum ScopeError {
    /// The role does not have it (specification, section "Write RPC").
    #[error(
        "role {role:?} does not have {object}: it is in neither its exclusive_p4_ids nor its shared_p4_ids"
    )]
    Role {
        /// Which role.
        role: String,
        /// What it does not have.
        object: String,
    },
    /// The policy does not allow it.
    #[error(transparent)]
    Policy(#[from] Denied),
}

impl Scope {
    /// What a request may touch in a role that has `config`.
    pub fn new(
        caller: &Caller,
        permission: Permission,
        role: &str,
        config: Option<Arc<RoleConfig>>,
        p4info: &P4Info,
    ) -> Scope {
        let policy = caller.policy();
        let who = caller.peer().identity.as_ref();
        let objects = policy
            .as_ref()
            .map(|policy| policy.objects(who, permission, role));
        let allowed = match objects {
            None | Some(Objects::All) => None,
            Some(Objects::Only(named)) => Some(Allowed::resolve(&named, p4info)),
        };
        Scope {
            caller: caller.clone(),
            permission,
            role: role.to_owned(),
            config,
            allowed,
        }
    }

    /// What of some entities is shown.
    pub fn of(
        &self,
        entities: Box<dyn Iterator<Item = p4::Entity> + Send>,
    ) -> Box<dyn Iterator<Item = p4::Entity> + Send> {
        if self.config.is_none() && self.allowed.is_none() {
            return entities;
        }
        let scope = self.clone();
        Box::new(entities.filter(move |entity| {
            let owner = objects::owner(entity);
            owner.is_none_or(|owner| scope.has(owner))
        }))
    }

    /// May this entity be written?
    pub fn check(&self, entity: &p4::Entity, p4info: &P4Info) -> Result<(), ScopeError> {
        let Some(owner) = objects::owner(entity) else {
            // Whoever reads it says what is wrong with it.
            return Ok(());
        };
        if !self.role_has(owner) {
            return Err(ScopeError::Role {
                role: self.role.clone(),
                object: name(owner, p4info),
            });
        }
        self.check_policy(entity, p4info)
    }

    /// Does the policy allow to ask for this? What a role does not have is not refused but left out
    /// of the answer, as the specification has it ("Read RPC").
    pub fn check_policy(&self, entity: &p4::Entity, p4info: &P4Info) -> Result<(), ScopeError> {
        match objects::owner(entity) {
            Some(owner) if !self.policy_allows(owner) => {
                let object = name(owner, p4info);
                let denied = self
                    .caller
                    .denied(self.permission, Some(&self.role), Some(object));
                Err(ScopeError::Policy(denied))
            }
            _ => Ok(()),
        }
    }

    /// Whether what belongs to this may be touched.
    pub fn has(&self, owner: Owner) -> bool {
        self.role_has(owner) && self.policy_allows(owner)
    }

    /// Replication is in no p4info, so that a role cannot name it: all roles share it.
    fn role_has(&self, owner: Owner) -> bool {
        match (&self.config, owner) {
            (Some(config), Owner::Object(id)) => id == 0 || config.has(id),
            _ => true,
        }
    }

    fn policy_allows(&self, owner: Owner) -> bool {
        let Some(allowed) = &self.allowed else {
            return true;
        };
        match owner {
            Owner::Object(id) => id == 0 || allowed.ids.contains(&id),
            Owner::MulticastGroups => allowed.multicast_groups,
            Owner::CloneSessions => allowed.clone_sessions,
        }
    }
}

impl Allowed {
    /// Looks names up in the loaded pipeline; what it does not have is allowed in vain.
    fn resolve(named: &[&Object], p4info: &P4Info) -> Allowed {
        let mut allowed = Allowed::default();
        for object in named {
            match object {
                Object::Id(id) => {
                    allowed.ids.insert(*id);
                }
                Object::Name(name) if name == MULTICAST_GROUPS => allowed.multicast_groups = true,
                Object::Name(name) if name == CLONE_SESSIONS => allowed.clone_sessions = true,
                Object::Name(name) => {
                    let found = objects::objects(p4info)
                        .filter(|preamble| preamble.name == *name || preamble.alias == *name);
                    allowed.ids.extend(found.map(|preamble| preamble.id));
                }
            }
        }
        allowed
    }
}

fn name(owner: Owner, p4info: &P4Info) -> String {
    match owner {
        Owner::Object(id) => objects::name(p4info, id),
        Owner::MulticastGroups => MULTICAST_GROUPS.to_owned(),
        Owner::CloneSessions => CLONE_SESSIONS.to_owned(),
    }
}
