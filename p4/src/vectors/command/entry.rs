//! Entries and default actions.

use num_bigint::BigUint;

use crate::dataplane::{Bits, Call, EntryAction, EntryKey, Match, Operation, TableEntry};
use crate::ir::{ActionId, Implementation, Key, MatchKind, Program, Table, TableId};

use super::value::{masked, number};
use super::{Parsed, by_suffix, profile};

/// `TABLE [PRIORITY] KEY:VALUE ... ACTION(PARAM:VALUE, ...) [= NAME]`
pub(super) fn added(program: &Program, text: &str) -> Parsed<(TableEntry, Option<String>)> {
    let (before, rest) = text.split_once('(').ok_or("expected an action")?;
    let (arguments, after) = rest.split_once(')').unwrap_or((rest, ""));
    let name = after.trim().strip_prefix('=').map(|n| n.trim().to_owned());
    let mut words: Vec<&str> = before.split_whitespace().collect();
    let action = words.pop().ok_or("expected an action")?;
    if words.is_empty() {
        return Err("expected a table".to_owned());
    }
    let id = table(program, words.remove(0))?;
    let table = &program.tables[id.index()];
    let mut priority = 0;
    if let Some(word) = words.first()
        && !word.contains(':')
    {
        priority = number(word)? as i32;
        words.remove(0);
    }
    if !table.key.iter().any(has_priority) {
        priority = 0;
    }
    let mut values: Vec<Option<&str>> = vec![None; table.key.len()];
    for word in words {
        let (name, value) = word.rsplit_once(':').ok_or("expected key:value")?;
        values[key_position(table, name)?] = Some(value);
    }
    let keys = table.key.iter().zip(values);
    let matches = keys.map(|(key, value)| match value {
        None => Ok(unwritten(key)),
        Some(text) => matching(key, text),
    });
    let entry = TableEntry {
        key: EntryKey {
            table: id,
            matches: matches.collect::<Parsed<_>>()?,
            priority,
        },
        action: match table.implementation {
            Implementation::Direct => EntryAction::Call(call(program, id, action, arguments)?),
            Implementation::Profile(_) => profile::reference(action, arguments)?,
        },
    };
    Ok((entry, name))
}

/// `TABLE ACTION(PARAM:VALUE, ...)`
pub(super) fn default(program: &Program, text: &str) -> Parsed<Operation> {
    let (name, action) = text
        .trim()
        .split_once(char::is_whitespace)
        .ok_or("expected a table and an action")?;
    let table = table(program, name)?;
    let (action, arguments) = action.split_once('(').ok_or("expected an action")?;
    let arguments = arguments.trim().trim_end_matches(')');
    Ok(Operation::SetDefault {
        table,
        action: Some(EntryAction::Call(call(program, table, action, arguments)?)),
    })
}

fn table(program: &Program, name: &str) -> Parsed<TableId> {
    by_suffix(program.tables.iter().map(|t| t.name.as_str()), name)
        .map(|i| TableId(i as u32))
        .ok_or_else(|| format!("there is no table {name:?}"))
}

fn has_priority(key: &Key) -> bool {
    matches!(
        key.kind,
        MatchKind::Ternary | MatchKind::Range | MatchKind::Optional
    )
}

fn key_position(table: &Table, name: &str) -> Parsed<usize> {
    // Stacks are written `stack$0` for `stack[0]`, validity `.valid` or `.$valid` for `.$valid$`.
    let plain = |text: &str| {
        let text = text.replace('[', "$").replace(']', "");
        match text.strip_suffix("$valid$").or(text.strip_suffix("$valid")) {
            Some(header) => format!("{header}valid"),
            None => text,
        }
    };
    let name = plain(name);
    let names: Vec<String> = table.key.iter().map(|k| plain(&k.name)).collect();
    by_suffix(names.iter().map(String::as_str), &name)
        .or_else(|| names.iter().position(|n| name.ends_with(&format!(".{n}"))))
        .or_else(|| names.iter().position(|n| *n == format!("{name}.valid")))
        .ok_or_else(|| {
            let known: Vec<&str> = table.key.iter().map(|k| k.name.as_str()).collect();
            format!("{} has no key {name:?}, only {known:?}", table.name)
        })
}

