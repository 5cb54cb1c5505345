//! What a P4Runtime switch holds, and what the specification says of updates that are well-formed.
//!
//! Entities are messages in canonical form, as [`Draw`](super::Draw) makes them. What packets change (counts,
//! registers) is known only until the next packet.

use std::collections::BTreeMap;
use std::sync::Arc;

use pointsman_p4::p4info::Pipeline;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type as Replication;
use pointsman_proto::p4::v1::table_action::Type as Action;
use pointsman_proto::p4::v1::update::Type;
use prost::Message;
use tonic::Code;

/// What has to come of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeds.
    Done,
    /// It fails with one of these codes.
    Fails(Vec<Code>),
    /// It may be that there is no room for it.
    DoneOrFull,
}

/// What makes a table entry the one it is: its key, encoded.
pub type Key = Vec<u8>;
/// An object and the number of a cell of it, or of a member or group.
type Cell = (u32, i64);

/// What a switch holds.
#[derive(Debug, Clone)]
pub struct Model {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// Table entries.
    pub entries: BTreeMap<Key, p4::TableEntry>,
    /// Default entries that were changed.
    pub defaults: BTreeMap<u32, p4::TableEntry>,
    /// Meters of default entries that are configured, by table.
    pub default_meters: BTreeMap<u32, p4::MeterConfig>,
    /// Counters of default entries that were written since the last packet, by table.
    pub default_counts: BTreeMap<u32, p4::CounterData>,
    /// By profile and id.
    pub members: BTreeMap<(u32, u32), p4::ActionProfileMember>,
    /// By profile and id.
    pub groups: BTreeMap<(u32, u32), p4::ActionProfileGroup>,
    /// Multicast groups.
    pub multicast: BTreeMap<u32, p4::MulticastGroupEntry>,
    /// Clone sessions.
    pub sessions: BTreeMap<u32, p4::CloneSessionEntry>,
    /// Cells of meters that are configured.
    pub meters: BTreeMap<Cell, p4::MeterConfig>,
    /// Cells of counters that were written since the last packet.
    pub counters: BTreeMap<Cell, p4::CounterData>,
    /// Cells of registers that were written since the last packet.
    pub registers: BTreeMap<Cell, p4::P4Data>,
    /// Value sets that have members.
    pub value_sets: BTreeMap<u32, p4::ValueSetEntry>,
    /// Digests that are configured.
    pub digests: BTreeMap<u32, p4::DigestEntry>,
}

/// The key of an entry.
pub fn key(entry: &p4::TableEntry) -> Key {
    key_message(entry).encode_to_vec()
}

/// An entry with nothing but its key.
pub fn key_message(entry: &p4::TableEntry) -> p4::TableEntry {
    p4::TableEntry {
        table_id: entry.table_id,
        r#match: entry.r#match.clone(),
        priority: entry.priority,
        ..Default::default()
    }
}

/// The default entry of a table with nothing but its name.
pub fn default_of(table_id: u32) -> p4::TableEntry {
    p4::TableEntry {
        table_id,
        is_default_action: true,
        ..Default::default()
    }
}

fn exists(there: bool, operation: Type) -> Verdict {
    match (there, operation) {
        (true, Type::Insert) => Verdict::Fails(vec![Code::AlreadyExists]),
        (false, Type::Modify | Type::Delete) => Verdict::Fails(vec![Code::NotFound]),
        _ => Verdict::Done,
    }
}

impl Model {
    /// A switch whose pipeline has just been set, and whose program declares no entries.
    pub fn new(pipeline: Arc<Pipeline>) -> Model {
        Model {
            pipeline,
            entries: BTreeMap::new(),
            defaults: BTreeMap::new(),
            default_meters: BTreeMap::new(),
            default_counts: BTreeMap::new(),
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            multicast: BTreeMap::new(),
            sessions: BTreeMap::new(),
            meters: BTreeMap::new(),
            counters: BTreeMap::new(),
            registers: BTreeMap::new(),
            value_sets: BTreeMap::new(),
            digests: BTreeMap::new(),
        }
    }

