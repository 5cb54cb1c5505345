//! One objective into the entities that realise it, or a refusal.

use std::collections::BTreeSet;

use pointsman_model::{
    Bucket, FilterType, Forward, Instruction, Name, Next, NextType, Objective, ObjectiveId,
    ObjectiveKind, Selector,
};
use pointsman_proto::pointsman::objective::v1::Reason;

use super::facts::{Fact, FactName, Facts};
use super::ids::IdKind;
use super::make::Scope;
use super::manifest::{Manifest, Rule};
use super::own::Own;
use super::rules::{any_fills, applicable, check_supported};
use super::{Ids, Ports, Refusal};
use pointsman_p4::entity::Entity;
use pointsman_p4::ir::TableId;
use pointsman_p4::schema::Schema;

/// What a translation depends on beside the objective.
pub(super) struct Surroundings<'a> {
    pub(super) ports: &'a Ports,
    pub(super) ids: &'a Ids,
    pub(super) schema: &'a Schema,
    /// The realised next of that name.
    pub(super) next: &'a dyn Fn(&Name) -> Option<&'a Next>,
}

/// An objective as entities.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Translation {
    /// In the order of the manifest, what is referred to first.
    pub(super) entities: Vec<Entity>,
    /// The ids that it needs.
    pub(super) next_id: Option<u32>,
    pub(super) group_id: Option<u32>,
    /// The tables whose entries count what `count` asks for.
    pub(super) counting: BTreeSet<TableId>,
}

/// Translates `objective`; a refusal names the pipeline where that is the reason.
pub(super) fn translate(
    manifest: &Manifest,
    objective: &Objective,
    surroundings: &Surroundings<'_>,
) -> Result<Translation, Refusal> {
    let mut translator = Translator {
        manifest,
        surroundings,
        owner: objective.id(),
        priority: objective.priority,
        next_id: None,
        group_id: None,
        counting: BTreeSet::new(),
        own: Own::default(),
        entities: Vec::new(),
    };
    match translator.objective(objective) {
        Ok(()) => Ok(Translation {
            entities: translator.entities,
            next_id: translator.next_id,
            group_id: translator.group_id,
            counting: translator.counting,
        }),
        Err(mut refusal) => {
            refusal.field = refusal.field.map(|field| as_written(objective, field));
            if refusal.reason == Reason::UnsupportedByPipeline {
                let pipeline = &manifest.pipeline;
                refusal.message = format!("pipeline {pipeline}: {}", refusal.message);
            }
            Err(refusal)
        }
    }
}

pub(super) struct Translator<'a, 's> {
    pub(super) manifest: &'a Manifest,
    pub(super) surroundings: &'a Surroundings<'s>,
    pub(super) owner: ObjectiveId,
    pub(super) priority: u16,
    pub(super) next_id: Option<u32>,
    pub(super) group_id: Option<u32>,
    pub(super) counting: BTreeSet<TableId>,
    /// What it says in words of the pipeline.
    pub(super) own: Own,
    pub(super) entities: Vec<Entity>,
}

