//! Settings of the whole cluster that can be changed while it runs.
//!
//! The state keeps text under names and looks at neither, so that nodes of two versions that know different settings
//! stay alike. [`definitions`] says which settings there are; whoever takes a change from a user asks it first
//! ([`check`]), and whoever needs a setting reads it with its type ([`Settings::get`]). A value that this version cannot
//! read counts as its default.

pub mod definitions;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use definitions::{AnySetting, Setting};
pub use value::{ByteCount, LogFilter, Value};

use super::kv::Limits;
use super::{Effect, Response, RowKey};

/// Settings that may be set at a time, also those of other versions.
const MAX_SETTINGS: usize = 256;
/// The longest name, and the longest value.
const MAX_NAME_BYTES: usize = 64;
const MAX_VALUE_BYTES: usize = 4096;

/// What is set.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    revision: u64,
    values: BTreeMap<String, String>,
}

/// Changes settings, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigureCommand {
    /// What they become; `None` is their default.
    pub changes: Vec<(String, Option<String>)>,
    /// The revision that they have to be at.
    pub expected: Option<u64>,
}

/// Why a change is refused before it is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("there is no setting {name:?}; {}", match .similar.as_slice() {
        [] => "`pointsman config list` shows those that there are".to_owned(),
        similar => format!("is it {}?", similar.join(" or ")),
    })]
    Unknown {
        /// What was named.
        name: String,
        /// What may have been meant.
        similar: Vec<&'static str>,
    },
    /// The value is not accepted.
    #[error("{name} cannot be {value:?}; give {accepts}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be accepted.
        accepts: String,
    },
}

/// Would this version accept a change? Answers with the value as it is kept.
///
/// # Errors
/// Says what would be accepted.
pub fn check(name: &str, value: &str) -> Result<String, SettingError> {
    let setting = definitions::find(name).ok_or_else(|| SettingError::Unknown {
        name: name.to_owned(),
        similar: definitions::similar(name),
    })?;
    let kept = setting.canonical(value);
    kept.filter(|kept| kept.len() <= MAX_VALUE_BYTES)
        .ok_or_else(|| SettingError::Value {
            name: setting.name(),
            value: value.to_owned(),
            accepts: setting.accepts(),
        })
}

impl Settings {
    /// Rises with each change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The value of a setting.
    pub fn get<T: Value>(&self, setting: &Setting<T>) -> T {
        let value = self.values.get(setting.name);
        value
            .and_then(|value| T::parse(value, &setting.bounds))
            .unwrap_or_else(|| setting.default.clone())
    }

