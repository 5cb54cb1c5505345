//! A manifest in memory: rules whose tables, keys, actions and parameters are resolved.
//!
//! Made by [`super::read`] from `pipeline.yaml`, which refuses names that the pipeline does not
//! have; followed by [`mod@super::translate`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use pointsman_model::NextType;
use pointsman_p4::dataplane::Bits;
use pointsman_p4::ir::{ActionId, MatchKind, TableId};

use super::facts::FactName;

/// A whole manifest.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    /// The name of the pipeline, for messages.
    pub(super) pipeline: String,
    pub(super) next_ids: RangeInclusive<u32>,
    pub(super) group_ids: RangeInclusive<u32>,
    /// What objectives may say and no rule takes, with the reason.
    pub(super) unsupported: BTreeMap<FactName, String>,
    pub(super) filters: Vec<Rule>,
    pub(super) forwards: Vec<Rule>,
    pub(super) nexts: Vec<Rule>,
}

/// What a rule does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It realises objectives, all of whose facts it must know.
    Rule,
    /// It adds entries to what rules do, and need not know every fact.
    Also,
    /// It refuses; the name is the reason.
    Refuse,
}

/// One item of `filters:`, `forwards:` or `nexts:`.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) role: Role,
    /// What it realises, in a few words.
    pub(super) name: String,
    pub(super) when: When,
    pub(super) entries: Vec<Template>,
    /// For nexts: once for each bucket, with the bucket's facts.
    pub(super) each_bucket: Vec<Template>,
}

/// What must be so.
#[derive(Debug, Clone, Default)]
pub(super) struct When {
    /// Empty: any type.
    pub(super) types: Vec<String>,
    pub(super) patterns: Vec<(FactName, Pattern)>,
}

/// What must be so of one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It may be there; what uses it stands elsewhere.
    Optional,
    /// It may be there; the pipeline does so without being told.
    Accepted,
    /// It is one value, without a mask.
    Exact,
    /// It is there, and zero would match, which many pipelines have for "no such header".
    Zero,
    /// It is `untagged`.
    Untagged,
    /// It is this value.
    Value(u128),
}

/// How one entity is made.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) when: When,
    pub(super) body: Body,
}

/// What kind of entity.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Table(TableTemplate),
    /// A group with a replica for each bucket.
    MulticastGroup {
        id: Expression,
        port: Expression,
    },
    /// A session with one replica.
    CloneSession {
        id: Expression,
        port: Expression,
    },
}

/// How an entry of a table is made.
#[derive(Debug, Clone)]
pub(super) struct TableTemplate {
    pub(super) table: TableId,
    pub(super) name: String,
    /// In the order of `EntryKey::matches`.
    pub(super) keys: Vec<KeyTemplate>,
    /// None where the table has no priorities.
    pub(super) priority: Option<Expression>,
    pub(super) meter: Option<Expression>,
    /// Whether its direct counter is what `count` asks for.
    pub(super) counts: bool,
    pub(super) action: ActionTemplate,
}

/// How one part of a key is made.
#[derive(Debug, Clone)]
pub(super) struct KeyTemplate {
    pub(super) name: String,
    pub(super) kind: MatchKind,
    pub(super) width: u32,
    /// None: any value matches.
    pub(super) value: Option<Expression>,
    /// What stands for a packet without the VLAN tag.
    pub(super) untagged: Option<Bits>,
}

/// How the action of an entry is made.
#[derive(Debug, Clone)]
pub(super) enum ActionTemplate {
    /// The first that fits.
    Choose(Vec<Choice>),
    /// A one-shot group: for each bucket the first that fits.
    Select {
        choices: Vec<Choice>,
        /// The most weight, or members, of a group; 0 does not say.
        max_group_size: u32,
        counts_members: bool,
    },
}

/// One action that may be chosen.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) when: When,
    pub(super) action: ActionId,
    /// In the order of the action's parameters.
    pub(super) arguments: Vec<Argument>,
}

/// How one argument is made.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) width: u32,
    pub(super) value: Expression,
}

/// Where a value comes from: the first term that there is.
pub(super) type Expression = Vec<Term>;

/// A constant, or a word behind `$`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    Constant(Bits),
    /// `$name`, or `$name?` if it may be missing.
    Fact {
        name: FactName,
        optional: bool,
    },
    /// The id of this next.
    NextId,
    /// The multicast group id of this next.
    GroupId,
    /// The objective's priority.
    Priority,
}

impl When {
    /// Whether it is for failover nexts by name.
    pub(super) fn names_failover(&self) -> bool {
        let failover = NextType::Failover.name();
        self.types.iter().any(|word| word == failover)
    }

    /// The facts that it mentions.
    pub(super) fn mentions(&self) -> impl Iterator<Item = FactName> {
        self.patterns.iter().map(|(name, _)| *name)
    }
}

impl Choice {
    /// The facts that it mentions.
    pub(super) fn mentions(&self) -> impl Iterator<Item = FactName> {
        let arguments = self
            .arguments
            .iter()
            .flat_map(|argument| facts_of(&argument.value));
        self.when.mentions().chain(arguments)
    }
}

impl TableTemplate {
    /// The facts that key, priority and meter mention.
    pub(super) fn entry_mentions(&self) -> impl Iterator<Item = FactName> {
        let keys = self.keys.iter().filter_map(|key| key.value.as_ref());
        let expressions = keys.chain(&self.priority).chain(&self.meter);
        let count = self.counts.then_some(FactName::Count);
        expressions.flat_map(facts_of).chain(count)
    }

    /// The actions that it chooses from.
    pub(super) fn choices(&self) -> &[Choice] {
        match &self.action {
            ActionTemplate::Choose(choices) | ActionTemplate::Select { choices, .. } => choices,
        }
    }
}

impl Template {
    /// Whether it makes a group from which one bucket is chosen for each packet.
    pub(super) fn selects(&self) -> bool {
        match &self.body {
            Body::Table(table) => matches!(table.action, ActionTemplate::Select { .. }),
            Body::MulticastGroup { .. } | Body::CloneSession { .. } => false,
        }
    }

    fn mentions(&self) -> Vec<FactName> {
        let mut names: Vec<_> = self.when.mentions().collect();
        match &self.body {
            Body::Table(table) => {
                names.extend(table.entry_mentions());
                names.extend(table.choices().iter().flat_map(Choice::mentions));
            }
            Body::MulticastGroup { id, port } | Body::CloneSession { id, port } => {
                names.extend(facts_of(id).chain(facts_of(port)));
            }
        }
        names
    }
}

impl Rule {
    /// Whether it makes an entry in this table.
    pub(super) fn fills(&self, table: TableId) -> bool {
        let is_it = |template: &Template| match &template.body {
            Body::Table(found) => found.table == table,
            Body::MulticastGroup { .. } | Body::CloneSession { .. } => false,
        };
        self.entries.iter().chain(&self.each_bucket).any(is_it)
    }

    /// Every fact that it mentions: what it knows.
    pub(super) fn mentions(&self) -> Vec<FactName> {
        let templates = self.entries.iter().chain(&self.each_bucket);
        let mut names: Vec<_> = self
            .when
            .mentions()
            .chain(templates.flat_map(Template::mentions))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The facts that an expression mentions.
pub(super) fn facts_of(expression: &Expression) -> impl Iterator<Item = FactName> {
    expression.iter().filter_map(|term| match term {
        Term::Fact { name, .. } => Some(*name),
        _ => None,
    })
}
