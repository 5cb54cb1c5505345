//! What clients asked of a key and were answered, each with the moments of asking and answering.

use std::time::Duration;

/// A value; each write of a history has one of its own. None: the key is not there.
pub type Value = Option<u64>;

/// What was asked, with what was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was read, and had this value.
    Read(Value),
    /// It was given this value, whatever it had.
    Write(Value),
    /// It had the first value and was given the second.
    Swap(Value, Value),
    /// It was to be given a value if it had this one, and did not have it.
    NotSwapped(Value),
}

/// One operation. Moments are since the start of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who asked: for people.
    pub client: usize,
    /// What was asked and answered.
    pub action: Action,
    /// When it was asked.
    pub asked: Duration,
    /// When it was answered. None: it was not, so it took place at any time after, or never.
    pub answered: Option<Duration>,
}

impl Action {
    /// The value that the key has to have had for this.
    pub(super) fn seen(self) -> Option<Value> {
        match self {
            Action::Read(value) | Action::Swap(value, _) => Some(value),
            Action::Write(_) | Action::NotSwapped(_) => None,
        }
    }

    /// The value that the key has after this, if it changes it.
    pub(super) fn written(self) -> Option<Value> {
        match self {
            Action::Write(value) | Action::Swap(_, value) => Some(value),
            Action::Read(_) | Action::NotSwapped(_) => None,
        }
    }

    /// What the key has after this, if it can have had `before` before.
    pub(super) fn after(self, before: Value) -> Option<Value> {
        match self {
            Action::Read(value) => (before == value).then_some(before),
            Action::Write(value) => Some(value),
            Action::Swap(from, to) => (before == from).then_some(to),
            Action::NotSwapped(wanted) => (before != wanted).then_some(before),
        }
    }
}
