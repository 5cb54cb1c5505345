//! What a server holds against what it should hold. Pure.
//!
//! Both sides are typed entities of the loaded pipeline, so that padded byte strings and the order of
//! fields make no difference. What such servers do not keep (metadata) or count (counters) is not compared.

use std::collections::{HashMap, HashSet};

use pointsman_p4::dataplane::EntryKey;
use pointsman_p4::ir::{ActionProfileId, LearnListId, MeterId, TableId, ValueSetId};

use crate::entity::{
    Entity, EntryName, Extra, ExtraFields, OneShot, Operation, Selection, TableAction, Update,
};

/// What makes an entity the one it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Entry(EntryKey),
    Default(TableId),
    Member(ActionProfileId, u32),
    Group(ActionProfileId, u32),
    MulticastGroup(u32),
    CloneSession(u32),
    Meter(MeterId, u32),
    ValueSet(ValueSetId),
    Digest(LearnListId),
}

/// How a server differs from what is stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Difference {
    /// Stored and not there, or there and not the same; in an order in which they can be written.
    pub put: Vec<Update>,
    /// There and not stored; in an order in which they can be deleted.
    pub extra: Vec<Update>,
    /// What there is in place of what is put.
    pub found: Vec<Option<Entity>>,
}

impl Difference {
    /// Whether both hold the same.
    pub fn is_none(&self) -> bool {
        self.put.is_empty() && self.extra.is_empty()
    }
}

/// Compares. `wanted` are the updates that make a switch what it should be after its program is loaded,
/// `declared` are the keys of entries that the program itself brings, `found` is what the server says it has.
pub(super) fn difference(
    wanted: &[Update],
    declared: &HashSet<EntryKey>,
    found: Vec<Entity>,
) -> Difference {
    let mut there: HashMap<Key, Entity> = HashMap::new();
    for entity in found {
        if let Some(key) = key(&entity) {
            there.insert(key, comparable(entity));
        }
    }
    let mut difference = Difference::default();
    for update in wanted {
        let Some(key) = key(&update.entity) else {
            continue;
        };
        let found = there.remove(&key);
        let operation = match (update.operation, &found) {
            (Operation::Delete, None) => continue,
            (Operation::Delete, Some(_)) => Operation::Delete,
            (_, Some(found)) if is_as_wanted(found, &update.entity) => continue,
            (_, Some(_)) => Operation::Modify,
            (_, None) if is_created(&key) => Operation::Insert,
            (_, None) => Operation::Modify,
        };
        difference.put.push(Update {
            operation,
            entity: update.entity.clone(),
        });
        difference.found.push(found);
    }
    let mut extra: Vec<(Key, Entity)> = there
        .into_iter()
        .filter(|(key, _)| is_created(key) && !is_declared(declared, key))
        .collect();
    extra.sort_by_key(|(key, _)| deletion_order(key));
    difference.extra = extra
        .into_iter()
        .map(|(_, entity)| Update::delete(entity))
        .collect();
    difference
}

/// What makes an entity the one it is; none for what is not compared.
pub(super) fn key(entity: &Entity) -> Option<Key> {
    Some(match entity {
        Entity::TableEntry(entry) => Key::Entry(entry.key.clone()),
        Entity::DefaultAction(default) => Key::Default(default.table),
        Entity::Member(member) => Key::Member(member.profile, member.id),
        Entity::Group(group) => Key::Group(group.profile, group.id),
        Entity::MulticastGroup(group) => Key::MulticastGroup(group.id),
        Entity::CloneSession(session) => Key::CloneSession(session.id),
        Entity::Meter(cell) => Key::Meter(cell.meter, cell.index?),
        Entity::ValueSet(set) => Key::ValueSet(set.set),
        Entity::Digest(digest) => Key::Digest(digest.digest),
        // Part of the default entry.
        Entity::DirectMeter(meter) => match meter.entry {
            EntryName::Default(table) => Key::Default(table),
            EntryName::Keyed(_) => return None,
        },
        Entity::Counter(_) | Entity::DirectCounter(..) | Entity::Register(_) => return None,
    })
}

/// Whether what a server has, comparable, is what an update makes it.
pub(super) fn is_as_wanted(found: &Entity, wanted: &Entity) -> bool {
    match (found, wanted) {
        (Entity::DefaultAction(found), Entity::DirectMeter(wanted)) => found.meter == wanted.config,
        _ => *found == comparable(wanted.clone()),
    }
}

/// Whether such an entity is there only if somebody has inserted it.
fn is_created(key: &Key) -> bool {
    !matches!(key, Key::Default(_) | Key::Meter(..) | Key::ValueSet(_))
}

fn is_declared(declared: &HashSet<EntryKey>, key: &Key) -> bool {
    matches!(key, Key::Entry(key) if declared.contains(key))
}

