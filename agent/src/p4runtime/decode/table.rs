//! Table entries, default actions and direct resources.

use pointsman_p4::constraints::Subject;
use pointsman_p4::dataplane::{Call, ColorCounts, CounterData, EntryKey, MeterConfig};
use pointsman_proto::p4::v1::{self as p4, table_action};

use super::error::{DecodeError, invalid};
use super::meter::{meter_config, reset_counts};
use super::profile::one_shot;
use super::resource::counter_data;
use super::value::{key, value};
use crate::entity::{
    DefaultAction, Entity, EntryName, Extra, ExtraFields, Operation, TableAction, TableEntry,
};
use crate::schema::{Schema, Scope, TableSchema};

/// The table of an id.
pub fn table(schema: &Schema, id: u32) -> Result<&TableSchema, DecodeError> {
    schema.table(id).ok_or_else(|| DecodeError::UnknownId {
        place: "table entry".to_owned(),
        kind: "table",
        id,
        known: format!("{} tables", schema.tables.len()),
    })
}

/// The key of an entry: every field, and a priority exactly if the table needs one.
pub fn entry_key(table: &TableSchema, entry: &p4::TableEntry) -> Result<EntryKey, DecodeError> {
    let owner = || format!("table {}", table.name);
    let matches = key(owner, &table.fields, &entry.r#match)?;
    let priority = if table.has_priority() {
        if entry.priority <= 0 {
            let what = format!(
                "priority {} is not positive; this table has ternary, range or optional fields \
                 and needs one, the higher wins",
                entry.priority
            );
            return Err(invalid(owner(), what));
        }
        entry.priority
    } else if entry.priority != 0 {
        return Err(invalid(
            owner(),
            format!(
                "priority {} is given, but this table has no ternary, range or optional field; \
                 leave it 0",
                entry.priority
            ),
        ));
    } else {
        0
    };
    Ok(EntryKey {
        table: table.table,
        matches: matches.into(),
        priority,
    })
}

/// A table entry or default action to be written.
pub(super) fn table_entry(
    schema: &Schema,
    operation: Operation,
    entry: &p4::TableEntry,
) -> Result<Entity, DecodeError> {
    let table = table(schema, entry.table_id)?;
    if entry.is_const {
        let what = "is_const is set, which only answers may; leave it out";
        return Err(invalid(format!("table {}", table.name), what));
    }
    if table.is_const && operation != Operation::Modify {
        return Err(DecodeError::NotPermitted {
            place: format!("table {}", table.name),
            what: "its entries are const in the program".to_owned(),
        });
    }
    if entry.is_default_action {
        return default_action(schema, table, operation, entry);
    }
    if table.fields.is_empty() {
        let what = "has no key; only its default action can be modified";
        return Err(invalid(format!("table {}", table.name), what));
    }
    let key = entry_key(table, entry)?;
    let mut decoded = TableEntry::of_key(key);
    if operation == Operation::Delete {
        return Ok(Entity::TableEntry(decoded));
    }
    decoded.action = match &entry.action {
        Some(action) => Some(table_action(schema, table, action, Place::Entry)?),
        None if operation == Operation::Insert => {
            return Err(DecodeError::Missing {
                place: format!("table {}", table.name),
                what: "the action",
            });
        }
        None => None,
    };
    let keeps_more = !entry.metadata.is_empty() || controller_metadata(entry) != 0;
    if table.is_const && (decoded.action.is_some() || keeps_more) {
        return Err(DecodeError::NotPermitted {
            place: format!("table {}", table.name),
            what: "its entries are const in the program; only their meters and counters can change"
                .to_owned(),
        });
    }
    if let Some(restriction) = &table.restriction {
        restriction.check(Subject::Entry(
            &table.seen_by_controllers(&decoded.key.matches.to_vec()),
            decoded.key.priority,
        ))?;
    }
    let direct = direct_resources(schema, table, entry)?;
    decoded.extra = Extra::from(ExtraFields {
        meter: direct.meter,
        counter: direct.counter,
        meter_counts: direct.meter_counts,
        idle_timeout_ns: idle_timeout(table, entry)?,
        metadata: entry.metadata.clone(),
        controller_metadata: controller_metadata(entry),
    });
    Ok(Entity::TableEntry(decoded))
}

/// `controller_metadata` is deprecated, but clients that use it expect it back.
#[allow(deprecated)]
pub(super) fn controller_metadata(entry: &p4::TableEntry) -> u64 {
    entry.controller_metadata
}

/// Only entries of tables with idle timeouts have one, and nobody can say when they were last hit.
fn idle_timeout(table: &TableSchema, entry: &p4::TableEntry) -> Result<u64, DecodeError> {
    let place = || format!("table {}", table.name);
    let given = entry.idle_timeout_ns;
    if !table.idle_timeout && (given != 0 || entry.time_since_last_hit.is_some()) {
        let what = "does not support idle timeouts; leave idle_timeout_ns and \
                    time_since_last_hit out";
        return Err(invalid(place(), what));
    }
    if entry.time_since_last_hit.is_some() {
        let what = "time_since_last_hit can only be read; leave it out";
        return Err(invalid(place(), what));
    }
    let negative = |_| invalid(place(), format!("idle_timeout_ns {given} is negative"));
    u64::try_from(given).map_err(negative)
}

/// Refuses a direct resource of a table that has none.
pub fn direct(table: &TableSchema, resource: Option<u32>, what: &str) -> Result<(), DecodeError> {
    match resource {
        Some(_) => Ok(()),
        None => Err(invalid(
            format!("table {}", table.name),
            format!("has no {what}"),
        )),
    }
}

fn default_action(
    schema: &Schema,
    table: &TableSchema,
    operation: Operation,
    entry: &p4::TableEntry,
) -> Result<Entity, DecodeError> {
    let place = || format!("default action of table {}", table.name);
    if operation != Operation::Modify {
        return Err(invalid(place(), "can only be modified; use MODIFY"));
    }
    let ages = entry.idle_timeout_ns != 0 || entry.time_since_last_hit.is_some();
    if !entry.r#match.is_empty() || entry.priority != 0 || ages {
        let what = "has no match, priority or idle timeout; leave them out";
        return Err(invalid(place(), what));
    }
    if table.const_default {
        return Err(DecodeError::NotPermitted {
            place: place(),
            what: "is const in the program".to_owned(),
        });
    }
    // P4Runtime, "Default Entry": it is a constant NoAction there.
    if table.profile.is_some() && entry.action.is_some() {
        return Err(DecodeError::NotPermitted {
            place: place(),
            what: "is NoAction for good, as the table's actions are in a profile".to_owned(),
        });
    }
    let direct = direct_resources(schema, table, entry)?;
    let mut default = DefaultAction {
        table: table.table,
        action: None,
        meter: None,
        counter: direct.counter,
        meter_counts: direct.meter_counts,
        metadata: Vec::new(),
        controller_metadata: 0,
    };
    // Without an action all is what it was at first, but for what packets have counted.
    if let Some(action) = &entry.action {
        default.action = Some(table_action(schema, table, action, Place::Default)?);
        default.meter = direct.meter;
        default.metadata.clone_from(&entry.metadata);
        default.controller_metadata = controller_metadata(entry);
    }
    Ok(Entity::DefaultAction(Box::new(default)))
}

