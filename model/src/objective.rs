//! Flow objectives as types: what an operator wants of one switch, whatever its
//! pipeline. The shapes mirror `pointsman.objective.v1`; see there for limits.

use std::fmt;
use std::str::FromStr;

use crate::attributes::Attributes;
use crate::field::Field;
use crate::matching::Match;
use crate::p4::{self, TableAction};
use crate::value::{PortRef, VlanId};

/// The priority of an objective that names none.
pub const DEFAULT_PRIORITY: u16 = 32768;

/// The name of an objective: 1 to 128 printable characters without spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// What names begin with that switches give to objectives of their own.
    pub const LOCAL: &'static str = "local/";

    /// Whether the objective is a switch's own; nobody else may name one like that.
    pub fn is_local(&self) -> bool {
        self.0.starts_with(Name::LOCAL)
    }

    /// Refuses what could not be typed on a command line or in a URL.
    pub fn new(name: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:/@+".contains(c);
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        (starts && name.len() <= 128 && name.chars().all(fits)).then(|| Self(name.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of the three an objective is; names are unique within a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What may come in by a port, and as what.
    Filter,
    /// Where matching packets go.
    Forward,
    /// What happens to packets that forwards send here.
    Next,
}

impl Kind {
    /// The word in YAML and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Forward => "forward",
            Self::Next => "next",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What identifies an objective on its device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectiveId {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
}

impl fmt::Display for ObjectiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// One flow objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// Unique among those of its kind on the device.
    pub name: Name,
    /// 1 or more, higher wins.
    pub priority: u16,
    /// Whose it is, with what it is applied, and for how long.
    pub attributes: Attributes,
    /// The rest.
    pub kind: ObjectiveKind,
}

/// The part of an objective that depends on its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectiveKind {
    /// See [`Filter`].
    Filter(Filter),
    /// See [`Forward`].
    Forward(Forward),
    /// See [`Next`].
    Next(Next),
}

impl Objective {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self.kind {
            ObjectiveKind::Filter(_) => Kind::Filter,
            ObjectiveKind::Forward(_) => Kind::Forward,
            ObjectiveKind::Next(_) => Kind::Next,
        }
    }

    /// Its identity.
    pub fn id(&self) -> ObjectiveId {
        ObjectiveId {
            kind: self.kind(),
            name: self.name.clone(),
        }
    }

    /// An objective of that kind and name with nothing in it: what a deletion carries.
    pub fn empty(kind: Kind, name: Name) -> Self {
        let kind = match kind {
            Kind::Filter => ObjectiveKind::Filter(Filter {
                filter_type: FilterType::Permit,
                key: Selector::default(),
                conditions: Selector::default(),
                treatment: Vec::new(),
            }),
            Kind::Forward => ObjectiveKind::Forward(Forward {
                flag: ForwardFlag::Specific,
                selector: Selector::default(),
                next: None,
                treatment: Vec::new(),
            }),
            Kind::Next => ObjectiveKind::Next(Next {
                next_type: NextType::Simple,
                buckets: Vec::new(),
                meta: Selector::default(),
            }),
        };
        Self {
            name,
            priority: DEFAULT_PRIORITY,
            attributes: Attributes::default(),
            kind,
        }
    }

    /// The nexts that it refers to, in order.
    pub fn nexts(&self) -> Vec<&Name> {
        match &self.kind {
            ObjectiveKind::Filter(_) => Vec::new(),
            ObjectiveKind::Forward(forward) => forward.next.iter().collect(),
            ObjectiveKind::Next(next) => next
                .buckets
                .iter()
                .filter_map(|bucket| bucket.next.as_ref())
                .collect(),
        }
    }
}

/// One match on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Criterion {
    /// The field.
    pub field: Field,
    /// What it must be.
    pub matching: Match,
}

impl fmt::Display for Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.field.format(&self.matching))
    }
}

