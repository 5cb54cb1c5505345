//! The parts of a case as text: names of the program, matches, actions and numbers.

use num_bigint::BigUint;
use num_traits::Num;
use pointsman_p4::dataplane::{Bits, Call, EntryAction, EntryKey, Match};
use pointsman_p4::ir::{
    ActionId, ActionProfileId, CounterId, Implementation, MatchKind, MeterId, Program, RegisterId,
    TableId, ValueSetId,
};
use thiserror::Error;

use super::case::KeyText;

/// A part of a case that means nothing for its program.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// There is nothing of that name.
    #[error("the program has no {kind} {name:?}")]
    Unknown {
        /// For example `table`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A number, match or action cannot be read.
    #[error("expected {expected}, found {found:?}")]
    Unreadable {
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

type Read<T> = Result<T, NameError>;

/// Names as a program has them.
#[derive(Clone, Copy)]
pub struct Names<'p> {
    /// The program.
    pub program: &'p Program,
}

fn unreadable(expected: &'static str, found: &str) -> NameError {
    NameError::Unreadable {
        expected,
        found: found.to_owned(),
    }
}

fn position<'n>(
    kind: &'static str,
    mut names: impl Iterator<Item = &'n String>,
    name: &str,
) -> Read<u32> {
    let found = names.position(|n| n == name);
    found.map(|at| at as u32).ok_or_else(|| NameError::Unknown {
        kind,
        name: name.to_owned(),
    })
}

