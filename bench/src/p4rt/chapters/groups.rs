//! Groups of action selectors.

use pointsman_proto::p4::v1::action_profile_group::member::WatchKind;

use super::prelude::*;
use crate::p4rt::entry::member;

chapter! { "groups":
    May written, GROUPS, "a group can be inserted, modified, read and deleted";
    May existing, GROUPS, "INSERT of a group that is there is ALREADY_EXISTS";
    May missing, GROUPS, "MODIFY and DELETE of a group that is not there are NOT_FOUND";
    May missing_member, GROUPS, "a member that is not there is NOT_FOUND";
    May id_zero, GROUPS, "group_id 0 is INVALID_ARGUMENT";
    May own_scope, GROUPS, "members and groups have separate ids";
    May duplicate_member, GROUPS, "a member that is there twice is refused";
    May member_of_several, GROUPS, "a member may be in several groups";
    May weight_zero, GROUPS, "a weight of 0 is INVALID_ARGUMENT";
    May negative_weight, GROUPS, "a negative weight is INVALID_ARGUMENT";
    May weight_disallowed, GROUPS, "a weight where weights are disallowed is INVALID_ARGUMENT, and 0 is right";
    May max_size_fixed, GROUPS, "another max_size in MODIFY is INVALID_ARGUMENT";
    May max_size_too_large, GROUPS, "a max_size above max_group_size is INVALID_ARGUMENT";
    May beyond_max_size, GROUPS, "more weight than max_size is refused";
    May by_members, GROUPS, "where members are counted, weights are not";
    May member_weight, GROUPS, "a weight above max_member_weight is refused";
    May without_selector, GROUPS, "a group of a profile without selector is INVALID_ARGUMENT";
    May used, GROUPS, "DELETE of a group that an entry uses is FAILED_PRECONDITION";
    May unknown_watch_port, GROUPS, "a watch_port that the device does not have is INVALID_ARGUMENT";
    May watch_port, GROUPS, "a watch_port of the device is taken and read back";
    May selects, GROUPS, "packets get the action of a member of the group, each of them in turn or by hash";
    May weights_count, GROUPS, "a member with a greater weight is chosen more often";
    May modified_member, GROUPS, "modifying a member changes what its groups do";
    May modified_group, GROUPS, "MODIFY replaces the members of a group";
    May different_actions, SELECTOR_CONSTRAINTS, "members of a group may have different actions";
    May empty, SELECTOR_CONSTRAINTS, "a group without members is no error";
    May read_selector, GROUPS, "group_id 0 reads all groups of a selector";
    May read_all, GROUPS, "action_profile_id 0 reads the groups of all selectors";
}

/// A member of the selector, with `mark`.
fn marking(id: u32, value: u16) -> Entity {
    let action = entry("group_table").call("mark", &[("value", value)]);
    member("selector", id, Some(action))
}

fn group(id: u32, max_size: i32, members: &[(u32, i32)]) -> Entity {
    Entity::ActionProfileGroup(crate::p4rt::entry::group("selector", id, max_size, members))
}

/// A switch with members 1 to 3, which mark 11 to 13, if it takes members at all.
async fn switch(t: &Test) -> Outcome<Client> {
    let mut c = t.switch().await?;
    let members = [1, 2, 3].map(|id| insert(marking(id, 10 + u16::try_from(id).unwrap_or(0))));
    c.write(members).await.ok_if_offered()?;
    Ok(c)
}

async fn written(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(1, 1), (2, 3)]))
        .await
        .ok_if_offered()?;
    c.read(group(1, 0, &[]))
        .await
        .is([group(1, 8, &[(1, 1), (2, 3)])])?;
    c.modify(group(1, 8, &[(3, 2)])).await.ok()?;
    c.read(group(1, 0, &[]))
        .await
        .is([group(1, 8, &[(3, 2)])])?;
    c.delete(group(1, 0, &[])).await.ok()?;
    c.read(group(0, 0, &[])).await.is_nothing()
}

async fn existing(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(1, 1)])).await.ok_if_offered()?;
    c.insert(group(1, 8, &[(2, 1)]))
        .await
        .refused(Code::AlreadyExists)
}

async fn missing(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.modify(group(1, 8, &[(1, 1)]))
        .await
        .refused(Code::NotFound)?;
    c.delete(group(1, 8, &[(1, 1)]))
        .await
        .refused(Code::NotFound)
}

async fn missing_member(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(1, 1), (9, 1)]))
        .await
        .refused(Code::NotFound)?;
    c.insert(group(1, 8, &[(1, 1)])).await.ok()?;
    c.modify(group(1, 8, &[(9, 1)]))
        .await
        .refused(Code::NotFound)
}

async fn id_zero(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(0, 8, &[(1, 1)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn own_scope(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(2, 1)])).await.ok()?;
    c.insert(entry("group_table").exact("k8", 1).member(1))
        .await
        .ok()?;
    c.insert(entry("group_table").exact("k8", 2).group(1))
        .await
        .ok()?;
    c.hits(Probe::to(op::GROUP).k8(1), 11).await?;
    c.hits(Probe::to(op::GROUP).k8(2), 12).await
}

async fn duplicate_member(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let codes = [Code::InvalidArgument, Code::AlreadyExists];
    c.insert(group(1, 8, &[(1, 1), (1, 2)]))
        .await
        .refused_with(&codes)
}

async fn member_of_several(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.write([
        insert(group(1, 4, &[(1, 1)])),
        insert(group(2, 4, &[(1, 1)])),
    ])
    .await
    .ok()
}

async fn weight_zero(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(1, 0)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn negative_weight(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(1, -1)]))
        .await
        .refused(Code::InvalidArgument)
}