impl<'a> Translator<'a, '_> {
    fn objective(&mut self, objective: &Objective) -> Result<(), Refusal> {
        self.own = Own::of(objective, self.surroundings.schema)?;
        match &objective.kind {
            ObjectiveKind::Filter(filter) => {
                let word = match filter.filter_type {
                    FilterType::Permit => "permit",
                    FilterType::Deny => "deny",
                };
                self.filter(word, [&filter.key, &filter.conditions], &filter.treatment)?;
            }
            ObjectiveKind::Forward(forward) => self.forward(forward)?,
            ObjectiveKind::Next(next) => self.next(next)?,
        }
        self.own.check_used()
    }

    fn filter(
        &mut self,
        word: &'static str,
        selectors: [&Selector; 2],
        treatment: &[Instruction],
    ) -> Result<(), Refusal> {
        let mut facts = Facts::new(word);
        for selector in selectors {
            facts.add_selector(selector, self.surroundings.ports)?;
        }
        facts.add_treatment(treatment, self.surroundings.ports, "treatment")?;
        self.apply(&self.manifest.filters, "filter", &facts, &[], &[])
    }

    fn forward(&mut self, forward: &Forward) -> Result<(), Refusal> {
        let mut facts = Facts::new(forward.flag.name());
        facts.add_selector(&forward.selector, self.surroundings.ports)?;
        let (kept, sent) = split_treatment(forward);
        facts.add_treatment(&kept, self.surroundings.ports, "treatment")?;
        if let Some(name) = &forward.next {
            let id = ObjectiveId {
                kind: pointsman_model::Kind::Next,
                name: name.clone(),
            };
            let realised = (self.surroundings.next)(name).is_some();
            let id = realised
                .then(|| self.surroundings.ids.get(IdKind::Next, &id))
                .flatten();
            let id = id.ok_or_else(|| waits_for(name))?;
            facts.add(FactName::Next, Fact::Number(id.into()));
        } else if !sent.is_empty() {
            // The forward says itself what a next would say: it has one of its own.
            let bucket = Bucket {
                weight: 1,
                treatment: sent,
                next: None,
            };
            let meta = Selector::default();
            self.next(&Next {
                next_type: NextType::Simple,
                buckets: vec![bucket],
                meta,
            })?;
            let id = self.next_id.expect("a translated next has an id");
            facts.add(FactName::Next, Fact::Number(id.into()));
        }
        self.apply(&self.manifest.forwards, "forward", &facts, &[], &[])
    }

    fn next(&mut self, next: &Next) -> Result<(), Refusal> {
        let ids = self.surroundings.ids;
        self.next_id = Some(ids.get_or_free(IdKind::Next, &self.owner, &self.manifest.next_ids)?);
        let buckets = self.flatten(&next.buckets)?;
        let mut facts = Facts::new(next.next_type.name());
        facts.add_selector(&next.meta, self.surroundings.ports)?;
        let bucket_facts = buckets
            .iter()
            .enumerate()
            .map(|(index, bucket)| {
                let mut facts = facts.clone();
                let path = format!("buckets[{index}]");
                facts.add_treatment(&bucket.treatment, self.surroundings.ports, &path)?;
                Ok(facts)
            })
            .collect::<Result<Vec<_>, Refusal>>()?;
        let common = Facts::of_buckets(&facts, &bucket_facts);
        self.apply(
            &self.manifest.nexts,
            "next",
            &common,
            &bucket_facts,
            &buckets,
        )
    }

    /// Buckets that name a next, with that next's treatment in its place.
    fn flatten(&self, buckets: &[Bucket]) -> Result<Vec<Bucket>, Refusal> {
        let flat = |(index, bucket): (usize, &Bucket)| {
            let Some(name) = &bucket.next else {
                return Ok(bucket.clone());
            };
            let target = (self.surroundings.next)(name).ok_or_else(|| waits_for(name))?;
            match target.buckets.as_slice() {
                [only] if only.next.is_none() => Ok(Bucket {
                    weight: bucket.weight,
                    treatment: only.treatment.clone(),
                    next: None,
                }),
                _ => {
                    let message = format!(
                        "a bucket can refer to a next with one bucket that has a treatment, and {name} is not"
                    );
                    Err(Refusal::unsupported(message).at(format!("buckets[{index}].next")))
                }
            }
        };
        buckets.iter().enumerate().map(flat).collect()
    }

    fn apply(
        &mut self,
        rules: &'a [Rule],
        kind: &str,
        facts: &Facts,
        bucket_facts: &[Facts],
        buckets: &[Bucket],
    ) -> Result<(), Refusal> {
        check_supported(self.manifest, rules, facts)?;
        let action = self.own.action.clone().filter(|_| kind != "next");
        if let Some(action) = &action
            && !any_fills(rules, facts, action.table)
        {
            return self.make_own_entry(action, kind, facts);
        }
        let mut used = BTreeSet::new();
        for rule in applicable(rules, kind, facts, action.map(|action| action.table))? {
            used.extend(rule.when.uses());
            let all = Scope {
                facts,
                bucket_facts,
                buckets,
            };
            for template in &rule.entries {
                self.make(template, &all, &mut used)
                    .map_err(|refusal| of_rule(rule, refusal))?;
            }
            for facts in bucket_facts {
                let one = Scope {
                    facts,
                    bucket_facts: &[],
                    buckets: &[],
                };
                for template in &rule.each_bucket {
                    self.make(template, &one, &mut used)
                        .map_err(|refusal| of_rule(rule, refusal))?;
                }
            }
        }
        if let Some(name) = facts.given().find(|name| !used.contains(name)) {
            let message = format!(
                "nothing uses {name} in a {} {kind} like this",
                facts.type_word
            );
            return Err(Refusal::unsupported(message).at(name.to_string()));
        }
        Ok(())
    }
}

/// What stays with the forward, and what makes a next of its own.
fn split_treatment(forward: &Forward) -> (Vec<Instruction>, Vec<Instruction>) {
    let outputs = |step| matches!(step, &Instruction::Output(_));
    let sends = forward.next.is_none() && forward.treatment.iter().any(outputs);
    let stays = |step: &Instruction| {
        !sends
            || matches!(
                step,
                Instruction::CopyToCpu
                    | Instruction::Meter(_)
                    | Instruction::Count(_)
                    | Instruction::Table(_)
                    | Instruction::PopMpls
            )
    };
    forward.treatment.iter().cloned().partition(stays)
}

/// A criterion as the objective has it: `tcp_dst` where rules know it as `l4_dst`.
fn as_written(objective: &Objective, field: String) -> String {
    let selectors = match &objective.kind {
        ObjectiveKind::Filter(filter) => vec![&filter.key, &filter.conditions],
        ObjectiveKind::Forward(forward) => vec![&forward.selector],
        ObjectiveKind::Next(next) => vec![&next.meta],
    };
    let criteria = selectors.into_iter().flat_map(Selector::iter);
    let mut fields = criteria.map(|criterion| criterion.field);
    let written = fields.find(|found| found.generic().name() == field);
    written.map_or(field, |found| found.name().to_owned())
}

fn waits_for(name: &Name) -> Refusal {
    let message = format!("waits for next {name}, which is not applied");
    Refusal::new(Reason::WaitsForNext, message).at("next")
}

fn of_rule(rule: &Rule, mut refusal: Refusal) -> Refusal {
    if refusal.reason == Reason::UnsupportedByPipeline {
        refusal.message = format!("{}: {}", rule.name, refusal.message);
    }
    refusal
}
