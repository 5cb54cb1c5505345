//! Who sent a request, and what they may do.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tonic::{Request, Status};

use super::{Permission, Policy, PolicyFile};
use crate::audit::Audit;
use crate::reload::Reloaded;
use crate::server::Peer;
use crate::tls::Identity;

/// Who sent a request. Asks the policy as it is at the moment, so that long streams follow it.
#[derive(Debug, Clone)]
pub struct Caller {
    peer: Peer,
    policy: Option<Arc<Reloaded<PolicyFile>>>,
    audit: Option<Arc<Audit>>,
}

/// No rule allows it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{who} may not {permission}{}{}: no rule of {} allows it; this one would: {}",
    Object(object), Role(role), file.display(), self.rule()
)]
pub struct Denied {
    /// To whom.
    pub who: Who,
    /// What.
    pub permission: Permission,
    /// To which object of the pipeline.
    pub object: Option<String>,
    /// In which role.
    pub role: Option<String>,
    /// Where the rules are.
    pub file: PathBuf,
}

/// A client, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who(pub Option<Identity>);

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(identity) => identity.fmt(f),
            None => f.write_str("a client without a certificate"),
        }
    }
}

struct Object<'a>(&'a Option<String>);

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(object) => write!(f, " {object}"),
            None => Ok(()),
        }
    }
}

struct Role<'a>(&'a Option<String>);

impl fmt::Display for Role<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_deref() {
            None => Ok(()),
            Some("") => f.write_str(" in the default role"),
            Some(role) => write!(f, " in role {role}"),
        }
    }
}

impl Denied {
    /// The rule that is missing, as it would stand in the policy.
    fn rule(&self) -> String {
        let who = self.who.0.as_ref().map_or("*", |identity| &identity.0);
        let mut rule = format!(
            "{{ identities: [{who:?}], allow: [{}]",
            self.permission.name()
        );
        if let Some(role) = &self.role {
            rule += &format!(", roles: [{role:?}]");
        }
        if let Some(object) = &self.object {
            rule += &format!(", tables: [{object:?}]");
        }
        rule + " }"
    }
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Status {
        Status::permission_denied(denied.to_string())
    }
}

impl Caller {
    pub(super) fn new(
        peer: Peer,
        policy: Option<Arc<Reloaded<PolicyFile>>>,
        audit: Option<Arc<Audit>>,
    ) -> Caller {
        Caller {
            peer,
            policy,
            audit,
        }
    }

    /// Who sent this request, which has come through the [`Gate`](super::Gate).
    pub fn of<T>(request: &Request<T>) -> Result<Caller, Status> {
        let caller = request.extensions().get::<Caller>();
        caller
            .cloned()
            .ok_or_else(|| Status::internal("nobody has asked who sent this request"))
    }

    /// Where they are, and who.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Where what they change is recorded, if it is.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_deref()
    }

    /// The rules of the moment, if there are any.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.policy.as_ref().map(|policy| policy.get())
    }

    /// May they do this in a role? Without a role: in any?
    pub fn may(&self, permission: Permission, role: Option<&str>) -> Result<(), Denied> {
        self.may_one(&[permission], role)
    }

    /// The same, where one of several permissions is enough.
    pub fn may_one(&self, permissions: &[Permission], role: Option<&str>) -> Result<(), Denied> {
        let Some(policy) = self.policy() else {
            return Ok(());
        };
        let who = self.peer.identity.as_ref();
        let mut asked = permissions.iter();
        match asked.any(|permission| policy.allows(who, *permission, role)) {
            true => Ok(()),
            false => Err(self.denied(permissions[0], role, None)),
        }
    }

    /// The refusal of something.
    pub fn denied(
        &self,
        permission: Permission,
        role: Option<&str>,
        object: Option<String>,
    ) -> Denied {
        let file = self.policy.as_ref().map(|policy| policy.source().0.clone());
        Denied {
            who: Who(self.peer.identity.clone()),
            permission,
            object,
            role: role.map(str::to_owned),
            file: file.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_what_and_which_rule_is_missing() {
        let denied = Denied {
            who: Who(Some(Identity("telemetry".into()))),
            permission: Permission::Write,
            object: Some("acl".to_owned()),
            role: Some(String::new()),
            file: "authorization.yaml".into(),
        };
        assert_eq!(
            denied.to_string(),
            "telemetry may not write acl in the default role: no rule of authorization.yaml allows it; this \
             one would: { identities: [\"telemetry\"], allow: [write], roles: [\"\"], tables: [\"acl\"] }"
        );
    }
}
