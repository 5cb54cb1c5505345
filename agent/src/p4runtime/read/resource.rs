//! Members, groups, replication, and arrays of cells. An id of 0, or no index, is all of them.

use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

use pointsman_p4::dataplane::DataPlaneError;
use pointsman_p4::ir::ActionProfileId;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity as Message;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type;

use super::{ReadError, Reader, entity};
use crate::entity::{Entity, Member, RegisterCell, ValueSet};
use crate::p4runtime::{decode, encode};
use crate::schema::CellSchema;
use crate::switch::CowMap;

impl Reader<'_> {
    pub(super) fn members(&mut self, filter: &p4::ActionProfileMember) -> Result<(), ReadError> {
        for profile in self.profiles(filter.action_profile_id)? {
            let members = &self.view.store.profile(profile).members;
            self.push_all(members, filter.member_id, move |id, stored| {
                Entity::Member(Member {
                    profile,
                    id: *id,
                    call: Some(stored.call.clone()),
                })
            });
        }
        Ok(())
    }

    pub(super) fn groups(&mut self, filter: &p4::ActionProfileGroup) -> Result<(), ReadError> {
        for profile in self.profiles(filter.action_profile_id)? {
            let groups = &self.view.store.profile(profile).groups;
            self.push_all(groups, filter.group_id, |_, stored| {
                Entity::Group(stored.group.clone())
            });
        }
        Ok(())
    }

    fn profiles(&self, id: u32) -> Result<Vec<ActionProfileId>, ReadError> {
        match id {
            0 => Ok(self.schema.profiles.iter().map(|p| p.profile).collect()),
            id => Ok(vec![decode::profile(&self.schema, id)?.profile]),
        }
    }

    pub(super) fn replication(&mut self, filter: &p4::PacketReplicationEngineEntry) {
        let (groups, sessions) = match &filter.r#type {
            Some(Type::MulticastGroupEntry(group)) => (Some(group.multicast_group_id), None),
            Some(Type::CloneSessionEntry(session)) => (None, Some(session.session_id)),
            None => (Some(0), Some(0)),
        };
        let replication = self.view.store.replication();
        if let Some(id) = groups {
            self.push_all(&replication.multicast_groups, id, |_, group| {
                Entity::MulticastGroup(group.clone())
            });
        }
        if let Some(id) = sessions {
            self.push_all(&replication.clone_sessions, id, |_, session| {
                Entity::CloneSession(session.clone())
            });
        }
    }

    /// Adds the entity of an id, or all for 0.
    fn push_all<V: Clone + Send + Sync + 'static>(
        &mut self,
        map: &CowMap<u32, V>,
        id: u32,
        to_entity: impl Fn(&u32, &V) -> Entity + Send + 'static,
    ) {
        let schema = Arc::clone(&self.schema);
        let made = move |id: &u32, value: &V| encode::entity(&schema, &to_entity(id, value));
        match id {
            0 => self.push(rows(map, made)),
            id => {
                let found = map.get(&id).map(|value| made(&id, value));
                self.push(found.into_iter());
            }
        }
    }

    pub(super) fn counters(&mut self, filter: &p4::CounterEntry) -> Result<(), ReadError> {
        let schema = Arc::clone(&self.schema);
        let arrays = match filter.counter_id {
            0 => schema.counters.iter().collect(),
            id => vec![decode::counter_schema(&schema, id)?],
        };
        for array in arrays {
            let indices = cells(array, filter.index.as_ref())?;
            let plane = self.view.plane;
            let counts = self.look(indices.clone(), |index| plane.counter(array.ir, index))?;
            let array = array.clone();
            self.push(indices.zip(counts).map(move |(index, data)| {
                entity(Message::CounterEntry(p4::CounterEntry {
                    counter_id: array.id,
                    index: Some(encode::index(Some(&array), index)),
                    data: Some(encode::counter_data(data)),
                }))
            }));
        }
        Ok(())
    }

    pub(super) fn meters(&mut self, filter: &p4::MeterEntry) -> Result<(), ReadError> {
        let schema = Arc::clone(&self.schema);
        let arrays = match filter.meter_id {
            0 => schema.meters.iter().collect(),
            id => vec![decode::meter_schema(&schema, id)?],
        };
        for array in arrays {
            let indices = cells(array, filter.index.as_ref())?;
            let configured = self.view.store.meter(array.ir).clone();
            // What the data plane knows is looked at now.
            let counts = filter.counter_data.as_ref().map(|_| {
                let counts = indices.clone();
                let counts = counts.map(|index| self.view.plane.meter_counts(array.ir, index));
                counts.collect::<Result<Vec<_>, _>>()
            });
            let mut counts = counts.transpose()?.map(Vec::into_iter);
            let array = array.clone();
            self.push(indices.map(move |index| {
                let config = configured.get(&index);
                let counts = counts.as_mut().and_then(Iterator::next);
                entity(Message::MeterEntry(p4::MeterEntry {
                    meter_id: array.id,
                    index: Some(encode::index(Some(&array), index)),
                    config: config.copied().map(encode::meter_config),
                    counter_data: counts.map(encode::color_counts),
                }))
            }));
        }
        Ok(())
    }

    pub(super) fn registers(&mut self, filter: &p4::RegisterEntry) -> Result<(), ReadError> {
        let schema = Arc::clone(&self.schema);
        let arrays = match filter.register_id {
            0 => schema.registers.iter().collect(),
            id => vec![decode::register_schema(&schema, id)?],
        };
        for array in arrays {
            let indices = cells(array, filter.index.as_ref())?;
            let (register, plane) = (array.ir, self.view.plane);
            let values = self.look(indices.clone(), |index| plane.register(register, index))?;
            let schema = Arc::clone(&schema);
            self.push(indices.zip(values).map(move |(index, value)| {
                let cell = Entity::Register(RegisterCell {
                    register,
                    index: Some(index),
                    value,
                });
                encode::entity(&schema, &cell)
            }));
        }
        Ok(())
    }

    /// What cells hold now.
    fn look<T>(
        &self,
        indices: Range<u32>,
        cell: impl Fn(u32) -> Result<T, DataPlaneError>,
    ) -> Result<Vec<T>, ReadError> {
        let values: Result<Vec<T>, DataPlaneError> = indices.map(cell).collect();
        Ok(values?)
    }

    pub(super) fn value_sets(&mut self, filter: &p4::ValueSetEntry) -> Result<(), ReadError> {
        let schema = Arc::clone(&self.schema);
        let sets = match filter.value_set_id {
            0 => schema.value_sets.iter().collect(),
            id => vec![decode::value_set_schema(&schema, id)?],
        };
        for set in sets {
            let set = Entity::ValueSet(ValueSet {
                set: set.set,
                members: self.view.store.value_set(set.set).clone(),
            });
            self.push(std::iter::once(encode::entity(&schema, &set)));
        }
        Ok(())
    }
}

/// The entities of all rows of a map as it is now, made part by part.
fn rows<K, V>(
    map: &CowMap<K, V>,
    made: impl Fn(&K, &V) -> p4::Entity + Send + 'static,
) -> impl Iterator<Item = p4::Entity> + Send + 'static
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let map = map.clone();
    (0..map.parts()).flat_map(move |part| {
        let entities: Vec<_> = map
            .part(part)
            .map(|(key, value)| made(key, value))
            .collect();
        entities
    })
}

/// The cell that is asked for, or all.
fn cells<Id>(array: &CellSchema<Id>, index: Option<&p4::Index>) -> Result<Range<u32>, ReadError> {
    Ok(match decode::index(array, index)? {
        Some(index) => index..index + 1,
        None => 0..array.size,
    })
}
