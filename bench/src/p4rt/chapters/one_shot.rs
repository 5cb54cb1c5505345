//! One-shot programming of action selectors.

use pointsman_proto::p4::v1::action_profile_action::WatchKind;
use pointsman_proto::p4::v1::action_profile_action_set::{ActionSelectionMode, SizeSemantics};
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;

use super::prelude::*;
use crate::p4rt::entry::{actions, member};
use crate::p4rt::program::GROUP_ACTIONS;

chapter! { "one_shot":
    Must written, ONE_SHOT, "an entry with an action set is read back as it was written";
    Must selects, ONE_SHOT, "packets get one of the actions";
    Must weights_count, ONE_SHOT, "an action with a greater weight is chosen more often";
    Must modified, ONE_SHOT, "MODIFY replaces the whole set";
    Must deleted, ONE_SHOT, "DELETE takes the entry and its actions away";
    Must not_coalesced, ONE_SHOT, "an action that is there twice is not made into one";
    Must weight_zero, ONE_SHOT, "a weight of 0 is INVALID_ARGUMENT";
    Must weight_disallowed, ONE_SHOT, "a weight where weights are disallowed is INVALID_ARGUMENT, and 0 is right";
    Must too_much_weight, ONE_SHOT, "more weight than max_group_size is INVALID_ARGUMENT where weights are counted";
    Must too_many_members, ONE_SHOT, "more actions than max_group_size are INVALID_ARGUMENT where members are counted";
    Must member_weight, ONE_SHOT, "a weight above max_member_weight is INVALID_ARGUMENT";
    Must foreign_action, ONE_SHOT, "an action that the table does not have is INVALID_ARGUMENT";
    Must mixed_with_members, ONE_SHOT, "members and groups beside one-shots on one selector are INVALID_ARGUMENT";
    Must mixed_with_one_shots, ONE_SHOT, "a one-shot beside entries with members on one selector is INVALID_ARGUMENT";
    Must no_members_seen, ONE_SHOT, "no member or group can be read for a one-shot";
    Must watch_port, ONE_SHOT, "a watch_port of the device is taken and read back";
    Must unknown_watch_port, GROUPS, "a watch_port that the device does not have is INVALID_ARGUMENT";
    May group_action, ONE_SHOT, "a group action runs before the chosen action";
    May group_action_scope, ACTION_SPECIFICATION, "an action for groups only is PERMISSION_DENIED as a member's action";
    Must default_mode, ONE_SHOT, "the selector's own mode and size semantics can be asked for by name";
    May other_mode, ONE_SHOT, "another selection mode is taken and read back, or UNIMPLEMENTED";
    May other_size, ONE_SHOT, "other size semantics are taken and read back, or UNIMPLEMENTED";
    Must empty, SELECTOR_CONSTRAINTS, "a set without actions is no error";
    Should fills_up, ONE_SHOT, "actions beyond the selector's size are RESOURCE_EXHAUSTED";
}

fn key(k8: u8) -> Entry {
    entry("one_shot_table").exact("k8", k8)
}

/// A call of `mark`.
fn mark(value: u16) -> p4::Action {
    entry("one_shot_table").call("mark", &[("value", value)])
}

/// An entry with these marks and weights.
fn marks(weighted: &[(u16, i32)]) -> Entry {
    key(1).one_shot(set(weighted))
}

fn set(weighted: &[(u16, i32)]) -> p4::ActionProfileActionSet {
    actions(
        weighted
            .iter()
            .map(|&(value, weight)| (mark(value), weight)),
    )
}

async fn written(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 1), (2, 2), (3, 3)])).await.ok()?;
    c.read(entry("one_shot_table"))
        .await
        .is([marks(&[(1, 1), (2, 2), (3, 3)])])
}

async fn selects(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 1), (2, 1), (3, 1)])).await.ok()?;
    let marks: Vec<_> = c
        .spread(op::ONE_SHOT, 64)
        .await?
        .into_iter()
        .map(|(mark, _)| mark)
        .collect();
    same("marks of 64 packets", marks, vec![1, 2, 3])
}

async fn weights_count(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 1), (2, 7)])).await.ok()?;
    let seen = c.spread(op::ONE_SHOT, 200).await?;
    let of = |mark| seen.iter().find(|(m, _)| *m == mark).map_or(0, |(_, n)| *n);
    holds(
        "with weights 1 and 7",
        "the second far more often",
        of(2) > 2 * of(1),
        &seen,
    )
}

async fn modified(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 1), (2, 1)])).await.ok()?;
    c.modify(marks(&[(3, 1)])).await.ok()?;
    c.hits(Probe::to(op::ONE_SHOT).k8(1), 3).await?;
    c.read(entry("one_shot_table")).await.is([marks(&[(3, 1)])])
}

async fn deleted(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    // Often enough that members left behind would fill the selector.
    for _ in 0..20 {
        c.insert(marks(&[(1, 1), (2, 1)])).await.ok()?;
        c.delete(key(1)).await.ok()?;
    }
    c.misses(Probe::to(op::ONE_SHOT).k8(1), 0).await
}

async fn not_coalesced(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 100), (1, 100), (2, 2)])).await.ok()?;
    c.read(entry("one_shot_table"))
        .await
        .is([marks(&[(1, 100), (1, 100), (2, 2)])])
}

async fn weight_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 0)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn weight_disallowed(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let action = entry("unweighted_table").call("mark", &[("value", 5)]);
    let with = |weight| {
        let set = actions([(action.clone(), weight)]);
        entry("unweighted_table").exact("k8", 1).one_shot(set)
    };
    c.insert(with(1)).await.refused(Code::InvalidArgument)?;
    c.insert(with(0)).await.ok()?;
    c.hits(Probe::to(op::UNWEIGHTED).k8(1), 5).await
}

