//! Members and groups of action profiles, and one-shot groups.

use pointsman_p4::dataplane::Call;
use pointsman_proto::p4::v1::{self as p4, action_profile_action, action_profile_group};

use super::error::{DecodeError, invalid};
use super::table;
use super::value::port;
use crate::entity::{
    Entity, Group, GroupMember, Member, OneShot, OneShotAction, Operation, PortForm,
};
use crate::schema::{ProfileSchema, Schema, TableSchema};

/// The profile of an id.
pub fn profile(schema: &Schema, id: u32) -> Result<&ProfileSchema, DecodeError> {
    schema.profile(id).ok_or_else(|| {
        let known = schema.profiles.iter();
        let known = known.map(|p| format!("{:#010x} {}", p.id, p.alias));
        DecodeError::UnknownId {
            place: "action profile entry".to_owned(),
            kind: "action profile",
            id,
            known: known.collect::<Vec<_>>().join(", "),
        }
    })
}

pub(super) fn member(
    schema: &Schema,
    operation: Operation,
    member: &p4::ActionProfileMember,
) -> Result<Entity, DecodeError> {
    let profile = profile(schema, member.action_profile_id)?;
    if member.member_id == 0 {
        let place = format!("action profile {}", profile.name);
        return Err(invalid(place, "member 0: ids start at 1"));
    }
    let call = match (&member.action, operation) {
        (_, Operation::Delete) => None,
        (Some(action), _) => Some(member_call(schema, profile, action)?),
        (None, _) => {
            return Err(DecodeError::Missing {
                place: format!("member {} of {}", member.member_id, profile.name),
                what: "the action",
            });
        }
    };
    Ok(Entity::Member(Member {
        profile: profile.profile,
        id: member.member_id,
        call,
    }))
}

/// An action that members of a profile may run.
fn member_call(
    schema: &Schema,
    profile: &ProfileSchema,
    action: &p4::Action,
) -> Result<Call, DecodeError> {
    let known = profile.actions.iter();
    match known
        .clone()
        .find(|(id, _)| *id == action.action_id)
        .copied()
    {
        Some((_, ir_action)) => Ok(Call {
            action: ir_action,
            args: table::arguments(schema, action)?.into(),
        }),
        None => Err(DecodeError::UnknownId {
            place: format!("action profile {}", profile.name),
            kind: "action",
            id: action.action_id,
            known: table::action_names(schema, known.map(|(id, _)| *id)),
        }),
    }
}

pub(super) fn group(
    schema: &Schema,
    operation: Operation,
    group: &p4::ActionProfileGroup,
) -> Result<Entity, DecodeError> {
    let profile = profile(schema, group.action_profile_id)?;
    let place = format!("group {} of {}", group.group_id, profile.name);
    if !profile.with_selector {
        return Err(invalid(place, "this profile has no selector, so no groups"));
    }
    let mut decoded = Group {
        profile: profile.profile,
        id: group.group_id,
        members: Vec::new(),
        max_size: 0,
        ports: PortForm::Bytes,
    };
    if group.group_id == 0 {
        return Err(invalid(place, "ids start at 1"));
    }
    if operation == Operation::Delete {
        return Ok(Entity::Group(decoded));
    }
    decoded.max_size = max_size(profile, &place, group.max_size)?;
    for member in &group.members {
        let watch_port = match &member.watch_kind {
            Some(action_profile_group::member::WatchKind::WatchPort(bytes)) => {
                watch_port(schema, bytes, &place)?
            }
            #[allow(deprecated)]
            Some(action_profile_group::member::WatchKind::Watch(port)) => {
                decoded.ports = PortForm::Number;
                watch_number(schema, *port, &place)?
            }
            None => None,
        };
        let weight = weight(profile, &place, member.weight)?;
        if decoded.members.iter().any(|m| m.member == member.member_id) {
            return Err(DecodeError::Duplicate {
                place,
                what: format!("member {}", member.member_id),
            });
        }
        decoded.members.push(GroupMember {
            member: member.member_id,
            weight,
            watch_port,
        });
    }
    let weights = decoded.members.iter().map(|m| m.weight);
    group_size(profile, &place, decoded.max_size, weights)?;
    Ok(Entity::Group(decoded))
}

