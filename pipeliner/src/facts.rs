//! What an objective says, as named facts: the one form that rules look at.
//!
//! The words of a manifest's `when` and behind its `$` are the names here. Ports are numbers by
//! now. Facts that follow from others (an `ipv4_dst` means `eth_type: ipv4`) are added, and one
//! that is given although it follows need not be used by any rule. A criterion that names a protocol
//! (`tcp_dst`) is the one of any protocol (`l4_dst`) with that protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use pointsman_model::{Field, Instruction, Match, Meter, Selector};

use super::{Ports, Refusal};

/// The name of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum FactName {
    /// A criterion: of the selector, a filter's key or conditions, or a next's meta.
    Criterion(Field),
    /// `set.FIELD`
    Set(Field),
    /// The next that packets go to.
    Next,
    /// The other instructions, by their names.
    Output,
    PushVlan,
    PopVlan,
    Drop,
    Punt,
    CopyToCpu,
    DecTtl,
    PushMpls,
    PopMpls,
    Meter,
    Queue,
    Count,
    /// Whether the packet must have a VLAN tag, a second one, an IP header, ports: nobody says it
    /// in so many words, it follows from criteria.
    Tagged,
    InnerTagged,
    IsIp,
    HasPorts,
}

/// The facts that are neither criteria nor `set`.
const WORDS: &[(&str, FactName)] = &[
    ("next", FactName::Next),
    ("output", FactName::Output),
    ("push_vlan", FactName::PushVlan),
    ("pop_vlan", FactName::PopVlan),
    ("drop", FactName::Drop),
    ("punt", FactName::Punt),
    ("copy_to_cpu", FactName::CopyToCpu),
    ("dec_ttl", FactName::DecTtl),
    ("push_mpls", FactName::PushMpls),
    ("pop_mpls", FactName::PopMpls),
    ("meter", FactName::Meter),
    ("queue", FactName::Queue),
    ("count", FactName::Count),
    ("tagged", FactName::Tagged),
    ("inner_tagged", FactName::InnerTagged),
    ("is_ip", FactName::IsIp),
    ("has_ports", FactName::HasPorts),
];

impl FactName {
    /// Every name there is.
    pub(super) fn all() -> impl Iterator<Item = FactName> {
        let criteria = Field::all().filter(|field| field.generic() == *field);
        let set = Field::all().filter(|field| field.settable());
        let words = WORDS.iter().map(|(_, name)| *name);
        words
            .chain(criteria.map(FactName::Criterion))
            .chain(set.map(FactName::Set))
    }

    /// Whether it only ever follows from others.
    pub(super) fn is_derived(self) -> bool {
        matches!(
            self,
            FactName::Tagged | FactName::InnerTagged | FactName::IsIp | FactName::HasPorts
        )
    }
}

impl FromStr for FactName {
    type Err = ();

    fn from_str(text: &str) -> Result<FactName, ()> {
        if let Some((_, name)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*name);
        }
        match text.strip_prefix("set.") {
            Some(field) => field.parse().map(FactName::Set).map_err(|_| ()),
            None => match text.parse::<Field>() {
                Ok(field) if field.generic() == field => Ok(FactName::Criterion(field)),
                _ => Err(()),
            },
        }
    }
}

impl fmt::Display for FactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FactName::Criterion(field) => f.write_str(field.name()),
            FactName::Set(field) => write!(f, "set.{field}"),
            other => {
                let word = WORDS.iter().find(|(_, name)| name == other);
                f.write_str(word.expect("every other name is in the list").0)
            }
        }
    }
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// What a field must be; a port is an exact number.
    Match(Match),
    /// A number: a value to set, a VLAN, a port.
    Number(u128),
    /// Just that it is so.
    Flag,
    /// The rates of a meter.
    Meter(Meter),
    /// The buckets of a next do not agree on it.
    Differs {
        /// But all of them say something.
        everywhere: bool,
    },
}

/// All that an objective, or one bucket of it, says.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// permit, specific, hashed, ...
    pub(super) type_word: &'static str,
    facts: BTreeMap<FactName, Fact>,
    /// Facts that follow from others.
    implied: BTreeSet<FactName>,
}

impl Facts {
    /// Nothing but the type.
    pub(super) fn new(type_word: &'static str) -> Facts {
        Facts {
            type_word,
            facts: BTreeMap::new(),
            implied: BTreeSet::new(),
        }
    }

    /// What is said about `name`.
    pub(super) fn get(&self, name: FactName) -> Option<&Fact> {
        self.facts.get(&name)
    }

    /// The facts that some rule must use: all that do not follow from others.
    pub(super) fn given(&self) -> impl Iterator<Item = FactName> {
        let names = self.facts.keys().copied();
        names.filter(|name| !self.implied.contains(name))
    }

    /// Adds a fact.
    pub(super) fn add(&mut self, name: FactName, fact: Fact) {
        self.facts.insert(name, fact);
    }

