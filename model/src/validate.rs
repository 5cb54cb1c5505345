//! What is wrong with one objective whatever the pipeline, file or no file.
//!
//! The readers of YAML and of the wire form have already checked each value;
//! here the values are checked against each other.

use std::collections::HashSet;

use crate::field::Field;
use crate::matching::Match;
use crate::objective::{
    Bucket, Change, Filter, FilterType, Forward, ForwardFlag, Instruction, Kind, Next, NextType,
    ObjectiveKind, Operation, Selector,
};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {label}")]
pub struct Fault {
    /// The field, as a path below the objective: `selector.ipv4_dst`, `buckets[1].output`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, in a few words.
    pub label: String,
}

/// Everything that is wrong with `change`; empty if it makes sense.
pub fn validate(change: &Change) -> Vec<Fault> {
    let mut faults = Faults(Vec::new());
    if change.operation == Operation::Delete {
        return faults.0;
    }
    faults.attributes(change);
    match &change.objective.kind {
        ObjectiveKind::Filter(filter) => faults.filter(filter),
        ObjectiveKind::Forward(forward) => faults.forward(forward),
        ObjectiveKind::Next(next) => faults.next(next, change),
    }
    faults.0
}

struct Faults(Vec<Fault>);

impl Faults {
    fn add(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) {
        self.0.push(Fault {
            path: path.into(),
            message: message.into(),
            label: label.into(),
        });
    }

    fn attributes(&mut self, change: &Change) {
        let attributes = &change.objective.attributes;
        if !attributes.timeout.is_never() && change.objective.kind() == Kind::Next {
            self.add(
                "timeout",
                "a next does not expire, because forwards may use it",
                "give the forwards that use it a timeout",
            );
        }
        if let (Some(idle), Some(hard)) = (attributes.timeout.idle, attributes.timeout.hard)
            && idle >= hard
        {
            let message = format!("idle is {idle}, and all is over after {hard}");
            self.add("timeout.idle", message, "make it shorter than `hard`");
        }
        if change.operation != Operation::Put && attributes.group.is_some() {
            self.add(
                "group",
                "the next is in the group that it was put in",
                "leave it out",
            );
        }
    }

    fn filter(&mut self, filter: &Filter) {
        for criterion in filter.key.iter() {
            if filter.conditions.get(criterion.field).is_some() {
                let message = format!("{} is in the key and in the conditions", criterion.field);
                self.add(
                    format!("conditions.{}", criterion.field),
                    message,
                    "keep one of them",
                );
            }
        }
        if filter.key.is_empty() {
            self.add(
                "filter",
                "a filter needs a key",
                "say which port it is about: key: { in_port: ... }",
            );
        }
        if filter.filter_type == FilterType::Deny && !filter.treatment.is_empty() {
            self.add(
                "treatment",
                "denied packets have no treatment",
                "leave it out",
            );
        }
        self.selector("key", &filter.key);
        self.selector("conditions", &filter.conditions);
        self.treatment("treatment", &filter.treatment);
        for instruction in &filter.treatment {
            if let Instruction::Output(_) | Instruction::Drop | Instruction::Queue(_) = instruction
            {
                let message = format!("a filter cannot {}", instruction.name());
                self.add(
                    format!("treatment.{}", instruction.name()),
                    message,
                    "forwards decide where packets go; `type: deny` keeps them out",
                );
            }
        }
    }

    fn forward(&mut self, forward: &Forward) {
        self.selector("selector", &forward.selector);
        self.treatment("treatment", &forward.treatment);
        let both = forward.next.is_some() && !forward.treatment.is_empty();
        match forward.flag {
            _ if forward.next.is_none() && forward.treatment.is_empty() => {
                self.add(
                    "forward",
                    "the forward says where packets go by nothing",
                    "add a `next` or a `treatment`",
                );
            }
            ForwardFlag::Specific | ForwardFlag::Egress if both => {
                let message = format!(
                    "a {} forward has either a next or a treatment",
                    forward.flag.name()
                );
                self.add("treatment", message, "move it into the next's buckets");
            }
            ForwardFlag::Specific if forward.selector.is_empty() => {
                self.add(
                    "forward",
                    "a specific forward needs a selector",
                    "say what it matches, or make it versatile",
                );
            }
            _ => {}
        }
    }

