//! From messages to the model's types, checked.

use std::collections::BTreeMap;

use pointsman_proto::pointsman::objective::v1 as pb;
use pointsman_proto::pointsman::objective::v1::criterion::Match as PbMatch;
use pointsman_proto::pointsman::objective::v1::instruction::Instruction as PbInstruction;
use pointsman_proto::pointsman::objective::v1::objective::Kind as PbKind;
use pointsman_proto::pointsman::objective::v1::port_ref::Port as PbPort;

use super::WireError;
use crate::attributes::{Attributes, Period, Timeout};
use crate::field::Field;
use crate::matching::Match;
use crate::objective::{
    Bucket, Change, Criterion, DEFAULT_PRIORITY, Filter, FilterType, Forward, ForwardFlag,
    Instruction, Kind, Meter, Name, Next, NextType, Objective, ObjectiveKind, Operation,
    P4Criterion, Selector,
};
use crate::p4::{self, TableAction};
use crate::validate::validate;
use crate::value::{PortRef, VlanId};

impl TryFrom<pb::Kind> for Kind {
    type Error = WireError;

    fn try_from(kind: pb::Kind) -> Result<Self, WireError> {
        match kind {
            pb::Kind::Unspecified => Err(WireError::Missing("kind")),
            pb::Kind::Filter => Ok(Self::Filter),
            pb::Kind::Forward => Ok(Self::Forward),
            pb::Kind::Next => Ok(Self::Next),
        }
    }
}

impl TryFrom<&pb::Change> for Change {
    type Error = WireError;

    fn try_from(change: &pb::Change) -> Result<Self, WireError> {
        let operation = match change.operation() {
            pb::Operation::Unspecified => return Err(WireError::Missing("operation")),
            pb::Operation::Put => Operation::Put,
            pb::Operation::Delete => Operation::Delete,
            pb::Operation::AddToExisting => Operation::AddToExisting,
            pb::Operation::RemoveFromExisting => Operation::RemoveFromExisting,
            pb::Operation::Modify => Operation::Modify,
            pb::Operation::Verify => Operation::Verify,
        };
        let objective = change
            .objective
            .as_ref()
            .ok_or(WireError::Missing("objective"))?;
        let objective = if operation == Operation::Delete {
            // Kind, name and owner are all that counts, and the rest may be absent.
            identity_of(objective)?
        } else {
            decode_objective(objective)?
        };
        let change = Self {
            operation,
            objective,
        };
        match validate(&change).into_iter().next() {
            Some(fault) => Err(WireError::Fault(fault)),
            None => Ok(change),
        }
    }
}

impl TryFrom<&pb::Objective> for Objective {
    type Error = WireError;

    fn try_from(objective: &pb::Objective) -> Result<Self, WireError> {
        let operation = pb::Operation::Put.into();
        let put = pb::Change {
            operation,
            objective: Some(objective.clone()),
        };
        Change::try_from(&put).map(|change| change.objective)
    }
}

impl TryFrom<&pb::PortRef> for PortRef {
    type Error = WireError;

    fn try_from(port: &pb::PortRef) -> Result<Self, WireError> {
        match &port.port {
            Some(PbPort::Number(number)) if *number > 0 => Ok(Self::Number(*number)),
            Some(PbPort::Name(name)) if !name.is_empty() => Ok(Self::Name(name.clone())),
            _ => Err(WireError::Missing("port")),
        }
    }
}

fn decode_name(name: &str) -> Result<Name, WireError> {
    Name::new(name).ok_or_else(|| WireError::Name(name.to_owned()))
}

fn decode_optional_name(name: &str) -> Result<Option<Name>, WireError> {
    if name.is_empty() {
        Ok(None)
    } else {
        decode_name(name).map(Some)
    }
}

fn decode_u16(what: &'static str, found: u32) -> Result<u16, WireError> {
    let error = || WireError::Range {
        what,
        found: found.into(),
        max: u16::MAX.into(),
    };
    u16::try_from(found).map_err(|_| error())
}

