//! The commands of STF files: entries, default actions and multicast.
//!
//! ```text
//! add TABLE [PRIORITY] KEY:VALUE ... ACTION(PARAM:VALUE, ...)
//! setdefault TABLE ACTION(PARAM:VALUE, ...)
//! mc_mgrp_create GROUP
//! mc_node_create RID PORT ...
//! mc_node_associate GROUP NODE
//! ```
//! Values are decimal, `0x` or `0b`, with `*` for digits that do not matter.

use std::collections::BTreeMap;

use num_bigint::BigUint;
use num_traits::{Num, One};

use crate::dataplane::{Bits, Call, EntryAction, EntryKey, Match, Operation, Replica, TableEntry};
use crate::ir::{ActionId, Key, MatchKind, Program, Table, TableId};
use crate::p4info::Pipeline;

/// Reads commands one after the other and collects what they do.
#[derive(Debug)]
pub struct Commands<'p> {
    pipeline: &'p Pipeline,
    operations: Vec<Operation>,
    /// RID and ports, by node.
    nodes: Vec<(u32, Vec<u32>)>,
    groups: BTreeMap<u32, Vec<Replica>>,
}

type Parsed<T> = Result<T, String>;

impl<'p> Commands<'p> {
    /// No commands yet.
    pub fn new(pipeline: &'p Pipeline) -> Commands<'p> {
        Commands {
            pipeline,
            operations: Vec::new(),
            nodes: Vec::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Reads one command.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, line: &str) -> Parsed<()> {
        let (name, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match name {
            "add" => {
                let operation = self.entry(rest)?;
                self.operations.push(operation);
            }
            "setdefault" => {
                let operation = self.default(rest)?;
                self.operations.push(operation);
            }
            "mc_mgrp_create" => {
                self.groups.insert(number(rest.trim())?, Vec::new());
            }
            "mc_node_create" => {
                let mut words = rest.split_whitespace();
                let rid = number(words.next().unwrap_or_default())?;
                let ports = words.map(number).collect::<Parsed<_>>()?;
                self.nodes.push((rid, ports));
            }
            "mc_node_associate" => self.associate(rest)?,
            other => return Err(format!("the command {other:?} is not known")),
        }
        Ok(())
    }

    /// What the commands do.
    pub fn finish(mut self) -> Vec<Operation> {
        for (group, replicas) in self.groups {
            self.operations
                .push(Operation::SetMulticastGroup { group, replicas });
        }
        self.operations
    }

    fn associate(&mut self, rest: &str) -> Parsed<()> {
        let numbers: Vec<u32> = rest.split_whitespace().map(number).collect::<Parsed<_>>()?;
        let [group, node] = numbers[..] else {
            return Err("expected a group and a node".to_owned());
        };
        let (rid, ports) = self
            .nodes
            .get(node as usize)
            .ok_or_else(|| format!("there is no node {node}"))?;
        let group = self
            .groups
            .get_mut(&group)
            .ok_or_else(|| format!("there is no group {group}"))?;
        group.extend(ports.iter().map(|port| Replica {
            port: *port,
            instance: *rid,
        }));
        Ok(())
    }

    fn default(&self, rest: &str) -> Parsed<Operation> {
        let (name, action) = rest
            .trim()
            .split_once(' ')
            .ok_or("expected a table and an action")?;
        let table = self.table(name)?;
        Ok(Operation::SetDefault {
            table,
            action: Some(EntryAction::Call(self.call(table, action)?)),
        })
    }

    fn entry(&self, rest: &str) -> Parsed<Operation> {
        let (before, arguments) = rest.split_once('(').ok_or("expected an action")?;
        let mut words: Vec<&str> = before.split_whitespace().collect();
        let action = words.pop().ok_or("expected an action")?;
        if words.is_empty() {
            return Err("expected a table".to_owned());
        }
        let id = self.table(words.remove(0))?;
        let table = &self.program().tables[id.index()];
        let mut priority = 0;
        if let Some(word) = words.first()
            && !word.contains(':')
        {
            priority = number(word)? as i32;
            words.remove(0);
        }
        let mut values: Vec<Option<&str>> = vec![None; table.key.len()];
        for word in words {
            let (name, value) = word.rsplit_once(':').ok_or("expected key:value")?;
            let position = self.key_position(table, name)?;
            values[position] = Some(value);
        }
        let matches = table
            .key
            .iter()
            .zip(values)
            .map(|(key, value)| matching(key, value))
            .collect::<Parsed<_>>()?;
        Ok(Operation::Insert(TableEntry {
            key: EntryKey {
                table: id,
                matches,
                priority,
            },
            action: EntryAction::Call(self.call(id, &format!("{action}({arguments}"))?),
        }))
    }

    fn program(&self) -> &'p Program {
        &self.pipeline.program
    }

    fn table(&self, name: &str) -> Parsed<TableId> {
        by_suffix(self.program().tables.iter().map(|t| t.name.as_str()), name)
            .map(|i| TableId(i as u32))
            .ok_or_else(|| format!("there is no table {name:?}"))
    }

    fn key_position(&self, table: &Table, name: &str) -> Parsed<usize> {
        // Stacks are written `stack$0` for `stack[0]`.
        let plain = |text: &str| text.replace('[', "$").replace(']', "");
        let names: Vec<String> = table.key.iter().map(|k| plain(&k.name)).collect();
        by_suffix(names.iter().map(String::as_str), &plain(name))
            .or_else(|| names.iter().position(|n| name.ends_with(&format!(".{n}"))))
            .ok_or_else(|| {
                let known: Vec<&str> = table.key.iter().map(|k| k.name.as_str()).collect();
                format!("{} has no key {name:?}, only {known:?}", table.name)
            })
    }

    /// `ACTION(PARAM:VALUE, ...)`
    fn call(&self, table: TableId, text: &str) -> Parsed<Call> {
        let (name, arguments) = text.split_once('(').ok_or("expected an action")?;
        let arguments = arguments.trim().trim_end_matches(')');
        let program = self.program();
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
        Ok(Call { action: id, args })
    }
}

/// The one of that name, else the first whose last parts are that name.
fn by_suffix<'n>(mut names: impl Iterator<Item = &'n str> + Clone, name: &str) -> Option<usize> {
    let suffix = format!(".{name}");
    names
        .clone()
        .position(|n| n == name)
        .or_else(|| names.position(|n| n.ends_with(&suffix)))
}

fn matching(key: &Key, text: Option<&str>) -> Parsed<Match> {
    let (value, mask) = match text {
        None => (BigUint::ZERO, BigUint::ZERO),
        Some(text) => match text.split_once('/') {
            Some((value, length)) => {
                let length = number(length)?.min(key.width);
                let mask = BigUint::from(&Bits::prefix_mask(length, key.width));
                (masked(value, key.width)?.0 & &mask, mask)
            }
            None => masked(text, key.width)?,
        },
    };
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
        MatchKind::Ternary => Match::Ternary { value, mask },
        MatchKind::Optional if mask.is_zero() => Match::Optional(None),
        MatchKind::Optional => Match::Optional(Some(value)),
        MatchKind::Range => return Err("ranges are not written in STF".to_owned()),
    })
}

/// A value of that width and the mask of the digits that matter.
fn masked(text: &str, width: u32) -> Parsed<(BigUint, BigUint)> {
    let all = (BigUint::one() << width) - BigUint::one();
    let (digits, radix, bits) = if let Some(hex) = text.strip_prefix("0x") {
        (hex, 16, 4)
    } else if let Some(binary) = text.strip_prefix("0b") {
        (binary, 2, 1)
    } else {
        let value = BigUint::from_str_radix(text, 10).map_err(|e| format!("{text:?}: {e}"))?;
        return Ok((value & &all, all));
    };
    let zero: String = digits.replace('*', "0");
    let value = BigUint::from_str_radix(&zero, radix).map_err(|e| format!("{text:?}: {e}"))?;
    if !digits.contains('*') {
        return Ok((value & &all, all));
    }
    let mut mask = BigUint::ZERO;
    for digit in digits.chars() {
        mask <<= bits;
        if digit != '*' {
            mask |= (BigUint::one() << bits) - BigUint::one();
        }
    }
    Ok((value & &all, mask & all))
}

fn number(text: &str) -> Parsed<u32> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|e| format!("{text:?}: {e}"))
}
