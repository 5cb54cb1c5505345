//! Messages of one pipeline in the ids of another: what has the same name is the same thing.
//!
//! Ids are stable only as long as names and `@id` annotations are; ids of match fields and parameters are positions,
//! which shift when one is added. A message that kept its ids could come to mean something else, so
//! names decide. Used by RECONCILE_AND_COMMIT. What a value means in its new place is not checked here but
//! where the message is decoded.

use std::collections::HashMap;

use pointsman_proto::p4::config::v1 as config;
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::table_action::Type as ActionType;
use thiserror::Error;

/// Something that the new pipeline does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Missing {
    /// An object.
    #[error("the new pipeline has no {kind} {name}")]
    Object {
        /// What it is.
        kind: &'static str,
        /// Its name in the old pipeline.
        name: String,
    },
    /// A match field or a parameter.
    #[error("{owner} has no {kind} {name} in the new pipeline")]
    Part {
        /// The table or action.
        owner: String,
        /// What it is.
        kind: &'static str,
        /// Its name in the old pipeline.
        name: String,
    },
}

/// The ids of one pipeline in another.
pub struct Renames {
    objects: HashMap<u32, Result<u32, Missing>>,
    /// By table or action and then by id.
    parts: HashMap<(u32, u32), Result<u32, Missing>>,
}