fn decode_priority(objective: &pb::Objective) -> Result<u16, WireError> {
    match objective.priority {
        0 => Ok(DEFAULT_PRIORITY),
        priority => decode_u16("priority", priority),
    }
}

fn decode_objective(objective: &pb::Objective) -> Result<Objective, WireError> {
    let kind = match objective.kind.as_ref().ok_or(WireError::Missing("kind"))? {
        PbKind::Filter(filter) => ObjectiveKind::Filter(decode_filter(filter)?),
        PbKind::Forward(forward) => ObjectiveKind::Forward(decode_forward(forward)?),
        PbKind::Next(next) => ObjectiveKind::Next(decode_next(next)?),
    };
    Ok(Objective {
        name: decode_name(&objective.name)?,
        priority: decode_priority(objective)?,
        attributes: Attributes {
            owner: decode_optional_name(&objective.owner)?,
            group: decode_optional_name(&objective.group)?,
            timeout: decode_timeout(objective.timeout.as_ref())?,
        },
        kind,
    })
}

fn decode_timeout(timeout: Option<&pb::Timeout>) -> Result<Timeout, WireError> {
    let Some(timeout) = timeout else {
        return Ok(Timeout::default());
    };
    let period = |milliseconds| match milliseconds {
        0 => Ok(None),
        _ => match Period::from_milliseconds(milliseconds) {
            Some(period) => Ok(Some(period)),
            None => Err(WireError::Timeout(milliseconds)),
        },
    };
    Ok(Timeout {
        idle: period(timeout.idle_milliseconds)?,
        hard: period(timeout.hard_milliseconds)?,
    })
}

/// An objective of that kind, name and owner, and with nothing in it.
fn identity_of(objective: &pb::Objective) -> Result<Objective, WireError> {
    let kind = match objective.kind.as_ref().ok_or(WireError::Missing("kind"))? {
        PbKind::Filter(_) => Kind::Filter,
        PbKind::Forward(_) => Kind::Forward,
        PbKind::Next(_) => Kind::Next,
    };
    let mut bare = Objective::empty(kind, decode_name(&objective.name)?);
    bare.attributes.owner = decode_optional_name(&objective.owner)?;
    Ok(bare)
}

fn decode_filter(filter: &pb::Filter) -> Result<Filter, WireError> {
    Ok(Filter {
        filter_type: match filter.r#type() {
            pb::FilterType::Unspecified => return Err(WireError::Missing("filter type")),
            pb::FilterType::Permit => FilterType::Permit,
            pb::FilterType::Deny => FilterType::Deny,
        },
        key: decode_selector(&filter.key)?,
        conditions: decode_selector(&filter.conditions)?,
        treatment: decode_treatment(&filter.treatment)?,
    })
}

fn decode_forward(forward: &pb::Forward) -> Result<Forward, WireError> {
    let (treatment, next) = decode_steps(&forward.treatment, &forward.next)?;
    Ok(Forward {
        flag: match forward.flag() {
            pb::ForwardFlag::Unspecified => return Err(WireError::Missing("forward flag")),
            pb::ForwardFlag::Specific => ForwardFlag::Specific,
            pb::ForwardFlag::Versatile => ForwardFlag::Versatile,
            pb::ForwardFlag::Egress => ForwardFlag::Egress,
        },
        selector: decode_selector(&forward.selector)?,
        next,
        treatment,
    })
}

fn decode_next(next: &pb::Next) -> Result<Next, WireError> {
    let bucket = |bucket: &pb::Bucket| {
        let (treatment, next) = decode_steps(&bucket.treatment, &bucket.next)?;
        Ok(Bucket {
            weight: decode_u16("weight", bucket.weight)?.max(1),
            treatment,
            next,
        })
    };
    Ok(Next {
        next_type: match next.r#type() {
            pb::NextType::Unspecified => return Err(WireError::Missing("next type")),
            pb::NextType::Simple => NextType::Simple,
            pb::NextType::Hashed => NextType::Hashed,
            pb::NextType::Broadcast => NextType::Broadcast,
            pb::NextType::Failover => NextType::Failover,
        },
        buckets: next.buckets.iter().map(bucket).collect::<Result<_, _>>()?,
        meta: decode_selector(&next.meta)?,
    })
}

