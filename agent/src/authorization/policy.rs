//! The policy: rules that allow, and nothing else.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::Permission;
use crate::reload::Source;
use crate::tls::Identity;

/// Who may do what. What no rule allows is denied.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// One is enough.
    pub rules: Vec<Rule>,
}

/// Lets some do something.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The identities of clients; `*` is everybody, also those without one.
    pub identities: Vec<String>,
    /// What they may do.
    pub allow: Vec<Permission>,
    /// In which roles they may do it; the default role is `""`. All if left out.
    pub roles: Option<Vec<String>>,
    /// To which tables and other objects of the pipeline they may do it. All if left out.
    pub tables: Option<Vec<Object>>,
}

/// An object of a pipeline, as a policy names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Object {
    /// By its p4info id.
    Id(u32),
    /// By its name or alias in p4info, or one of the kinds that have none.
    Name(String),
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Object::Id(id) => write!(f, "{id}"),
            Object::Name(name) => f.write_str(name),
        }
    }
}

/// What somebody may do something to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objects<'a> {
    /// Anything.
    All,
    /// These.
    Only(Vec<&'a Object>),
}

impl Policy {
    /// May they, in this role? Without a role: in any?
    pub fn allows(
        &self,
        who: Option<&Identity>,
        permission: Permission,
        role: Option<&str>,
    ) -> bool {
        self.that_apply(who, permission, role).next().is_some()
    }

    /// To what they may do it. Nothing at all if no rule applies.
    pub fn objects(
        &self,
        who: Option<&Identity>,
        permission: Permission,
        role: &str,
    ) -> Objects<'_> {
        let mut named = Vec::new();
        for rule in self.that_apply(who, permission, Some(role)) {
            match &rule.tables {
                None => return Objects::All,
                Some(tables) => named.extend(tables),
            }
        }
        Objects::Only(named)
    }

    fn that_apply(
        &self,
        who: Option<&Identity>,
        permission: Permission,
        role: Option<&str>,
    ) -> impl Iterator<Item = &Rule> {
        self.rules
            .iter()
            .filter(move |rule| rule.applies(who, permission, role))
    }
}

impl Rule {
    fn applies(&self, who: Option<&Identity>, permission: Permission, role: Option<&str>) -> bool {
        let mut identities = self.identities.iter();
        let mut allowed = self.allow.iter();
        identities.any(|name| name == "*" || who.is_some_and(|who| *who.0 == **name))
            && allowed.any(|allowed| *allowed == permission || *allowed == Permission::All)
            && match (&self.roles, role) {
                (None, _) | (_, None) => true,
                (Some(roles), Some(role)) => roles.iter().any(|name| name == role),
            }
    }
}

/// The file that a policy stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile(pub PathBuf);

/// Why a file is no policy.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// Not YAML, or not such; with line and column.
    #[error("{}: {error}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: String,
    },
    /// A rule that says nothing.
    #[error("{}: rule {number} has no {what}; it would allow nothing", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// From 1.
        number: usize,
        /// The field.
        what: &'static str,
    },
}

impl Source for PolicyFile {
    type Value = Policy;
    type Error = PolicyError;

    fn files(&self) -> Vec<&Path> {
        vec![&self.0]
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<Policy, PolicyError> {
        let text = String::from_utf8_lossy(&contents[0]);
        let parsed = serde_saphyr::from_str(&text);
        let policy: Policy = parsed.map_err(|error| PolicyError::Syntax {
            path: self.0.clone(),
            error: error.to_string(),
        })?;
        for (rule, number) in policy.rules.iter().zip(1..) {
            let what = match rule {
                rule if rule.identities.is_empty() => "identities",
                rule if rule.allow.is_empty() => "allow",
                _ => continue,
            };
            let path = self.0.clone();
            return Err(PolicyError::Empty { path, number, what });
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Policy, String> {
        let file = PolicyFile("authorization.yaml".into());
        file.make(&[text.into()]).map_err(|error| error.to_string())
    }

    fn named(name: &str) -> Option<Identity> {
        Some(Identity(name.into()))
    }

    const POLICY: &str = "
rules:
  - identities: [controller-1, controller-2]
    allow: [all]
  - identities: [telemetry]
    allow: [primary, read, write]
    roles: [telemetry]
    tables: [counters, 33554433]
  - identities: [telemetry]
    allow: [read]
    roles: [telemetry]
    tables: [acl]
  - identities: ['*']
    allow: [capabilities]
";

    #[test]
    fn what_no_rule_allows_is_denied() {
        let policy = parse(POLICY).expect("a policy");
        let may = |who: &str, what, role| policy.allows(named(who).as_ref(), what, role);
        assert!(may("controller-2", Permission::SetPipeline, Some("")));
        assert!(may("telemetry", Permission::Write, Some("telemetry")));
        assert!(!may("telemetry", Permission::Write, Some("")));
        assert!(may("telemetry", Permission::Write, None));
        assert!(!may("telemetry", Permission::SetPipeline, None));
        assert!(!may("stranger", Permission::Read, None));
        assert!(may("stranger", Permission::Capabilities, None));
        assert!(policy.allows(None, Permission::Capabilities, None));
        assert!(!policy.allows(None, Permission::Read, None));
    }

    #[test]
    fn the_objects_of_all_rules_that_apply_count() {
        let policy = parse(POLICY).expect("a policy");
        let who = named("telemetry");
        let objects = |what| match policy.objects(who.as_ref(), what, "telemetry") {
            Objects::All => vec!["all".to_owned()],
            Objects::Only(objects) => objects.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(objects(Permission::Read), ["counters", "33554433", "acl"]);
        assert_eq!(objects(Permission::Write), ["counters", "33554433"]);
        assert_eq!(
            policy.objects(named("controller-1").as_ref(), Permission::Write, ""),
            Objects::All
        );
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        let error = parse("rules:\n  - identities: [a]\n    alow: [read]\n").expect_err("a typo");
        assert!(error.contains("alow") && error.contains('3'), "{error}");
        let error = parse("rules:\n  - identities: [a]\n    allow: [rite]\n").expect_err("a typo");
        assert!(error.contains("rite") && error.contains('3'), "{error}");
        let error = parse("rules:\n  - identities: []\n    allow: [read]\n").expect_err("nobody");
        assert!(
            error.contains("rule 1") && error.contains("identities"),
            "{error}"
        );
    }
}