impl Renames {
    /// From an old pipeline to a new one.
    pub fn new(old: &P4Info, new: &P4Info) -> Renames {
        let mut renames = Renames {
            objects: HashMap::new(),
            parts: HashMap::new(),
        };
        macro_rules! objects {
            ($($kind:literal $list:ident;)*) => {$(
                for object in &old.$list {
                    let found = by_name(&new.$list, |o| o.preamble.as_ref(), &object.preamble);
                    renames.object($kind, &object.preamble, found.map(|f| &f.preamble));
                }
            )*};
        }
        objects! {
            "table" tables;
            "action" actions;
            "action profile" action_profiles;
            "counter" counters;
            "meter" meters;
            "register" registers;
            "value set" value_sets;
            "digest" digests;
        }
        for table in &old.tables {
            let found = by_name(&new.tables, |t| t.preamble.as_ref(), &table.preamble);
            let fields = found.map_or(&[][..], |found| &found.match_fields);
            renames.fields(&table.preamble, &table.match_fields, fields);
        }
        for set in &old.value_sets {
            let found = by_name(&new.value_sets, |s| s.preamble.as_ref(), &set.preamble);
            let fields = found.map_or(&[][..], |found| &found.r#match);
            renames.fields(&set.preamble, &set.r#match, fields);
        }
        for action in &old.actions {
            let found = by_name(&new.actions, |a| a.preamble.as_ref(), &action.preamble);
            for param in &action.params {
                let mut params = found.into_iter().flat_map(|found| &found.params);
                let id = params.find(|p| p.name == param.name).map(|p| p.id);
                renames.part("parameter", &action.preamble, &param.name, param.id, id);
            }
        }
        renames
    }

    fn fields(
        &mut self,
        owner: &Option<config::Preamble>,
        old: &[config::MatchField],
        new: &[config::MatchField],
    ) {
        for field in old {
            let id = new.iter().find(|f| f.name == field.name).map(|f| f.id);
            self.part("match field", owner, &field.name, field.id, id);
        }
    }

    fn object(
        &mut self,
        kind: &'static str,
        old: &Option<config::Preamble>,
        new: Option<&Option<config::Preamble>>,
    ) {
        let Some(old) = old else { return };
        let new = new.and_then(Option::as_ref);
        let id = new.map(|new| new.id).ok_or_else(|| Missing::Object {
            kind,
            name: old.name.clone(),
        });
        self.objects.insert(old.id, id);
    }

    fn part(
        &mut self,
        kind: &'static str,
        owner: &Option<config::Preamble>,
        name: &str,
        old: u32,
        new: Option<u32>,
    ) {
        let Some(owner) = owner else { return };
        let id = new.ok_or_else(|| Missing::Part {
            owner: owner.name.clone(),
            kind,
            name: name.to_owned(),
        });
        self.parts.insert((owner.id, old), id);
    }

    /// An update of the old pipeline as one of the new.
    pub fn update(&self, mut update: p4::Update) -> Result<p4::Update, Missing> {
        if let Some(message) = update.entity.as_mut().and_then(|e| e.entity.as_mut()) {
            self.entity(message)?;
        }
        Ok(update)
    }

    fn entity(&self, message: &mut Message) -> Result<(), Missing> {
        match message {
            Message::TableEntry(entry) => self.table_entry(entry),
            Message::ActionProfileMember(member) => {
                self.id(&mut member.action_profile_id)?;
                member.action.iter_mut().try_for_each(|a| self.action(a))
            }
            Message::ActionProfileGroup(group) => self.id(&mut group.action_profile_id),
            Message::CounterEntry(entry) => self.id(&mut entry.counter_id),
            Message::MeterEntry(entry) => self.id(&mut entry.meter_id),
            Message::RegisterEntry(entry) => self.id(&mut entry.register_id),
            Message::DigestEntry(entry) => self.id(&mut entry.digest_id),
            Message::DirectCounterEntry(entry) => {
                let mut entries = entry.table_entry.iter_mut();
                entries.try_for_each(|entry| self.table_entry(entry))
            }
            Message::DirectMeterEntry(entry) => {
                let mut entries = entry.table_entry.iter_mut();
                entries.try_for_each(|entry| self.table_entry(entry))
            }
            Message::ValueSetEntry(entry) => {
                let owner = entry.value_set_id;
                self.id(&mut entry.value_set_id)?;
                let mut members = entry.members.iter_mut();
                members.try_for_each(|member| self.matches(owner, &mut member.r#match))
            }
            Message::PacketReplicationEngineEntry(_) | Message::ExternEntry(_) => Ok(()),
        }
    }

    fn table_entry(&self, entry: &mut p4::TableEntry) -> Result<(), Missing> {
        let owner = entry.table_id;
        self.id(&mut entry.table_id)?;
        self.matches(owner, &mut entry.r#match)?;
        match entry.action.as_mut().and_then(|a| a.r#type.as_mut()) {
            Some(ActionType::Action(action)) => self.action(action),
            Some(ActionType::ActionProfileActionSet(set)) => {
                let actions = &mut set.action_profile_actions;
                let mut actions = actions.iter_mut().flat_map(|a| &mut a.action);
                actions.try_for_each(|action| self.action(action))
            }
            _ => Ok(()),
        }
    }

    fn action(&self, action: &mut p4::Action) -> Result<(), Missing> {
        let owner = action.action_id;
        self.id(&mut action.action_id)?;
        let mut params = action.params.iter_mut();
        params.try_for_each(|param| self.part_id(owner, &mut param.param_id))
    }

    fn matches(&self, owner: u32, matches: &mut [p4::FieldMatch]) -> Result<(), Missing> {
        let mut matches = matches.iter_mut();
        matches.try_for_each(|field| self.part_id(owner, &mut field.field_id))
    }

    fn id(&self, id: &mut u32) -> Result<(), Missing> {
        // What no p4info names stays as it is, for the decoder to refuse.
        if let Some(new) = self.objects.get(id) {
            *id = new.clone()?;
        }
        Ok(())
    }

    fn part_id(&self, owner: u32, id: &mut u32) -> Result<(), Missing> {
        if let Some(new) = self.parts.get(&(owner, *id)) {
            *id = new.clone()?;
        }
        Ok(())
    }
}

/// The object that has the name of another.
fn by_name<'a, T>(
    list: &'a [T],
    preamble: fn(&T) -> Option<&config::Preamble>,
    other: &Option<config::Preamble>,
) -> Option<&'a T> {
    let name = &other.as_ref()?.name;
    let mut list = list.iter();
    list.find(|object| preamble(object).is_some_and(|p| p.name == *name))
}
