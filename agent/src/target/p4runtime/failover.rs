//! Groups whose first live member takes all packets, for a server that knows of none: it is given that member alone,
//! and another one when ports go down or come up.
//!
//! P4Runtime chooses from groups by hash. What is stored stays whole; only what is sent differs. Pure; [`super`] keeps
//! which ports are down, as far as this machine sees.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::entity::{Entity, OneShot, OneShotAction, Selection, TableAction, Update};

/// Updates as the server is to get them while these ports are down.
pub(super) fn as_sent<'u>(updates: &'u [Update], down: &BTreeSet<u32>) -> Cow<'u, [Update]> {
    if !updates
        .iter()
        .any(|u| u.entity.first_live_group().is_some())
    {
        return Cow::Borrowed(updates);
    }
    let sent = updates.iter().map(|update| Update {
        operation: update.operation,
        entity: reduced(&update.entity, down),
    });
    Cow::Owned(sent.collect())
}

/// What changes on the server for these entities, which it has, when other ports are down than before.
pub(super) fn moved(
    entities: &[Entity],
    before: &BTreeSet<u32>,
    now: &BTreeSet<u32>,
) -> Vec<Update> {
    let moves = |entity: &&Entity| {
        let group = entity.first_live_group();
        group.is_some_and(|group| first_live(group, before) != first_live(group, now))
    };
    let moved = entities.iter().filter(moves);
    moved
        .map(|entity| Update::modify(reduced(entity, now)))
        .collect()
}

fn reduced(entity: &Entity, down: &BTreeSet<u32>) -> Entity {
    let mut entity = entity.clone();
    let group = entity.first_live_group();
    if let Some(action) = group.and_then(|group| first_live(group, down)).cloned()
        && let Entity::TableEntry(entry) = &mut entity
    {
        // With nobody to take its place, there is no port to watch.
        let alone = OneShotAction {
            watch_port: None,
            ..action
        };
        entry.action = Some(TableAction::OneShot(OneShot::new(
            Selection::Hash,
            vec![alone],
        )));
    }
    entity
}

/// The first member whose port is not down; of a group without one the first.
fn first_live<'g>(group: &'g OneShot, down: &BTreeSet<u32>) -> Option<&'g OneShotAction> {
    let is_live =
        |action: &&OneShotAction| action.watch_port.is_none_or(|port| !down.contains(&port));
    let mut actions = group.actions.iter();
    actions.find(is_live).or(group.actions.first())
}

#[cfg(test)]
mod tests {
    use pointsman_p4::dataplane::{Bits, Call, EntryKey, Match};
    use pointsman_p4::ir::{ActionId, TableId};

    use super::*;
    use crate::entity::TableEntry;

    fn entry(selection: Selection, ports: &[u32]) -> Entity {
        let key = EntryKey {
            table: TableId(0),
            matches: vec![Match::Exact(Bits::from(1u64))].into(),
            priority: 0,
        };
        let actions = ports.iter().map(|port| OneShotAction {
            call: Call {
                action: ActionId(0),
                args: vec![Bits::from(u64::from(*port))].into(),
            },
            weight: 1,
            watch_port: Some(*port),
        });
        let group = OneShot::new(selection, actions.collect());
        Entity::TableEntry(TableEntry::new(key, TableAction::OneShot(group)))
    }

    /// The ports that a server is told of.
    fn told(updates: &[Update]) -> Vec<u64> {
        let groups = updates.iter().filter_map(|update| match &update.entity {
            Entity::TableEntry(entry) => entry.action.as_ref(),
            _ => None,
        });
        let actions = groups.flat_map(|action| match action {
            TableAction::OneShot(group) if group.selection == Selection::Hash => &*group.actions,
            _ => &[],
        });
        let ports = actions.map(|action| action.call.args.iter().next());
        ports.filter_map(|port| port?.to_u64()).collect()
    }

    #[test]
    fn a_server_is_told_of_the_first_live_member_alone() {
        let updates = [Update::insert(entry(Selection::FirstLive, &[3, 1, 2]))];
        let sent = |down: &[u32]| told(&as_sent(&updates, &down.iter().copied().collect()));
        assert_eq!(sent(&[]), [3]);
        assert_eq!(sent(&[3]), [1]);
        assert_eq!(sent(&[3, 1]), [2]);
        assert_eq!(sent(&[3, 1, 2]), [3]);
        let ordinary = [Update::insert(entry(Selection::Hash, &[3, 1]))];
        assert!(matches!(
            as_sent(&ordinary, &BTreeSet::new()),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn only_groups_whose_first_live_member_is_another_one_move() {
        let entities = [
            entry(Selection::FirstLive, &[3, 1]),
            entry(Selection::FirstLive, &[1, 3]),
            entry(Selection::Hash, &[3, 1]),
        ];
        let (none, third) = (BTreeSet::new(), BTreeSet::from([3]));
        assert_eq!(told(&moved(&entities, &none, &third)), [1]);
        assert_eq!(told(&moved(&entities, &third, &none)), [3]);
        assert!(moved(&entities, &third, &third).is_empty());
    }
}