/// What an entry says of its direct resources.
struct Direct {
    meter: Option<MeterConfig>,
    counter: Option<CounterData>,
    meter_counts: Option<ColorCounts>,
}

fn direct_resources(
    schema: &Schema,
    table: &TableSchema,
    entry: &p4::TableEntry,
) -> Result<Direct, DecodeError> {
    let mut decoded = Direct {
        meter: None,
        counter: None,
        meter_counts: None,
    };
    if let Some(config) = &entry.meter_config {
        direct(table, table.direct_meter, "direct meter")?;
        let meter_type = schema.meter_type(table.direct_meter.unwrap_or_default());
        decoded.meter = Some(meter_config(&table.name, meter_type, config)?);
    }
    if let Some(data) = &entry.counter_data {
        direct(table, table.direct_counter, "direct counter")?;
        decoded.counter = Some(counter_data(&table.name, data)?);
    }
    if let Some(counts) = &entry.meter_counter_data {
        direct(table, table.direct_meter, "direct meter")?;
        decoded.meter_counts = Some(reset_counts(&table.name, counts)?);
    }
    Ok(decoded)
}

/// Where an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Entry,
    Default,
}

/// What an entry does.
fn table_action(
    schema: &Schema,
    table: &TableSchema,
    action: &p4::TableAction,
    stands: Place,
) -> Result<TableAction, DecodeError> {
    let place = || format!("table {}", table.name);
    let Some(kind) = &action.r#type else {
        return Err(DecodeError::Missing {
            place: place(),
            what: "the action",
        });
    };
    match (kind, table.profile) {
        (table_action::Type::Action(action), None) => {
            let call = self::action(schema, table, action, stands)?;
            Ok(TableAction::Call(call))
        }
        // The default of a table with a profile may be an action of its own.
        (table_action::Type::Action(action), Some(_)) if stands == Place::Default => {
            let call = self::action(schema, table, action, stands)?;
            Ok(TableAction::Call(call))
        }
        (table_action::Type::ActionProfileMemberId(member), Some(_)) => {
            Ok(TableAction::Member(*member))
        }
        (table_action::Type::ActionProfileGroupId(group), Some(_)) if table.with_selector => {
            Ok(TableAction::Group(*group))
        }
        (table_action::Type::ActionProfileActionSet(set), Some(profile)) if table.with_selector => {
            let profile = schema
                .profile_of(profile)
                .expect("a table's profile is in the schema");
            let group = one_shot(schema, profile, table, set, stands)?;
            Ok(TableAction::OneShot(group))
        }
        (_, None) => Err(invalid(
            place(),
            "has no action profile; give the entry an action",
        )),
        (table_action::Type::Action(_), Some(_)) => Err(invalid(
            place(),
            "has an action profile; give the entry a member, a group or an action set",
        )),
        (_, Some(_)) => Err(invalid(
            place(),
            "its action profile has no groups; give the entry a member",
        )),
    }
}