    fn next(&mut self, next: &Next, change: &Change) {
        let buckets = &next.buckets;
        match next.next_type {
            _ if buckets.is_empty() => {
                self.add("buckets", "a next needs buckets", "add at least one");
            }
            NextType::Simple if buckets.len() > 1 => {
                let label = "make it hashed, broadcast or failover";
                self.add("buckets[1]", "a simple next has one bucket", label);
            }
            NextType::Simple
                if matches!(
                    change.operation,
                    Operation::AddToExisting | Operation::RemoveFromExisting
                ) =>
            {
                self.add(
                    "operation",
                    "the one bucket of a simple next is replaced, not added",
                    "leave it out",
                );
            }
            _ => {}
        }
        let mut seen: HashSet<(&[Instruction], Option<&str>)> = HashSet::new();
        for (index, bucket) in buckets.iter().enumerate() {
            let path = format!("buckets[{index}]");
            self.bucket(&path, bucket, next, change);
            if !seen.insert((
                &bucket.treatment,
                bucket.next.as_ref().map(|next| next.as_str()),
            )) {
                let label = match next.next_type {
                    NextType::Hashed => "give the first one a higher weight",
                    _ => "leave it out",
                };
                self.add(path, "the bucket is there twice", label);
            }
        }
        self.selector("meta", &next.meta);
    }

    fn bucket(&mut self, path: &str, bucket: &Bucket, next: &Next, change: &Change) {
        let has_treatment = !bucket.treatment.is_empty();
        match &bucket.next {
            Some(_) if has_treatment => {
                self.add(
                    path,
                    "a bucket has either a next or a treatment",
                    "keep one of them",
                );
            }
            None if !has_treatment => {
                self.add(
                    path,
                    "the bucket does nothing",
                    "add an `output` or a `next`",
                );
            }
            Some(name) if *name == change.objective.name => {
                self.add(
                    format!("{path}.next"),
                    "the next leads to itself",
                    "name another one",
                );
            }
            _ => {}
        }
        if bucket.weight != 1 && next.next_type != NextType::Hashed {
            let message = format!("a {} next has no weights", next.next_type.name());
            self.add(
                format!("{path}.weight"),
                message,
                "leave it out, or make it hashed",
            );
        }
        self.treatment(path, &bucket.treatment);
        if (bucket.treatment.iter()).any(|step| matches!(step, Instruction::Table(_))) {
            self.add(
                format!("{path}.table"),
                "a bucket cannot say the action of a table",
                "a forward or filter can",
            );
        }
    }

    fn treatment(&mut self, path: &str, treatment: &[Instruction]) {
        let count = |wanted: fn(&Instruction) -> bool| {
            treatment.iter().filter(|found| wanted(found)).count()
        };
        let outputs = count(|found| matches!(found, Instruction::Output(_)));
        let drops = count(|found| matches!(found, Instruction::Drop));
        let punts = count(|found| matches!(found, Instruction::Punt));
        if outputs > 1 {
            self.add(
                format!("{path}.output"),
                "more than one output",
                "use a broadcast next, a bucket for each port",
            );
        }
        let counts = count(|found| matches!(found, Instruction::Count(_)));
        if drops > 0 && treatment.len() > drops + counts {
            self.add(
                format!("{path}.drop"),
                "a dropped packet has no other treatment",
                "leave it or the rest out",
            );
        }
        let tables = count(|found| matches!(found, Instruction::Table(_)));
        if tables > 1 {
            self.add(
                format!("{path}.table"),
                "more than one action of a table",
                "keep one of them",
            );
        }
        if punts > 0 && outputs > 0 {
            self.add(
                format!("{path}.punt"),
                "a packet is punted or output",
                "use copy_to_cpu for both",
            );
        }
        for instruction in treatment {
            if let Instruction::Meter(meter) = instruction
                && meter.peak_rate < meter.committed_rate
            {
                let label = "make it at least the committed rate";
                self.add(
                    format!("{path}.peak_rate"),
                    "the peak rate is below the committed rate",
                    label,
                );
            }
        }
    }