/// A group of another selector than the first, with one member.
async fn elsewhere(c: &mut Client, table: &str, selector: &str) -> Outcome {
    let action = entry(table).call("mark", &[("value", 1)]);
    c.insert(member(selector, 1, Some(action)))
        .await
        .ok_if_offered()
}

fn group_of(selector: &str, max_size: i32, members: &[(u32, i32)]) -> Entity {
    Entity::ActionProfileGroup(crate::p4rt::entry::group(selector, 1, max_size, members))
}

async fn weight_disallowed(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    elsewhere(&mut c, "unweighted_table", "unweighted").await?;
    let weighted = group_of("unweighted", 4, &[(1, 1)]);
    c.insert(weighted).await.refused(Code::InvalidArgument)?;
    let right = group_of("unweighted", 4, &[(1, 0)]);
    c.insert(right.clone()).await.ok()?;
    c.read(group_of("unweighted", 0, &[])).await.is([right])
}

async fn max_size_fixed(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(1, 1)])).await.ok_if_offered()?;
    c.modify(group(1, 7, &[(1, 1)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn max_size_too_large(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 9, &[(1, 1)]))
        .await
        .refused(Code::InvalidArgument)
}

async fn beyond_max_size(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let codes = [Code::ResourceExhausted, Code::InvalidArgument];
    c.insert(group(1, 3, &[(1, 2), (2, 2)]))
        .await
        .refused_with(&codes)
}

async fn by_members(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    elsewhere(&mut c, "one_shot_table", "by_members").await?;
    c.insert(group_of("by_members", 2, &[(1, 50)])).await.ok()
}

async fn member_weight(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    elsewhere(&mut c, "one_shot_table", "by_members").await?;
    let heavy = group_of("by_members", 2, &[(1, 101)]);
    c.insert(heavy)
        .await
        .refused_with(&[Code::InvalidArgument, Code::ResourceExhausted])
}

async fn without_selector(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group_of("profile", 1, &[]))
        .await
        .refused(Code::InvalidArgument)
}

async fn used(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[(1, 1)])).await.ok_if_offered()?;
    c.insert(entry("group_table").exact("k8", 1).group(1))
        .await
        .ok()?;
    c.delete(group(1, 0, &[]))
        .await
        .refused(Code::FailedPrecondition)
}

/// A group whose only member watches a port.
fn watching(port: u32) -> Entity {
    let mut group = crate::p4rt::entry::group("selector", 1, 8, &[(1, 1)]);
    group.members[0].watch_kind = Some(WatchKind::WatchPort(canonical(port.into())));
    Entity::ActionProfileGroup(group)
}

async fn unknown_watch_port(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(watching(t.port() + 300))
        .await
        .offered()?
        .refused(Code::InvalidArgument)
}

async fn watch_port(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(watching(t.port())).await.ok_if_offered()?;
    c.read(group(1, 0, &[])).await.is([watching(t.port())])
}

/// An entry that uses group 1 of these members.
async fn using(t: &Test, members: &[(u32, i32)]) -> Outcome<Client> {
    let mut c = switch(t).await?;
    c.insert(group(1, 8, members)).await.ok_if_offered()?;
    c.insert(entry("group_table").exact("k8", 1).group(1))
        .await
        .ok()?;
    Ok(c)
}

async fn selects(t: Test) -> Outcome {
    let mut c = using(&t, &[(1, 1), (2, 1), (3, 1)]).await?;
    let marks: Vec<_> = c
        .spread(op::GROUP, 64)
        .await?
        .into_iter()
        .map(|(mark, _)| mark)
        .collect();
    same("marks of 64 packets", marks, vec![11, 12, 13])
}

async fn weights_count(t: Test) -> Outcome {
    let mut c = using(&t, &[(1, 1), (2, 7)]).await?;
    let seen = c.spread(op::GROUP, 200).await?;
    let of = |mark| seen.iter().find(|(m, _)| *m == mark).map_or(0, |(_, n)| *n);
    holds(
        "with weights 1 and 7",
        "the second far more often",
        of(12) > 2 * of(11),
        &seen,
    )
}

async fn modified_member(t: Test) -> Outcome {
    let mut c = using(&t, &[(1, 1)]).await?;
    c.modify(marking(1, 99)).await.ok()?;
    c.hits(Probe::to(op::GROUP).k8(1), 99).await
}

async fn modified_group(t: Test) -> Outcome {
    let mut c = using(&t, &[(1, 1)]).await?;
    c.modify(group(1, 8, &[(2, 1)])).await.ok()?;
    c.hits(Probe::to(op::GROUP).k8(1), 12).await
}

async fn different_actions(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let other = entry("group_table").call("other", &[("value", 14)]);
    c.insert(member("selector", 4, Some(other))).await.ok()?;
    c.insert(group(1, 8, &[(1, 1), (4, 1)]))
        .await
        .ok_if_offered()
}

async fn empty(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(group(1, 8, &[])).await.ok_if_offered()?;
    c.insert(entry("group_table").exact("k8", 1).group(1))
        .await
        .ok()
}

async fn read_selector(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.write([
        insert(group(1, 4, &[(1, 1)])),
        insert(group(2, 4, &[(2, 1)])),
    ])
    .await
    .ok()?;
    c.read(group(0, 0, &[]))
        .await
        .is([group(1, 4, &[(1, 1)]), group(2, 4, &[(2, 1)])])
}

async fn read_all(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    elsewhere(&mut c, "one_shot_table", "by_members").await?;
    let other = group_of("by_members", 2, &[(1, 5)]);
    c.write([insert(group(1, 4, &[(1, 1)])), insert(other.clone())])
        .await
        .ok()?;
    let all = Entity::ActionProfileGroup(p4::ActionProfileGroup::default());
    c.read(all).await.is([group(1, 4, &[(1, 1)]), other])
}
