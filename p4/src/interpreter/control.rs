//! Runs a control: tables and branches, and the checksums around it.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::dataplane::{Bits, Call, Color, EntryAction, EntryRef};
use crate::ir::{
    ActionId, ActionProfileId, DefaultAction, Expr, FieldRef, Implementation, KeySource, MeterId,
    Node, Program, Table, TableId,
};

use super::action;
use super::eval::Eval;
use super::flight::Flight;
use super::state::{count, units};
use super::trace::{Candidate, TraceStep};
use super::{Hit, Lookup, Passing, State};

/// Runs a control from a node on until it ends or exits.
pub(super) fn run(program: &Program, state: &mut State, flight: &mut Flight, start: Option<Node>) {
    let mut node = start;
    while let Some(current) = node {
        // BMv2 looks at `exit` between nodes: the rest of the action still runs.
        if flight.requests.exit {
            return;
        }
        node = match current {
            Node::Conditional(id) => {
                let conditional = &program.conditionals[id.index()];
                let holds = is_true(program, flight, &conditional.condition);
                state.note(|| TraceStep::Condition {
                    conditional: id,
                    holds,
                });
                match holds {
                    true => conditional.then,
                    false => conditional.otherwise,
                }
            }
            Node::Table(id) => apply(program, state, flight, id),
        };
    }
}

fn is_true(program: &Program, flight: &Flight, condition: &Expr) -> bool {
    eval(program, flight).truth(condition)
}

fn eval<'a>(program: &'a Program, flight: &'a Flight) -> Eval<'a> {
    Eval {
        program,
        phv: &flight.phv,
        args: &[],
        ahead: &[],
    }
}

/// Applies a table and says where to go on.
fn apply(program: &Program, state: &mut State, flight: &mut Flight, id: TableId) -> Option<Node> {
    let table = &program.tables[id.index()];
    let key = key_values(program, flight, table);
    let found = match state.is_trial() {
        true => look(program, state, id, &key),
        false => find(program, state, id, &key, flight.ingress_length),
    };
    let hit = found.is_some();
    let (chosen, color) = match found {
        Some(Hit { action, color }) => (Some(action), color),
        None => {
            let color = miss(program, state, id, flight.ingress_length);
            (state.tables[id.index()].default.clone(), color)
        }
    };
    if let Some(lookups) = &mut state.lookups {
        lookups.push(Lookup {
            table: id,
            key,
            hit,
        });
    }
    if let Some(((_, target), color)) = direct_meter(program, table).zip(color) {
        let color = BigInt::from(color as u8);
        flight.phv.set(program, target, &color);
    }
    let ran = match chosen {
        Some(action) => resolve(program, state, flight, table, action).map(|call| {
            let args: Vec<BigInt> = call
                .args
                .iter()
                .map(|a| BigInt::from(num_bigint::BigUint::from(&a)))
                .collect();
            state.note(|| TraceStep::Action(call.clone()));
            let body = &program.actions[call.action.index()];
            action::run(program, state, flight, body, &args);
            call.action
        }),
        // On a miss, what the program says.
        None => table.default.as_ref().map(|default| {
            state.note(|| TraceStep::Action(default_call(default)));
            let args = action::numbers(&default.call.args);
            let body = &program.actions[default.call.action.index()];
            action::run(program, state, flight, body, &args);
            default.call.action
        }),
    };
    table
        .next
        .after(hit, ran.map(|a| own_action(program, table, a)))
}

/// The direct meter of a table, and where its colour goes. One whose colour goes nowhere is not run.
fn direct_meter(program: &Program, table: &Table) -> Option<(MeterId, FieldRef)> {
    let meter = table.meter?;
    Some((meter, program.meters[meter.index()].target?))
}