/// A match on a field of a table of the loaded pipeline, by their names in its p4info: what no
/// [`Field`] has a word for. The agent checks it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct P4Criterion {
    /// The table's name or alias.
    pub table: String,
    /// The match field's name.
    pub field: String,
    /// One value, a mask or a range; no prefix and no port.
    pub matching: Match,
}

impl fmt::Display for P4Criterion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matching = p4::format_match(&self.matching);
        write!(f, "{}.{}: {matching}", self.table, self.field)
    }
}

/// Criteria that all must match, each on another field, in the order of [`Field`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    criteria: Vec<Criterion>,
    p4: Vec<P4Criterion>,
}

impl Selector {
    /// The criteria, unless two are about one field: then that field.
    pub fn new(mut criteria: Vec<Criterion>) -> Result<Self, Field> {
        criteria.sort();
        match criteria
            .windows(2)
            .find(|pair| pair[0].field == pair[1].field)
        {
            Some(pair) => Err(pair[0].field),
            None => Ok(Self {
                criteria,
                p4: Vec::new(),
            }),
        }
    }

    /// The same with these matches on the pipeline's own fields, unless two are about one of them:
    /// then that one.
    pub fn with_p4(mut self, mut p4: Vec<P4Criterion>) -> Result<Self, P4Criterion> {
        p4.sort();
        let same = |pair: &&[P4Criterion]| {
            (&pair[0].table, &pair[0].field) == (&pair[1].table, &pair[1].field)
        };
        if let Some(pair) = p4.windows(2).find(same) {
            return Err(pair[1].clone());
        }
        self.p4 = p4;
        Ok(self)
    }

    /// Matches on the pipeline's own fields, in the order of their names.
    pub fn p4(&self) -> &[P4Criterion] {
        &self.p4
    }

    /// What the field must be, if it matters.
    pub fn get(&self, field: Field) -> Option<&Match> {
        self.criteria
            .iter()
            .find(|criterion| criterion.field == field)
            .map(|criterion| &criterion.matching)
    }

    /// The criteria in order, without those on the pipeline's own fields.
    pub fn iter(&self) -> impl Iterator<Item = &Criterion> {
        self.criteria.iter()
    }

    /// Whether everything matches.
    pub fn is_empty(&self) -> bool {
        self.criteria.is_empty() && self.p4.is_empty()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let criteria = self.criteria.iter().map(Criterion::to_string);
        let criteria: Vec<_> = criteria
            .chain(self.p4.iter().map(P4Criterion::to_string))
            .collect();
        write!(f, "{{ {} }}", criteria.join(", "))
    }
}

/// One step of a treatment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Instruction {
    /// Send it out by this port.
    Output(PortRef),
    /// Rewrite a field; the value fits it.
    Set {
        /// A settable field.
        field: Field,
        /// Its new value.
        value: u128,
    },
    /// Put the packet into this VLAN by adding a tag.
    PushVlan(VlanId),
    /// Take the outer VLAN tag off.
    PopVlan,
    /// Discard the packet.
    Drop,
    /// Send it to the controller instead of forwarding it.
    Punt,
    /// Send a copy to the controller and go on.
    CopyToCpu,
    /// Decrement the TTL or hop limit.
    DecTtl,
    /// Add an MPLS label, below 2^20.
    PushMpls(u32),
    /// Take the outer MPLS label off.
    PopMpls,
    /// Police the packets that come here.
    Meter(Meter),
    /// Let them wait in this queue of the port that they leave by.
    Queue(u32),
    /// Count the packets that come here, under this name.
    Count(Name),
    /// Do what an action of the loaded pipeline does.
    Table(TableAction),
}

impl Instruction {
    /// The words of all instructions, in the order in which those of a mapping are applied. `group`
    /// is the `next` of a forward or bucket.
    pub const WORDS: &'static [&'static str] = crate::read::INSTRUCTIONS;

    /// The word in YAML and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Output(_) => "output",
            Self::Set { .. } => "set",
            Self::PushVlan(_) => "push_vlan",
            Self::PopVlan => "pop_vlan",
            Self::Drop => "drop",
            Self::Punt => "punt",
            Self::CopyToCpu => "copy_to_cpu",
            Self::DecTtl => "dec_ttl",
            Self::PushMpls(_) => "push_mpls",
            Self::PopMpls => "pop_mpls",
            Self::Meter(_) => "meter",
            Self::Queue(_) => "queue",
            Self::Count(_) => "count",
            Self::Table(_) => "table",
        }
    }
}