    /// Packets may have changed what they can.
    pub fn forget_counts(&mut self) {
        self.counters.clear();
        self.default_counts.clear();
        self.registers.clear();
    }

    /// What has to come of a well-formed update.
    pub fn judge(&self, update: &p4::Update) -> Verdict {
        let operation = update.r#type();
        let Some(entity) = update.entity.as_ref().and_then(|e| e.entity.as_ref()) else {
            return Verdict::Fails(vec![Code::InvalidArgument]);
        };
        match entity {
            Entity::TableEntry(entry) if entry.is_default_action => self.judge_default(entry),
            Entity::TableEntry(entry) => self.judge_entry(operation, entry),
            Entity::ActionProfileMember(member) => self.judge_member(operation, member),
            Entity::ActionProfileGroup(group) => self.judge_group(operation, group),
            Entity::PacketReplicationEngineEntry(entry) => match &entry.r#type {
                Some(Replication::MulticastGroupEntry(group)) => {
                    let there = self.multicast.contains_key(&group.multicast_group_id);
                    exists(there, operation)
                }
                Some(Replication::CloneSessionEntry(session)) => {
                    exists(self.sessions.contains_key(&session.session_id), operation)
                }
                None => Verdict::Fails(vec![Code::InvalidArgument]),
            },
            Entity::DirectCounterEntry(counter) => self.judge_direct(counter.table_entry.as_ref()),
            Entity::DirectMeterEntry(meter) => self.judge_direct(meter.table_entry.as_ref()),
            Entity::DigestEntry(digest) => {
                exists(self.digests.contains_key(&digest.digest_id), operation)
            }
            // Cells are always there.
            _ => Verdict::Done,
        }
    }

    fn judge_direct(&self, entry: Option<&p4::TableEntry>) -> Verdict {
        let is_there = |entry: &p4::TableEntry| {
            entry.is_default_action || self.entries.contains_key(&key(entry))
        };
        match entry.is_some_and(is_there) {
            true => Verdict::Done,
            false => Verdict::Fails(vec![Code::NotFound]),
        }
    }

    fn judge_default(&self, entry: &p4::TableEntry) -> Verdict {
        let table = self.pipeline.table(entry.table_id);
        match table.is_some_and(|table| table.const_default_action.is_some()) {
            true => Verdict::Fails(vec![Code::PermissionDenied]),
            false => Verdict::Done,
        }
    }

    fn judge_entry(&self, operation: Type, entry: &p4::TableEntry) -> Verdict {
        let there = self.entries.contains_key(&key(entry));
        let verdict = exists(there, operation);
        if verdict != Verdict::Done || operation == Type::Delete {
            return verdict;
        }
        let Some(table) = self.pipeline.table(entry.table_id) else {
            return Verdict::Fails(vec![Code::InvalidArgument, Code::NotFound]);
        };
        let profile = table.profile.unwrap_or_default();
        let action = entry.action.as_ref().and_then(|a| a.r#type.as_ref());
        match action {
            Some(Action::ActionProfileMemberId(id))
                if !self.members.contains_key(&(profile, *id)) =>
            {
                return Verdict::Fails(vec![Code::NotFound]);
            }
            Some(Action::ActionProfileGroupId(id))
                if !self.groups.contains_key(&(profile, *id)) =>
            {
                return Verdict::Fails(vec![Code::NotFound]);
            }
            Some(Action::ActionProfileActionSet(_)) if self.has_members(profile) => {
                return Verdict::Fails(vec![Code::InvalidArgument]);
            }
            Some(Action::ActionProfileActionSet(_)) if self.is_crowded(profile) => {
                return Verdict::DoneOrFull;
            }
            _ => {}
        }
        let in_table = self
            .entries
            .values()
            .filter(|e| e.table_id == entry.table_id);
        match operation == Type::Insert && in_table.count() as i64 >= table.size {
            true => Verdict::DoneOrFull,
            false => Verdict::Done,
        }
    }

    fn judge_member(&self, operation: Type, member: &p4::ActionProfileMember) -> Verdict {
        let id = (member.action_profile_id, member.member_id);
        let verdict = exists(self.members.contains_key(&id), operation);
        if verdict != Verdict::Done {
            return verdict;
        }
        match operation {
            Type::Delete if self.is_member_used(id) => {
                Verdict::Fails(vec![Code::FailedPrecondition])
            }
            Type::Insert if self.has_one_shots(id.0) => Verdict::Fails(vec![Code::InvalidArgument]),
            Type::Insert if self.is_crowded(id.0) => Verdict::DoneOrFull,
            _ => Verdict::Done,
        }
    }

    fn judge_group(&self, operation: Type, group: &p4::ActionProfileGroup) -> Verdict {
        let id = (group.action_profile_id, group.group_id);
        let verdict = exists(self.groups.contains_key(&id), operation);
        if verdict != Verdict::Done {
            return verdict;
        }
        if operation == Type::Delete {
            return match self.is_group_used(id) {
                true => Verdict::Fails(vec![Code::FailedPrecondition]),
                false => Verdict::Done,
            };
        }
        let known =
            |m: &p4::action_profile_group::Member| self.members.contains_key(&(id.0, m.member_id));
        if operation == Type::Insert && self.has_one_shots(id.0) {
            return Verdict::Fails(vec![Code::InvalidArgument, Code::NotFound]);
        }
        match group.members.iter().all(known) {
            false => Verdict::Fails(vec![Code::NotFound]),
            true if self.is_crowded(id.0) => Verdict::DoneOrFull,
            true => Verdict::Done,
        }
    }

    fn tables_of(&self, profile: u32) -> impl Iterator<Item = &p4::TableEntry> {
        let used = move |id: u32| {
            let table = self.pipeline.table(id);
            table.is_some_and(|table| table.profile == Some(profile))
        };
        let entries = self.entries.values().chain(self.defaults.values());
        entries.filter(move |entry| used(entry.table_id))
    }

    fn has_members(&self, profile: u32) -> bool {
        let of = |id: &(u32, u32)| id.0 == profile;
        self.members.keys().any(of) || self.groups.keys().any(of)
    }

    fn has_one_shots(&self, profile: u32) -> bool {
        let mut actions = self.tables_of(profile).filter_map(action_type);
        actions.any(|action| matches!(action, Action::ActionProfileActionSet(_)))
    }

    fn is_member_used(&self, (profile, member): (u32, u32)) -> bool {
        let mut actions = self.tables_of(profile).filter_map(action_type);
        let mut groups = self
            .groups
            .values()
            .filter(|g| g.action_profile_id == profile);
        actions.any(|action| *action == Action::ActionProfileMemberId(member))
            || groups.any(|group| group.members.iter().any(|m| m.member_id == member))
    }

    fn is_group_used(&self, (profile, group): (u32, u32)) -> bool {
        let mut actions = self.tables_of(profile).filter_map(action_type);
        actions.any(|action| *action == Action::ActionProfileGroupId(group))
    }

    /// Whether a profile may be full: by either way of counting, more than half of its size is in use.
    fn is_crowded(&self, profile: u32) -> bool {
        let members = self.members.keys().filter(|id| id.0 == profile).count() as i64;
        let groups = self
            .groups
            .values()
            .filter(|g| g.action_profile_id == profile);
        let weights: i64 = groups
            .flat_map(|g| &g.members)
            .map(|m| i64::from(m.weight))
            .sum();
        let sets = self.tables_of(profile).filter_map(action_type);
        let one_shots: i64 = sets
            .map(|action| match action {
                Action::ActionProfileActionSet(set) => set
                    .action_profile_actions
                    .iter()
                    .map(|a| i64::from(a.weight) + 1)
                    .sum(),
                _ => 0,
            })
            .sum();
        let size = self.pipeline.profile(profile).map_or(0, |p| p.size);
        2 * (members + weights + one_shots) > size
    }

    /// Does an update that has succeeded.
    pub fn apply(&mut self, update: &p4::Update) {
        let operation = update.r#type();
        let Some(entity) = update.entity.as_ref().and_then(|e| e.entity.clone()) else {
            return;
        };
        match entity {
            Entity::TableEntry(entry) if entry.is_default_action => self.apply_default(entry),
            Entity::TableEntry(mut entry) => {
                let key = key(&entry);
                if operation == Type::Modify && entry.action.is_none() {
                    entry.action = self.entries.get(&key).and_then(|old| old.action.clone());
                }
                // Counts are the data plane's.
                entry.counter_data = None;
                put(&mut self.entries, operation, key, entry);
            }
            Entity::ActionProfileMember(member) => {
                let id = (member.action_profile_id, member.member_id);
                put(&mut self.members, operation, id, member);
            }
            Entity::ActionProfileGroup(group) => {
                let id = (group.action_profile_id, group.group_id);
                put(&mut self.groups, operation, id, group);
            }
            Entity::PacketReplicationEngineEntry(entry) => match entry.r#type {
                Some(Replication::MulticastGroupEntry(group)) => {
                    put(
                        &mut self.multicast,
                        operation,
                        group.multicast_group_id,
                        group,
                    );
                }
                Some(Replication::CloneSessionEntry(session)) => {
                    put(&mut self.sessions, operation, session.session_id, session);
                }
                None => {}
            },
            Entity::CounterEntry(counter) => {
                let cell = cell(counter.counter_id, counter.index.as_ref());
                if let Some(data) = counter.data {
                    self.counters.insert(cell, data);
                }
            }
            Entity::MeterEntry(meter) => {
                let cell = cell(meter.meter_id, meter.index.as_ref());
                match meter.config {
                    Some(config) => drop(self.meters.insert(cell, config)),
                    None => drop(self.meters.remove(&cell)),
                }
            }
            Entity::DirectMeterEntry(meter) => {
                let entry = meter.table_entry.unwrap_or_default();
                if entry.is_default_action {
                    self.apply_default_meter(entry.table_id, meter.config);
                } else if let Some(entry) = self.entries.get_mut(&key(&entry)) {
                    entry.meter_config = meter.config;
                }
            }
            Entity::RegisterEntry(register) => {
                let cell = cell(register.register_id, register.index.as_ref());
                if let Some(data) = register.data {
                    self.registers.insert(cell, data);
                }
            }
            Entity::ValueSetEntry(set) => {
                self.value_sets.insert(set.value_set_id, set);
            }
            Entity::DigestEntry(digest) => {
                put(&mut self.digests, operation, digest.digest_id, digest);
            }
            Entity::DirectCounterEntry(counter) => {
                let entry = counter.table_entry.unwrap_or_default();
                if let Some(data) = counter.data.filter(|_| entry.is_default_action) {
                    self.default_counts.insert(entry.table_id, data);
                }
            }
            Entity::ExternEntry(_) => {}
        }
    }

    /// Without an action, a default entry is the program's again, but for what it has counted.
    fn apply_default(&mut self, mut entry: p4::TableEntry) {
        let table = entry.table_id;
        let meter = entry.meter_config.take();
        if let Some(data) = entry.counter_data.take() {
            self.default_counts.insert(table, data);
        }
        self.apply_default_meter(table, meter.filter(|_| entry.action.is_some()));
        match entry.action {
            Some(_) => drop(self.defaults.insert(table, entry)),
            None => drop(self.defaults.remove(&table)),
        }
    }

    fn apply_default_meter(&mut self, table: u32, config: Option<p4::MeterConfig>) {
        match config {
            Some(config) => drop(self.default_meters.insert(table, config)),
            None => drop(self.default_meters.remove(&table)),
        }
    }
}

fn action_type(entry: &p4::TableEntry) -> Option<&Action> {
    entry.action.as_ref()?.r#type.as_ref()
}

fn cell(id: u32, index: Option<&p4::Index>) -> Cell {
    (id, index.map_or(0, |index| index.index))
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, operation: Type, key: K, value: V) {
    match operation {
        Type::Delete => drop(map.remove(&key)),
        _ => drop(map.insert(key, value)),
    }
}
