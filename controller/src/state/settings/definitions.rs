//! Which settings there are.
//!
//! What [`State::apply`](crate::state::State::apply) reads must have the same default and the same bounds in all versions
//! of one level: the limits of the key-value store and the length of the history are of that kind.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::value::{ByteCount, LogFilter, Value};

/// A setting with its type.
pub struct Setting<T: Value> {
    /// COMPONENT.NAME.
    pub name: &'static str,
    /// What it is if nobody has set it.
    pub default: T,
    /// What is accepted.
    pub bounds: T::Bounds,
    /// What it does, and what follows from more or less of it. Whole sentences.
    pub description: &'static str,
}

/// A setting of any type, for lists of them.
pub trait AnySetting: Sync {
    /// COMPONENT.NAME.
    fn name(&self) -> &'static str;
    /// What it does.
    fn description(&self) -> &'static str;
    /// What it is if nobody has set it.
    fn default_text(&self) -> String;
    /// What is accepted, in words after "give".
    fn accepts(&self) -> String;
    /// What a user has written as it is kept, if it is accepted.
    fn canonical(&self, text: &str) -> Option<String>;
}

impl<T: Value> AnySetting for Setting<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn default_text(&self) -> String {
        self.default.write()
    }

    fn accepts(&self) -> String {
        T::accepts(&self.bounds)
    }

    fn canonical(&self, text: &str) -> Option<String> {
        T::parse(text, &self.bounds).map(|value| value.write())
    }
}

const UP_TO_AN_HOUR: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

/// Whether devices are moved for balance.
pub static AUTO_BALANCE: Setting<bool> = Setting {
    name: "mastership.auto_balance",
    default: true,
    bounds: (),
    description: "Whether devices get other masters so that every node is master of about as many. If not, only \
                  `pointsman cluster balance` does that.",
};

/// How long things have to be quiet before devices are moved for balance.
pub static BALANCE_DELAY: Setting<Duration> = Setting {
    name: "mastership.balance_delay",
    default: Duration::from_secs(10),
    bounds: UP_TO_AN_HOUR,
    description: "How long the cluster has to be without nodes coming and going before devices get other masters for \
                  balance alone. A node that restarts in a loop moves nothing for as long.",
};

/// How long a master tries to reach a device before it hands it on.
pub static HAND_ON_DELAY: Setting<Duration> = Setting {
    name: "mastership.hand_on_delay",
    default: Duration::from_secs(3),
    bounds: UP_TO_AN_HOUR,
    description: "How long a master may fail to reach a device before it hands it on to the next standby. Less is faster \
                  when a cable is cut, more keeps devices where they are when their agents restart.",
};

/// Change sets that are remembered.
pub static CHANGE_SETS: Setting<u64> = Setting {
    name: "history.change_sets",
    default: 1000,
    bounds: 1..=100_000,
    description: "How many changes `pointsman history` remembers, and so how far `pointsman rollback` goes back. Fewer \
                  are forgotten with the next change.",
};

/// Entries of the key-value store.
pub static KV_MAX_ENTRIES: Setting<u64> = Setting {
    name: "kv.max_entries",
    default: 100_000,
    bounds: 1..=10_000_000,
    description: "How many keys the key-value store may have, in all namespaces.",
};

/// Bytes of the key-value store.
pub static KV_MAX_BYTES: Setting<ByteCount> = Setting {
    name: "kv.max_bytes",
    default: ByteCount(64 << 20),
    bounds: ByteCount(1 << 20)..=ByteCount(1 << 30),
    description: "How much the keys and values of the key-value store may take, with 128 bytes for each. Every node holds \
                  all of it in memory, and up to half as much again of what was changed.",
};

/// Events of the key-value store.
pub static KV_EVENTS: Setting<u64> = Setting {
    name: "kv.events",
    default: 10_000,
    bounds: 1..=1_000_000,
    description: "How many changes of keys are remembered, so that whoever watches and loses the connection can go on \
                  where it was.",
};

/// What is logged.
pub static LOG_FILTER: Setting<LogFilter> = Setting {
    name: "log.filter",
    default: LogFilter(String::new()),
    bounds: (),
    description: "What every node logs. Empty: what its own configuration says.",
};

/// Streams of events that a node serves over HTTP.
pub static EVENT_STREAMS: Setting<u64> = Setting {
    name: "api.event_streams",
    default: 1000,
    bounds: 0..=100_000,
    description: "How many streams of events a node serves over HTTP at a time. Those that are open stay.",
};

/// The largest request over HTTP.
pub static MAX_REQUEST_BYTES: Setting<ByteCount> = Setting {
    name: "api.max_request_bytes",
    default: ByteCount(16 << 20),
    bounds: ByteCount(1 << 10)..=ByteCount(256 << 20),
    description: "How large a request over HTTP may be. JSON takes several times as much memory while it is read.",
};

/// All of them, by name.
pub static ALL: &[&dyn AnySetting] = &[
    &EVENT_STREAMS,
    &MAX_REQUEST_BYTES,
    &CHANGE_SETS,
    &KV_EVENTS,
    &KV_MAX_BYTES,
    &KV_MAX_ENTRIES,
    &LOG_FILTER,
    &AUTO_BALANCE,
    &BALANCE_DELAY,
    &HAND_ON_DELAY,
];

/// The setting of a name.
pub fn find(name: &str) -> Option<&'static dyn AnySetting> {
    ALL.iter().copied().find(|setting| setting.name() == name)
}

/// Settings that may have been meant: those of the same component, or that end alike.
pub fn similar(name: &str) -> Vec<&'static str> {
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let component = |name: &str| {
        name.split_once('.')
            .map(|(component, _)| component.to_owned())
    };
    let is_similar = |known: &&'static str| {
        last(known) == last(name) || component(name).is_some_and(|of| Some(of) == component(known))
    };
    let names = ALL.iter().map(|setting| setting.name());
    names.filter(is_similar).collect()
}
