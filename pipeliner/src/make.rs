//! Templates into entities, with the facts of an objective or of one of its buckets.

use std::collections::BTreeSet;

use pointsman_model::{Bucket, NextType};
use pointsman_p4::dataplane::{Call, EntryKey, Match, MeterConfig};
use pointsman_p4::ir::MatchKind;

use super::Refusal;
use super::facts::{Fact, FactName, Facts};
use super::ids::IdKind;
use super::manifest::{
    ActionTemplate, Body, Choice, Expression, KeyTemplate, TableTemplate, Template, Term, facts_of,
};
use super::own::OwnAction;
use super::rules::choose;
use super::translate::Translator;
use super::value::{Value, Values, own_matches};
use pointsman_p4::entity::{
    CloneSession, Entity, MulticastGroup, OneShot, OneShotAction, PortForm, Replica, Selection,
    TableAction, TableEntry,
};

/// More entries than this for one objective are a mistake of the operator.
const MAX_ENTRIES: usize = 1024;

/// Whose facts a template sees.
pub(super) struct Scope<'s> {
    pub(super) facts: &'s Facts,
    /// The facts of each bucket, where the template is for the whole next.
    pub(super) bucket_facts: &'s [Facts],
    pub(super) buckets: &'s [Bucket],
}

impl Translator<'_, '_> {
    fn values<'f>(&self, facts: &'f Facts) -> Values<'f> {
        Values {
            facts,
            priority: self.priority,
            next_id: self.next_id,
            group_id: self.group_id,
        }
    }

    /// Adds the entities of one template, and to `used` the facts that went into them.
    pub(super) fn make(
        &mut self,
        template: &Template,
        scope: &Scope<'_>,
        used: &mut BTreeSet<FactName>,
    ) -> Result<(), Refusal> {
        if !template.when.holds(scope.facts) {
            return Ok(());
        }
        used.extend(template.when.uses());
        match &template.body {
            Body::Table(table) => self.make_table_entries(table, scope, used),
            Body::MulticastGroup { id, port } => self.make_group(id, port, scope, used),
            Body::CloneSession { id, port } => {
                let id = self.number(id, "a clone session", scope.facts, used)?;
                let port = self.number(port, "a port", scope.facts, used)?;
                let replicas = vec![Replica::new(port, 1)];
                self.entities.push(Entity::CloneSession(CloneSession {
                    id,
                    replicas,
                    ports: PortForm::default(),
                    class_of_service: 0,
                    packet_length_bytes: 0,
                }));
                Ok(())
            }
        }
    }

    fn make_group(
        &mut self,
        id: &Expression,
        port: &Expression,
        scope: &Scope<'_>,
        used: &mut BTreeSet<FactName>,
    ) -> Result<(), Refusal> {
        if id.contains(&Term::GroupId) {
            let (ids, range) = (self.surroundings.ids, &self.manifest.group_ids);
            self.group_id = Some(ids.get_or_free(IdKind::Group, &self.owner, range)?);
        }
        let id = self.number(id, "a multicast group", scope.facts, used)?;
        let mut replicas = Vec::with_capacity(scope.bucket_facts.len());
        for facts in scope.bucket_facts {
            let port = self.number(port, "a port", facts, used)?;
            // One port may get several copies; the instance tells them apart.
            let same = replicas
                .iter()
                .filter(|replica: &&Replica| replica.port == port)
                .count();
            let instance = u32::try_from(same + 1).expect("a next has few buckets");
            replicas.push(Replica::new(port, instance));
        }
        self.entities.push(Entity::MulticastGroup(MulticastGroup {
            id,
            replicas,
            ports: PortForm::default(),
            metadata: Vec::new(),
        }));
        Ok(())
    }

    fn number(
        &mut self,
        expression: &Expression,
        what: &str,
        facts: &Facts,
        used: &mut BTreeSet<FactName>,
    ) -> Result<u32, Refusal> {
        note(expression, facts, used);
        let value = self.values(facts).number(expression, what, 32)?;
        Ok(value
            .to_u64()
            .and_then(|value| u32::try_from(value).ok())
            .expect("it has at most 32 bits"))
    }

    fn make_table_entries(
        &mut self,
        table: &TableTemplate,
        scope: &Scope<'_>,
        used: &mut BTreeSet<FactName>,
    ) -> Result<(), Refusal> {
        let values = self.values(scope.facts);
        let mut combinations: Vec<Vec<Match>> = vec![Vec::with_capacity(table.keys.len())];
        for key in &table.keys {
            let matches = match self.own.take(table.table, &key.name) {
                None => values.matches(key)?,
                Some(matching) => {
                    check_free(&values, key, &table.name)?;
                    own_matches(key, &matching)?
                }
            };
            combinations = combine(&combinations, &matches);
            if combinations.len() > MAX_ENTRIES {
                let message =
                    format!("its ranges need more than {MAX_ENTRIES} entries; use smaller ones");
                return Err(Refusal::unsupported(message));
            }
        }
        let priority = match &table.priority {
            Some(expression) => {
                let priority = values.number(expression, "a priority", 31)?.to_u64();
                priority
                    .and_then(|value| i32::try_from(value).ok())
                    .expect("it has at most 31 bits")
            }
            None => 0,
        };
        let meter = match &table.meter {
            Some(expression) => match values.evaluate(expression)? {
                Some(Value::Meter(meter)) => Some(MeterConfig {
                    committed_rate: meter.committed_rate,
                    committed_burst: meter.committed_burst,
                    peak_rate: meter.peak_rate,
                    peak_burst: meter.peak_burst,
                    excess_burst: 0,
                }),
                Some(_) => {
                    return Err(Refusal::unsupported(format!(
                        "the meter of {} has no rates",
                        table.name
                    )));
                }
                None => None,
            },
            None => None,
        };
        let known: BTreeSet<_> = table.entry_mentions().collect();
        let action = match &self.own.action {
            Some(own) if own.table == table.table => TableAction::Call(own.call.clone()),
            _ => self.make_action(&table.action, &known, scope, used)?,
        };
        used.extend(known);
        if table.counts && scope.facts.get(FactName::Count).is_some() {
            self.counting.insert(table.table);
        }
        for matches in combinations {
            let key = EntryKey {
                table: table.table,
                matches: matches.into(),
                priority,
            };
            let mut entry = TableEntry::new(key, action.clone());
            if meter.is_some() {
                entry.extra.make().meter = meter;
            }
            self.entities.push(Entity::TableEntry(entry));
        }
        Ok(())
    }

    /// Adds an entry that the objective says wholly in words of the pipeline.
    pub(super) fn make_own_entry(
        &mut self,
        action: &OwnAction,
        kind: &str,
        facts: &Facts,
    ) -> Result<(), Refusal> {
        let name = &action.name;
        if let Some(fact) = facts.given().next() {
            let message = format!(
                "no rule for a {} {kind} fills table {name}, so that only `p4` can say the key of its entry, and not {fact}",
                facts.type_word
            );
            return Err(Refusal::unsupported(message).at(fact.to_string()));
        }
        let schema = self.surroundings.schema.table_of(action.table);
        let schema = schema.expect("the action was found in this table");
        let mut fields: Vec<_> = schema.fields.iter().collect();
        fields.sort_by_key(|field| field.position);
        let mut combinations = vec![Vec::with_capacity(fields.len())];
        for field in fields {
            let key = KeyTemplate {
                name: field.name.clone(),
                kind: field.kind,
                width: field.width,
                value: None,
                untagged: None,
            };
            let matches = match self.own.take(action.table, &key.name) {
                Some(matching) => own_matches(&key, &matching)?,
                None if key.kind == MatchKind::Exact => {
                    let message = format!(
                        "{} of table {name} is exact: `p4` must say what it is",
                        key.name
                    );
                    return Err(Refusal::unsupported(message).at("p4"));
                }
                None => self.values(facts).matches(&key)?,
            };
            combinations = combine(&combinations, &matches);
        }
        let priority = match schema.has_priority() {
            true => i32::from(self.priority),
            false => 0,
        };
        for matches in combinations {
            let key = EntryKey {
                table: action.table,
                matches: matches.into(),
                priority,
            };
            let entry = TableEntry::new(key, TableAction::Call(action.call.clone()));
            self.entities.push(Entity::TableEntry(entry));
        }
        Ok(())
    }

    fn make_action(
        &mut self,
        action: &ActionTemplate,
        known: &BTreeSet<FactName>,
        scope: &Scope<'_>,
        used: &mut BTreeSet<FactName>,
    ) -> Result<TableAction, Refusal> {
        let (choices, max_group_size, counts_members) = match action {
            ActionTemplate::Choose(choices) => {
                let call = self.make_call(choices, known, scope.facts, used)?;
                return Ok(TableAction::Call(call));
            }
            ActionTemplate::Select {
                choices,
                max_group_size,
                counts_members,
            } => (choices, *max_group_size, *counts_members),
        };
        let mut actions = Vec::with_capacity(scope.buckets.len());
        for (index, (facts, bucket)) in scope.bucket_facts.iter().zip(scope.buckets).enumerate() {
            let call = self
                .make_call(choices, known, facts, used)
                .map_err(|refusal| refusal.at(format!("buckets[{index}]")))?;
            // A dead port takes no share of the flows.
            let watch_port = match facts.get(FactName::Output) {
                Some(Fact::Number(port)) => u32::try_from(*port).ok(),
                _ => None,
            };
            actions.push(OneShotAction {
                call,
                weight: bucket.weight.into(),
                watch_port,
            });
        }
        let size: u32 = actions
            .iter()
            .map(|action| if counts_members { 1 } else { action.weight })
            .sum();
        if max_group_size != 0 && size > max_group_size {
            let what = if counts_members {
                "buckets"
            } else {
                "the sum of the weights"
            };
            let message = format!("{what} of a next can be {max_group_size} at most, not {size}");
            return Err(Refusal::unsupported(message).at("buckets"));
        }
        let selection = match scope.facts.type_word == NextType::Failover.name() {
            true => Selection::FirstLive,
            false => Selection::Hash,
        };
        Ok(TableAction::OneShot(OneShot::new(selection, actions)))
    }

    fn make_call(
        &mut self,
        choices: &[Choice],
        known: &BTreeSet<FactName>,
        facts: &Facts,
        used: &mut BTreeSet<FactName>,
    ) -> Result<Call, Refusal> {
        let choice = choose(choices, known, facts)?;
        used.extend(choice.when.uses());
        let values = self.values(facts);
        let mut args = Vec::with_capacity(choice.arguments.len());
        for argument in &choice.arguments {
            note(&argument.value, facts, used);
            args.push(values.number(&argument.value, &argument.name, argument.width)?);
        }
        Ok(Call {
            action: choice.action,
            args: args.into(),
        })
    }
}

/// Refuses a part of a key that the manifest has a value for.
fn check_free(values: &Values<'_>, key: &KeyTemplate, table: &str) -> Result<(), Refusal> {
    let given = key.value.as_ref().map(|value| values.evaluate(value));
    let Some(Ok(Some(given))) = given else {
        return Ok(());
    };
    let by = match given {
        Value::Criterion(field, _) => field.to_string(),
        Value::Number(_) | Value::Meter(_) => "the manifest".to_owned(),
    };
    let message = format!("{} of table {table} is matched by {by} already", key.name);
    Err(Refusal::unsupported(message).at("p4"))
}

/// Records the fact that an expression takes.
fn note(expression: &Expression, facts: &Facts, used: &mut BTreeSet<FactName>) {
    let taken = facts_of(expression).find(|name| facts.get(*name).is_some());
    used.extend(taken);
}

fn combine(combinations: &[Vec<Match>], matches: &[Match]) -> Vec<Vec<Match>> {
    let extended = combinations.iter().flat_map(|combination| {
        matches.iter().map(move |found| {
            let mut combination = combination.clone();
            combination.push(found.clone());
            combination
        })
    });
    extended.collect()
}