/// Rates in bytes per second, bursts in bytes (RFC 2698).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Meter {
    /// Up to here packets are green.
    pub committed_rate: u64,
    /// Burst at the committed rate.
    pub committed_burst: u64,
    /// Above this packets are red and dropped; at least the committed rate.
    pub peak_rate: u64,
    /// Burst at the peak rate.
    pub peak_burst: u64,
}

/// Whether a filter lets matching packets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilterType {
    /// They come in; what no filter permits does not.
    Permit,
    /// They do not.
    Deny,
}

/// What may come in by a port, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Permit or deny.
    pub filter_type: FilterType,
    /// What the filter is about: the port.
    pub key: Selector,
    /// Which of its packets.
    pub conditions: Selector,
    /// What is done to them.
    pub treatment: Vec<Instruction>,
}

/// Which kind of table a forward is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardFlag {
    /// One of the shapes a forwarding table holds.
    Specific,
    /// Any selector: an access control rule.
    Versatile,
    /// Applied on the way out.
    Egress,
}

impl ForwardFlag {
    /// The word in YAML and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Specific => "specific",
            Self::Versatile => "versatile",
            Self::Egress => "egress",
        }
    }
}

/// Where matching packets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Which kind of table it is for.
    pub flag: ForwardFlag,
    /// Which packets.
    pub selector: Selector,
    /// The next that gets them.
    pub next: Option<Name>,
    /// What is done to them here.
    pub treatment: Vec<Instruction>,
}

/// How a next chooses among its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextType {
    /// It has one.
    Simple,
    /// One for each flow, by weight.
    Hashed,
    /// All of them get a copy.
    Broadcast,
    /// The first whose port is up.
    Failover,
}

impl NextType {
    /// The word in YAML and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Hashed => "hashed",
            Self::Broadcast => "broadcast",
            Self::Failover => "failover",
        }
    }
}

/// What happens to packets that forwards send here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// How a bucket is chosen.
    pub next_type: NextType,
    /// At least one, but for a removal that only names the next.
    pub buckets: Vec<Bucket>,
    /// Facts about the packets that come here, usually their VLAN.
    pub meta: Selector,
}

/// One way for a packet to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Its share of the flows of a hashed next; 1 or more.
    pub weight: u16,
    /// What is done to the packet.
    pub treatment: Vec<Instruction>,
    /// Or the next that gets it.
    pub next: Option<Name>,
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Add the objective, or replace the one of that kind and name.
    Put,
    /// Take it away; only kind and name count.
    Delete,
    /// Add these buckets to the next of that name.
    AddToExisting,
    /// Take these buckets out of the next of that name.
    RemoveFromExisting,
    /// Put these buckets in the place of those of the next that go the same way.
    Modify,
    /// Change nothing; fail unless the switch has the next like this.
    Verify,
}

/// A change to one objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What to do.
    pub operation: Operation,
    /// With what.
    pub objective: Objective,
}

macro_rules! words {
    ($type:ident { $($word:literal => $variant:ident),* }) => {
        impl $type {
            /// The words that name its values.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
        }
        impl FromStr for $type {
            type Err = ();
            fn from_str(word: &str) -> Result<Self, ()> {
                match word { $($word => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    };
}

words!(FilterType { "permit" => Permit, "deny" => Deny });
words!(ForwardFlag { "specific" => Specific, "versatile" => Versatile, "egress" => Egress });
words!(NextType { "simple" => Simple, "hashed" => Hashed, "broadcast" => Broadcast, "failover" => Failover });
words!(Operation {
    "add_to_existing" => AddToExisting,
    "remove_from_existing" => RemoveFromExisting,
    "modify" => Modify,
    "verify" => Verify
});
