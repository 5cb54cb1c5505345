//! From the model's types to messages.

use pointsman_proto::pointsman::objective::v1 as pb;
use pointsman_proto::pointsman::objective::v1::criterion::Match as PbMatch;
use pointsman_proto::pointsman::objective::v1::instruction::Instruction as PbInstruction;
use pointsman_proto::pointsman::objective::v1::objective::Kind as PbKind;
use pointsman_proto::pointsman::objective::v1::port_ref::Port as PbPort;

use crate::attributes::{Period, Timeout};
use crate::matching::Match;
use crate::objective::{
    Change, Filter, FilterType, Forward, ForwardFlag, Instruction, Kind, Name, Next, NextType,
    Objective, ObjectiveKind, Operation, Selector,
};
use crate::value::PortRef;

impl From<Kind> for pb::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Filter => Self::Filter,
            Kind::Forward => Self::Forward,
            Kind::Next => Self::Next,
        }
    }
}

impl From<&Change> for pb::Change {
    fn from(change: &Change) -> Self {
        let operation = match change.operation {
            Operation::Put => pb::Operation::Put,
            Operation::Delete => pb::Operation::Delete,
            Operation::AddToExisting => pb::Operation::AddToExisting,
            Operation::RemoveFromExisting => pb::Operation::RemoveFromExisting,
            Operation::Modify => pb::Operation::Modify,
            Operation::Verify => pb::Operation::Verify,
        };
        Self {
            operation: operation.into(),
            objective: Some((&change.objective).into()),
        }
    }
}

impl From<&Objective> for pb::Objective {
    fn from(objective: &Objective) -> Self {
        let kind = match &objective.kind {
            ObjectiveKind::Filter(filter) => PbKind::Filter(encode_filter(filter)),
            ObjectiveKind::Forward(forward) => PbKind::Forward(encode_forward(forward)),
            ObjectiveKind::Next(next) => PbKind::Next(encode_next(next)),
        };
        Self {
            name: objective.name.to_string(),
            priority: objective.priority.into(),
            kind: Some(kind),
            owner: encode_name(objective.attributes.owner.as_ref()),
            group: encode_name(objective.attributes.group.as_ref()),
            timeout: encode_timeout(objective.attributes.timeout),
        }
    }
}

impl From<&PortRef> for pb::PortRef {
    fn from(port: &PortRef) -> Self {
        let port = match port {
            PortRef::Number(number) => PbPort::Number(*number),
            PortRef::Name(name) => PbPort::Name(name.clone()),
        };
        Self { port: Some(port) }
    }
}

fn encode_name(name: Option<&Name>) -> String {
    name.map(Name::to_string).unwrap_or_default()
}

fn encode_timeout(timeout: Timeout) -> Option<pb::Timeout> {
    let milliseconds = |period: Option<Period>| period.map_or(0, Period::milliseconds);
    (!timeout.is_never()).then(|| pb::Timeout {
        idle_milliseconds: milliseconds(timeout.idle),
        hard_milliseconds: milliseconds(timeout.hard),
    })
}

fn encode_filter(filter: &Filter) -> pb::Filter {
    let filter_type = match filter.filter_type {
        FilterType::Permit => pb::FilterType::Permit,
        FilterType::Deny => pb::FilterType::Deny,
    };
    pb::Filter {
        r#type: filter_type.into(),
        key: encode_selector(&filter.key),
        conditions: encode_selector(&filter.conditions),
        treatment: filter.treatment.iter().map(encode_instruction).collect(),
    }
}

fn encode_forward(forward: &Forward) -> pb::Forward {
    let flag = match forward.flag {
        ForwardFlag::Specific => pb::ForwardFlag::Specific,
        ForwardFlag::Versatile => pb::ForwardFlag::Versatile,
        ForwardFlag::Egress => pb::ForwardFlag::Egress,
    };
    pb::Forward {
        flag: flag.into(),
        selector: encode_selector(&forward.selector),
        next: forward
            .next
            .as_ref()
            .map(Name::to_string)
            .unwrap_or_default(),
        treatment: forward.treatment.iter().map(encode_instruction).collect(),
    }
}

