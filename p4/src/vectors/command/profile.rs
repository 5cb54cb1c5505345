//! Members and groups of action profiles.

use crate::dataplane::{Call, EntryAction, GroupMember, Operation, Selection};
use crate::ir::{ActionProfileId, Implementation, Program, TableId};

use super::value::{number, numbers};
use super::{Parsed, by_suffix, entry};

/// `PROFILE MEMBER ACTION(PARAM:VALUE, ...)`
pub(super) fn member(program: &Program, text: &str) -> Parsed<Operation> {
    let (profile, rest) = split(program, text)?;
    let (member, call) = rest
        .split_once(char::is_whitespace)
        .ok_or("expected a member and an action")?;
    Ok(Operation::PutMember {
        profile,
        member: number(member)?,
        call: action(program, profile, call)?,
    })
}

/// `PROFILE GROUP MEMBER ...`; a member that stands there more than once has that weight.
pub(super) fn group(program: &Program, text: &str) -> Parsed<Operation> {
    let (profile, rest) = split(program, text)?;
    let numbers = numbers(rest)?;
    let (group, members) = numbers.split_first().ok_or("expected a group")?;
    let mut weighed: Vec<GroupMember> = Vec::new();
    for member in members {
        match weighed.iter_mut().find(|m| m.member == *member) {
            Some(known) => known.weight += 1,
            None => weighed.push(GroupMember {
                member: *member,
                weight: 1,
                watch_port: None,
            }),
        }
    }
    Ok(Operation::PutGroup {
        profile,
        group: *group,
        selection: Selection::Hash,
        members: GroupMember::in_order(&weighed),
    })
}

/// `member(NUMBER)` or `group(NUMBER)`, as the action of an entry of a table with a profile.
pub(super) fn reference(name: &str, arguments: &str) -> Parsed<EntryAction> {
    let number = number(arguments.trim())?;
    match name {
        "member" => Ok(EntryAction::Member(number)),
        "group" => Ok(EntryAction::Group(number)),
        other => Err(format!("{other:?} is neither member nor group")),
    }
}

fn split<'t>(program: &Program, text: &'t str) -> Parsed<(ActionProfileId, &'t str)> {
    let (name, rest) = text
        .trim()
        .split_once(char::is_whitespace)
        .ok_or("expected a profile and a number")?;
    let names = program.action_profiles.iter().map(|p| p.name.as_str());
    let id = by_suffix(names, name).ok_or_else(|| format!("there is no profile {name:?}"))?;
    Ok((ActionProfileId(id as u32), rest.trim()))
}

/// A member runs what a table that uses the profile may run.
fn action(program: &Program, profile: ActionProfileId, text: &str) -> Parsed<Call> {
    let (name, arguments) = text.split_once('(').ok_or("expected an action")?;
    let arguments = arguments.trim().trim_end_matches(')');
    let uses = |table: &&crate::ir::Table| table.implementation == Implementation::Profile(profile);
    let table = program.tables.iter().position(|table| uses(&table));
    let table = table.ok_or("no table uses the profile")?;
    entry::call(program, TableId(table as u32), name, arguments)
}
