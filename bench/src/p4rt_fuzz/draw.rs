//! Random updates that are valid for a pipeline: canonical, and often about the same few entities.
//!
//! Values come from the pool that packets are made of, so that packets meet entries. Rates of meters are so
//! high that no packet is ever anything but green, and no entry is ever idle for as long as it may be.

use std::collections::{BTreeSet, HashSet};

use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::ir::MatchKind;
use pointsman_p4::p4info::{ActionScope, MatchField, MatchType, Pipeline, Table};
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};
use pointsman_proto::p4::v1::table_action::Type as Action;
use pointsman_proto::p4::v1::update::Type;

use super::model::{Model, default_of, key_message};
use crate::fuzz::Random;
use crate::fuzz::matching::around;
use crate::fuzz::packet;
use crate::fuzz::pool::Pool;

/// Members, groups, sessions: each has this many ids, so that they meet.
pub(super) const IDS: usize = 5;
const PRIORITIES: usize = 1 << 20;
/// More than any packet of a round uses up.
const PLENTY: i64 = 1 << 40;
/// Longer than any round.
const AN_HOUR_NS: i64 = 3_600_000_000_000;

/// What not every server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[allow(missing_docs)]
pub enum Feature {
    Digests,
    IdleTimeouts,
    Registers,
    ValueSets,
    ActionSets,
    DataplaneAtomic,
}

/// Makes updates for one pipeline.
pub struct Draw<'p> {
    info: &'p P4Info,
    pub(super) pipeline: &'p Pipeline,
    /// What the server lacks.
    without: &'p BTreeSet<Feature>,
    /// What replicas and watched members name.
    ports: &'p [u32],
    pub(super) pool: Pool<'p>,
    /// Equal priorities leave open which entry wins.
    priorities: HashSet<i32>,
}

