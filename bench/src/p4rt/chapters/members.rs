//! Members of action profiles.

use super::prelude::*;
use crate::p4rt::entry::{group, member};

chapter! { "members":
    May written, MEMBERS, "a member can be inserted, modified, read and deleted";
    May existing, MEMBERS, "INSERT of a member that is there is ALREADY_EXISTS";
    May without_action, MEMBERS, "INSERT and MODIFY without an action are INVALID_ARGUMENT";
    May missing, MEMBERS, "MODIFY and DELETE of a member that is not there are NOT_FOUND";
    May id_zero, MEMBERS, "member_id 0 is INVALID_ARGUMENT";
    May foreign_action, MEMBERS, "an action that the tables do not have is INVALID_ARGUMENT";
    May unknown_profile, MEMBERS, "a profile that p4info does not have is refused";
    May too_many, MEMBERS, "more members than the profile's size are RESOURCE_EXHAUSTED";
    May used_by_entry, MEMBERS, "DELETE of a member that an entry uses is FAILED_PRECONDITION";
    May used_by_group, MEMBERS, "DELETE of a member of a group is FAILED_PRECONDITION";
    May shared, MEMBERS, "several entries may use one member; modifying it changes all of them";
    May delete_takes_key, MEMBERS, "DELETE looks at the ids only";
    May read_profile, MEMBERS, "member_id 0 reads all members of a profile";
    May read_all, MEMBERS, "action_profile_id 0 reads the members of all profiles";
    May in_selector, MEMBERS, "an entry of a table with a selector may use a member, too";
}

/// A member of the profile without selector, with `mark`.
fn marking(id: u32, value: u16) -> Entity {
    let action = entry("member_table").call("mark", &[("value", value)]);
    member("profile", id, Some(action))
}

fn using(k8: u8, id: u32) -> Entry {
    entry("member_table").exact("k8", k8).member(id)
}

/// A switch that has member 1, if it takes members at all.
async fn switch(t: &Test) -> Outcome<Client> {
    let mut c = t.switch().await?;
    c.insert(marking(1, 11)).await.ok_if_offered()?;
    Ok(c)
}

async fn written(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.read(member("profile", 1, None))
        .await
        .is([marking(1, 11)])?;
    c.modify(marking(1, 12)).await.ok()?;
    c.read(member("profile", 1, None))
        .await
        .is([marking(1, 12)])?;
    c.delete(member("profile", 1, None)).await.ok()?;
    c.read(member("profile", 0, None)).await.is_nothing()
}

async fn existing(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(marking(1, 12)).await.refused(Code::AlreadyExists)
}

async fn without_action(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(member("profile", 2, None))
        .await
        .refused(Code::InvalidArgument)?;
    c.modify(member("profile", 1, None))
        .await
        .refused(Code::InvalidArgument)
}

async fn missing(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.modify(marking(2, 12)).await.refused(Code::NotFound)?;
    c.delete(marking(2, 12)).await.refused(Code::NotFound)
}

async fn id_zero(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(marking(0, 12))
        .await
        .refused(Code::InvalidArgument)
}

async fn foreign_action(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let foreign = entry("direct_table").call("metered", &[("value", 1)]);
    let wrong = member("profile", 2, Some(foreign));
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn unknown_profile(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let Entity::ActionProfileMember(mut nothing) = marking(2, 12) else {
        unreachable!("it is a member");
    };
    nothing.action_profile_id = 0x11ff_fff1;
    let codes = [Code::InvalidArgument, Code::NotFound];
    c.insert(Entity::ActionProfileMember(nothing))
        .await
        .refused_with(&codes)
}

async fn too_many(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    // The profile has a size of 8; a server may have more room, but not without end.
    c.write((2..=8).map(|id| insert(marking(id, 1))))
        .await
        .ok()?;
    for id in 9..2000 {
        let written = c.insert(marking(id, 1)).await;
        if written.result.is_err() {
            return written.refused(Code::ResourceExhausted);
        }
    }
    Ok(())
}

async fn used_by_entry(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(using(1, 1)).await.ok()?;
    c.delete(marking(1, 11))
        .await
        .refused(Code::FailedPrecondition)?;
    c.delete(using(1, 1)).await.ok()?;
    c.delete(marking(1, 11)).await.ok()
}

/// A member of the selector.
fn selected(id: u32, value: u16) -> Entity {
    let action = entry("group_table").call("mark", &[("value", value)]);
    member("selector", id, Some(action))
}

async fn used_by_group(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(selected(1, 11)).await.ok()?;
    c.insert(Entity::ActionProfileGroup(group(
        "selector",
        1,
        4,
        &[(1, 1)],
    )))
    .await
    .ok()?;
    c.delete(selected(1, 11))
        .await
        .refused(Code::FailedPrecondition)
}

async fn shared(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.write([insert(using(1, 1)), insert(using(2, 1))])
        .await
        .ok()?;
    c.hits(Probe::to(op::MEMBER).k8(1), 11).await?;
    c.modify(marking(1, 12)).await.ok()?;
    c.hits(Probe::to(op::MEMBER).k8(1), 12).await?;
    c.hits(Probe::to(op::MEMBER).k8(2), 12).await
}

async fn delete_takes_key(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let foreign = entry("direct_table").call("metered", &[("value", 1)]);
    c.delete(member("profile", 1, Some(foreign))).await.ok()
}

async fn read_profile(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.write([insert(marking(2, 12)), insert(selected(1, 1))])
        .await
        .ok()?;
    let all = c.read(member("profile", 0, None)).await;
    all.is([marking(1, 11), marking(2, 12)])
}

async fn read_all(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(selected(1, 1)).await.ok()?;
    let all = Entity::ActionProfileMember(p4::ActionProfileMember::default());
    c.read(all).await.is([marking(1, 11), selected(1, 1)])
}

async fn in_selector(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(selected(1, 21)).await.ok()?;
    c.insert(entry("group_table").exact("k8", 1).member(1))
        .await
        .ok()?;
    c.hits(Probe::to(op::GROUP).k8(1), 21).await
}
