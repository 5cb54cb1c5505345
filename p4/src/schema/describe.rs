//! Entities as text, with the pipeline's names: in errors, in status displays, in logs.

use std::fmt::Write;

use crate::dataplane::{Bits, Call, EntryKey, EntryRef, Match};

use super::{FieldSchema, Schema};
use crate::entity::{DefaultAction, Entity, OneShotAction, Selection, TableAction, TableEntry};

impl Schema {
    /// An entity as `table: key -> action`, or the like.
    pub fn describe(&self, entity: &Entity) -> String {
        match entity {
            Entity::TableEntry(entry) => self.describe_entry(entry),
            Entity::DefaultAction(default) => self.describe_default(default),
            Entity::Member(member) => {
                let name = format!(
                    "member {} of {}",
                    member.id,
                    self.profile_name(member.profile)
                );
                match &member.call {
                    Some(call) => format!("{name} -> {}", self.describe_call(call)),
                    None => name,
                }
            }
            Entity::Group(group) => {
                let members = group.members.iter();
                let members: Vec<_> = members
                    .map(|m| format!("{}*{}", m.member, m.weight))
                    .collect();
                let profile = self.profile_name(group.profile);
                format!(
                    "group {} of {profile} -> members {}",
                    group.id,
                    members.join(" ")
                )
            }
            Entity::MulticastGroup(group) => {
                format!("multicast group {} -> {}", group.id, ports(&group.replicas))
            }
            Entity::CloneSession(session) => {
                format!(
                    "clone session {} -> {}",
                    session.id,
                    ports(&session.replicas)
                )
            }
            Entity::Counter(cell) => {
                let name = self.counters.iter().find(|c| c.ir == cell.counter);
                cell_name("counter", name.map(|c| c.name.as_str()), cell.index)
            }
            Entity::Meter(cell) => {
                let name = self.meters.iter().find(|m| m.ir == cell.meter);
                cell_name("meter", name.map(|m| m.name.as_str()), cell.index)
            }
            Entity::Register(cell) => {
                let name = self.registers.iter().find(|r| r.ir == cell.register);
                cell_name("register", name.map(|r| r.name.as_str()), cell.index)
            }
            Entity::DirectCounter(entry, _) => {
                format!("counter of {}", self.describe_name(entry.as_ref()))
            }
            Entity::DirectMeter(meter) => {
                format!("meter of {}", self.describe_name(meter.entry.as_ref()))
            }
            Entity::Digest(entry) => {
                let name = self.digest_of(entry.digest).map(|d| d.name.as_str());
                format!("digest {}", name.unwrap_or("?"))
            }
            Entity::ValueSet(set) => {
                let name = self.value_set_of(set.set).map(|s| s.name.as_str());
                format!("value set {}", name.unwrap_or("?"))
            }
        }
    }

    /// `table: field=value field=value`, without what matches everything.
    pub fn describe_key(&self, key: &EntryKey) -> String {
        let Some(table) = self.table_of(key.table) else {
            return format!("table #{}", key.table.0);
        };
        let mut text = format!("{}:", table.name);
        for (field, value) in table.fields.iter().zip(key.matches.iter()) {
            if let Some(value) = match_text(field, &value) {
                // Writing to a string cannot fail.
                let _ = write!(text, " {}={value}", field.name);
            }
        }
        if table.has_priority() {
            let _ = write!(text, " priority={}", key.priority);
        }
        text
    }

    /// As the key of an entry, or `table: default`.
    pub fn describe_name(&self, entry: EntryRef<'_>) -> String {
        match entry {
            EntryRef::Keyed(key) => self.describe_key(key),
            EntryRef::Default(table) => {
                let table = self.table_of(table).map_or("?", |t| &t.name);
                format!("{table}: default")
            }
        }
    }

    /// A port as controllers see it.
    pub fn describe_port(&self, port: u32) -> String {
        match &self.ports {
            None => port.to_string(),
            Some(translation) => translation.describe(&Bits::from(u64::from(port))),
        }
    }

    /// `action(param=value, ...)`.
    pub fn describe_call(&self, call: &Call) -> String {
        let Some(action) = self.action_of(call.action) else {
            return format!("action #{}", call.action.0);
        };
        let arguments = action.params.iter().zip(call.args.iter());
        let arguments = arguments.map(|(param, value)| match &param.translation {
            Some(translation) => format!("{}={}", param.name, translation.describe(&value)),
            None => format!("{}={value}", param.name),
        });
        let arguments: Vec<_> = arguments.collect();
        format!("{}({})", action.alias, arguments.join(", "))
    }

    fn describe_entry(&self, entry: &TableEntry) -> String {
        let key = self.describe_key(&entry.key);
        match &entry.action {
            Some(action) => format!("{key} -> {}", self.describe_action(action)),
            None => key,
        }
    }

    fn describe_default(&self, default: &DefaultAction) -> String {
        let table = self.table_of(default.table).map_or("?", |t| &t.name);
        let action = default.action.as_ref();
        let action = action.map_or("the program's".to_owned(), |a| self.describe_action(a));
        format!("{table}: default -> {action}")
    }

    fn describe_action(&self, action: &TableAction) -> String {
        match action {
            TableAction::Call(call) => self.describe_call(call),
            TableAction::Member(member) => format!("member {member}"),
            TableAction::Group(group) => format!("group {group}"),
            TableAction::OneShot(group) => {
                let actions = group.actions.iter();
                let described = |action: &OneShotAction| {
                    let call = self.describe_call(&action.call);
                    match group.selection {
                        Selection::Hash => format!("{call}*{}", action.weight),
                        Selection::FirstLive => call,
                    }
                };
                let how = match group.selection {
                    Selection::Hash => "one of",
                    Selection::FirstLive => "first live of",
                };
                format!(
                    "{how} {}",
                    actions.map(described).collect::<Vec<_>>().join(" | ")
                )
            }
        }
    }

    /// The name of a profile, for messages.
    pub fn profile_name(&self, profile: crate::ir::ActionProfileId) -> &str {
        self.profile_of(profile).map_or("?", |p| &p.name)
    }
}

fn cell_name(kind: &str, name: Option<&str>, index: Option<u32>) -> String {
    let name = name.unwrap_or("?");
    match index {
        Some(index) => format!("{kind} {name}[{index}]"),
        None => format!("{kind} {name}"),
    }
}

fn ports(replicas: &[crate::entity::Replica]) -> String {
    let ports = replicas.iter().map(|r| match r.instance {
        0 => format!("port {}", r.port),
        instance => format!("port {}#{instance}", r.port),
    });
    ports.collect::<Vec<_>>().join(", ")
}

fn match_text(field: &FieldSchema, value: &Match) -> Option<String> {
    let translation = field.translation.as_deref();
    let text = |value: &Bits| match translation {
        Some(translation) => translation.describe(value),
        None => value.to_string(),
    };
    Some(match value {
        Match::Exact(value) | Match::Optional(Some(value)) => text(value),
        Match::Optional(None) => return None,
        Match::Lpm { prefix_len: 0, .. } => return None,
        Match::Ternary { mask, .. } if mask.is_zero() => return None,
        Match::Lpm { value, .. } | Match::Ternary { value, .. } if translation.is_some() => {
            text(value)
        }
        Match::Lpm { value, prefix_len } => format!("{value}/{prefix_len}"),
        Match::Ternary { value, mask } => format!("{value}&{mask}"),
        Match::Range { low, high } if low.is_zero() && *high == Bits::ones(field.width) => {
            return None;
        }
        Match::Range { low, high } => format!("{}..{}", text(low), text(high)),
    })
}