/// `ACTION` and `PARAM:VALUE, ...`
pub(super) fn call(program: &Program, table: TableId, name: &str, arguments: &str) -> Parsed<Call> {
    let actions: &[ActionId] = &program.tables[table.index()].actions;
    let names = actions
        .iter()
        .map(|a| program.actions[a.index()].name.as_str());
    let id = by_suffix(names, name.trim())
        .map(|i| actions[i])
        .ok_or_else(|| format!("the table has no action {name:?}"))?;
    let action = &program.actions[id.index()];
    let mut args = vec![Bits::zero(); action.params.len()];
    for argument in arguments.split(',').filter(|a| !a.trim().is_empty()) {
        let (name, value) = argument.split_once(':').ok_or("expected name:value")?;
        let position = action
            .params
            .iter()
            .position(|p| p.name == name.trim())
            .ok_or_else(|| format!("the action has no parameter {name:?}"))?;
        let (value, _) = masked(value.trim(), action.params[position].width)?;
        args[position] = Bits::from(&value);
    }
    Ok(Call {
        action: id,
        args: args.into(),
    })
}

/// A part of the key that the command does not name: anything, or 0 where that cannot be said.
fn unwritten(key: &Key) -> Match {
    match key.kind {
        MatchKind::Exact => Match::Exact(Bits::zero()),
        MatchKind::Lpm => Match::Lpm {
            value: Bits::zero(),
            prefix_len: 0,
        },
        MatchKind::Ternary => Match::Ternary {
            value: Bits::zero(),
            mask: Bits::zero(),
        },
        MatchKind::Optional => Match::Optional(None),
        MatchKind::Range => Match::Range {
            low: Bits::zero(),
            high: Bits::ones(key.width),
        },
    }
}

/// `VALUE`, `VALUE/LENGTH`, `VALUE&&&MASK`, `LOW..HIGH` or `LOW->HIGH`.
fn matching(key: &Key, text: &str) -> Parsed<Match> {
    if key.kind == MatchKind::Range {
        let bounds = text.split_once("->").or_else(|| text.split_once(".."));
        let (low, high) = bounds.unwrap_or((text, text));
        let bound = |text: &str| masked(text, key.width).map(|(value, _)| Bits::from(&value));
        return Ok(Match::Range {
            low: bound(low)?,
            high: bound(high)?,
        });
    }
    let (value, mask) = value_and_mask(key, text)?;
    let (value, mask) = (Bits::from(&value), Bits::from(&mask));
    Ok(match key.kind {
        MatchKind::Exact if mask == Bits::ones(key.width) => Match::Exact(value),
        MatchKind::Exact => return Err(format!("{} is matched exactly", key.name)),
        MatchKind::Lpm => {
            let prefix_len = BigUint::from(&mask).count_ones() as u32;
            if Bits::prefix_mask(prefix_len, key.width) != mask {
                return Err(format!("{} is matched by prefix", key.name));
            }
            Match::Lpm { value, prefix_len }
        }
        MatchKind::Optional if mask.is_zero() => Match::Optional(None),
        MatchKind::Optional => Match::Optional(Some(value)),
        MatchKind::Ternary | MatchKind::Range => Match::Ternary { value, mask },
    })
}

/// The value, 0 outside its mask.
fn value_and_mask(key: &Key, text: &str) -> Parsed<(BigUint, BigUint)> {
    if let Some((value, length)) = text.split_once('/') {
        let length = number(length)?.min(key.width);
        let mask = BigUint::from(&Bits::prefix_mask(length, key.width));
        return Ok((masked(value, key.width)?.0 & &mask, mask));
    }
    if let Some((value, mask)) = text.split_once("&&&") {
        let mask = masked(mask, key.width)?.0;
        return Ok((masked(value, key.width)?.0 & &mask, mask));
    }
    masked(text, key.width)
}
