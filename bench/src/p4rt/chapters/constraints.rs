//! Restrictions of entries and references between tables, which programs ask for by annotations.
//!
//! Neither is P4Runtime's own: p4-constraints and SONiC's programs define them.

use super::prelude::*;

chapter! { "constraints":
    May entry_restriction, CONSTRAINTS, "an entry that the table's @entry_restriction forbids is INVALID_ARGUMENT";
    May entry_allowed, CONSTRAINTS, "an entry that it allows is accepted";
    May modify_restricted, CONSTRAINTS, "MODIFY is held to restrictions, too";
    May action_restriction, CONSTRAINTS, "arguments that the action's @action_restriction forbids are INVALID_ARGUMENT";
    May action_allowed, CONSTRAINTS, "arguments that it allows are accepted";
    May default_is_restricted, CONSTRAINTS, "a default action is held to its restriction, too";
    May reference_missing, REFERENCES, "a parameter that refers to an entry that is not there is refused";
    May reference_there, REFERENCES, "a parameter that refers to an entry that is there is accepted";
    May key_reference_missing, REFERENCES, "a key that refers to an entry that is not there is refused";
    May referenced_is_kept, REFERENCES, "an entry that others refer to cannot be deleted: FAILED_PRECONDITION";
    May released_can_go, REFERENCES, "an entry that nobody refers to any longer can be deleted";
    May modify_moves_reference, REFERENCES, "MODIFY moves the reference";
}

fn table(name: &str) -> Entry {
    Entry::of(&CONSTRAINTS, name)
}

async fn switch(t: &Test) -> Outcome<Client> {
    t.switch_with(&CONSTRAINTS).await
}

fn restricted(kind: u8) -> Entry {
    table("restricted_table")
        .exact("kind", kind)
        .ternary("k16", 5, 0xffff)
        .priority(1)
}

async fn entry_restriction(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(restricted(2).mark(1))
        .await
        .refused(Code::InvalidArgument)
}

async fn entry_allowed(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(restricted(1).mark(1)).await.ok()?;
    let other = table("restricted_table")
        .exact("kind", 2)
        .priority(1)
        .mark(1);
    c.insert(other).await.ok()
}

async fn modify_restricted(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(restricted(1).mark(1)).await.ok()?;
    let wrong = restricted(1).action("restricted", &[("value", 0)]);
    c.modify(wrong).await.refused(Code::InvalidArgument)
}

async fn action_restriction(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let wrong = restricted(1).action("restricted", &[("value", 0)]);
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn action_allowed(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(restricted(1).action("restricted", &[("value", 1)]))
        .await
        .ok()
}

async fn default_is_restricted(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let default = table("restricted_table").default_entry();
    let wrong = default.action("restricted", &[("value", 0)]);
    c.modify(wrong).await.refused(Code::InvalidArgument)
}

fn nexthop(id: u16) -> Entry {
    table("nexthop_table").exact("nexthop", id).mark(1)
}

/// A route to a next hop.
fn route(nexthop: u16) -> Entry {
    let route = table("route_table").lpm("k32", [10, 0, 0, 0], 8);
    route.action("set_nexthop", &[("nexthop", nexthop)])
}

/// What others refuse with; the annotation does not say.
const MISSING: [Code; 3] = [
    Code::NotFound,
    Code::InvalidArgument,
    Code::FailedPrecondition,
];

async fn reference_missing(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(route(7)).await.refused_with(&MISSING)
}

async fn reference_there(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(nexthop(7)).await.ok()?;
    c.insert(route(7)).await.ok()
}

async fn key_reference_missing(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let referring = table("referring_table").exact("nexthop", 7).mark(1);
    c.insert(referring.clone()).await.refused_with(&MISSING)?;
    c.insert(nexthop(7)).await.ok()?;
    c.insert(referring).await.ok()
}

async fn referenced_is_kept(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(nexthop(7)).await.ok()?;
    c.insert(route(7)).await.ok()?;
    c.delete(nexthop(7)).await.refused(Code::FailedPrecondition)
}

async fn released_can_go(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(nexthop(7)).await.ok()?;
    c.insert(route(7)).await.ok()?;
    c.delete(route(7)).await.ok()?;
    c.delete(nexthop(7)).await.ok()
}

async fn modify_moves_reference(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.write([insert(nexthop(7)), insert(nexthop(8))])
        .await
        .ok()?;
    c.insert(route(7)).await.ok()?;
    c.modify(route(8)).await.ok()?;
    c.delete(nexthop(7)).await.ok()?;
    c.delete(nexthop(8)).await.refused(Code::FailedPrecondition)
}