impl Names<'_> {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Read<TableId> {
        position("table", self.program.tables.iter().map(|t| &t.name), name).map(TableId)
    }

    /// The action profile of that name.
    pub fn profile(&self, name: &str) -> Read<ActionProfileId> {
        let names = self.program.action_profiles.iter().map(|p| &p.name);
        position("action profile", names, name).map(ActionProfileId)
    }

    /// The register of that name.
    pub fn register(&self, name: &str) -> Read<RegisterId> {
        let names = self.program.registers.iter().map(|r| &r.name);
        position("register", names, name).map(RegisterId)
    }

    /// The counter of that name.
    pub fn counter(&self, name: &str) -> Read<CounterId> {
        let names = self.program.counters.iter().map(|c| &c.name);
        position("counter", names, name).map(CounterId)
    }

    /// The meter of that name.
    pub fn meter(&self, name: &str) -> Read<MeterId> {
        position("meter", self.program.meters.iter().map(|m| &m.name), name).map(MeterId)
    }

    /// The value set of that name.
    pub fn value_set(&self, name: &str) -> Read<ValueSetId> {
        let names = self.program.value_sets.iter().map(|s| &s.name);
        position("value set", names, name).map(ValueSetId)
    }

    /// `0x1f`.
    pub fn number(&self, text: &str) -> Read<Bits> {
        let digits = text.trim().strip_prefix("0x");
        let value = digits.and_then(|digits| BigUint::from_str_radix(digits, 16).ok());
        let value = value.ok_or_else(|| unreadable("a hexadecimal number", text))?;
        Ok(Bits::from(&value))
    }

    /// An even number of hexadecimal digits.
    pub fn bytes(&self, text: &str) -> Read<Vec<u8>> {
        let wrong = || unreadable("bytes in hexadecimal", text);
        if !text.is_ascii() || !text.len().is_multiple_of(2) {
            return Err(wrong());
        }
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong()))
            .collect()
    }

    /// The key of an entry.
    pub fn key(&self, key: &EntryKey) -> KeyText {
        KeyText {
            table: self.program.tables[key.table.index()].name.clone(),
            matches: key.matches.iter().map(|part| match_text(&part)).collect(),
            priority: key.priority,
        }
    }

    /// As [`Names::key`] wrote it.
    pub fn read_key(&self, text: &KeyText) -> Read<EntryKey> {
        let table = self.table(&text.table)?;
        let key = &self.program.tables[table.index()].key;
        if key.len() != text.matches.len() {
            let found = format!("{:?}", text.matches);
            return Err(unreadable("a match for each part of the key", &found));
        }
        let parts = key.iter().zip(&text.matches);
        Ok(EntryKey {
            table,
            matches: parts
                .map(|(key, text)| self.read_match(key.kind, text))
                .collect::<Read<_>>()?,
            priority: text.priority,
        })
    }

    fn read_match(&self, kind: MatchKind, text: &str) -> Read<Match> {
        let two = |separator: &str, expected| {
            let parts = text.split_once(separator);
            parts.ok_or_else(|| unreadable(expected, text))
        };
        Ok(match kind {
            MatchKind::Exact => Match::Exact(self.number(text)?),
            MatchKind::Lpm => {
                let (value, length) = two("/", "value/length")?;
                let length = length.parse();
                Match::Lpm {
                    value: self.number(value)?,
                    prefix_len: length.map_err(|_| unreadable("value/length", text))?,
                }
            }
            MatchKind::Ternary => {
                let (value, mask) = two("&&&", "value&&&mask")?;
                Match::Ternary {
                    value: self.number(value)?,
                    mask: self.number(mask)?,
                }
            }
            MatchKind::Range => {
                let (low, high) = two("..", "low..high")?;
                Match::Range {
                    low: self.number(low)?,
                    high: self.number(high)?,
                }
            }
            MatchKind::Optional if text == "*" => Match::Optional(None),
            MatchKind::Optional => Match::Optional(Some(self.number(text)?)),
        })
    }

    /// An action, member or group.
    pub fn action(&self, action: &EntryAction) -> String {
        match action {
            EntryAction::Call(call) => self.call(call),
            EntryAction::Member(member) => format!("member {member}"),
            EntryAction::Group(group) => format!("group {group}"),
        }
    }

    /// `action(0x1, 0x2)`.
    pub fn call(&self, call: &Call) -> String {
        let args: Vec<String> = call.args.iter().map(|arg| arg.to_string()).collect();
        let name = &self.program.actions[call.action.index()].name;
        format!("{name}({})", args.join(", "))
    }

    /// What an entry or default of a table does.
    pub fn read_action(&self, table: TableId, text: &str) -> Read<EntryAction> {
        let number = |text: &str| {
            let number = text.trim().parse();
            number.map_err(|_| unreadable("a member or group", text))
        };
        if let Some(member) = text.strip_prefix("member ") {
            return Ok(EntryAction::Member(number(member)?));
        }
        if let Some(group) = text.strip_prefix("group ") {
            return Ok(EntryAction::Group(number(group)?));
        }
        let actions = &self.program.tables[table.index()].actions;
        self.read_call(actions, text).map(EntryAction::Call)
    }

    /// What a member of a profile does.
    pub fn read_member_call(&self, profile: ActionProfileId, text: &str) -> Read<Call> {
        let mut tables = self.program.tables.iter();
        let user = tables.find(|t| t.implementation == Implementation::Profile(profile));
        self.read_call(user.map_or(&[], |table| &table.actions), text)
    }

    fn read_call(&self, actions: &[ActionId], text: &str) -> Read<Call> {
        let wrong = || unreadable("action(argument, ...)", text);
        let (name, args) = text.split_once('(').ok_or_else(wrong)?;
        let args = args.strip_suffix(')').ok_or_else(wrong)?;
        let args = args.split(',').filter(|arg| !arg.trim().is_empty());
        let args: Vec<Bits> = args.map(|arg| self.number(arg)).collect::<Read<_>>()?;
        let is_meant = |id: &&ActionId| self.program.actions[id.index()].name == name;
        let action = *actions
            .iter()
            .find(is_meant)
            .ok_or_else(|| NameError::Unknown {
                kind: "action",
                name: name.to_owned(),
            })?;
        if args.len() != self.program.actions[action.index()].params.len() {
            return Err(wrong());
        }
        Ok(Call {
            action,
            args: args.into(),
        })
    }
}

fn match_text(part: &Match) -> String {
    match part {
        Match::Exact(value) => value.to_string(),
        Match::Lpm { value, prefix_len } => format!("{value}/{prefix_len}"),
        Match::Ternary { value, mask } => format!("{value}&&&{mask}"),
        Match::Optional(None) => "*".to_owned(),
        Match::Optional(Some(value)) => value.to_string(),
        Match::Range { low, high } => format!("{low}..{high}"),
    }
}