fn encode_next(next: &Next) -> pb::Next {
    let next_type = match next.next_type {
        NextType::Simple => pb::NextType::Simple,
        NextType::Hashed => pb::NextType::Hashed,
        NextType::Broadcast => pb::NextType::Broadcast,
        NextType::Failover => pb::NextType::Failover,
    };
    let buckets = next.buckets.iter().map(|bucket| pb::Bucket {
        weight: bucket.weight.into(),
        treatment: bucket.treatment.iter().map(encode_instruction).collect(),
        next: bucket
            .next
            .as_ref()
            .map(Name::to_string)
            .unwrap_or_default(),
    });
    pb::Next {
        r#type: next_type.into(),
        buckets: buckets.collect(),
        meta: encode_selector(&next.meta),
    }
}

fn encode_selector(selector: &Selector) -> Vec<pb::Criterion> {
    let known = selector.iter().map(|criterion| pb::Criterion {
        field: criterion.field.name().to_owned(),
        r#match: Some(encode_match(&criterion.matching)),
        p4: None,
    });
    let own = selector.p4().iter().map(|criterion| pb::Criterion {
        field: String::new(),
        r#match: Some(encode_match(&criterion.matching)),
        p4: Some(pb::P4MatchField {
            table: criterion.table.clone(),
            field: criterion.field.clone(),
        }),
    });
    known.chain(own).collect()
}

fn encode_match(found: &Match) -> PbMatch {
    match found {
        Match::Exact(value) => PbMatch::Exact(bytes_of(*value)),
        Match::Prefix { value, length } => PbMatch::Prefix(pb::Prefix {
            value: bytes_of(*value),
            length: (*length).into(),
        }),
        Match::Masked { value, mask } => PbMatch::Masked(pb::Masked {
            value: bytes_of(*value),
            mask: bytes_of(*mask),
        }),
        Match::Range { low, high } => PbMatch::Range(pb::Range {
            low: bytes_of(*low),
            high: bytes_of(*high),
        }),
        Match::Port(port) => PbMatch::Port(port.into()),
        Match::Untagged => PbMatch::Untagged(true),
    }
}

fn encode_instruction(instruction: &Instruction) -> pb::Instruction {
    let instruction = match instruction {
        Instruction::Output(port) => PbInstruction::Output(port.into()),
        Instruction::Set { field, value } => PbInstruction::Set(pb::SetField {
            field: field.name().to_owned(),
            value: bytes_of(*value),
        }),
        Instruction::PushVlan(vlan) => PbInstruction::PushVlan(vlan.get().into()),
        Instruction::PopVlan => PbInstruction::PopVlan(true),
        Instruction::Drop => PbInstruction::Drop(true),
        Instruction::Punt => PbInstruction::Punt(true),
        Instruction::CopyToCpu => PbInstruction::CopyToCpu(true),
        Instruction::DecTtl => PbInstruction::DecTtl(true),
        Instruction::PushMpls(label) => PbInstruction::PushMpls(*label),
        Instruction::PopMpls => PbInstruction::PopMpls(true),
        Instruction::Meter(meter) => PbInstruction::Meter(pb::Meter {
            committed_rate: meter.committed_rate,
            committed_burst: meter.committed_burst,
            peak_rate: meter.peak_rate,
            peak_burst: meter.peak_burst,
        }),
        Instruction::Queue(queue) => PbInstruction::Queue(*queue),
        Instruction::Count(name) => PbInstruction::Count(name.to_string()),
        Instruction::Table(table) => PbInstruction::Table(pb::TableAction {
            table: table.name.clone(),
            action: table.action.clone(),
            args: table.args.iter().map(encode_argument).collect(),
        }),
    };
    pb::Instruction {
        instruction: Some(instruction),
    }
}

fn encode_argument((name, value): (&String, &u128)) -> pb::TableArgument {
    pb::TableArgument {
        name: name.clone(),
        value: bytes_of(*value),
    }
}

/// Big-endian without leading zeros; zero is one byte.
fn bytes_of(value: u128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let first = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len() - 1);
    bytes[first..].to_vec()
}