/// The entry that a packet hits, in whichever plane it is. The packet counts there.
fn find(
    program: &Program,
    state: &mut State,
    id: TableId,
    key: &[Bits],
    length: usize,
) -> Option<Hit> {
    let table = &program.tables[id.index()];
    let units = metered_units(program, table, length);
    let (now, cells) = (state.now, state.shared.clone());
    if let Some(tables) = state.shared_table(id) {
        let passing = Passing { length, units, now };
        return tables.hit(id, key, &passing);
    }
    let widths: Vec<u32> = table.key.iter().map(|k| k.width).collect();
    let entry = state.tables[id.index()].find(key, &widths)?;
    entry.last_hit = now;
    if table.counter.is_some() {
        count(&mut entry.direct.counter, length);
    }
    let color = units.map(|units| {
        let named = EntryRef::Keyed(&entry.key);
        let shared = cells.and_then(|cells| cells.direct_meter(named, units, now));
        let color = shared.or_else(|| entry.direct.mark(units, now));
        entry.direct.count_color(color, length)
    });
    Some(Hit {
        action: entry.action.clone(),
        color,
    })
}

/// The entry that a packet that is followed hits. It counts nowhere, and is green to the meter.
fn look(program: &Program, state: &mut State, id: TableId, key: &[Bits]) -> Option<Hit> {
    let table = &program.tables[id.index()];
    // Whether a meter is configured in the other plane is not known here: then it counts as configured.
    let mut is_metered = true;
    let found = match state.shared_table(id) {
        Some(tables) => tables.find(id, key),
        None => {
            let widths: Vec<u32> = table.key.iter().map(|k| k.width).collect();
            let entry = state.tables[id.index()].find(key, &widths);
            entry.map(|entry| {
                is_metered = entry.direct.meter.is_some();
                (entry.key.clone(), entry.action.clone())
            })
        }
    };
    let (entry, action) = found.unzip();
    state.note(|| TraceStep::Lookup {
        table: id,
        key: key.to_vec(),
        entry,
    });
    let action = action?;
    let color = direct_meter(program, table).map(|(meter, _)| {
        if is_metered {
            let index = None;
            state.note(|| TraceStep::Metered { meter, index });
        }
        Color::Green
    });
    Some(Hit { action, color })
}

/// Counts and meters a packet that hits no entry, in the default one. An unconfigured meter there says
/// no color.
fn miss(program: &Program, state: &mut State, id: TableId, length: usize) -> Option<Color> {
    let table = &program.tables[id.index()];
    let units = metered_units(program, table, length);
    if table.counter.is_none() && units.is_none() {
        return None;
    }
    let (now, cells) = (state.now, state.shared.clone());
    let entry = EntryRef::Default(id);
    let is_trial = state.is_trial();
    let direct = state.tables[id.index()].direct_mut(entry)?;
    if is_trial {
        let is_metered = units.is_some() && direct.meter.is_some();
        let meter = table.meter.filter(|_| is_metered)?;
        let index = None;
        state.note(|| TraceStep::Metered { meter, index });
        return Some(Color::Green);
    }
    if table.counter.is_some() {
        count(&mut direct.counter, length);
    }
    let units = units?;
    let shared = cells.and_then(|cells| cells.direct_meter(entry, units, now));
    let color = shared.or_else(|| direct.mark(units, now));
    direct.count_color(color, length);
    color
}

/// What a packet costs the direct meter of a table, if that is run.
fn metered_units(program: &Program, table: &Table, length: usize) -> Option<u64> {
    let (meter, _) = direct_meter(program, table)?;
    Some(units(program.meters[meter.index()].unit, length))
}

/// The values that a table looks up. Fields of invalid headers match as 0.
fn key_values(program: &Program, flight: &Flight, table: &Table) -> Vec<Bits> {
    let eval = eval(program, flight);
    let phv = &flight.phv;
    let parts = table.key.iter().map(|part| match &part.source {
        KeySource::Field(place) => match eval.place(place) {
            Some(field) if phv.is_valid(field.header) => match &part.mask {
                None => Bits::from(phv.get(field)),
                Some(mask) => Bits::from(&(phv.get(field) & mask)),
            },
            _ => Bits::zero(),
        },
        KeySource::Valid(header) => {
            let valid = eval.header(header).is_some_and(|h| phv.is_valid(h));
            Bits::from(u64::from(valid))
        }
        KeySource::UnionValid(union) => Bits::from(u64::from(phv.is_union_valid(program, *union))),
    });
    parts.collect()
}