    /// Criteria that no packet can meet together.
    fn selector(&mut self, path: &str, selector: &Selector) {
        let mut ether_types: Vec<(Field, u128)> = Vec::new();
        if let Some(Match::Exact(value)) = selector.get(Field::EthType) {
            ether_types.push((Field::EthType, *value));
        }
        for criterion in selector.iter() {
            if let Some(implied) = criterion.field.implied_ether_type() {
                ether_types.push((criterion.field, implied));
            }
        }
        if let Some(((first, wanted), rest)) = ether_types.split_first()
            && let Some((other, found)) = rest.iter().find(|(_, found)| found != wanted)
        {
            let format = |value| Field::EthType.format_value(value);
            let message = if *first == Field::EthType {
                format!(
                    "{other} is of {} packets, but eth_type is {}",
                    format(*found),
                    format(*wanted)
                )
            } else {
                format!(
                    "{first} is of {} packets, {other} of {}",
                    format(*wanted),
                    format(*found)
                )
            };
            self.add(format!("{path}.{other}"), message, "no packet has both");
        }
        self.generic(path, selector);
        if let Some(Match::Exact(protocol)) = selector.get(Field::IpProto) {
            for criterion in selector.iter() {
                let fits = protocols_of(criterion.field);
                if !fits.is_empty() && !fits.contains(protocol) {
                    let protocol = Field::IpProto.format_value(*protocol);
                    let message = format!("there is no {} in {protocol} packets", criterion.field);
                    self.add(
                        format!("{path}.{}", criterion.field),
                        message,
                        "no packet has both",
                    );
                }
            }
        }
        if let Some(Match::Exact(kind)) = selector.get(Field::Icmpv6Type) {
            for criterion in selector.iter() {
                let fits = icmpv6_types_of(criterion.field);
                if !fits.is_empty() && !fits.contains(kind) {
                    let kind = Field::Icmpv6Type.format_value(*kind);
                    let message = format!("there is no {} in a {kind}", criterion.field);
                    let path = format!("{path}.{}", criterion.field);
                    self.add(path, message, "no packet has both");
                }
            }
        }
        let tags = [
            (
                Field::VlanVid,
                &[Field::VlanPcp, Field::InnerVlanVid, Field::InnerVlanPcp][..],
                "untagged packets",
            ),
            (
                Field::InnerVlanVid,
                &[Field::InnerVlanPcp],
                "packets without a second tag",
            ),
        ];
        for (tag, needing, packets) in tags {
            if selector.get(tag) != Some(&Match::Untagged) {
                continue;
            }
            for field in needing {
                if selector
                    .get(*field)
                    .is_some_and(|found| *found != Match::Untagged)
                {
                    let message = format!("{packets} have no {field}");
                    self.add(format!("{path}.{field}"), message, "no packet has both");
                }
            }
        }
    }

    /// Fields of one protocol beside those of another, and two names for one field.
    fn generic(&mut self, path: &str, selector: &Selector) {
        let mut protocol: Option<(Field, u128)> = None;
        for criterion in selector.iter() {
            let field = criterion.field;
            let generic = field.generic();
            if generic != field && selector.get(generic).is_some() {
                let message = format!("{field} is {generic} with a protocol, and both are there");
                self.add(format!("{path}.{field}"), message, "keep one of them");
            }
            let Some(implied) = field.implied_protocol() else {
                continue;
            };
            let (first, wanted) = *protocol.get_or_insert((field, implied));
            if wanted != implied {
                let format = |value| Field::IpProto.format_value(value);
                let message = format!(
                    "{first} is of {} packets, {field} of {}",
                    format(wanted),
                    format(implied)
                );
                self.add(format!("{path}.{field}"), message, "no packet has both");
            }
        }
    }
}

/// The messages of neighbour discovery that can have the field.
fn icmpv6_types_of(field: Field) -> &'static [u128] {
    match field {
        Field::NdTarget => &[135, 136, 137],
        Field::NdSll => &[133, 134, 135],
        Field::NdTll => &[136, 137],
        _ => &[],
    }
}

fn protocols_of(field: Field) -> &'static [u128] {
    match field {
        Field::L4Src | Field::L4Dst => &[6, 17, 132],
        Field::TcpFlags | Field::TcpSrc | Field::TcpDst => &[6],
        Field::UdpSrc | Field::UdpDst => &[17],
        Field::SctpSrc | Field::SctpDst => &[132],
        Field::IcmpType | Field::IcmpCode => &[1],
        Field::Icmpv6Type | Field::Icmpv6Code | Field::NdTarget | Field::NdSll | Field::NdTll => {
            &[58]
        }
        _ => &[],
    }
}