/// An action that a table allows in this place, with its arguments.
pub(super) fn action(
    schema: &Schema,
    table: &TableSchema,
    action: &p4::Action,
    stands: Place,
) -> Result<Call, DecodeError> {
    let place = || format!("table {}", table.name);
    let Some(reference) = table.action(action.action_id) else {
        return Err(match schema.action(action.action_id) {
            Some(other) => invalid(
                place(),
                format!(
                    "action {} is not one of its actions; it has {}",
                    other.name,
                    action_names(schema, table.actions.iter().map(|a| a.id)),
                ),
            ),
            None => DecodeError::UnknownId {
                place: place(),
                kind: "action",
                id: action.action_id,
                known: action_names(schema, table.actions.iter().map(|a| a.id)),
            },
        });
    };
    let why = match (reference.scope, stands) {
        (Scope::DefaultOnly, Place::Entry) => Some("may only be the default action"),
        (Scope::TableOnly, Place::Default) => Some("may only be used in entries"),
        (Scope::GroupOnly, _) => Some("may only be the group_action of an action set"),
        _ => None,
    };
    if let Some(why) = why {
        let name = schema.action(action.action_id).map(|a| a.name.clone());
        return Err(DecodeError::ActionNotAllowed {
            place: place(),
            action: name.unwrap_or_default(),
            why,
        });
    }
    Ok(Call {
        action: reference.action,
        args: arguments(schema, action)?.into(),
    })
}

/// Names and ids of actions, for messages.
pub(super) fn action_names(schema: &Schema, ids: impl Iterator<Item = u32>) -> String {
    let names = ids.filter_map(|id| Some(schema.action(id)?.alias.clone()));
    names.collect::<Vec<_>>().join(", ")
}

/// One argument for each parameter, in p4info's order.
pub(super) fn arguments(
    schema: &Schema,
    action: &p4::Action,
) -> Result<Vec<pointsman_p4::dataplane::Bits>, DecodeError> {
    let described = schema
        .action(action.action_id)
        .expect("a referenced action is in the schema");
    let place = || format!("action {}", described.name);
    let mut arguments = vec![None; described.params.len()];
    for param in &action.params {
        let found = described.params.iter().position(|p| p.id == param.param_id);
        let Some(index) = found else {
            let known = described.params.iter();
            let known = known.map(|p| format!("{} {}", p.id, p.name));
            return Err(DecodeError::UnknownId {
                place: place(),
                kind: "parameter",
                id: param.param_id,
                known: known.collect::<Vec<_>>().join(", "),
            });
        };
        let known = &described.params[index];
        let value = value(
            &param.value,
            known.width,
            known.translation.as_deref(),
            || format!("{}, parameter {}", place(), known.name),
        )?;
        if arguments[index].replace(value).is_some() {
            return Err(DecodeError::Duplicate {
                place: place(),
                what: format!("parameter {}", known.name),
            });
        }
    }
    let whole = described.params.iter().zip(arguments);
    let whole = whole.map(|(param, value)| {
        value.ok_or_else(|| invalid(place(), format!("parameter {} is missing", param.name)))
    });
    let whole = whole.collect::<Result<Vec<_>, _>>()?;
    if let Some(restriction) = &described.restriction {
        restriction.check(Subject::Arguments(&described.seen_by_controllers(&whole)))?;
    }
    Ok(whole)
}

/// A direct meter or counter names its entry by its key, or as the default one.
pub(super) fn direct_entry<'s>(
    schema: &'s Schema,
    entry: Option<&p4::TableEntry>,
) -> Result<(EntryName, &'s TableSchema), DecodeError> {
    let entry = entry.ok_or(DecodeError::Missing {
        place: "direct resource".to_owned(),
        what: "the table entry",
    })?;
    let table = table(schema, entry.table_id)?;
    if !entry.is_default_action {
        return Ok((EntryName::Keyed(entry_key(table, entry)?), table));
    }
    match entry.r#match.is_empty() && entry.priority == 0 {
        true => Ok((EntryName::Default(table.table), table)),
        false => Err(invalid(
            format!("default action of table {}", table.name),
            "has no match and no priority; leave them out",
        )),
    }
}
