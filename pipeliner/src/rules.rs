//! Which rules apply to an objective, and what to say when none does.

use std::collections::BTreeSet;

use pointsman_model::Match;
use pointsman_p4::ir::TableId;

use super::Refusal;
use super::facts::{Fact, FactName, Facts};
use super::manifest::{Choice, Manifest, Pattern, Role, Rule, When};

/// The rules that apply, in the manifest's order: at least one of them a [`Role::Rule`].
///
/// With `table`, only rules that fill it realise the objective.
pub(super) fn applicable<'m>(
    rules: &'m [Rule],
    kind: &str,
    facts: &Facts,
    table: Option<TableId>,
) -> Result<Vec<&'m Rule>, Refusal> {
    for rule in rules.iter().filter(|rule| rule.role == Role::Refuse) {
        if rule.when.holds(facts) {
            let refusal = Refusal::unsupported(rule.name.clone());
            return Err(match rule.when.uses().last() {
                Some(name) => refusal.at(name.to_string()),
                None => refusal,
            });
        }
    }
    let applies = |rule: &&Rule| match rule.role {
        Role::Rule => {
            table.is_none_or(|table| rule.fills(table))
                && rule.when.holds(facts)
                && unknown(rule, facts).is_empty()
        }
        Role::Also => rule.when.holds(facts),
        Role::Refuse => false,
    };
    let found: Vec<_> = rules.iter().filter(applies).collect();
    if found.iter().any(|rule| rule.role == Role::Rule) {
        Ok(found)
    } else {
        Err(explain(rules, kind, facts))
    }
}

/// Whether a rule for objectives of this type fills the table.
pub(super) fn any_fills(rules: &[Rule], facts: &Facts, table: TableId) -> bool {
    rules.iter().any(|rule| {
        rule.role == Role::Rule && rule.when.allows_type(facts.type_word) && rule.fills(table)
    })
}

/// Refuses what the manifest says the pipeline cannot do, with what it can do instead.
pub(super) fn check_supported(
    manifest: &Manifest,
    rules: &[Rule],
    facts: &Facts,
) -> Result<(), Refusal> {
    let reason = |name: FactName| Some((name, manifest.unsupported.get(&name)?));
    let Some((name, reason)) = facts.given().find_map(reason) else {
        return Ok(());
    };
    let (verb, subject) = ability(name);
    let for_type = rules
        .iter()
        .filter(|rule| rule.role != Role::Refuse && rule.when.allows_type(facts.type_word));
    let can: BTreeSet<FactName> = for_type
        .flat_map(Rule::mentions)
        .filter(|other| !other.is_derived() && ability(*other).0 == verb)
        .collect();
    let can: Vec<_> = can.into_iter().map(|name| ability(name).1).collect();
    let instead = match can.as_slice() {
        [] => "nothing here".to_owned(),
        names => names.join(", "),
    };
    let message = format!("it cannot {verb}{subject}: {reason}; it can {verb}{instead}");
    Err(Refusal::unsupported(message).at(name.to_string()))
}

/// What an objective asks for with a fact: the same words for all facts of a kind, and its own.
fn ability(name: FactName) -> (&'static str, String) {
    match name {
        FactName::Criterion(field) => ("match on ", field.to_string()),
        FactName::Set(field) => ("set ", field.to_string()),
        other => ("do ", other.to_string()),
    }
}

/// The first choice that holds and leaves out nothing that another choice would do.
pub(super) fn choose<'m>(
    choices: &'m [Choice],
    known: &BTreeSet<FactName>,
    facts: &Facts,
) -> Result<&'m Choice, Refusal> {
    let mentioned: BTreeSet<_> = choices.iter().flat_map(Choice::mentions).collect();
    let fits = |choice: &&Choice| {
        let mentions: BTreeSet<_> = choice.mentions().collect();
        let complete = facts.given().all(|name| {
            !mentioned.contains(&name) || mentions.contains(&name) || known.contains(&name)
        });
        complete && choice.when.holds(facts)
    };
    choices.iter().find(fits).ok_or_else(|| {
        let list: Vec<_> = choices
            .iter()
            .map(|choice| choice.when.to_string())
            .collect();
        let asked: BTreeSet<_> = choices
            .iter()
            .flat_map(|choice| choice.when.mentions())
            .collect();
        let found: Vec<_> = facts.given().filter(|name| asked.contains(name)).collect();
        let list = list.join("; ");
        let message = match found.as_slice() {
            [] => format!("it needs one of: {list}"),
            [name] => format!("{name} cannot be done alone here; accepted: {list}"),
            names => format!(
                "{} cannot be done together here; accepted: {list}",
                join(names)
            ),
        };
        let refusal = Refusal::unsupported(message);
        match found.last() {
            Some(name) => refusal.at(name.to_string()),
            None => refusal,
        }
    })
}

/// The facts that a rule does not know.
fn unknown(rule: &Rule, facts: &Facts) -> Vec<FactName> {
    let known = rule.mentions();
    facts.given().filter(|name| !known.contains(name)).collect()
}

