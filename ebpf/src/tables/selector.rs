//! Action profiles: members, and groups of them from which a selector chooses.
//!
//! ```text
//! members  u32 each: the slot of the member's record, 0 for none
//! groups   u32 each: the number of the group's block, 0 for none
//! block    u32 starts | u32 count | 127 times (u32 member | u32 watched port + 1, 0 for none)
//! live     one byte for each port, in the switch's memory: 1 while it can carry packets
//! ```
//!
//! Entries name members and groups by their index here, so that a member or group is replaced as a
//! whole by one release store in `members` or `groups`, whatever refers to it. Blocks and records are
//! complete before they are published and are used again only after a grace period.
//! A member appears in a block as often as its weight says; see [`in_shares`] for weights that need more.
//!
//! The program begins at the hash modulo `starts`, and goes on until it finds one whose port is up, among all `count`
//! of them. So a group that is chosen from by hash has both words the same; of one whose first live member takes all
//! (`Selection::FirstLive`), `starts` is 1, and each packet begins with the first. That costs no group anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use pointsman_p4::dataplane::{GroupMember, Selection};

use crate::sys::SharedMemory;

use super::arena::Arena;
use super::grace::Grace;
use super::records::{Record, RecordPlan, RecordPool, Sharing};
use super::slots::{SlotError, Slots};

/// The most members of a group, each counted as often as its weight says.
pub const MAX_GROUP_MEMBERS: u32 = 127;
/// Bytes of a block.
pub const BLOCK_BYTES: u32 = 1024;
/// Where the members begin in a block.
pub const BLOCK_HEADER_BYTES: u32 = 8;
/// Where a block says at how many of its members a packet may begin.
pub const BLOCK_STARTS_AT: u32 = 0;
/// Where it says how many there are.
pub const BLOCK_COUNT_AT: u32 = 4;

const MAX_GROUPS: u32 = 4096;

/// Where an action profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfilePlan {
    /// Offset of the members.
    pub members: u32,
    /// Members, a power of two.
    pub member_count: u32,
    /// Their records.
    pub records: RecordPlan,
    /// Offset of the groups.
    pub groups: u32,
    /// Groups, a power of two.
    pub group_count: u32,
    /// Offset of the blocks.
    pub blocks: u32,
    /// Blocks, a power of two.
    pub block_count: u32,
    /// Members that the program asks for.
    pub size: u32,
}

impl ProfilePlan {
    /// Reserves room for `size` members and, for a selector, for groups of them.
    pub fn new(arena: &mut Arena, size: u32, has_groups: bool, arg_words: u32) -> ProfilePlan {
        let size = size.max(1);
        let member_count = (size + 1).next_power_of_two();
        let group_count = if has_groups {
            size.clamp(64, MAX_GROUPS).next_power_of_two()
        } else {
            1
        };
        let block_count = if has_groups { 2 * group_count } else { 1 };
        ProfilePlan {
            members: arena.reserve(u64::from(member_count) * 4),
            member_count,
            records: RecordPlan::new(arena, size, 0, arg_words),
            groups: arena.reserve(u64::from(group_count) * 4),
            group_count,
            // The program masks a position to 0..=127, one more than there are.
            blocks: arena.reserve((u64::from(block_count) + 1) * u64::from(BLOCK_BYTES)),
            block_count,
            size,
        }
    }
}

/// The writer.
#[derive(Debug)]
pub struct Profile {
    plan: ProfilePlan,
    memory: Arc<SharedMemory>,
    records: RecordPool,
    members: HashMap<u32, u32>,
    free_members: Vec<u32>,
    groups: HashMap<u32, u32>,
    free_groups: Vec<u32>,
    blocks: Slots,
}

/// Why a group or member was not written.
#[derive(Debug)]
pub enum ProfileError {
    /// There is no room for another one.
    Full {
        /// Members or groups.
        what: &'static str,
        /// How many there can be.
        capacity: u32,
    },
    /// The group names a member that is not there.
    NoSuchMember(u32),
    /// The group has more members than fit.
    GroupTooBig(u32),
    /// The grace period could not be waited for.
    Grace(crate::sys::SysError),
}

impl Profile {
    /// Empty; the memory is zero.
    pub fn new(plan: ProfilePlan, memory: Arc<SharedMemory>) -> Profile {
        Profile {
            plan,
            records: RecordPool::new(plan.records, Arc::clone(&memory), Sharing::Own),
            memory,
            members: HashMap::new(),
            free_members: (0..plan.size).rev().collect(),
            groups: HashMap::new(),
            free_groups: (0..plan.group_count).rev().collect(),
            blocks: Slots::new(1..plan.block_count),
        }
    }

    /// The index by which entries name a member.
    pub fn member(&self, id: u32) -> Option<u32> {
        self.members.get(&id).copied()
    }

    /// The index by which entries name a group.
    pub fn group(&self, id: u32) -> Option<u32> {
        self.groups.get(&id).copied()
    }

    /// The member that has an index.
    pub fn member_id(&self, index: u32) -> u32 {
        let mut members = self.members.iter();
        let found = members.find(|(_, other)| **other == index);
        *found.expect("an index that entries name is a member's").0
    }

    /// The group that has an index.
    pub fn group_id(&self, index: u32) -> u32 {
        let mut groups = self.groups.iter();
        let found = groups.find(|(_, other)| **other == index);
        *found.expect("an index that entries name is a group's").0
    }

