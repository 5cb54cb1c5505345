//! How objectives are called on the command line: `[DEVICE/]KIND/NAME`.
//!
//! `-o name` prints them like that, and every command that is about objectives takes them.

use std::fmt;
use std::str::FromStr;

use pointsman_model::{Kind, Name, Objective};
use thiserror::Error;

/// An objective, of one device or of any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectiveName {
    /// Its device, if that was said.
    pub device: Option<String>,
    /// Its kind.
    pub kind: Kind,
    /// Its name among those of its kind.
    pub name: Name,
}

/// Why a text names no objective.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} names no objective; give filter/NAME, forward/NAME or next/NAME, with DEVICE/ before it if more than one has it"
)]
pub struct NotAnObjective(String);

impl ObjectiveName {
    /// Whether an objective of a device is meant.
    pub fn means(&self, device: &str, objective: &Objective) -> bool {
        self.device.as_deref().is_none_or(|known| known == device)
            && self.kind == objective.kind()
            && self.name == objective.name
    }

    /// The same, of this device unless it says another.
    pub fn of(self, device: Option<&str>) -> ObjectiveName {
        ObjectiveName {
            device: self.device.or_else(|| device.map(str::to_owned)),
            ..self
        }
    }
}

impl FromStr for ObjectiveName {
    type Err = NotAnObjective;

    fn from_str(text: &str) -> Result<ObjectiveName, NotAnObjective> {
        let parse = |device: Option<&str>, rest: &str| {
            let (kind, name) = rest.split_once('/')?;
            let kinds = [Kind::Filter, Kind::Forward, Kind::Next];
            Some(ObjectiveName {
                device: device.map(str::to_owned),
                kind: kinds.into_iter().find(|known| known.name() == kind)?,
                name: Name::new(name)?,
            })
        };
        let of_device = || {
            let (device, rest) = text.split_once('/')?;
            match device {
                "" => None,
                device => parse(Some(device), rest),
            }
        };
        let found = parse(None, text).or_else(of_device);
        found.ok_or_else(|| NotAnObjective(text.to_owned()))
    }
}

impl fmt::Display for ObjectiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(device) = &self.device {
            write!(f, "{device}/")?;
        }
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_named_by_kind_and_name_with_or_without_its_device() {
        let name: ObjectiveName = "forward/rack2".parse().expect("valid");
        assert_eq!((name.device.as_deref(), name.kind), (None, Kind::Forward));
        let name: ObjectiveName = "leaf1/next/a/b".parse().expect("valid");
        assert_eq!(name.device.as_deref(), Some("leaf1"));
        assert_eq!((name.kind, name.name.as_str()), (Kind::Next, "a/b"));
        assert_eq!(name.to_string(), "leaf1/next/a/b");
        for bad in ["rack2", "route/rack2", "forward/", "/forward/rack2/"] {
            let error = bad.parse::<ObjectiveName>().expect_err(bad).to_string();
            assert!(error.contains("forward/NAME"), "{error}");
        }
    }
}
