//! Multicast groups and clone sessions.

use pointsman_p4::dataplane::CloneSession as PlaneSession;

use super::super::error::UpdateError;
use super::{Undo, Writer};
use crate::entity::{CloneSession, Entity, MulticastGroup, Operation, Update};

impl Writer<'_> {
    pub(super) fn write_multicast(
        &mut self,
        operation: Operation,
        group: &MulticastGroup,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::MulticastGroup(group.clone());
        let old = self
            .store
            .replication()
            .multicast_groups
            .get(&group.id)
            .cloned();
        self.check_presence(operation, &entity, old.is_some())?;
        let new = match operation {
            Operation::Delete => Vec::new(),
            Operation::Insert | Operation::Modify => self.schema.plane_replicas(&group.replicas),
        };
        self.plane
            .set_multicast_group(group.id, &new)
            .map_err(self.refused(&entity))?;
        match operation {
            Operation::Delete => self
                .store
                .replication_mut()
                .multicast_groups
                .remove(&group.id),
            Operation::Insert | Operation::Modify => self
                .store
                .replication_mut()
                .multicast_groups
                .insert(group.id, group.clone()),
        };
        undo.push(|| inverse(operation, entity, old.map(Entity::MulticastGroup)));
        Ok(())
    }

    pub(super) fn write_clone_session(
        &mut self,
        operation: Operation,
        session: &CloneSession,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::CloneSession(session.clone());
        let old = self
            .store
            .replication()
            .clone_sessions
            .get(&session.id)
            .cloned();
        self.check_presence(operation, &entity, old.is_some())?;
        let new = match operation {
            Operation::Delete => None,
            Operation::Insert | Operation::Modify => Some(PlaneSession {
                replicas: self.schema.plane_replicas(&session.replicas),
                packet_length_bytes: session.packet_length_bytes,
            }),
        };
        self.plane
            .set_clone_session(session.id, new.as_ref())
            .map_err(self.refused(&entity))?;
        match operation {
            Operation::Delete => self
                .store
                .replication_mut()
                .clone_sessions
                .remove(&session.id),
            Operation::Insert | Operation::Modify => self
                .store
                .replication_mut()
                .clone_sessions
                .insert(session.id, session.clone()),
        };
        undo.push(|| inverse(operation, entity, old.map(Entity::CloneSession)));
        Ok(())
    }

    fn check_presence(
        &self,
        operation: Operation,
        entity: &Entity,
        present: bool,
    ) -> Result<(), UpdateError> {
        match (operation, present) {
            (Operation::Insert, true) => Err(self.already_exists(entity)),
            (Operation::Modify | Operation::Delete, false) => Err(self.not_found(entity)),
            _ => Ok(()),
        }
    }
}

fn inverse(operation: Operation, entity: Entity, old: Option<Entity>) -> Update {
    match (operation, old) {
        (Operation::Delete, Some(old)) => Update::insert(old),
        (Operation::Modify, Some(old)) => Update::modify(old),
        _ => Update::delete(entity),
    }
}