fn decode_field(name: &str) -> Result<Field, WireError> {
    name.parse()
        .map_err(|_| WireError::UnknownField(name.to_owned()))
}

fn decode_selector(criteria: &[pb::Criterion]) -> Result<Selector, WireError> {
    let mut known = Vec::with_capacity(criteria.len());
    let mut own = Vec::new();
    for criterion in criteria {
        let found = criterion.r#match.as_ref();
        let found = found.ok_or(WireError::Missing("match"))?;
        match &criterion.p4 {
            Some(_) if !criterion.field.is_empty() => return Err(WireError::Missing("field")),
            Some(p4) => own.push(decode_p4(p4, found)?),
            None => known.push(decode_criterion(&criterion.field, found)?),
        }
    }
    let selector = Selector::new(known).map_err(WireError::Twice)?;
    selector.with_p4(own).map_err(|twice| WireError::P4Twice {
        table: twice.table,
        field: twice.field,
    })
}

fn decode_criterion(name: &str, found: &PbMatch) -> Result<Criterion, WireError> {
    let field = decode_field(name)?;
    let matching = field
        .canonical(decode_match(found, field.bits())?)
        .map_err(|error| WireError::Value { field, error })?;
    Ok(Criterion { field, matching })
}

fn decode_p4(p4: &pb::P4MatchField, found: &PbMatch) -> Result<P4Criterion, WireError> {
    let matching = p4::canonical(decode_match(found, 128)?);
    let (table, field) = (decode_p4_name(&p4.table)?, decode_p4_name(&p4.field)?);
    match matching {
        Ok(matching) => Ok(P4Criterion {
            table,
            field,
            matching,
        }),
        Err(error) => Err(WireError::P4Value {
            place: format!("{field} of table {table}"),
            error,
        }),
    }
}

fn decode_p4_name(name: &str) -> Result<String, WireError> {
    match p4::is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(WireError::Missing("a name of the pipeline")),
    }
}

fn decode_match(found: &PbMatch, bits: u32) -> Result<Match, WireError> {
    Ok(match found {
        PbMatch::Exact(value) => Match::Exact(value_of(value)?),
        PbMatch::Prefix(prefix) => Match::Prefix {
            value: value_of(&prefix.value)?,
            length: u8::try_from(prefix.length).map_err(|_| WireError::Range {
                what: "prefix length",
                found: prefix.length.into(),
                max: bits.into(),
            })?,
        },
        PbMatch::Masked(masked) => Match::Masked {
            value: value_of(&masked.value)?,
            mask: value_of(&masked.mask)?,
        },
        PbMatch::Range(range) => Match::Range {
            low: value_of(&range.low)?,
            high: value_of(&range.high)?,
        },
        PbMatch::Port(port) => Match::Port(port.try_into()?),
        PbMatch::Untagged(true) => Match::Untagged,
        PbMatch::Untagged(false) => return Err(WireError::Missing("match")),
    })
}

fn decode_treatment(treatment: &[pb::Instruction]) -> Result<Vec<Instruction>, WireError> {
    treatment.iter().map(decode_instruction).collect()
}