    /// What somebody has set, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn kv_limits(&self) -> Limits {
        let count = |setting| usize::try_from(self.get(setting)).unwrap_or(usize::MAX);
        Limits {
            entries: count(&definitions::KV_MAX_ENTRIES),
            bytes: self.get(&definitions::KV_MAX_BYTES).0,
            events: count(&definitions::KV_EVENTS),
        }
    }

    pub(super) fn change_sets(&self) -> usize {
        usize::try_from(self.get(&definitions::CHANGE_SETS)).unwrap_or(usize::MAX)
    }

    pub(super) fn configure(&mut self, command: ConfigureCommand) -> Effect {
        let mut values = self.values.clone();
        for (name, value) in command.changes {
            match value {
                Some(value) => drop(values.insert(name, value)),
                None => drop(values.remove(&name)),
            }
        }
        let is_bounded = values.len() <= MAX_SETTINGS
            && values.iter().all(|(name, value)| {
                name.len() <= MAX_NAME_BYTES && value.len() <= MAX_VALUE_BYTES
            });
        let accepted = is_bounded
            && command
                .expected
                .is_none_or(|expected| expected == self.revision);
        let mut touched = Vec::new();
        if accepted && values != self.values {
            self.values = values;
            self.revision += 1;
            touched.push(RowKey::Settings);
        }
        Effect {
            response: Response::Configured {
                accepted,
                revision: self.revision,
            },
            touched,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn configure(settings: &mut Settings, name: &str, value: Option<&str>) -> Response {
        let command = ConfigureCommand {
            changes: vec![(name.to_owned(), value.map(str::to_owned))],
            expected: None,
        };
        settings.configure(command).response
    }

    #[test]
    fn a_setting_has_its_default_until_it_is_set_and_after_it_is_reset() {
        let mut settings = Settings::default();
        assert_eq!(settings.get(&definitions::CHANGE_SETS), 1000);
        configure(&mut settings, "history.change_sets", Some("5"));
        assert_eq!(settings.get(&definitions::CHANGE_SETS), 5);
        configure(&mut settings, "history.change_sets", None);
        assert_eq!(settings.get(&definitions::CHANGE_SETS), 1000);
        assert_eq!(settings.revision(), 2);
    }

    #[test]
    fn a_value_that_this_version_does_not_understand_counts_as_the_default() {
        let mut settings = Settings::default();
        configure(&mut settings, "history.change_sets", Some("many"));
        assert_eq!(settings.get(&definitions::CHANGE_SETS), 1000);
        configure(&mut settings, "of.a.later.version", Some("yes"));
        assert_eq!(settings.text("of.a.later.version"), Some("yes"));
    }

    #[test]
    fn changes_for_another_revision_and_endless_ones_change_nothing() {
        let mut settings = Settings::default();
        configure(&mut settings, "history.change_sets", Some("5"));
        let before = settings.clone();
        let late = ConfigureCommand {
            changes: vec![("history.change_sets".into(), None)],
            expected: Some(0),
        };
        let refused = Response::Configured {
            accepted: false,
            revision: 1,
        };
        assert_eq!(settings.configure(late).response, refused);
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        assert_eq!(configure(&mut settings, "a", Some(&long)), refused);
        let many = (0..=MAX_SETTINGS).map(|index| (index.to_string(), Some(String::new())));
        let many = ConfigureCommand {
            changes: many.collect(),
            expected: None,
        };
        assert_eq!(settings.configure(many).response, refused);
        assert_eq!(settings, before);
    }

    #[test]
    fn every_default_is_accepted_and_every_name_has_a_component() {
        for setting in definitions::ALL {
            let default = setting.default_text();
            assert_eq!(
                check(setting.name(), &default).as_ref(),
                Ok(&default),
                "{}",
                setting.name()
            );
            assert!(setting.name().contains('.'), "{}", setting.name());
            assert!(setting.description().ends_with('.'), "{}", setting.name());
        }
    }

    #[test]
    fn a_refusal_says_what_would_be_accepted() {
        let refusal = |name, value| check(name, value).expect_err("refused").to_string();
        expect_test::expect![[r#"
            there is no setting "history.changes"; is it history.change_sets?
            there is no setting "colour"; `pointsman config list` shows those that there are
            history.change_sets cannot be "0"; give 1 to 100000
            mastership.balance_delay cannot be "soon"; give a time from 0 ms to 1 h, for example 1500 ms or 2 s
            kv.max_bytes cannot be "-1"; give 1 MiB to 1 GiB, in bytes or as in 64 MiB
            log.filter cannot be "a=b=c"; give a filter such as info or pointsman_controller=debug; empty: each node's own
        "#]]
        .assert_eq(&[
            refusal("history.changes", "1"),
            refusal("colour", "red"),
            refusal("history.change_sets", "0"),
            refusal("mastership.balance_delay", "soon"),
            refusal("kv.max_bytes", "-1"),
            refusal("log.filter", "a=b=c"),
            String::new(),
        ].join("\n"));
    }

    #[test]
    fn times_and_sizes_are_kept_in_one_way_however_they_are_written() {
        assert_eq!(check("mastership.balance_delay", "2s"), Ok("2 s".into()));
        assert_eq!(
            check("mastership.balance_delay", "1500"),
            Ok("1500 ms".into())
        );
        assert_eq!(check("kv.max_bytes", "2097152"), Ok("2 MiB".into()));
        let mut settings = Settings::default();
        configure(&mut settings, "mastership.balance_delay", Some("2 s"));
        let delay = settings.get(&definitions::BALANCE_DELAY);
        assert_eq!(delay, Duration::from_secs(2));
    }
}
