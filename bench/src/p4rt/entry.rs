//! Entities by name: what tests write and read, in the fewest words.
//!
//! Numbers become the shortest byte string that holds them; byte arrays go out as they are, which is
//! how a test sends what is not canonical or not valid.

use pointsman_proto::p4::config::v1 as info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};

use super::program::{ENTITIES, Program, id};

/// A byte string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value(pub Vec<u8>);

/// The shortest string of a number.
pub fn canonical(number: u128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take(15).take_while(|&&byte| byte == 0).count();
    bytes[zeros..].to_vec()
}

impl From<u128> for Value {
    fn from(number: u128) -> Value {
        Value(canonical(number))
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Value {
        Value(vec![number])
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Value {
        Value(canonical(number.into()))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value(canonical(number.into()))
    }
}

/// Literals are of this type where nothing else says which.
impl From<i32> for Value {
    fn from(number: i32) -> Value {
        Value(canonical(number.unsigned_abs().into()))
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Value {
        Value(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value(bytes)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value(text.into())
    }
}

/// An entry of a table of the main program.
pub fn entry(table: &str) -> Entry {
    Entry::of(&ENTITIES, table)
}

/// A table entry in the making.
#[derive(Debug, Clone)]
pub struct Entry {
    program: &'static Program,
    table: &'static info::Table,
    /// As it is sent.
    pub message: p4::TableEntry,
}

impl Entry {
    /// An entry of a table that has neither key nor action yet.
    pub fn of(program: &'static Program, table: &str) -> Entry {
        let table = program.table(table);
        let message = p4::TableEntry {
            table_id: id(table.preamble.as_ref()),
            ..Default::default()
        };
        Entry {
            program,
            table,
            message,
        }
    }

    /// The identifier of a field of the key.
    pub fn field(&self, name: &str) -> u32 {
        let field = self.table.match_fields.iter().find(|f| f.name == name);
        field.expect("the table has this field").id
    }

    /// Adds a part of the key.
    pub fn matching(mut self, field: &str, kind: FieldMatchType) -> Entry {
        let field_id = self.field(field);
        self.message.r#match.push(p4::FieldMatch {
            field_id,
            field_match_type: Some(kind),
        });
        self
    }

    /// An exact field.
    pub fn exact(self, field: &str, value: impl Into<Value>) -> Entry {
        let value = value.into().0;
        self.matching(field, FieldMatchType::Exact(field_match::Exact { value }))
    }

    /// A prefix.
    pub fn lpm(self, field: &str, value: impl Into<Value>, prefix_len: i32) -> Entry {
        let value = value.into().0;
        self.matching(
            field,
            FieldMatchType::Lpm(field_match::Lpm { value, prefix_len }),
        )
    }

    /// Some bits of a field.
    pub fn ternary(self, field: &str, value: impl Into<Value>, mask: impl Into<Value>) -> Entry {
        let (value, mask) = (value.into().0, mask.into().0);
        self.matching(
            field,
            FieldMatchType::Ternary(field_match::Ternary { value, mask }),
        )
    }

    /// A range, both ends in it.
    pub fn range(self, field: &str, low: impl Into<Value>, high: impl Into<Value>) -> Entry {
        let (low, high) = (low.into().0, high.into().0);
        self.matching(
            field,
            FieldMatchType::Range(field_match::Range { low, high }),
        )
    }

    /// A value of an optional field.
    pub fn optional(self, field: &str, value: impl Into<Value>) -> Entry {
        let value = value.into().0;
        self.matching(
            field,
            FieldMatchType::Optional(field_match::Optional { value }),
        )
    }

    /// The entry's priority.
    pub fn priority(mut self, priority: i32) -> Entry {
        self.message.priority = priority;
        self
    }

    /// An action with arguments by name.
    pub fn action<V: Into<Value> + Clone>(mut self, name: &str, arguments: &[(&str, V)]) -> Entry {
        let action = self.call(name, arguments);
        self.message.action = Some(p4::TableAction {
            r#type: Some(p4::table_action::Type::Action(action)),
        });
        self
    }

    /// The action `mark`, which most tables have.
    pub fn mark(self, value: impl Into<Value> + Clone) -> Entry {
        self.action("mark", &[("value", value)])
    }

    /// The call of an action of this table.
    pub fn call<V: Into<Value> + Clone>(&self, name: &str, arguments: &[(&str, V)]) -> p4::Action {
        let action = self.program.action_of(self.table, name);
        let params = arguments.iter().map(|(name, value)| {
            let param = action.params.iter().find(|param| param.name == *name);
            p4::action::Param {
                param_id: param.expect("the action has this parameter").id,
                value: value.clone().into().0,
            }
        });
        p4::Action {
            action_id: id(action.preamble.as_ref()),
            params: params.collect(),
        }
    }

    /// Whatever a table action can be.
    pub fn table_action(mut self, action: p4::table_action::Type) -> Entry {
        self.message.action = Some(p4::TableAction {
            r#type: Some(action),
        });
        self
    }

    /// A member of the table's profile.
    pub fn member(self, member: u32) -> Entry {
        self.table_action(p4::table_action::Type::ActionProfileMemberId(member))
    }

    /// A group of the table's selector.
    pub fn group(self, group: u32) -> Entry {
        self.table_action(p4::table_action::Type::ActionProfileGroupId(group))
    }

    /// Actions in one shot.
    pub fn one_shot(self, set: p4::ActionProfileActionSet) -> Entry {
        self.table_action(p4::table_action::Type::ActionProfileActionSet(set))
    }

    /// The default entry.
    pub fn default_entry(mut self) -> Entry {
        self.message.is_default_action = true;
        self
    }

    /// Any other field of the message.
    pub fn with(mut self, change: impl FnOnce(&mut p4::TableEntry)) -> Entry {
        change(&mut self.message);
        self
    }
}

impl From<Entry> for Entity {
    fn from(entry: Entry) -> Entity {
        Entity::TableEntry(entry.message)
    }
}

/// Several actions with a weight each.
pub fn actions(actions: impl IntoIterator<Item = (p4::Action, i32)>) -> p4::ActionProfileActionSet {
    let actions = actions
        .into_iter()
        .map(|(action, weight)| p4::ActionProfileAction {
            action: Some(action),
            weight,
            watch_kind: None,
        });
    p4::ActionProfileActionSet {
        action_profile_actions: actions.collect(),
        ..Default::default()
    }
}

/// A member of a profile of the main program.
pub fn member(profile: &str, member_id: u32, action: Option<p4::Action>) -> Entity {
    Entity::ActionProfileMember(p4::ActionProfileMember {
        action_profile_id: ENTITIES.id(profile),
        member_id,
        action,
    })
}

/// A group of a selector, of members with a weight each.
pub fn group(
    selector: &str,
    group_id: u32,
    max_size: i32,
    members: &[(u32, i32)],
) -> p4::ActionProfileGroup {
    let members = members
        .iter()
        .map(|&(member_id, weight)| p4::action_profile_group::Member {
            member_id,
            weight,
            watch_kind: None,
        });
    p4::ActionProfileGroup {
        action_profile_id: ENTITIES.id(selector),
        group_id,
        members: members.collect(),
        max_size,
    }
}

/// A multicast group of replicas, each a port and an instance.
pub fn multicast(group: u32, replicas: &[(u32, u32)]) -> p4::MulticastGroupEntry {
    p4::MulticastGroupEntry {
        multicast_group_id: group,
        replicas: replicas.iter().map(|&(p, i)| replica(p, i)).collect(),
        ..Default::default()
    }
}

/// A clone session with such replicas.
pub fn clone_session(session: u32, replicas: &[(u32, u32)]) -> p4::CloneSessionEntry {
    p4::CloneSessionEntry {
        session_id: session,
        replicas: replicas.iter().map(|&(p, i)| replica(p, i)).collect(),
        ..Default::default()
    }
}

/// One copy.
pub fn replica(port: u32, instance: u32) -> p4::Replica {
    p4::Replica {
        port_kind: Some(p4::replica::PortKind::Port(canonical(port.into()))),
        instance,
        backup_replicas: Vec::new(),
    }
}

/// A multicast group as an entity.
pub fn multicast_entity(group: p4::MulticastGroupEntry) -> Entity {
    replication(p4::packet_replication_engine_entry::Type::MulticastGroupEntry(group))
}

/// A clone session as an entity.
pub fn clone_entity(session: p4::CloneSessionEntry) -> Entity {
    replication(p4::packet_replication_engine_entry::Type::CloneSessionEntry(session))
}

fn replication(entry: p4::packet_replication_engine_entry::Type) -> Entity {
    Entity::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry {
        r#type: Some(entry),
    })
}

/// Plain bits.
pub fn bits(value: impl Into<Value>) -> p4::P4Data {
    p4::P4Data {
        data: Some(p4::p4_data::Data::Bitstring(value.into().0)),
    }
}

/// An index that is set; zero is one.
pub fn index(index: i64) -> Option<p4::Index> {
    Some(p4::Index { index })
}