/// Entries go before the groups that they refer to, and groups before members.
fn deletion_order(key: &Key) -> u8 {
    match key {
        Key::Entry(_) => 0,
        Key::Group(..) => 1,
        _ => 2,
    }
}

/// An entity without what servers leave out or put in another order.
pub(super) fn comparable(entity: Entity) -> Entity {
    match entity {
        Entity::TableEntry(mut entry) => {
            entry.extra = Extra::from(ExtraFields {
                metadata: Vec::new(),
                controller_metadata: 0,
                counter: None,
                ..(*entry.extra).clone()
            });
            if let Some(TableAction::OneShot(group)) = &mut entry.action {
                let mut actions = std::mem::take(&mut group.actions);
                actions.sort_by_key(|action| format!("{action:?}"));
                *group = OneShot::new(Selection::Hash, actions);
            }
            Entity::TableEntry(entry)
        }
        Entity::DefaultAction(mut default) => {
            default.metadata.clear();
            default.controller_metadata = 0;
            default.counter = None;
            default.meter_counts = None;
            Entity::DefaultAction(default)
        }
        Entity::Group(mut group) => {
            group.members.sort_by_key(|member| member.member);
            // Some servers do not keep it.
            group.max_size = 0;
            Entity::Group(group)
        }
        Entity::MulticastGroup(mut group) => {
            group.metadata.clear();
            group.replicas.sort_by_key(|r| (r.port, r.instance));
            group.ports = Default::default();
            Entity::MulticastGroup(group)
        }
        Entity::CloneSession(mut session) => {
            session.replicas.sort_by_key(|r| (r.port, r.instance));
            session.ports = Default::default();
            Entity::CloneSession(session)
        }
        Entity::ValueSet(mut set) => {
            set.members.sort();
            Entity::ValueSet(set)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use pointsman_p4::dataplane::{Bits, Call, Match, Replica};
    use pointsman_p4::ir::ActionId;

    use super::*;
    use crate::entity::{Group, GroupMember, Member, MulticastGroup, TableEntry};

    fn entry(value: u64, argument: u64) -> Entity {
        let key = EntryKey {
            table: TableId(0),
            matches: vec![Match::Exact(Bits::from(value))].into(),
            priority: 0,
        };
        let call = Call {
            action: ActionId(0),
            args: vec![Bits::from(argument)].into(),
        };
        Entity::TableEntry(TableEntry::new(key, TableAction::Call(call)))
    }

    fn member(id: u32) -> Entity {
        Entity::Member(Member {
            profile: ActionProfileId(0),
            id,
            call: None,
        })
    }

    fn group(members: &[u32]) -> Entity {
        let members = members.iter().map(|member| GroupMember {
            member: *member,
            weight: 1,
            watch_port: None,
        });
        Entity::Group(Group {
            profile: ActionProfileId(0),
            id: 1,
            members: members.collect(),
            max_size: 0,
            ports: Default::default(),
        })
    }

    fn multicast(ports: &[u32]) -> Entity {
        let replicas = ports.iter().map(|port| Replica {
            port: *port,
            instance: 0,
            backups: Vec::new(),
        });
        Entity::MulticastGroup(MulticastGroup {
            id: 1,
            replicas: replicas.collect(),
            ports: Default::default(),
            metadata: Vec::new(),
        })
    }

    #[test]
    fn what_is_missing_is_inserted_what_differs_modified_and_what_is_strange_deleted() {
        let wanted = [entry(1, 1), entry(2, 2)].map(Update::insert);
        let found = vec![entry(2, 9), entry(3, 3)];
        let difference = difference(&wanted, &HashSet::new(), found);
        let put = [Update::insert(entry(1, 1)), Update::modify(entry(2, 2))];
        assert_eq!(difference.put, put);
        assert_eq!(difference.extra, [Update::delete(entry(3, 3))]);
    }

    #[test]
    fn metadata_and_order_make_no_difference() {
        let Entity::TableEntry(mut noted) = entry(1, 1) else {
            panic!("it is an entry");
        };
        let extra = noted.extra.make();
        extra.metadata = b"mine".to_vec();
        extra.controller_metadata = 5;
        let wanted = [
            Entity::TableEntry(noted),
            group(&[1, 2]),
            multicast(&[1, 2]),
        ];
        let found = vec![entry(1, 1), group(&[2, 1]), multicast(&[2, 1])];
        let wanted = wanted.map(Update::insert);
        assert!(difference(&wanted, &HashSet::new(), found).is_none());
    }

    #[test]
    fn what_refers_to_another_is_deleted_first() {
        let found = vec![member(1), group(&[1]), entry(1, 1)];
        let difference = difference(&[], &HashSet::new(), found);
        let order = [entry(1, 1), group(&[1]), member(1)].map(Update::delete);
        assert_eq!(difference.extra, order);
    }
}