async fn too_much_weight(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let call = entry("group_table").call("mark", &[("value", 1)]);
    let set = actions([(call.clone(), 5), (call, 4)]);
    let heavy = entry("group_table").exact("k8", 1).one_shot(set);
    c.insert(heavy).await.refused(Code::InvalidArgument)
}

async fn too_many_members(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let five = [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)];
    c.insert(marks(&five)).await.refused(Code::InvalidArgument)
}

async fn member_weight(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 101)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn foreign_action(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let foreign = entry("direct_table").call("metered", &[("value", 1)]);
    let wrong = key(1).one_shot(actions([(foreign, 1)]));
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn mixed_with_members(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 1)])).await.ok()?;
    let written = c.insert(member("by_members", 1, Some(mark(2)))).await;
    written.offered()?.refused(Code::InvalidArgument)
}

async fn mixed_with_one_shots(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(member("by_members", 1, Some(mark(2))))
        .await
        .ok_if_offered()?;
    c.insert(key(2).member(1)).await.ok()?;
    c.insert(marks(&[(1, 1)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn no_members_seen(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[(1, 1), (2, 1)])).await.ok()?;
    let members = Entity::ActionProfileMember(p4::ActionProfileMember::default());
    let groups = Entity::ActionProfileGroup(p4::ActionProfileGroup::default());
    let seen = c
        .read_all([Some(members), Some(groups)])
        .await
        .ok_if_offered()?;
    same("members and groups", seen, Vec::new())
}

/// An entry with one action that watches a port.
fn watching(port: u32) -> Entry {
    let mut set = set(&[(1, 1)]);
    set.action_profile_actions[0].watch_kind = Some(WatchKind::WatchPort(canonical(port.into())));
    key(1).one_shot(set)
}

async fn watch_port(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(watching(t.port())).await.ok_if_offered()?;
    c.read(entry("one_shot_table"))
        .await
        .is([watching(t.port())])
}

async fn unknown_watch_port(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let watching = watching(t.port() + 300);
    c.insert(watching)
        .await
        .offered()?
        .refused(Code::InvalidArgument)
}

/// The primary, with the program whose group action is one in its p4info.
async fn with_group_actions(t: &Test) -> Outcome<Client> {
    let mut c = t.primary().await?;
    match c
        .set(Action::VerifyAndCommit, Some(GROUP_ACTIONS.config()))
        .await
    {
        Ok(()) => Ok(c),
        Err(_) => Err(Failure::NotOffered(
            "the scope GROUP_ACTION in a p4info".to_owned(),
        )),
    }
}

async fn group_action(t: Test) -> Outcome {
    let mut c = with_group_actions(&t).await?;
    let mut grouped = set(&[(1, 1), (2, 1)]);
    grouped.group_action = Some(entry("one_shot_table").call("set_base", &[("value", 70)]));
    c.insert(key(1).one_shot(grouped.clone()))
        .await
        .ok_if_offered()?;
    for k32 in 0..8 {
        let seen = c.probe(Probe::to(op::ONE_SHOT).k8(1).k32(k32)).await?;
        let right = seen.base == 70 && (seen.mark == 1 || seen.mark == 2);
        holds("a packet", "both actions", right, &seen)?;
    }
    c.read(entry("one_shot_table"))
        .await
        .is([key(1).one_shot(grouped)])
}

async fn group_action_scope(t: Test) -> Outcome {
    let mut c = with_group_actions(&t).await?;
    let base = entry("one_shot_table").call("set_base", &[("value", 70)]);
    let wrong = key(1).one_shot(actions([(base, 1)]));
    c.insert(wrong).await.refused(Code::PermissionDenied)
}

/// A set with a mode and size semantics.
fn asking(mode: ActionSelectionMode, size: SizeSemantics) -> Entry {
    let mut set = set(&[(1, 1), (2, 1)]);
    set.action_selection_mode = mode.into();
    set.size_semantics = size.into();
    key(1).one_shot(set)
}

async fn default_mode(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    // The selector hashes and counts members: asking for just that changes nothing.
    let named = asking(
        ActionSelectionMode::DefaultModeDeterminedByActionSelector,
        SizeSemantics::SumOfMembers,
    );
    c.insert(named.clone()).await.ok()?;
    c.read(entry("one_shot_table")).await.is([named])
}

async fn other_mode(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let random = asking(
        ActionSelectionMode::Random,
        SizeSemantics::DefaultSizeDeterminedByActionSelector,
    );
    c.insert(random.clone()).await.ok_if_offered()?;
    c.read(entry("one_shot_table")).await.is([random])
}

async fn other_size(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let weights = asking(
        ActionSelectionMode::DefaultModeDeterminedByActionSelector,
        SizeSemantics::SumOfWeights,
    );
    c.insert(weights.clone()).await.ok_if_offered()?;
    c.read(entry("one_shot_table")).await.is([weights])
}

async fn empty(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(marks(&[])).await.ok_if_offered()?;
    c.read(entry("one_shot_table")).await.is([marks(&[])])
}

async fn fills_up(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    // The selector has a size of 16 and the table of 16 entries with up to 4 actions each.
    for k8 in 0..16 {
        let four = key(k8).one_shot(set(&[(1, 1), (2, 1), (3, 1), (4, 1)]));
        let written = c.insert(four).await;
        if written.result.is_err() {
            holds("the selector", "has room for 16", k8 >= 4, k8)?;
            return written.refused(Code::ResourceExhausted);
        }
    }
    Ok(())
}
