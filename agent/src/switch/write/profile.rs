//! Members and groups of action profiles.

use pointsman_p4::ir::ActionProfileId;

use super::super::error::UpdateError;
use super::super::store::{StoredGroup, StoredMember};
use super::{Undo, Writer};
use crate::entity::{Entity, Group, GroupMember, Member, Selection, Update};

impl Writer<'_> {
    pub(super) fn insert_member(
        &mut self,
        member: &Member,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::Member(member.clone());
        self.refuse_one_shots(member.profile)?;
        if self
            .store
            .profile(member.profile)
            .members
            .contains_key(&member.id)
        {
            return Err(self.already_exists(&entity));
        }
        let described = self.schema.profile_of(member.profile);
        // The size of a selector is that of its groups.
        let size = described
            .filter(|p| !p.with_selector && p.size > 0)
            .map(|p| p.size);
        let members = self.store.profile(member.profile).members.len() as u64;
        if let Some(size) = size.filter(|size| members >= *size) {
            return Err(UpdateError::ProfileFull {
                what: self.schema.describe(&entity),
                profile: self.schema.profile_name(member.profile).to_owned(),
                size,
            });
        }
        let call = member.call.clone().ok_or_else(|| self.not_found(&entity))?;
        self.plane
            .put_member(member.profile, member.id, &call)
            .map_err(self.refused(&entity))?;
        let members = &mut self.store.profile_mut(member.profile).members;
        members.insert(member.id, StoredMember { call, users: 0 });
        undo.push(|| Update::delete(entity));
        Ok(())
    }

    pub(super) fn modify_member(
        &mut self,
        member: &Member,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::Member(member.clone());
        let call = member.call.clone().ok_or_else(|| self.not_found(&entity))?;
        let members = &self.store.profile(member.profile).members;
        if !members.contains_key(&member.id) {
            return Err(self.not_found(&entity));
        }
        self.plane
            .put_member(member.profile, member.id, &call)
            .map_err(self.refused(&entity))?;
        let members = &mut self.store.profile_mut(member.profile).members;
        let stored = members.get_mut(&member.id);
        let stored = stored.expect("the member was found above");
        let old = std::mem::replace(&mut stored.call, call);
        undo.push(|| {
            Update::modify(Entity::Member(Member {
                call: Some(old),
                ..member.clone()
            }))
        });
        Ok(())
    }

    pub(super) fn delete_member(
        &mut self,
        member: &Member,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::Member(Member {
            call: None,
            ..member.clone()
        });
        let Some(stored) = self.store.profile(member.profile).members.get(&member.id) else {
            return Err(self.not_found(&entity));
        };
        if stored.users > 0 {
            return Err(UpdateError::InUse {
                what: self.schema.describe(&entity),
                users: stored.users,
            });
        }
        self.plane
            .delete_member(member.profile, member.id)
            .map_err(self.refused(&entity))?;
        let members = &mut self.store.profile_mut(member.profile).members;
        let old = members.remove(&member.id);
        undo.push(|| {
            Update::insert(Entity::Member(Member {
                call: old.map(|old| old.call),
                ..member.clone()
            }))
        });
        Ok(())
    }

    pub(super) fn insert_group(
        &mut self,
        group: &Group,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::Group(group.clone());
        self.refuse_one_shots(group.profile)?;
        if self
            .store
            .profile(group.profile)
            .groups
            .contains_key(&group.id)
        {
            return Err(self.already_exists(&entity));
        }
        self.put_group(group)?;
        self.refer_members(group.profile, &group.members, 1);
        let stored = StoredGroup {
            group: group.clone(),
            users: 0,
        };
        let groups = &mut self.store.profile_mut(group.profile).groups;
        groups.insert(group.id, stored);
        undo.push(|| Update::delete(entity));
        Ok(())
    }

    pub(super) fn modify_group(
        &mut self,
        group: &Group,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        if !self
            .store
            .profile(group.profile)
            .groups
            .contains_key(&group.id)
        {
            return Err(self.not_found(&Entity::Group(group.clone())));
        }
        let groups = &self.store.profile(group.profile).groups;
        let inserted = groups
            .get(&group.id)
            .map_or(0, |stored| stored.group.max_size);
        if group.max_size != inserted {
            return Err(UpdateError::Fixed {
                what: self.schema.describe(&Entity::Group(group.clone())),
                part: "max_size",
                inserted,
            });
        }
        self.put_group(group)?;
        self.refer_members(group.profile, &group.members, 1);
        let groups = &mut self.store.profile_mut(group.profile).groups;
        let stored = groups.get_mut(&group.id);
        let stored = stored.expect("the group was found above");
        let old = std::mem::replace(&mut stored.group, group.clone());
        self.refer_members(group.profile, &old.members, -1);
        undo.push(|| Update::modify(Entity::Group(old)));
        Ok(())
    }

    pub(super) fn delete_group(
        &mut self,
        group: &Group,
        undo: &mut Undo,
    ) -> Result<(), UpdateError> {
        let entity = Entity::Group(group.clone());
        let Some(stored) = self.store.profile(group.profile).groups.get(&group.id) else {
            return Err(self.not_found(&entity));
        };
        if stored.users > 0 {
            return Err(UpdateError::InUse {
                what: format!(
                    "group {} of {}",
                    group.id,
                    self.schema.profile_name(group.profile)
                ),
                users: stored.users,
            });
        }
        self.plane
            .delete_group(group.profile, group.id)
            .map_err(self.refused(&entity))?;
        let groups = &mut self.store.profile_mut(group.profile).groups;
        let old = groups.remove(&group.id);
        let old = old.expect("the group was found above").group;
        self.refer_members(group.profile, &old.members, -1);
        undo.push(|| Update::insert(Entity::Group(old)));
        Ok(())
    }

    fn put_group(&mut self, group: &Group) -> Result<(), UpdateError> {
        let members = &self.store.profile(group.profile).members;
        for member in &group.members {
            if !members.contains_key(&member.member) {
                let profile = self.schema.profile_name(group.profile);
                return Err(UpdateError::NotFound {
                    what: format!("member {} of {profile}", member.member),
                });
            }
        }
        self.plane
            .put_group(
                group.profile,
                group.id,
                Selection::Hash,
                &GroupMember::in_order(&group.members),
            )
            .map_err(self.refused(&Entity::Group(group.clone())))
    }

    fn refer_members(&mut self, profile: ActionProfileId, members: &[GroupMember], by: i32) {
        let stored = &mut self.store.profile_mut(profile).members;
        for member in members {
            if let Some(stored) = stored.get_mut(&member.member) {
                stored.users = stored.users.saturating_add_signed(by);
            }
        }
    }

    fn refuse_one_shots(&self, profile: ActionProfileId) -> Result<(), UpdateError> {
        match self.store.profile(profile).one_shots.users {
            0 => Ok(()),
            _ => Err(UpdateError::MixedSelector {
                profile: self.schema.profile_name(profile).to_owned(),
                used: "action sets",
            }),
        }
    }
}