    /// Adds criteria, and what follows from them.
    pub(super) fn add_selector(
        &mut self,
        selector: &Selector,
        ports: &Ports,
    ) -> Result<(), Refusal> {
        for criterion in selector.iter() {
            let matching = match &criterion.matching {
                Match::Port(port) => {
                    let number = ports
                        .number(port)
                        .map_err(|refusal| refusal.at(criterion.field.name()))?;
                    Match::Exact(number.into())
                }
                other => other.clone(),
            };
            let name = FactName::Criterion(criterion.field.generic());
            self.add(name, Fact::Match(matching));
        }
        for criterion in selector.iter() {
            self.imply(Field::EthType, criterion.field.implied_ether_type());
            self.imply(Field::IpProto, criterion.field.implied_protocol());
        }
        self.derive();
        Ok(())
    }

    /// Which headers the criteria are about.
    fn derive(&mut self) {
        let said = |field| self.facts.get(&FactName::Criterion(field));
        let untagged = |field| said(field) == Some(&Fact::Match(Match::Untagged));
        let tagged = |vid, others: &[Field]| match untagged(vid) {
            true => Some(0),
            false => (said(vid).is_some() || others.iter().any(|field| said(*field).is_some()))
                .then_some(1),
        };
        let inner = tagged(Field::InnerVlanVid, &[Field::InnerVlanPcp]);
        let outer = match inner {
            Some(1) => Some(1),
            _ => tagged(Field::VlanVid, &[Field::VlanPcp]),
        };
        let ip = [
            Field::IpProto,
            Field::IpDscp,
            Field::IpEcn,
            Field::IpTtl,
            Field::IpFrag,
            Field::L4Src,
            Field::L4Dst,
        ];
        let has = |fields: &[Field]| fields.iter().any(|field| said(*field).is_some());
        let derived = [
            (FactName::Tagged, outer),
            (FactName::InnerTagged, inner),
            (FactName::IsIp, has(&ip).then_some(1)),
            (
                FactName::HasPorts,
                has(&[Field::L4Src, Field::L4Dst]).then_some(1),
            ),
        ];
        for (name, value) in derived {
            if let Some(value) = value {
                self.add(name, Fact::Number(value));
                self.implied.insert(name);
            }
        }
    }

    fn imply(&mut self, field: Field, value: Option<u128>) {
        if let Some(value) = value {
            let (name, fact) = (FactName::Criterion(field), Fact::Match(Match::Exact(value)));
            if *self.facts.entry(name).or_insert_with(|| fact.clone()) == fact {
                self.implied.insert(name);
            }
        }
    }

    /// Adds the instructions of a treatment. `path` is where it stands in the objective.
    pub(super) fn add_treatment(
        &mut self,
        treatment: &[Instruction],
        ports: &Ports,
        path: &str,
    ) -> Result<(), Refusal> {
        for instruction in treatment {
            let (name, fact) = match instruction {
                Instruction::Output(port) => {
                    let number = ports
                        .number(port)
                        .map_err(|refusal| refusal.at(format!("{path}.output")))?;
                    (FactName::Output, Fact::Number(number.into()))
                }
                Instruction::Set { field, value } => (FactName::Set(*field), Fact::Number(*value)),
                Instruction::PushVlan(vlan) => {
                    (FactName::PushVlan, Fact::Number(vlan.get().into()))
                }
                Instruction::PushMpls(label) => (FactName::PushMpls, Fact::Number((*label).into())),
                Instruction::Meter(meter) => (FactName::Meter, Fact::Meter(*meter)),
                Instruction::PopVlan => (FactName::PopVlan, Fact::Flag),
                Instruction::Drop => (FactName::Drop, Fact::Flag),
                Instruction::Punt => (FactName::Punt, Fact::Flag),
                Instruction::CopyToCpu => (FactName::CopyToCpu, Fact::Flag),
                Instruction::DecTtl => (FactName::DecTtl, Fact::Flag),
                Instruction::PopMpls => (FactName::PopMpls, Fact::Flag),
                Instruction::Queue(queue) => (FactName::Queue, Fact::Number((*queue).into())),
                Instruction::Count(_) => (FactName::Count, Fact::Flag),
                // It is no fact: see `own`.
                Instruction::Table(_) => continue,
            };
            if self.facts.insert(name, fact).is_some() {
                let message = format!("{name} is done twice; a pipeline can do it once");
                return Err(
                    Refusal::unsupported(message).at(format!("{path}.{}", instruction.name()))
                );
            }
        }
        Ok(())
    }

    /// What all of `buckets` say, on top of the facts of the next itself.
    pub(super) fn of_buckets(next: &Facts, buckets: &[Facts]) -> Facts {
        let mut common = next.clone();
        for bucket in buckets {
            for (name, fact) in &bucket.facts {
                if next.facts.contains_key(name) {
                    continue;
                }
                let same = buckets.iter().all(|other| other.get(*name) == Some(fact));
                let everywhere = buckets.iter().all(|other| other.get(*name).is_some());
                let fact = if same {
                    fact.clone()
                } else {
                    Fact::Differs { everywhere }
                };
                common.add(*name, fact);
            }
        }
        common
    }
}
