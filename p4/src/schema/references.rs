//! `@refers_to(table, field)`: values of keys and parameters that must be there in another table.
//!
//! References of one table's keys, or of one action's parameters, to several fields of a table are one
//! reference to a single entry with all of these values. A key that matches anything refers to nothing.
//! Which entries are there is the agent's switch's to know.

use crate::dataplane::{Bits, EntryKey, Match};
use crate::ir::{ActionProfileId, TableId};
use pointsman_proto::p4::config::v1 as p4info;

use super::{Schema, SchemaError};
use crate::entity::{Entity, TableAction};

/// Where values must be that others refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Referred {
    /// At these positions of the key of one entry.
    Entry(TableId, Vec<usize>),
    /// The id of a multicast group.
    MulticastGroup,
}

/// What a table's key, or an action's parameters, refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Index among [`Schema::referred`].
    to: usize,
    /// The positions of the values that refer, in the order of the positions referred to.
    from: Vec<usize>,
}

/// Values that are referred to: where (an index among [`Schema::referred`]), and which.
pub type ReferenceKey = (usize, Vec<Bits>);

impl Schema {
    /// Whether nothing refers to anything.
    pub fn has_no_references(&self) -> bool {
        self.referred.is_empty()
    }

    /// What an entity refers to.
    pub fn refers_to(&self, entity: &Entity) -> Vec<ReferenceKey> {
        let mut keys = Vec::new();
        match entity {
            Entity::TableEntry(entry) => {
                self.refers_from_key(&entry.key, &mut keys);
                self.refers_from_action(entry.action.as_ref(), &mut keys);
            }
            Entity::DefaultAction(default) => {
                self.refers_from_action(default.action.as_ref(), &mut keys);
            }
            Entity::Member(member) => {
                if let Some(call) = &member.call {
                    self.refers_from_call(call, &mut keys);
                }
            }
            _ => {}
        }
        keys
    }

    /// What an entity is that others may refer to.
    pub fn is_referred_as(&self, entity: &Entity) -> Vec<ReferenceKey> {
        let of = |referred: &Referred| match (referred, entity) {
            (Referred::Entry(table, positions), Entity::TableEntry(entry)) => {
                let values = positions
                    .iter()
                    .map(|at| entry.key.matches.get(*at).and_then(value));
                values
                    .collect::<Option<Vec<_>>>()
                    .filter(|_| *table == entry.key.table)
            }
            (Referred::MulticastGroup, Entity::MulticastGroup(group)) => {
                Some(vec![Bits::from(u64::from(group.id))])
            }
            _ => None,
        };
        let all = self.referred.iter().enumerate();
        all.filter_map(|(index, referred)| Some((index, of(referred)?)))
            .collect()
    }

    /// Such values for messages.
    pub fn describe_reference(&self, (to, values): &ReferenceKey) -> String {
        match &self.referred[*to] {
            Referred::MulticastGroup => {
                let id = values.first().map(Bits::to_string);
                format!("multicast group {}", id.unwrap_or_default())
            }
            Referred::Entry(table, positions) => {
                let Some(table) = self.table_of(*table) else {
                    return String::new();
                };
                let fields = positions.iter().zip(values).map(|(at, value)| {
                    let field = &table.fields[*at];
                    let value = match &field.translation {
                        Some(translation) => translation.describe(value),
                        None => value.to_string(),
                    };
                    format!("{} = {value}", field.name)
                });
                let fields = fields.collect::<Vec<_>>().join(", ");
                format!("an entry of {} with {fields}", table.name)
            }
        }
    }

    /// What entries of a table may refer to.
    pub fn referred_from_table(&self, table: TableId) -> Vec<&Referred> {
        let Some(table) = self.table_of(table).filter(|_| !self.has_no_references()) else {
            return Vec::new();
        };
        let actions = table.actions.iter().map(|action| action.id);
        self.referred_from(&table.references, actions)
    }

    /// What members of a profile may refer to.
    pub fn referred_from_profile(&self, profile: ActionProfileId) -> Vec<&Referred> {
        let Some(profile) = self
            .profile_of(profile)
            .filter(|_| !self.has_no_references())
        else {
            return Vec::new();
        };
        self.referred_from(&[], profile.actions.iter().map(|(id, _)| *id))
    }

    fn referred_from(
        &self,
        of_keys: &[Reference],
        actions: impl Iterator<Item = u32>,
    ) -> Vec<&Referred> {
        let actions = actions.filter_map(|id| self.action(id));
        let of_actions = actions.flat_map(|action| &action.references);
        let all = of_keys.iter().chain(of_actions);
        all.map(|reference| &self.referred[reference.to]).collect()
    }

    fn refers_from_key(&self, key: &EntryKey, keys: &mut Vec<ReferenceKey>) {
        let Some(table) = self.table_of(key.table) else {
            return;
        };
        for reference in &table.references {
            let values = reference
                .from
                .iter()
                .map(|at| key.matches.get(*at).and_then(value));
            let values = values.collect::<Option<Vec<_>>>();
            keys.extend(values.map(|values| (reference.to, values)));
        }
    }

    fn refers_from_action(&self, action: Option<&TableAction>, keys: &mut Vec<ReferenceKey>) {
        match action {
            Some(TableAction::Call(call)) => self.refers_from_call(call, keys),
            Some(TableAction::OneShot(set)) => {
                let calls = set.actions.iter().map(|action| &action.call);
                calls.for_each(|call| self.refers_from_call(call, keys));
            }
            // The member has references of its own.
            Some(TableAction::Member(_) | TableAction::Group(_)) | None => {}
        }
    }