impl<'p> Draw<'p> {
    /// For a pipeline and its p4info, and a server without some features, whose `ports` are up.
    pub fn new(
        info: &'p P4Info,
        pipeline: &'p Pipeline,
        cpu_port: u32,
        without: &'p BTreeSet<Feature>,
        ports: &'p [u32],
    ) -> Draw<'p> {
        Draw {
            info,
            pipeline,
            without,
            ports,
            pool: Pool::new(&pipeline.program, cpu_port),
            priorities: HashSet::new(),
        }
    }

    /// A packet that the program's parser understands, and that Ethernet carries as it is.
    pub fn packet(&mut self, random: &mut Random) -> Vec<u8> {
        let sets = vec![Vec::new(); self.pipeline.program.value_sets.len()];
        let mut bytes = packet::make(&self.pipeline.program, &mut self.pool, random, &sets).bytes;
        let shortest = bytes.len().max(60);
        bytes.resize(shortest, 0);
        bytes.truncate(1400);
        bytes
    }

    /// An update. What it is about may be there or not.
    pub fn update(&mut self, random: &mut Random, model: &Model) -> p4::Update {
        loop {
            let drawn = match random.below(20) {
                0..=8 => self.entry_update(random, model),
                9 => self.default_update(random),
                10 | 11 => self.member_update(random),
                12 => self.group_update(random),
                13 => Some(self.multicast_update(random)),
                14 => Some(self.session_update(random)),
                15 => self.counter_update(random, model),
                16 => self.meter_update(random, model),
                17 if self.has(Feature::Registers) => self.register_update(random),
                18 if self.has(Feature::ValueSets) => self.value_set_update(random),
                19 if self.has(Feature::Digests) => self.digest_update(random),
                _ => None,
            };
            if let Some(update) = drawn {
                return update;
            }
        }
    }

    fn has(&self, feature: Feature) -> bool {
        !self.without.contains(&feature)
    }

    pub(super) fn table(&self, random: &mut Random) -> Option<&'p Table> {
        let pipeline = self.pipeline;
        let tables = pipeline.tables.iter();
        let written: Vec<&Table> = tables
            .filter(|table| !table.is_const && !table.fields.is_empty())
            .collect();
        random.pick(&written).copied()
    }

    fn entry_update(&mut self, random: &mut Random, model: &Model) -> Option<p4::Update> {
        let known: Vec<&p4::TableEntry> = model.entries.values().collect();
        let (key, operation) = match random.pick(&known) {
            Some(known) if random.one_in(2) => {
                let operation = match random.below(8) {
                    0 => Type::Insert,
                    1..=3 => Type::Modify,
                    _ => Type::Delete,
                };
                (key_message(known), operation)
            }
            _ => {
                let table = self.table(random)?;
                let operation = match random.below(12) {
                    0 => Type::Modify,
                    1 => Type::Delete,
                    _ => Type::Insert,
                };
                (self.key(random, table), operation)
            }
        };
        let table = self.pipeline.table(key.table_id)?;
        let entry = match operation {
            // Only the key counts; the rest may be anything.
            Type::Delete if random.one_in(2) => key,
            _ => self.filled(random, table, key, operation)?,
        };
        Some(update(operation, Entity::TableEntry(entry)))
    }

    pub(super) fn key(&mut self, random: &mut Random, table: &Table) -> p4::TableEntry {
        let keys = &self.pipeline.program.tables[table.table.index()].key;
        let mut matches = Vec::with_capacity(keys.len());
        for (field, key) in table.fields.iter().zip(keys) {
            let value = self.pool.key(random, key);
            let kind = kind_of(field.match_type);
            let value = around(&mut self.pool, random, kind, field.width, value);
            matches.extend(field_match(field, &value));
        }
        p4::TableEntry {
            table_id: table.preamble.id,
            r#match: matches,
            priority: match table.has_priority() {
                true => self.priority(random),
                false => 0,
            },
            ..Default::default()
        }
    }

    fn priority(&mut self, random: &mut Random) -> i32 {
        loop {
            let priority = 1 + random.below(PRIORITIES) as i32;
            if self.priorities.insert(priority) {
                return priority;
            }
        }
    }

    fn filled(
        &mut self,
        random: &mut Random,
        table: &Table,
        key: p4::TableEntry,
        operation: Type,
    ) -> Option<p4::TableEntry> {
        let action = match operation {
            Type::Modify if random.one_in(6) => None,
            _ => Some(self.table_action(random, table)?),
        };
        let metadata = random.below(4);
        Some(p4::TableEntry {
            action: action.map(|action| p4::TableAction {
                r#type: Some(action),
            }),
            metadata: random.bytes(metadata),
            idle_timeout_ns: match table.idle_timeout
                && self.has(Feature::IdleTimeouts)
                && random.one_in(3)
            {
                true => AN_HOUR_NS,
                false => 0,
            },
            meter_config: self.drawn_meter(random, table),
            counter_data: self.drawn_counts(random, table),
            ..key
        })
    }

    fn drawn_meter(&self, random: &mut Random, table: &Table) -> Option<p4::MeterConfig> {
        let meter = self.direct(table.preamble.id, Direct::Meter);
        meter.filter(|_| random.one_in(2)).map(|_| plenty(random))
    }

    fn drawn_counts(&self, random: &mut Random, table: &Table) -> Option<p4::CounterData> {
        let counter = self.direct(table.preamble.id, Direct::Counter);
        counter.filter(|_| random.one_in(6)).map(|_| counts(random))
    }

    pub(super) fn port(&self, random: &mut Random) -> Vec<u8> {
        let port = random.pick(self.ports).copied().unwrap_or_default();
        Bits::from(u64::from(port)).to_p4runtime()
    }

    /// The direct counter or meter of a table.
    pub fn direct(&self, table: u32, kind: Direct) -> Option<u32> {
        let tables = &self.info.tables;
        let table = tables
            .iter()
            .find(|t| t.preamble.as_ref().is_some_and(|p| p.id == table))?;
        let mut ids = table.direct_resource_ids.iter().copied();
        ids.find(|id| match kind {
            Direct::Counter => self.pipeline.direct_counter(*id).is_some(),
            Direct::Meter => self.pipeline.direct_meter(*id).is_some(),
        })
    }

    fn table_action(&mut self, random: &mut Random, table: &Table) -> Option<Action> {
        let Some(profile) = table.profile else {
            return Some(Action::Action(self.call(
                random,
                table,
                ActionScope::DefaultOnly,
            )?));
        };
        let id = 1 + random.below(IDS) as u32;
        let selects = self.pipeline.profile(profile)?.with_selector;
        Some(match random.below(3) {
            0 if selects => Action::ActionProfileGroupId(id),
            1 if selects && self.has(Feature::ActionSets) => {
                let mut actions = Vec::new();
                for _ in 0..1 + random.below(3) {
                    let action = self.call(random, table, ActionScope::DefaultOnly)?;
                    actions.push(p4::ActionProfileAction {
                        action: Some(action),
                        weight: 1 + random.below(3) as i32,
                        watch_kind: random.one_in(3).then(|| {
                            p4::action_profile_action::WatchKind::WatchPort(self.port(random))
                        }),
                    });
                }
                Action::ActionProfileActionSet(p4::ActionProfileActionSet {
                    action_profile_actions: actions,
                    ..Default::default()
                })
            }
            _ => Action::ActionProfileMemberId(id),
        })
    }

    /// A call of one of a table's actions, but of those with this scope.
    fn call(&mut self, random: &mut Random, table: &Table, but: ActionScope) -> Option<p4::Action> {
        let fitting: Vec<_> = table.actions.iter().filter(|a| a.scope != but).collect();
        let reference = random.pick(&fitting)?;
        let action = self.pipeline.action(reference.id)?;
        let params = action.params.iter().enumerate();
        let params = params.map(|(index, param)| {
            let place = crate::fuzz::classes::Place::Param(reference.action, index as u32);
            p4::action::Param {
                param_id: param.id,
                value: self.pool.at(random, place, param.width).to_p4runtime(),
            }
        });
        Some(p4::Action {
            action_id: reference.id,
            params: params.collect(),
        })
    }

    fn default_update(&mut self, random: &mut Random) -> Option<p4::Update> {
        let tables: Vec<&Table> = self.pipeline.tables.iter().collect();
        let table = *random.pick(&tables)?;
        if table.profile.is_some() {
            return None;
        }
        let action = match random.one_in(4) {
            true => None,
            false => Some(p4::TableAction {
                r#type: Some(Action::Action(self.call(
                    random,
                    table,
                    ActionScope::TableOnly,
                )?)),
            }),
        };
        let entry = p4::TableEntry {
            action,
            meter_config: self.drawn_meter(random, table),
            counter_data: self.drawn_counts(random, table),
            ..default_of(table.preamble.id)
        };
        Some(update(Type::Modify, Entity::TableEntry(entry)))
    }

    fn member_update(&mut self, random: &mut Random) -> Option<p4::Update> {
        let profile = random.pick(&self.pipeline.profiles)?;
        let table = self.pipeline.table(*random.pick(&profile.tables)?)?;
        let member = p4::ActionProfileMember {
            action_profile_id: profile.preamble.id,
            member_id: 1 + random.below(IDS) as u32,
            action: Some(self.call(random, table, ActionScope::DefaultOnly)?),
        };
        let operation = operation(random);
        Some(update(operation, Entity::ActionProfileMember(member)))
    }

    fn group_update(&mut self, random: &mut Random) -> Option<p4::Update> {
        let profiles = self.pipeline.profiles.iter();
        let selecting: Vec<_> = profiles.filter(|profile| profile.with_selector).collect();
        let profile = *random.pick(&selecting)?;
        let mut members = Vec::new();
        for id in 1..=IDS as u32 {
            if random.one_in(2) && members.len() < 4 {
                members.push(p4::action_profile_group::Member {
                    member_id: id,
                    weight: 1 + random.below(3) as i32,
                    watch_kind: random.one_in(3).then(|| {
                        p4::action_profile_group::member::WatchKind::WatchPort(self.port(random))
                    }),
                });
            }
        }
        let group = p4::ActionProfileGroup {
            action_profile_id: profile.preamble.id,
            group_id: 1 + random.below(IDS) as u32,
            members,
            max_size: 0,
        };
        Some(update(operation(random), Entity::ActionProfileGroup(group)))
    }
}