/// The action with its arguments that an entry stands for; none for an empty group.
fn resolve(
    program: &Program,
    state: &mut State,
    flight: &Flight,
    table: &Table,
    action: EntryAction,
) -> Option<Call> {
    let profile = match table.implementation {
        Implementation::Direct => None,
        Implementation::Profile(id) => Some(id),
    };
    let member = match action {
        EntryAction::Call(call) => return Some(call),
        EntryAction::Member(member) => member,
        EntryAction::Group(group) => {
            let id = profile?;
            let selector = program.action_profiles[id.index()].selector?;
            let hash = state.calculate(program, flight, selector.calculation);
            let chosen = state.profiles[id.index()].choose(group, hash, &state.ports_down);
            note_group(state, id, group, chosen);
            chosen?
        }
    };
    let profile = profile?;
    state.note(|| TraceStep::Member { profile, member });
    let members = &state.profiles[profile.index()].members;
    members.get(&member).cloned()
}

/// Takes note of a choice, if the packet is followed.
fn note_group(state: &mut State, profile: ActionProfileId, group: u32, chosen: Option<u32>) {
    if !state.is_trial() {
        return;
    }
    let known = &state.profiles[profile.index()];
    let is_up = |port| !state.ports_down.contains(&port);
    let found = known.groups.get(&group);
    let selection = found.map(|found| found.selection).unwrap_or_default();
    let members = found.into_iter().flat_map(|found| &found.members);
    let members = members.map(|member| Candidate {
        member: *member,
        call: known.members.get(&member.member).cloned(),
        is_alive: member.watch_port.is_none_or(is_up),
    });
    let members = members.collect();
    state.note(|| TraceStep::Group {
        profile,
        group,
        selection,
        members,
        chosen,
    });
}

/// What the program says of a miss, as an entry would say it.
fn default_call(default: &DefaultAction) -> Call {
    Call {
        action: default.call.action,
        args: default.call.args.iter().map(Bits::from).collect(),
    }
}

/// A member of a profile that several tables share may name another table's copy of an action.
fn own_action(program: &Program, table: &Table, action: ActionId) -> ActionId {
    if table.actions.contains(&action) {
        return action;
    }
    let name = &program.actions[action.index()].name;
    let own = table
        .actions
        .iter()
        .find(|a| program.actions[a.index()].name == *name);
    own.copied().unwrap_or(action)
}

/// Whether a checksum that the program verifies differs from its field.
pub(super) fn checksum_error(program: &Program, state: &mut State, flight: &Flight) -> bool {
    let mut error = false;
    for checksum in program.checksums.iter().filter(|c| c.verify) {
        let holds = |condition: &Expr| is_true(program, flight, condition);
        if flight.phv.is_valid(checksum.target.header)
            && checksum.condition.as_ref().is_none_or(holds)
        {
            let computed = state.calculate(program, flight, checksum.calculation);
            error |= flight.phv.get(checksum.target).to_u64() != Some(computed);
        }
    }
    error
}

/// Writes the checksums that the program updates.
pub(super) fn update_checksums(program: &Program, state: &mut State, flight: &mut Flight) {
    for checksum in program.checksums.iter().filter(|c| c.update) {
        let holds = |condition: &Expr| is_true(program, flight, condition);
        if checksum.condition.as_ref().is_none_or(holds) {
            let computed = state.calculate(program, flight, checksum.calculation);
            flight
                .phv
                .set(program, checksum.target, &BigInt::from(computed));
        }
    }
}
