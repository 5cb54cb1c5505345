//! Random entries, groups and state, and their changes while packets run.
//!
//! What is written may be refused: both data planes have to refuse the same. Entries have priorities of
//! their own, since P4Runtime does not say which of two equal ones wins. Meters have a rate of zero or no
//! configuration, so that no clock decides a colour.

use std::collections::HashSet;

use pointsman_p4::dataplane::{
    Bits, Call, CloneSession, CounterData, EntryAction, EntryKey, GroupMember, Match, Operation,
    Replica, Selection, TableEntry,
};
use pointsman_p4::interpreter::Lookup;
use pointsman_p4::ir::{
    ActionId, ActionProfileId, CounterId, Implementation, MatchKind, MeterId, Program, RegisterId,
    TableId, ValueSetId,
};

use super::classes::Place;
use super::matching::{around, config};
use super::pool::{PORTS, Pool};
use super::random::Random;
use super::step::{MeteredEntry, Step};

/// Entries of a table at the start of a round, mostly.
const ENTRIES: usize = 12;
/// Now and then a table gets this many.
const MANY_ENTRIES: usize = 150;
/// Members and groups of a profile.
const MEMBERS: u32 = 6;
const GROUPS: u32 = 4;
/// Highest index of an indirect cell that is written.
const CELLS: u32 = 1 << 16;
/// Priorities are below this.
const PRIORITIES: i32 = 1 << 20;

/// Makes writes for one program and remembers what it has written.
pub struct Writes<'a> {
    program: &'a Program,
    cpu_port: u32,
    tables: Vec<TableId>,
    entries: Vec<TableEntry>,
    priorities: HashSet<i32>,
    /// Members of each value set.
    pub sets: Vec<Vec<Bits>>,
}