fn explain(rules: &[Rule], kind: &str, facts: &Facts) -> Refusal {
    let word = facts.type_word;
    let candidates: Vec<_> = rules
        .iter()
        .filter(|rule| rule.role == Role::Rule && rule.when.allows_type(word))
        .collect();
    if candidates.is_empty() {
        let mut words: Vec<_> = rules
            .iter()
            .flat_map(|rule| &rule.when.types)
            .cloned()
            .collect();
        words.sort();
        words.dedup();
        let message = match words.is_empty() {
            true => format!("it has no {kind}s at all"),
            false => format!("it has no {word} {kind}s; accepted: {}", words.join(", ")),
        };
        return Refusal::unsupported(message).at(if kind == "forward" { "flag" } else { "type" });
    }
    let list: Vec<_> = candidates.iter().map(|rule| signature(rule)).collect();
    let foreign = facts.given().find(|name| {
        candidates
            .iter()
            .all(|rule| !rule.mentions().contains(name))
    });
    if let Some(name) = foreign {
        let message = format!(
            "it has no {word} {kind} with {name}; it has: {}",
            list.join("; ")
        );
        return Refusal::unsupported(message).at(name.to_string());
    }
    let nearest = candidates.iter().min_by_key(|rule| {
        let unknown = unknown(rule, facts).len();
        (unknown + rule.when.obstacles(facts).len(), unknown)
    });
    let nearest = nearest.expect("there are candidates");
    let mut obstacles = nearest.when.obstacles(facts);
    let unknown = unknown(nearest, facts);
    obstacles.extend(
        unknown
            .iter()
            .map(|name| (*name, format!("{name} cannot be part of it"))),
    );
    let texts: Vec<_> = obstacles.iter().map(|(_, text)| text.as_str()).collect();
    let message = format!(
        "for {} {}; it has: {}",
        nearest.name,
        texts.join(" and "),
        list.join("; ")
    );
    let refusal = Refusal::unsupported(message);
    match obstacles.first() {
        Some((name, _)) => refusal.at(name.to_string()),
        None => refusal,
    }
}

/// What a rule takes: `an IPv4 route (ipv4_dst, next)`.
fn signature(rule: &Rule) -> String {
    let required = rule.when.to_string();
    if !required.is_empty() {
        return format!("{} ({required})", rule.name);
    }
    let mentions = rule.mentions();
    let mentions: Vec<_> = mentions.iter().map(FactName::to_string).collect();
    format!("{} (any of {})", rule.name, mentions.join(", "))
}

fn join(names: &[FactName]) -> String {
    names
        .iter()
        .map(FactName::to_string)
        .collect::<Vec<_>>()
        .join(" and ")
}

impl When {
    fn allows_type(&self, word: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|allowed| allowed == word)
    }

    /// Whether all of it is so.
    pub(super) fn holds(&self, facts: &Facts) -> bool {
        self.allows_type(facts.type_word)
            && self
                .patterns
                .iter()
                .all(|(name, pattern)| pattern.holds(facts.get(*name)))
    }

    /// The facts that it accounts for where it holds.
    pub(super) fn uses(&self) -> impl Iterator<Item = FactName> {
        let used = |pattern: &Pattern| !matches!(pattern, Pattern::Absent | Pattern::Optional);
        self.patterns
            .iter()
            .filter(move |(_, pattern)| used(pattern))
            .map(|(name, _)| *name)
    }

    fn obstacles(&self, facts: &Facts) -> Vec<(FactName, String)> {
        let failed = self
            .patterns
            .iter()
            .filter(|(name, pattern)| !pattern.holds(facts.get(*name)));
        failed
            .map(|(name, pattern)| (*name, format!("{name} {}", pattern.demand())))
            .collect()
    }
}

/// What it requires, for lists of what is accepted.
impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let required: Vec<_> = self
            .patterns
            .iter()
            .filter_map(|(name, pattern)| match pattern {
                Pattern::Present | Pattern::Exact => Some(name.to_string()),
                Pattern::Untagged => Some(format!("{name}: untagged")),
                Pattern::Value(value) => Some(format!("{name}: {}", text_of(*name, *value))),
                Pattern::Absent => Some(format!("no {name}")),
                Pattern::Zero => Some(format!("{name} with zero")),
                Pattern::Optional | Pattern::Accepted => None,
            })
            .collect();
        f.write_str(&required.join(", "))
    }
}

fn takes_zero(matching: &Match) -> bool {
    match matching {
        Match::Exact(value) | Match::Masked { value, .. } | Match::Prefix { value, .. } => {
            *value == 0
        }
        Match::Range { low, .. } => *low == 0,
        Match::Port(_) | Match::Untagged => false,
    }
}

fn text_of(name: FactName, value: u128) -> String {
    match name {
        FactName::Criterion(field) | FactName::Set(field) => field.format_value(value),
        _ => value.to_string(),
    }
}

impl Pattern {
    fn holds(&self, fact: Option<&Fact>) -> bool {
        match self {
            Pattern::Present => !matches!(fact, None | Some(Fact::Differs { everywhere: false })),
            Pattern::Absent => fact.is_none(),
            Pattern::Optional | Pattern::Accepted => true,
            Pattern::Exact => {
                matches!(fact, Some(Fact::Match(Match::Exact(_)) | Fact::Number(_)))
            }
            Pattern::Zero => match fact {
                Some(Fact::Match(matching)) => takes_zero(matching),
                Some(Fact::Number(number)) => *number == 0,
                _ => false,
            },
            Pattern::Untagged => fact == Some(&Fact::Match(Match::Untagged)),
            Pattern::Value(value) => match fact {
                Some(Fact::Match(Match::Exact(found)) | Fact::Number(found)) => found == value,
                _ => false,
            },
        }
    }

    fn demand(&self) -> String {
        match self {
            Pattern::Present => "is needed".to_owned(),
            Pattern::Absent => "cannot be part of it".to_owned(),
            Pattern::Optional | Pattern::Accepted => "may be there".to_owned(),
            Pattern::Exact => "must be there with one value".to_owned(),
            Pattern::Zero => "must take zero".to_owned(),
            Pattern::Untagged => "must be untagged".to_owned(),
            Pattern::Value(value) => format!("must be {value}"),
        }
    }
}
