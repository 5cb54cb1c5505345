//! Entries, groups and replication, as a data plane takes them.

use std::ops::Add;

use crate::ir::{ActionId, TableId};

use super::{Args, Bits, Matches};

/// A match on one part of a table's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Match<B = Bits> {
    /// Equal.
    Exact(B),
    /// The first `prefix_len` bits are equal; the others of `value` are 0. Length 0 matches all.
    Lpm {
        /// The prefix.
        value: B,
        /// Bits of the prefix.
        prefix_len: u32,
    },
    /// Equal under a mask; bits of `value` outside it are 0. Mask 0 matches all.
    Ternary {
        /// The value.
        value: B,
        /// The mask.
        mask: B,
    },
    /// Equal, or anything.
    Optional(Option<B>),
    /// Between two bounds, both included.
    Range {
        /// Lower bound.
        low: B,
        /// Upper bound.
        high: B,
    },
}

impl<B> Match<B> {
    /// The same match with its numbers in another form.
    pub fn map<C>(self, form: impl Fn(B) -> C) -> Match<C> {
        match self {
            Match::Exact(value) => Match::Exact(form(value)),
            Match::Lpm { value, prefix_len } => Match::Lpm {
                value: form(value),
                prefix_len,
            },
            Match::Ternary { value, mask } => Match::Ternary {
                value: form(value),
                mask: form(mask),
            },
            Match::Optional(value) => Match::Optional(value.map(form)),
            Match::Range { low, high } => Match::Range {
                low: form(low),
                high: form(high),
            },
        }
    }
}

/// What makes an entry the one it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    /// The table.
    pub table: TableId,
    /// One for each part of the table's key, in its order.
    pub matches: Matches,
    /// The higher wins. 0 where the table has no priorities.
    pub priority: i32,
}

/// An entry whose direct resources are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryRef<'k> {
    /// The one with this key.
    Keyed(&'k EntryKey),
    /// The default entry of a table: what packets meet that miss.
    Default(TableId),
}

impl EntryRef<'_> {
    /// The table that it is in.
    pub fn table(self) -> TableId {
        match self {
            EntryRef::Keyed(key) => key.table,
            EntryRef::Default(table) => table,
        }
    }
}

impl<'k> From<&'k EntryKey> for EntryRef<'k> {
    fn from(key: &'k EntryKey) -> EntryRef<'k> {
        EntryRef::Keyed(key)
    }
}

/// An action with its arguments, one for each parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The action.
    pub action: ActionId,
    /// Its arguments.
    pub args: Args,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EntryAction {
    /// Run this action.
    Call(Call),
    /// Run the action of this member of the table's profile.
    Member(u32),
    /// Run the action of a member of this group, chosen by the selector.
    Group(u32),
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableEntry {
    /// When.
    pub key: EntryKey,
    /// What.
    pub action: EntryAction,
}

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupMember {
    /// Which member of the profile.
    pub member: u32,
    /// Its share; at least 1.
    pub weight: u32,
    /// Passed over while this port is down.
    pub watch_port: Option<u32>,
}

/// How a packet gets a member of its group. Members whose `watch_port` is down are passed over either way, while
/// another is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Selection {
    /// By the selector's hash over its fields, each as often as its weight says.
    #[default]
    Hash,
    /// The first one, in the order given: the others wait until it is down. Weights mean nothing.
    FirstLive,
}

impl GroupMember {
    /// The members of a group as BMv2 counts them: by their own number, in whatever order the group
    /// names them.
    pub fn in_order(members: &[GroupMember]) -> Vec<GroupMember> {
        let mut members = members.to_vec();
        members.sort_by_key(|member| member.member);
        members
    }
}

/// One copy that a multicast group or clone session makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replica {
    /// Where it goes.
    pub port: u32,
    /// Its `egress_rid`.
    pub instance: u32,
    /// What takes its place while its port is down: the first whose port is up.
    pub backups: Vec<BackupReplica>,
}

/// What takes the place of a replica whose port is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackupReplica {
    /// Where it goes.
    pub port: u32,
    /// Its `egress_rid`.
    pub instance: u32,
}

impl Replica {
    /// A copy without backups.
    pub fn new(port: u32, instance: u32) -> Replica {
        Replica {
            port,
            instance,
            backups: Vec::new(),
        }
    }

    /// The copy that is made: port and instance of the first of it and its backups whose port is
    /// up. With all of them down none is made, and nothing that comes after replication happens
    /// (P4Runtime, "MulticastGroupEntry"). A replica without backups is not looked after.
    pub fn active(&self, is_up: impl Fn(u32) -> bool) -> Option<(u32, u32)> {
        if self.backups.is_empty() || is_up(self.port) {
            return Some((self.port, self.instance));
        }
        let up = self.backups.iter().find(|backup| is_up(backup.port));
        up.map(|backup| (backup.port, backup.instance))
    }
}

/// A clone session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloneSession {
    /// The copies it makes.
    pub replicas: Vec<Replica>,
    /// The clone is cut to this many bytes; 0 does not cut.
    pub packet_length_bytes: u32,
}

/// What a counter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct CounterData {
    pub packets: u64,
    pub bytes: u64,
}

/// The colour that a meter gives a packet, as programs see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Within the committed rate.
    Green = 0,
    /// Beyond it, within what else is allowed.
    Yellow = 1,
    /// Beyond all.
    Red = 2,
}

/// What a meter has counted, by the colour that it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct ColorCounts {
    pub green: CounterData,
    pub yellow: CounterData,
    pub red: CounterData,
}

impl ColorCounts {
    /// The counts of a colour.
    pub fn of_mut(&mut self, color: Color) -> &mut CounterData {
        match color {
            Color::Green => &mut self.green,
            Color::Yellow => &mut self.yellow,
            Color::Red => &mut self.red,
        }
    }
}

impl Add for CounterData {
    type Output = CounterData;

    /// What two planes have counted. Counters wrap.
    fn add(self, other: CounterData) -> CounterData {
        CounterData {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
        }
    }
}

impl Add for ColorCounts {
    type Output = ColorCounts;

    fn add(self, other: ColorCounts) -> ColorCounts {
        ColorCounts {
            green: self.green + other.green,
            yellow: self.yellow + other.yellow,
            red: self.red + other.red,
        }
    }
}

/// A three-colour marker, colour-blind. Rates are in units a second, bursts in units: bytes or
/// packets, as the program says.
///
/// Without an excess burst it has two rates (RFC 2698). With one it has a single rate, the committed
/// one (RFC 2697), and the peak is not looked at. Two equal rates are a marker of two colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MeterConfig {
    pub committed_rate: u64,
    pub committed_burst: u64,
    pub peak_rate: u64,
    pub peak_burst: u64,
    pub excess_burst: u64,
}

/// How full a table is, and what holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupancy {
    /// Entries in it.
    pub entries: u64,
    /// Entries that fit.
    pub capacity: u64,
    /// The structure that holds it, for example `hash` or `bit vector`.
    pub structure: &'static str,
}