impl<'a> Writes<'a> {
    /// Nothing written yet.
    pub fn new(program: &'a Program, cpu_port: u32) -> Writes<'a> {
        let tables = (0..).map(TableId).zip(&program.tables);
        Writes {
            program,
            cpu_port,
            // What a program declares is not changed: declared entries are constant, mostly.
            tables: tables
                .filter(|(_, table)| !table.key.is_empty() && table.entries.is_empty())
                .map(|(id, _)| id)
                .collect(),
            entries: Vec::new(),
            priorities: HashSet::new(),
            sets: vec![Vec::new(); program.value_sets.len()],
        }
    }

    /// What a round starts with.
    pub fn initial(&mut self, pool: &mut Pool<'_>, random: &mut Random) -> Vec<Step> {
        let mut steps = Vec::new();
        for set in 0..self.program.value_sets.len() {
            steps.push(self.value_set(pool, random, ValueSetId(set as u32)));
        }
        for _ in 0..6 {
            steps.push(self.multicast_group(pool, random));
            steps.push(self.clone_session(pool, random));
        }
        for profile in 0..self.program.action_profiles.len() {
            let profile = ActionProfileId(profile as u32);
            for member in 0..MEMBERS {
                steps.extend(self.member(pool, random, profile, member));
            }
            for group in 0..GROUPS {
                steps.push(self.group(random, profile, group));
            }
        }
        for table in self.tables.clone() {
            let most = match random.below(12) {
                0 => 0,
                1 => MANY_ENTRIES,
                _ => ENTRIES,
            };
            for _ in 0..random.below(most + 1) {
                steps.extend(self.insert(pool, random, table));
            }
        }
        for table in 0..self.program.tables.len() {
            if random.one_in(4) {
                steps.extend(self.default(pool, random, TableId(table as u32)));
            }
        }
        for _ in 0..random.below(24) {
            steps.extend(self.cell(pool, random));
        }
        steps
    }

    /// A change between two packets.
    pub fn change(&mut self, pool: &mut Pool<'_>, random: &mut Random) -> Option<Step> {
        match random.below(12) {
            0..=2 => {
                let table = *random.pick(&self.tables)?;
                self.insert(pool, random, table)
            }
            3 | 4 => {
                let at = random.below(self.entries.len());
                let mut entry = self.entries.get(at)?.clone();
                entry.action = self.action(pool, random, entry.key.table)?;
                Some(Step::Write(Operation::Modify(entry)))
            }
            5 | 6 => {
                let at = random.below(self.entries.len());
                let entry = self.entries.get(at)?.clone();
                if !random.one_in(8) {
                    self.entries.swap_remove(at);
                }
                Some(Step::Write(Operation::Delete(entry.key)))
            }
            7 => {
                let table = TableId(random.below(self.program.tables.len()) as u32);
                self.default(pool, random, table)
            }
            8 => {
                let profile = self.profile(random)?;
                if random.one_in(2) {
                    let member = random.below(MEMBERS as usize) as u32;
                    self.member(pool, random, profile, member)
                } else {
                    let group = random.below(GROUPS as usize) as u32;
                    Some(self.group(random, profile, group))
                }
            }
            9 => Some(match random.below(3) {
                0 => self.multicast_group(pool, random),
                1 => self.clone_session(pool, random),
                _ => Step::Port {
                    port: *random.pick(&PORTS)?,
                    up: random.one_in(2),
                },
            }),
            10 => {
                let sets = self.program.value_sets.len();
                let set = ValueSetId(random.below(sets) as u32);
                (sets > 0).then(|| self.value_set(pool, random, set))
            }
            _ => self.cell(pool, random),
        }
    }

    fn profile(&self, random: &mut Random) -> Option<ActionProfileId> {
        let profiles = self.program.action_profiles.len();
        (profiles > 0).then(|| ActionProfileId(random.below(profiles) as u32))
    }

    /// Whether entries are written to a table.
    pub fn takes_entries(&self, table: TableId) -> bool {
        self.tables.contains(&table)
    }

    /// An entry that matches what was looked up.
    pub fn meet(
        &mut self,
        pool: &mut Pool<'_>,
        random: &mut Random,
        lookup: &Lookup,
    ) -> Option<Step> {
        let key = &self.program.tables[lookup.table.index()].key;
        let parts = key.iter().zip(&lookup.key);
        let matches = parts
            .map(|(key, value)| around(pool, random, key.kind, key.width, value.clone()))
            .collect();
        self.entry(pool, random, lookup.table, matches)
    }

    fn insert(&mut self, pool: &mut Pool<'_>, random: &mut Random, table: TableId) -> Option<Step> {
        let key = &self.program.tables[table.index()].key;
        let matches = key
            .iter()
            .map(|key| {
                let value = pool.key(random, key);
                around(pool, random, key.kind, key.width, value)
            })
            .collect();
        self.entry(pool, random, table, matches)
    }

    fn entry(
        &mut self,
        pool: &mut Pool<'_>,
        random: &mut Random,
        table: TableId,
        matches: Vec<Match>,
    ) -> Option<Step> {
        let key = &self.program.tables[table.index()].key;
        let by_priority = key.iter().any(|key| {
            matches!(
                key.kind,
                MatchKind::Ternary | MatchKind::Optional | MatchKind::Range
            )
        });
        let entry = TableEntry {
            key: EntryKey {
                table,
                matches: matches.into(),
                priority: if by_priority {
                    self.priority(random)
                } else {
                    0
                },
            },
            action: self.action(pool, random, table)?,
        };
        self.entries.push(entry.clone());
        Some(Step::Write(Operation::Insert(entry)))
    }

    /// One that no other entry has.
    fn priority(&mut self, random: &mut Random) -> i32 {
        loop {
            let priority = 1 + random.below(PRIORITIES as usize) as i32;
            if self.priorities.insert(priority) {
                return priority;
            }
        }
    }

    fn action(
        &self,
        pool: &mut Pool<'_>,
        random: &mut Random,
        table: TableId,
    ) -> Option<EntryAction> {
        let table = &self.program.tables[table.index()];
        match table.implementation {
            Implementation::Direct => Some(EntryAction::Call(self.call(
                pool,
                random,
                &table.actions,
            )?)),
            // One more than there are: the write is refused then.
            Implementation::Profile(profile) => {
                let selector = &self.program.action_profiles[profile.index()].selector;
                Some(if selector.is_some() && !random.one_in(3) {
                    EntryAction::Group(random.below(GROUPS as usize + 1) as u32)
                } else {
                    EntryAction::Member(random.below(MEMBERS as usize + 1) as u32)
                })
            }
        }
    }

    fn call(&self, pool: &mut Pool<'_>, random: &mut Random, actions: &[ActionId]) -> Option<Call> {
        let action = *random.pick(actions)?;
        let params = &self.program.actions[action.index()].params;
        Some(Call {
            action,
            args: params
                .iter()
                .zip(0..)
                .map(|(param, at)| pool.at(random, Place::Param(action, at), param.width))
                .collect(),
        })
    }

    fn default(&self, pool: &mut Pool<'_>, random: &mut Random, id: TableId) -> Option<Step> {
        let table = self.program.tables.get(id.index())?;
        // What p4c makes of statements has no name in P4Runtime, and keeps its action.
        let is_made = table.key.is_empty() && table.actions.len() < 2;
        if is_made
            || table
                .default
                .as_ref()
                .is_some_and(|default| default.is_const)
        {
            return None;
        }
        let action = if random.one_in(5) {
            None
        } else {
            Some(EntryAction::Call(self.call(
                pool,
                random,
                &table.actions,
            )?))
        };
        Some(Step::Write(Operation::SetDefault { table: id, action }))
    }

    fn member(
        &self,
        pool: &mut Pool<'_>,
        random: &mut Random,
        profile: ActionProfileId,
        member: u32,
    ) -> Option<Step> {
        let mut tables = self.program.tables.iter();
        let user = tables.find(|t| t.implementation == Implementation::Profile(profile))?;
        Some(Step::Write(Operation::PutMember {
            profile,
            member,
            call: self.call(pool, random, &user.actions)?,
        }))
    }

    fn group(&self, random: &mut Random, profile: ActionProfileId, group: u32) -> Step {
        let members = (0..random.below(5)).map(|_| GroupMember {
            member: random.below(MEMBERS as usize) as u32,
            weight: 1 + random.below(3) as u32,
            watch_port: match random.one_in(2) {
                true => random.pick(&PORTS).copied(),
                false => None,
            },
        });
        // A member is once in a group.
        let mut once: Vec<GroupMember> = Vec::new();
        for member in members.collect::<Vec<_>>() {
            if once.iter().all(|other| other.member != member.member) {
                once.push(member);
            }
        }
        Step::Write(Operation::PutGroup {
            profile,
            group,
            selection: match random.one_in(4) {
                true => Selection::FirstLive,
                false => Selection::Hash,
            },
            members: once,
        })
    }

    fn replicas(&self, random: &mut Random) -> Vec<Replica> {
        let count = random.below(5);
        let replica = |random: &mut Random| {
            let port = match random.below(6) {
                0 => self.cpu_port,
                _ => PORTS[random.below(PORTS.len())],
            };
            Replica::new(port, random.below(4) as u32)
        };
        (0..count).map(|_| replica(random)).collect()
    }

    fn multicast_group(&self, pool: &mut Pool<'_>, random: &mut Random) -> Step {
        let group = pool.shared(random, 16).to_u64().unwrap_or(0) as u32;
        Step::Write(Operation::SetMulticastGroup {
            group: group.max(1),
            replicas: self.replicas(random),
        })
    }

    fn clone_session(&self, pool: &mut Pool<'_>, random: &mut Random) -> Step {
        let session = match random.below(3) {
            0 => pool.shared(random, 32).to_u64().unwrap_or(0) as u32,
            1 => pool.shared(random, 8).to_u64().unwrap_or(0) as u32,
            _ => random.below(6) as u32,
        };
        let clone = CloneSession {
            replicas: self.replicas(random),
            packet_length_bytes: match random.below(3) {
                0 => random.below(80) as u32,
                _ => 0,
            },
        };
        Step::Write(Operation::SetCloneSession {
            session: session.max(1),
            clone: (!random.one_in(6)).then_some(clone),
        })
    }

    fn value_set(&mut self, pool: &mut Pool<'_>, random: &mut Random, set: ValueSetId) -> Step {
        let declared = &self.program.value_sets[set.index()];
        let count = random.below(1 + declared.size.min(8) as usize);
        let members: Vec<Bits> = (0..count)
            .map(|_| pool.shared(random, declared.width))
            .collect();
        self.sets[set.index()].clone_from(&members);
        Step::Write(Operation::SetValueSet { set, members })
    }

    /// A register, counter or meter.
    fn cell(&self, pool: &mut Pool<'_>, random: &mut Random) -> Option<Step> {
        // One more than there are: out of range.
        let index = |random: &mut Random, size: u32| match random.below(3) {
            0 => random.below(size.min(CELLS) as usize + 1) as u32,
            _ => random.below(4) as u32,
        };
        match random.below(5) {
            0 | 1 => {
                let at = random.below(self.program.registers.len());
                let register = self.program.registers.get(at)?;
                Some(Step::Write(Operation::SetRegister {
                    register: RegisterId(at as u32),
                    index: index(random, register.size),
                    value: pool.value(random, register.width),
                }))
            }
            2 => {
                let at = random.below(self.program.counters.len());
                let counter = self
                    .program
                    .counters
                    .get(at)
                    .filter(|c| c.table.is_none())?;
                Some(Step::Write(Operation::SetCounter {
                    counter: CounterId(at as u32),
                    index: index(random, counter.size),
                    data: CounterData {
                        packets: random.below(100) as u64,
                        bytes: random.below(10_000) as u64,
                    },
                }))
            }
            3 => {
                let at = random.below(self.program.meters.len());
                let meter = self.program.meters.get(at).filter(|m| m.table.is_none())?;
                Some(Step::Write(Operation::SetMeter {
                    meter: MeterId(at as u32),
                    index: index(random, meter.size),
                    config: config(random),
                }))
            }
            _ => {
                let entry = random.pick(&self.entries)?;
                let table = &self.program.tables[entry.key.table.index()];
                table.meter.map(|_| Step::DirectMeter {
                    entry: match random.one_in(4) {
                        true => MeteredEntry::Default(entry.key.table),
                        false => MeteredEntry::Keyed(entry.key.clone()),
                    },
                    config: config(random),
                })
            }
        }
    }
}
