//! The members and groups of one action profile.

use std::collections::{BTreeMap, HashSet};

use crate::dataplane::{Call, GroupMember};

/// The members and groups of one action profile.
#[derive(Debug, Default)]
pub(super) struct ProfileState {
    pub(super) members: BTreeMap<u32, Call>,
    pub(super) groups: BTreeMap<u32, Vec<GroupMember>>,
}

impl ProfileState {
    /// The member of a group that a hash chooses: members in their order, then the further
    /// copies that weights ask for. Members whose port is down are passed over while there are
    /// others.
    pub(super) fn choose(&self, group: u32, hash: u64, down: &HashSet<u32>) -> Option<u32> {
        let members = self.groups.get(&group)?;
        let is_up = |m: &&GroupMember| m.watch_port.is_none_or(|port| !down.contains(&port));
        let mut live: Vec<&GroupMember> = members.iter().filter(is_up).collect();
        if live.is_empty() {
            live = members.iter().collect();
        }
        let total: u64 = live.iter().map(|m| u64::from(m.weight)).sum();
        if total == 0 {
            return None;
        }
        let mut index = hash % total;
        if let Some(member) = live.get(index as usize) {
            return Some(member.member);
        }
        index -= live.len() as u64;
        for member in live {
            let copies = u64::from(member.weight.saturating_sub(1));
            if index < copies {
                return Some(member.member);
            }
            index -= copies;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> ProfileState {
        let member = |member, weight, port| GroupMember {
            member,
            weight,
            watch_port: Some(port),
        };
        let mut profile = ProfileState::default();
        profile
            .groups
            .insert(7, vec![member(1, 3, 10), member(8, 1, 11)]);
        profile
    }

    #[test]
    fn copies_for_weights_follow_the_members() {
        let profile = profile();
        let chosen: Vec<_> = (0..5)
            .filter_map(|hash| profile.choose(7, hash, &HashSet::new()))
            .collect();
        assert_eq!(chosen, [1, 8, 1, 1, 1]);
    }

    #[test]
    fn members_with_a_port_that_is_down_are_passed_over_while_another_is_up() {
        let profile = profile();
        let choose = |down: &[u32]| profile.choose(7, 0, &down.iter().copied().collect());
        assert_eq!(choose(&[10]), Some(8));
        assert_eq!(choose(&[10, 11]), Some(1));
        assert_eq!(profile.choose(9, 0, &HashSet::new()), None);
    }
}
