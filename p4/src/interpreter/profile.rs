//! The members and groups of one action profile.

use std::collections::{BTreeMap, HashSet};

use crate::dataplane::{Call, GroupMember, Selection};

/// The members and groups of one action profile.
#[derive(Debug, Default)]
pub(super) struct ProfileState {
    pub(super) members: BTreeMap<u32, Call>,
    pub(super) groups: BTreeMap<u32, GroupState>,
}

/// A group.
#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) selection: Selection,
    pub(super) members: Vec<GroupMember>,
}

impl ProfileState {
    /// The member of a group that a hash chooses: members in their order, then the further
    /// copies that weights ask for. Of one whose port is down the next one takes the place, so that
    /// flows of the others stay where they are; with all ports down none is passed over. Without a hash
    /// it begins with the first member.
    pub(super) fn choose(&self, group: u32, hash: u64, down: &HashSet<u32>) -> Option<u32> {
        let GroupState { selection, members } = self.groups.get(&group)?;
        let hash = match selection {
            Selection::Hash => hash,
            Selection::FirstLive => 0,
        };
        let once = members.iter().map(|m| (m, 1));
        let further = members.iter().map(|m| (m, m.weight.saturating_sub(1)));
        let runs: Vec<(&GroupMember, u32)> = once.chain(further).filter(|run| run.1 > 0).collect();
        let total: u64 = runs.iter().map(|(_, copies)| u64::from(*copies)).sum();
        let mut position = hash.checked_rem(total)?;
        let first = runs.iter().position(|(_, copies)| {
            let is_here = position < u64::from(*copies);
            position = position.saturating_sub(u64::from(*copies));
            is_here
        })?;
        let mut from_first = runs[first..].iter().chain(&runs[..first]);
        let is_up = |m: &GroupMember| m.watch_port.is_none_or(|port| !down.contains(&port));
        let (chosen, _) = from_first.find(|(m, _)| is_up(m)).unwrap_or(&runs[first]);
        Some(chosen.member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(selection: Selection) -> ProfileState {
        let member = |member, weight, port| GroupMember {
            member,
            weight,
            watch_port: Some(port),
        };
        let group = GroupState {
            selection,
            members: vec![member(1, 3, 10), member(8, 1, 11)],
        };
        ProfileState {
            groups: BTreeMap::from([(7, group)]),
            ..ProfileState::default()
        }
    }

    #[test]
    fn copies_for_weights_follow_the_members() {
        let profile = profile(Selection::Hash);
        let chosen: Vec<_> = (0..5)
            .filter_map(|hash| profile.choose(7, hash, &HashSet::new()))
            .collect();
        assert_eq!(chosen, [1, 8, 1, 1, 1]);
    }

    #[test]
    fn members_with_a_port_that_is_down_are_passed_over_while_another_is_up() {
        let profile = profile(Selection::Hash);
        let choose = |down: &[u32]| profile.choose(7, 0, &down.iter().copied().collect());
        assert_eq!(choose(&[10]), Some(8));
        assert_eq!(profile.choose(7, 1, &HashSet::from([11])), Some(1));
        assert_eq!(choose(&[10, 11]), Some(1));
        assert_eq!(profile.choose(9, 0, &HashSet::new()), None);
    }

    #[test]
    fn without_a_hash_the_first_member_with_a_live_port_takes_all() {
        let profile = profile(Selection::FirstLive);
        for hash in 0..8 {
            let choose = |down: &[u32]| profile.choose(7, hash, &down.iter().copied().collect());
            assert_eq!(choose(&[]), Some(1));
            assert_eq!(choose(&[11]), Some(1));
            assert_eq!(choose(&[10]), Some(8));
            assert_eq!(choose(&[10, 11]), Some(1));
        }
    }
}