    fn refers_from_call(&self, call: &crate::dataplane::Call, keys: &mut Vec<ReferenceKey>) {
        let Some(action) = self.action_of(call.action) else {
            return;
        };
        for reference in &action.references {
            let values = reference.from.iter().filter_map(|at| call.args.get(*at));
            keys.push((reference.to, values.collect()));
        }
    }

    /// Reads the annotations of a p4info whose tables and actions are known.
    pub(super) fn link_references(&mut self, info: &p4info::P4Info) -> Result<(), SchemaError> {
        for table in &info.tables {
            let id = table.preamble.as_ref().map_or(0, |p| p.id);
            let Some(described) = self.table(id) else {
                continue;
            };
            let owner = format!("table {}", described.name);
            let table_id = described.table;
            let fields = table.match_fields.iter().map(|field| {
                let described = described.field(field.id);
                (
                    described.map_or(0, |f| f.position),
                    field.annotations.as_slice(),
                )
            });
            let references = self.references(info, &owner, &fields.collect::<Vec<_>>())?;
            if let Some(index) = self.tables_by_ir.get(&table_id) {
                self.tables[*index].references = references;
            }
        }
        for action in &info.actions {
            let id = action.preamble.as_ref().map_or(0, |p| p.id);
            let Some(described) = self.action(id) else {
                continue;
            };
            let owner = format!("action {}", described.name);
            let params = action.params.iter().filter_map(|param| {
                let position = described.params.iter().position(|p| p.id == param.id)?;
                Some((position, param.annotations.as_slice()))
            });
            let references = self.references(info, &owner, &params.collect::<Vec<_>>())?;
            if let Some(index) = self.p4_ids.get(&id) {
                self.actions[*index].references = references;
            }
        }
        Ok(())
    }

    /// What values at these positions, with these annotations, refer to.
    fn references(
        &mut self,
        info: &p4info::P4Info,
        owner: &str,
        values: &[(usize, &[String])],
    ) -> Result<Vec<Reference>, SchemaError> {
        let mut to_groups = Vec::new();
        let mut to_tables: Vec<(TableId, Vec<(usize, usize)>)> = Vec::new();
        for (position, annotations) in values {
            for (table, field) in annotations.iter().filter_map(|a| refers_to(a)) {
                if table == "builtin::multicast_group_table" {
                    to_groups.push(*position);
                    continue;
                }
                let Some(found) = self.table_named(&table) else {
                    // The compiler may have left it out; then nothing can be in it.
                    if knows(info, &table) {
                        continue;
                    }
                    return Err(dangling(owner, &table, &field));
                };
                let referred = found.fields.iter().find(|f| f.name == field);
                let referred = referred.ok_or_else(|| dangling(owner, &table, &field))?;
                let pair = (referred.position, *position);
                match to_tables.iter_mut().find(|(id, _)| *id == found.table) {
                    Some((_, pairs)) => pairs.push(pair),
                    None => to_tables.push((found.table, vec![pair])),
                }
            }
        }
        let mut references = Vec::new();
        for from in to_groups {
            let to = self.refer(Referred::MulticastGroup);
            let from = vec![from];
            references.push(Reference { to, from });
        }
        for (table, mut pairs) in to_tables {
            pairs.sort_unstable();
            let (positions, from) = pairs.into_iter().unzip();
            let to = self.refer(Referred::Entry(table, positions));
            references.push(Reference { to, from });
        }
        Ok(references)
    }

    fn refer(&mut self, referred: Referred) -> usize {
        let known = self.referred.iter().position(|r| *r == referred);
        known.unwrap_or_else(|| {
            self.referred.push(referred);
            self.referred.len() - 1
        })
    }
}

/// The value that a match is, if it is of one value.
fn value(matched: Match) -> Option<Bits> {
    match matched {
        Match::Exact(value) | Match::Optional(Some(value)) => Some(value),
        _ => None,
    }
}

/// Table and field of an annotation, which p4c writes with spaces between its words. Programs name them
/// with or without quotes.
fn refers_to(annotation: &str) -> Option<(String, String)> {
    let words: String = annotation.split_whitespace().collect();
    let inner = words.strip_prefix("@refers_to(")?.strip_suffix(')')?;
    let (table, field) = inner.split_once(',')?;
    let bare = |name: &str| name.trim_matches('"').to_owned();
    Some((bare(table), bare(field)))
}

fn knows(info: &p4info::P4Info, table: &str) -> bool {
    let mut preambles = info.tables.iter().filter_map(|t| t.preamble.as_ref());
    preambles.any(|p| p.name == table || p.alias == table)
}

fn dangling(owner: &str, table: &str, field: &str) -> SchemaError {
    SchemaError::Reference {
        owner: owner.to_owned(),
        table: table.to_owned(),
        field: field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_read_however_p4c_spaces_it() {
        let read = |text: &str| refers_to(text).expect("it is one");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            read("@refers_to(vrf_table , vrf_id)"),
            pair("vrf_table", "vrf_id")
        );
        assert_eq!(
            read("@refers_to(\"vrf_table\" , \"vrf_id\")"),
            read("@refers_to(vrf_table , vrf_id)")
        );
        let builtin = read("@refers_to(builtin : : multicast_group_table , multicast_group_id)");
        assert_eq!(
            builtin,
            pair("builtin::multicast_group_table", "multicast_group_id")
        );
        assert_eq!(refers_to("@id(1)"), None);
    }
}