/// A resource that each entry of a table has one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direct {
    /// Counts of what hit it.
    Counter,
    /// The colour of what hit it.
    Meter,
}

pub(super) fn update(operation: Type, entity: Entity) -> p4::Update {
    p4::Update {
        r#type: operation.into(),
        entity: Some(p4::Entity {
            entity: Some(entity),
        }),
    }
}

pub(super) fn operation(random: &mut Random) -> Type {
    match random.below(5) {
        0 | 1 => Type::Insert,
        2 | 3 => Type::Modify,
        _ => Type::Delete,
    }
}

pub(super) fn counts(random: &mut Random) -> p4::CounterData {
    p4::CounterData {
        byte_count: random.below(1 << 20) as i64,
        packet_count: random.below(1 << 20) as i64,
    }
}

pub(super) fn plenty(random: &mut Random) -> p4::MeterConfig {
    let rate = PLENTY + random.below(1 << 20) as i64;
    p4::MeterConfig {
        cir: rate,
        cburst: PLENTY,
        pir: rate,
        pburst: PLENTY,
        eburst: 0,
    }
}

fn kind_of(kind: MatchType) -> MatchKind {
    match kind {
        MatchType::Exact => MatchKind::Exact,
        MatchType::Lpm => MatchKind::Lpm,
        MatchType::Ternary => MatchKind::Ternary,
        MatchType::Range => MatchKind::Range,
        MatchType::Optional => MatchKind::Optional,
    }
}

/// A match as a message; `None` for what matches everything.
fn field_match(field: &MatchField, value: &Match) -> Option<p4::FieldMatch> {
    let kind = match value {
        Match::Exact(value) => FieldMatchType::Exact(field_match::Exact {
            value: value.to_p4runtime(),
        }),
        Match::Lpm { prefix_len: 0, .. } | Match::Optional(None) => return None,
        Match::Lpm { value, prefix_len } => FieldMatchType::Lpm(field_match::Lpm {
            value: value.to_p4runtime(),
            prefix_len: *prefix_len as i32,
        }),
        Match::Ternary { mask, .. } if mask.is_zero() => return None,
        Match::Ternary { value, mask } => FieldMatchType::Ternary(field_match::Ternary {
            value: value.to_p4runtime(),
            mask: mask.to_p4runtime(),
        }),
        Match::Optional(Some(value)) => FieldMatchType::Optional(field_match::Optional {
            value: value.to_p4runtime(),
        }),
        Match::Range { low, high } if low.is_zero() && *high == Bits::ones(field.width) => {
            return None;
        }
        Match::Range { low, high } => FieldMatchType::Range(field_match::Range {
            low: low.to_p4runtime(),
            high: high.to_p4runtime(),
        }),
    };
    Some(p4::FieldMatch {
        field_id: field.id,
        field_match_type: Some(kind),
    })
}