pub(super) fn one_shot(
    schema: &Schema,
    profile: &ProfileSchema,
    table: &TableSchema,
    set: &p4::ActionProfileActionSet,
    stands: table::Place,
) -> Result<OneShot, DecodeError> {
    let place = format!("table {}, action set", table.name);
    if set.group_action.is_some() {
        return Err(DecodeError::Unsupported {
            what: "the group_action of an action set",
        });
    }
    let mut group = OneShot {
        says_mode: says_mode(set)?,
        says_size: says_size(profile, set)?,
        ..OneShot::default()
    };
    for action in &set.action_profile_actions {
        let Some(given) = &action.action else {
            return Err(DecodeError::Missing {
                place,
                what: "the action",
            });
        };
        let watch_port = match &action.watch_kind {
            Some(action_profile_action::WatchKind::WatchPort(bytes)) => {
                watch_port(schema, bytes, &place)?
            }
            #[allow(deprecated)]
            Some(action_profile_action::WatchKind::Watch(port)) => {
                group.ports = PortForm::Number;
                watch_number(schema, *port, &place)?
            }
            None => None,
        };
        group.actions.push(OneShotAction {
            call: table::action(schema, table, given, stands)?,
            weight: weight(profile, &place, action.weight)?,
            watch_port,
        });
    }
    let weights = group.actions.iter().map(|a| a.weight);
    group_size(profile, &place, 0, weights)?;
    Ok(group)
}

/// Whether a set says how actions are chosen. Selectors hash; other ways are not supported.
fn says_mode(set: &p4::ActionProfileActionSet) -> Result<bool, DecodeError> {
    use p4::action_profile_action_set::ActionSelectionMode;
    match ActionSelectionMode::try_from(set.action_selection_mode) {
        Ok(ActionSelectionMode::DefaultModeDeterminedByActionSelector) => Ok(false),
        Ok(ActionSelectionMode::Hash) => Ok(true),
        Ok(ActionSelectionMode::Random) | Err(_) => Err(DecodeError::Unsupported {
            what: "an action_selection_mode other than HASH, which is what selectors do,",
        }),
    }
}

/// Whether a set says what counts as its size. It can say what the profile says, and nothing else.
fn says_size(
    profile: &ProfileSchema,
    set: &p4::ActionProfileActionSet,
) -> Result<bool, DecodeError> {
    use p4::action_profile_action_set::SizeSemantics;
    match (
        SizeSemantics::try_from(set.size_semantics),
        profile.counts_members,
    ) {
        (Ok(SizeSemantics::DefaultSizeDeterminedByActionSelector), _) => Ok(false),
        (Ok(SizeSemantics::SumOfMembers), true) | (Ok(SizeSemantics::SumOfWeights), false) => {
            Ok(true)
        }
        _ => Err(DecodeError::Unsupported {
            what: "a size_semantics other than the profile's own",
        }),
    }
}

/// The most members or weight that a group will have (P4Runtime, "Rules on Setting max_size"). 0 is
/// taken even where the profile has a limit of its own, since ONOS gives no other.
fn max_size(profile: &ProfileSchema, place: &str, given: i32) -> Result<u32, DecodeError> {
    let limit = match profile.max_group_size {
        0 => i32::MAX.unsigned_abs(),
        limit => limit,
    };
    let size = u32::try_from(given).ok().filter(|size| *size <= limit);
    size.ok_or_else(|| {
        let what = format!("max_size {given} is not in 0..={limit}; 0 leaves it to the profile");
        invalid(place, what)
    })
}

/// The deprecated form of a watched port, in which 0 watches nothing.
fn watch_number(schema: &Schema, port: i32, place: &str) -> Result<Option<u32>, DecodeError> {
    match port {
        0 => Ok(None),
        port => watch_port(schema, &port.to_be_bytes(), place),
    }
}

/// An empty byte string watches nothing.
fn watch_port(schema: &Schema, bytes: &[u8], place: &str) -> Result<Option<u32>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    port(schema, bytes, || format!("{place}, watch_port")).map(Some)
}

fn weight(profile: &ProfileSchema, place: &str, weight: i32) -> Result<u32, DecodeError> {
    if profile.weights_disallowed {
        return match weight {
            0 => Ok(1),
            _ => Err(invalid(
                place,
                "this profile disallows weights; leave them 0",
            )),
        };
    }
    let limit = match profile.max_member_weight {
        0 => i32::MAX.unsigned_abs(),
        limit => limit,
    };
    u32::try_from(weight)
        .ok()
        .filter(|weight| (1..=limit).contains(weight))
        .ok_or_else(|| invalid(place, format!("weight {weight} is not in 1..={limit}")))
}

fn group_size(
    profile: &ProfileSchema,
    place: &str,
    max_size: u32,
    weights: impl Iterator<Item = u32>,
) -> Result<(), DecodeError> {
    let limit = match (max_size, profile.max_group_size) {
        (0, limit) => limit,
        (size, _) => size,
    };
    let (size, unit) = if profile.counts_members {
        (weights.count() as u64, "members")
    } else {
        (weights.map(u64::from).sum(), "weight")
    };
    if limit != 0 && size > u64::from(limit) {
        let what = format!("has {size} {unit}, of {limit} at most");
        return Err(invalid(place, what));
    }
    Ok(())
}