    /// Adds or replaces a member.
    pub fn put_member(
        &mut self,
        grace: &Grace,
        id: u32,
        record: &Record<'_>,
    ) -> Result<(), ProfileError> {
        let index = match self.members.get(&id) {
            Some(index) => *index,
            None => *self.free_members.last().ok_or(ProfileError::Full {
                what: "members",
                capacity: self.plan.size,
            })?,
        };
        let slot = self.records.write(grace, record);
        let slot = slot.map_err(|e| full("members", self.plan.size, e))?;
        let old = self.memory.u32(self.member_at(index)).swap(slot, Release);
        if old != 0 {
            self.records.retire(old);
        }
        if self.members.insert(id, index).is_none() {
            self.free_members.pop();
        }
        Ok(())
    }

    /// Removes a member to which nothing refers; `false` if there is none.
    pub fn delete_member(&mut self, id: u32) -> bool {
        let Some(index) = self.members.remove(&id) else {
            return false;
        };
        let old = self.memory.u32(self.member_at(index)).swap(0, Release);
        self.records.retire(old);
        self.free_members.push(index);
        true
    }

    /// Adds or replaces a group.
    pub fn put_group(
        &mut self,
        grace: &Grace,
        id: u32,
        selection: Selection,
        members: &[GroupMember],
    ) -> Result<(), ProfileError> {
        let slots = self.slots(selection, members)?;
        let index = match self.groups.get(&id) {
            Some(index) => *index,
            None => *self.free_groups.last().ok_or(ProfileError::Full {
                what: "groups",
                capacity: self.plan.group_count,
            })?,
        };
        let block = self
            .blocks
            .take(grace)
            .map_err(|e| full("groups", self.plan.group_count, e))?;
        let at = self.block_at(block);
        let count = slots.len() as u32;
        let starts = match selection {
            Selection::Hash => count,
            Selection::FirstLive => count.min(1),
        };
        let word = |offset: u32| self.memory.u32(at + offset as usize);
        word(BLOCK_STARTS_AT).store(starts, Relaxed);
        word(BLOCK_COUNT_AT).store(count, Relaxed);
        for (position, (member, watch)) in slots.iter().enumerate() {
            let slot_at = at + BLOCK_HEADER_BYTES as usize + 8 * position;
            self.memory.u32(slot_at).store(*member, Relaxed);
            self.memory.u32(slot_at + 4).store(*watch, Relaxed);
        }
        let old = self.memory.u32(self.group_at(index)).swap(block, Release);
        if old != 0 {
            self.blocks.retire(old);
        }
        if self.groups.insert(id, index).is_none() {
            self.free_groups.pop();
        }
        Ok(())
    }

    /// Removes a group to which nothing refers; `false` if there is none.
    pub fn delete_group(&mut self, id: u32) -> bool {
        let Some(index) = self.groups.remove(&id) else {
            return false;
        };
        let old = self.memory.u32(self.group_at(index)).swap(0, Release);
        self.blocks.retire(old);
        self.free_groups.push(index);
        true
    }

    /// Members in the order given, then the extra copies that weights ask for: BMv2's order.
    fn slots(
        &self,
        selection: Selection,
        members: &[GroupMember],
    ) -> Result<Vec<(u32, u32)>, ProfileError> {
        let mut slots = Vec::new();
        let mut extra = Vec::new();
        for member in members {
            let index = self.member(member.member);
            let index = index.ok_or(ProfileError::NoSuchMember(member.member))?;
            let slot = (index, member.watch_port.map_or(0, |port| port + 1));
            slots.push(slot);
            let copies = match selection {
                Selection::Hash => member.weight.max(1) as usize - 1,
                Selection::FirstLive => 0,
            };
            extra.extend(std::iter::repeat_n(slot, copies));
        }
        slots.append(&mut extra);
        if slots.len() > MAX_GROUP_MEMBERS as usize {
            return Err(ProfileError::GroupTooBig(slots.len() as u32));
        }
        Ok(slots)
    }

    fn member_at(&self, index: u32) -> usize {
        (self.plan.members + 4 * index) as usize
    }

    fn group_at(&self, index: u32) -> usize {
        (self.plan.groups + 4 * index) as usize
    }

    fn block_at(&self, block: u32) -> usize {
        (self.plan.blocks + BLOCK_BYTES * block) as usize
    }
}

/// The members of a group with weights that a block has room for. A weight is a share of the packets: where
/// they come to more, each member keeps one place and its share of the rest.
pub fn in_shares(members: &[GroupMember]) -> Vec<GroupMember> {
    let total: u64 = members.iter().map(|m| u64::from(m.weight)).sum();
    let spare = u64::from(MAX_GROUP_MEMBERS).checked_sub(members.len() as u64);
    let mut members = members.to_vec();
    if let Some(spare) = spare.filter(|_| total > u64::from(MAX_GROUP_MEMBERS)) {
        for member in &mut members {
            let share = spare * u64::from(member.weight) / total;
            member.weight = 1 + u32::try_from(share).expect("it is less than a block");
        }
    }
    members
}

fn full(what: &'static str, capacity: u32, error: SlotError) -> ProfileError {
    match error {
        SlotError::Full => ProfileError::Full { what, capacity },
        SlotError::Grace(error) => ProfileError::Grace(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weighted(weights: &[u32]) -> Vec<GroupMember> {
        let member = |(member, &weight): (u32, &u32)| GroupMember {
            member,
            weight,
            watch_port: None,
        };
        (0..).zip(weights).map(member).collect()
    }

    fn shares(weights: &[u32]) -> Vec<u32> {
        in_shares(&weighted(weights))
            .iter()
            .map(|m| m.weight)
            .collect()
    }

    #[test]
    fn weights_that_fit_stay_as_they_are_and_others_become_shares() {
        assert_eq!(shares(&[1, 3, 100]), [1, 3, 100]);
        assert_eq!(shares(&[100, 100, 2]), [62, 62, 2]);
        assert_eq!(shares(&[u32::MAX, 1]), [125, 1]);
        let many = shares(&[1000; 127]);
        assert_eq!(many, [1; 127]);
    }
}