/// The treatment and the next of a forward or bucket: a `group` is the next.
fn decode_steps(
    treatment: &[pb::Instruction],
    next: &str,
) -> Result<(Vec<Instruction>, Option<Name>), WireError> {
    let group = |step: &pb::Instruction| match &step.instruction {
        Some(PbInstruction::Group(name)) => Some(name.clone()),
        _ => None,
    };
    let mut nexts: Vec<String> = treatment.iter().filter_map(group).collect();
    nexts.extend((!next.is_empty()).then(|| next.to_owned()));
    let steps = treatment.iter().filter(|step| group(step).is_none());
    let steps = steps.map(decode_instruction).collect::<Result<_, _>>()?;
    match nexts.as_slice() {
        [] => Ok((steps, None)),
        [next] => Ok((steps, Some(decode_name(next)?))),
        _ => Err(WireError::TwoNexts),
    }
}

fn decode_instruction(instruction: &pb::Instruction) -> Result<Instruction, WireError> {
    const UNKNOWN: WireError = WireError::Missing("instruction");
    let flag = |set: bool, instruction| if set { Ok(instruction) } else { Err(UNKNOWN) };
    Ok(match instruction.instruction.as_ref().ok_or(UNKNOWN)? {
        PbInstruction::Output(port) => Instruction::Output(port.try_into()?),
        PbInstruction::Set(set) => {
            let field = decode_field(&set.field)?;
            if !field.settable() {
                return Err(WireError::NotSettable(field));
            }
            // An exact match has the same values as `set`, but for a whole address.
            match field.canonical(Match::Exact(value_of(&set.value)?)) {
                Ok(Match::Exact(value)) => Instruction::Set { field, value },
                Ok(_) => return Err(WireError::NotSettable(field)),
                Err(error) => return Err(WireError::Value { field, error }),
            }
        }
        PbInstruction::PushVlan(vlan) => {
            let id = u16::try_from(*vlan).ok().and_then(VlanId::new);
            Instruction::PushVlan(id.ok_or(WireError::Range {
                what: "push_vlan",
                found: (*vlan).into(),
                max: 4094,
            })?)
        }
        PbInstruction::PopVlan(set) => flag(*set, Instruction::PopVlan)?,
        PbInstruction::Drop(set) => flag(*set, Instruction::Drop)?,
        PbInstruction::Punt(set) => flag(*set, Instruction::Punt)?,
        PbInstruction::CopyToCpu(set) => flag(*set, Instruction::CopyToCpu)?,
        PbInstruction::DecTtl(set) => flag(*set, Instruction::DecTtl)?,
        PbInstruction::PushMpls(label) if *label < 1 << 20 => Instruction::PushMpls(*label),
        PbInstruction::PushMpls(label) => {
            let found = u64::from(*label);
            return Err(WireError::Range {
                what: "push_mpls",
                found,
                max: (1 << 20) - 1,
            });
        }
        PbInstruction::PopMpls(set) => flag(*set, Instruction::PopMpls)?,
        PbInstruction::Meter(meter) => Instruction::Meter(Meter {
            committed_rate: meter.committed_rate,
            committed_burst: meter.committed_burst,
            peak_rate: meter.peak_rate,
            peak_burst: meter.peak_burst,
        }),
        PbInstruction::Queue(queue) => Instruction::Queue(*queue),
        PbInstruction::Count(name) => Instruction::Count(decode_name(name)?),
        PbInstruction::Table(table) => Instruction::Table(decode_table(table)?),
        // Forwards and buckets have taken theirs out.
        PbInstruction::Group(_) => return Err(WireError::GroupInFilter),
    })
}

fn decode_table(table: &pb::TableAction) -> Result<TableAction, WireError> {
    let mut args = BTreeMap::new();
    for arg in &table.args {
        let before = args.insert(decode_p4_name(&arg.name)?, value_of(&arg.value)?);
        if before.is_some() {
            return Err(WireError::ArgumentTwice(arg.name.clone()));
        }
    }
    Ok(TableAction {
        name: decode_p4_name(&table.table)?,
        action: decode_p4_name(&table.action)?,
        args,
    })
}

fn value_of(bytes: &[u8]) -> Result<u128, WireError> {
    if bytes.len() > 16 {
        return Err(WireError::TooLong(bytes.len()));
    }
    Ok(bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u128::from(*byte)))
}
