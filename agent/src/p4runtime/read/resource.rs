//! Members, groups, replication, and arrays of cells. An id of 0, or no index, is all of them.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type;

use super::{ReadError, Reader};
use crate::entity::{Entity, Member, RegisterCell, ValueSet};
use crate::p4runtime::{decode, encode};
use crate::schema::CellSchema;

impl Reader<'_> {
    pub(super) fn members(&mut self, filter: &p4::ActionProfileMember) -> Result<(), ReadError> {
        let profile = self.profile(filter.action_profile_id)?;
        for ((owner, id), member) in &self.store.members {
            let wanted = profile.is_none_or(|profile| profile == *owner)
                && (filter.member_id == 0 || filter.member_id == *id);
            if wanted {
                let member = Entity::Member(Member {
                    profile: *owner,
                    id: *id,
                    call: Some(member.call.clone()),
                });
                self.out.push(encode::entity(self.schema, &member));
            }
        }
        Ok(())
    }

    pub(super) fn groups(&mut self, filter: &p4::ActionProfileGroup) -> Result<(), ReadError> {
        let profile = self.profile(filter.action_profile_id)?;
        for ((owner, id), stored) in &self.store.groups {
            let wanted = profile.is_none_or(|profile| profile == *owner)
                && (filter.group_id == 0 || filter.group_id == *id);
            if wanted {
                let group = Entity::Group(stored.group.clone());
                self.out.push(encode::entity(self.schema, &group));
            }
        }
        Ok(())
    }

    fn profile(&self, id: u32) -> Result<Option<pointsman_p4::ir::ActionProfileId>, ReadError> {
        match id {
            0 => Ok(None),
            id => Ok(Some(decode::profile(self.schema, id)?.profile)),
        }
    }

    pub(super) fn replication(&mut self, filter: &p4::PacketReplicationEngineEntry) {
        let (groups, sessions) = match &filter.r#type {
            Some(Type::MulticastGroupEntry(group)) => (Some(group.multicast_group_id), None),
            Some(Type::CloneSessionEntry(session)) => (None, Some(session.session_id)),
            None => (Some(0), Some(0)),
        };
        if let Some(id) = groups {
            let all = self.store.multicast_groups.values();
            for group in all.filter(|group| id == 0 || group.id == id) {
                let group = Entity::MulticastGroup(group.clone());
                self.out.push(encode::entity(self.schema, &group));
            }
        }
        if let Some(id) = sessions {
            let all = self.store.clone_sessions.values();
            for session in all.filter(|session| id == 0 || session.id == id) {
                let session = Entity::CloneSession(session.clone());
                self.out.push(encode::entity(self.schema, &session));
            }
        }
    }

    pub(super) fn counters(&mut self, filter: &p4::CounterEntry) -> Result<(), ReadError> {
        let arrays = match filter.counter_id {
            0 => self.schema.counters.iter().collect(),
            id => vec![decode::counter_schema(self.schema, id)?],
        };
        for array in arrays {
            for index in cells(array, filter.index.as_ref())? {
                let data = self.plane.counter(array.ir, index)?;
                self.push(Message::CounterEntry(p4::CounterEntry {
                    counter_id: array.id,
                    index: Some(encode::index(Some(array), index)),
                    data: Some(encode::counter_data(data)),
                }));
            }
        }
        Ok(())
    }

    pub(super) fn meters(&mut self, filter: &p4::MeterEntry) -> Result<(), ReadError> {
        let arrays = match filter.meter_id {
            0 => self.schema.meters.iter().collect(),
            id => vec![decode::meter_schema(self.schema, id)?],
        };
        for array in arrays {
            for index in cells(array, filter.index.as_ref())? {
                let config = self.store.meters.get(&(array.ir, index));
                self.push(Message::MeterEntry(p4::MeterEntry {
                    meter_id: array.id,
                    index: Some(encode::index(Some(array), index)),
                    config: config.copied().map(encode::meter_config),
                    counter_data: None,
                }));
            }
        }
        Ok(())
    }

    pub(super) fn registers(&mut self, filter: &p4::RegisterEntry) -> Result<(), ReadError> {
        let arrays = match filter.register_id {
            0 => self.schema.registers.iter().collect(),
            id => vec![decode::register_schema(self.schema, id)?],
        };
        for array in arrays {
            for index in cells(array, filter.index.as_ref())? {
                let cell = Entity::Register(RegisterCell {
                    register: array.ir,
                    index: Some(index),
                    value: self.plane.register(array.ir, index)?,
                });
                self.out.push(encode::entity(self.schema, &cell));
            }
        }
        Ok(())
    }

    pub(super) fn value_sets(&mut self, filter: &p4::ValueSetEntry) -> Result<(), ReadError> {
        let sets = match filter.value_set_id {
            0 => self.schema.value_sets.iter().collect(),
            id => vec![decode::value_set_schema(self.schema, id)?],
        };
        for set in sets {
            let members = self.store.value_sets.get(&set.set);
            let set = Entity::ValueSet(ValueSet {
                set: set.set,
                members: members.cloned().unwrap_or_default(),
            });
            self.out.push(encode::entity(self.schema, &set));
        }
        Ok(())
    }
}

/// The cell that is asked for, or all.
fn cells<Id>(
    array: &CellSchema<Id>,
    index: Option<&p4::Index>,
) -> Result<std::ops::Range<u32>, ReadError> {
    Ok(match decode::index(array, index)? {
        Some(index) => index..index + 1,
        None => 0..array.size,
    })
}
