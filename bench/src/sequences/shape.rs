//! What a switch holds, up to the numbers that nexts and groups have: two switches with the same objectives have the same shape.
//!
//! A next is what its entries say; who refers to it by number refers to that.

use std::collections::BTreeMap;

use pointsman_agent::entity::{Entity, Selection, TableAction};
use pointsman_agent::schema::Schema;

/// How pipelines call the number of a next, in keys and in actions.
const NEXT: &str = "next_id=";
/// How actions call the number of a multicast group.
const GROUP: &str = "group_id=";
/// What is between a key and what it does.
const ARROW: &str = " -> ";

/// Lines in order; two that are equal stand for two things that are.
pub(super) fn shape<'e>(
    schema: &Schema,
    entities: impl IntoIterator<Item = &'e Entity>,
) -> Vec<String> {
    let mut groups = BTreeMap::new();
    let mut entries = Vec::new();
    for entity in entities {
        match entity {
            Entity::MulticastGroup(group) => {
                let mut replicas: Vec<_> =
                    group.replicas.iter().map(|r| format!("{r:?}")).collect();
                replicas.sort();
                groups.insert(
                    format!("{:#x}", group.id),
                    format!("[{}]", replicas.join(" ")),
                );
            }
            entity => entries.push(text(schema, entity)),
        }
    }
    let mut used = Vec::new();
    let mut nexts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut rest = Vec::new();
    for entry in entries {
        let entry = replaced(&entry, GROUP, |id| {
            used.push(id.to_owned());
            groups.get(id).cloned()
        });
        let key = entry.split(ARROW).next().unwrap_or_default();
        match number(key, NEXT) {
            Some(id) => {
                let id = id.to_owned();
                let content = replaced(&entry, NEXT, |_| Some("*".to_owned()));
                nexts.entry(id).or_default().push(content);
            }
            None => rest.push(entry),
        }
    }
    let nexts = nexts.into_iter().map(|(id, mut content)| {
        content.sort();
        (id, format!("next {{ {} }}", content.join("; ")))
    });
    let nexts: BTreeMap<String, String> = nexts.collect();
    let rest = rest.iter();
    let rest = rest.map(|entry| replaced(entry, NEXT, |id| nexts.get(id).cloned()));
    let leaked = groups.iter().filter(|(id, _)| !used.contains(id));
    let leaked =
        leaked.map(|(id, group)| format!("multicast group {id} {group} that nothing uses"));
    let mut lines: Vec<String> = rest.chain(leaked).chain(nexts.values().cloned()).collect();
    lines.sort();
    lines
}

/// An entity with all that packets see of it.
pub(super) fn text(schema: &Schema, entity: &Entity) -> String {
    let entity = &as_clients_see_it(entity);
    let mut text = schema.describe(entity);
    match entity {
        Entity::TableEntry(entry) => {
            if let Some(TableAction::OneShot(group)) = &entry.action {
                let mut actions: Vec<_> = group.actions.iter().map(|a| format!("{a:?}")).collect();
                actions.sort();
                text += &format!(" {}", actions.join(" "));
            }
            if let Some(meter) = &entry.extra.meter {
                text += &format!(" {meter:?}");
            }
            if entry.extra.idle_timeout_ns > 0 {
                text += &format!(" idle {}", entry.extra.idle_timeout_ns);
            }
        }
        Entity::MulticastGroup(group) => text += &format!(" {:?}", group.replicas),
        Entity::CloneSession(session) => text += &format!(" {:?}", session.replicas),
        _ => {}
    }
    text
}

/// P4Runtime has no word for groups whose first live member takes all.
fn as_clients_see_it(entity: &Entity) -> Entity {
    let mut entity = entity.clone();
    if let Entity::TableEntry(entry) = &mut entity
        && let Some(TableAction::OneShot(group)) = &mut entry.action
    {
        group.selection = Selection::Hash;
    }
    entity
}

/// What stands behind a name, up to what ends a number.
fn number<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, behind) = text.split_once(name)?;
    let end = behind.find(|c: char| !c.is_ascii_alphanumeric());
    Some(&behind[..end.unwrap_or(behind.len())])
}

/// With something else in place of the first number of a name, if there is something.
fn replaced(text: &str, name: &str, mut with: impl FnMut(&str) -> Option<String>) -> String {
    let Some(id) = number(text, name) else {
        return text.to_owned();
    };
    match with(id) {
        Some(content) => text.replacen(&format!("{name}{id}"), &format!("{name}{content}"), 1),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_ends_where_its_digits_do() {
        let text = "table: next_id=0x1f priority=3 -> to(group_id=0x2)";
        assert_eq!(number(text, NEXT), Some("0x1f"));
        assert_eq!(number(text, GROUP), Some("0x2"));
        let other = replaced(text, GROUP, |id| (id == "0x2").then(|| "[a]".to_owned()));
        assert_eq!(other, "table: next_id=0x1f priority=3 -> to(group_id=[a])");
    }
}
