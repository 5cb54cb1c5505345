//! Actions of entries: which, with what, and where.

use super::prelude::*;

chapter! { "actions":
    Must required_on_insert, ACTION_SPECIFICATION, "INSERT needs an action";
    Must kept_on_modify, ACTION_SPECIFICATION, "MODIFY without an action keeps it";
    Must not_of_this_table, ACTION_SPECIFICATION, "an action that the table does not have is INVALID_ARGUMENT";
    Must unknown, ACTION_SPECIFICATION, "an action that p4info does not have is INVALID_ARGUMENT";
    Must empty, ACTION_SPECIFICATION, "a table action without any of its forms is INVALID_ARGUMENT";
    Must parameter_missing, ACTION_SPECIFICATION, "every parameter is needed";
    Must parameter_extra, ACTION_SPECIFICATION, "a parameter that the action does not have is INVALID_ARGUMENT";
    Must parameter_twice, ACTION_SPECIFICATION, "a parameter that is there twice is INVALID_ARGUMENT";
    Must parameter_order, SYMMETRY, "parameters may come in any order";
    Must only_default, ACTION_SPECIFICATION, "an action for the default entry only is PERMISSION_DENIED in another entry";
    Must only_table, ACTION_SPECIFICATION, "an action for entries only is PERMISSION_DENIED as the default action";
    Must scopes_allow, ACTION_SPECIFICATION, "each of them is allowed where it belongs";
    Must member_in_direct_table, ACTION_SPECIFICATION, "a member in a table without profile is INVALID_ARGUMENT";
    Must group_in_direct_table, ACTION_SPECIFICATION, "a group in a table without selector is INVALID_ARGUMENT";
    Must set_in_direct_table, ACTION_SPECIFICATION, "an action set in a table without selector is INVALID_ARGUMENT";
    Must action_in_indirect_table, ACTION_SPECIFICATION, "an action in a table with a profile is INVALID_ARGUMENT";
    Must group_without_selector, ACTION_SPECIFICATION, "a group in a table whose profile has no selector is INVALID_ARGUMENT";
    Must unknown_member, ACTION_SPECIFICATION, "a member that is not there is NOT_FOUND";
    Must unknown_group, ACTION_SPECIFICATION, "a group that is not there is NOT_FOUND";
    Must arguments_are_seen, ACTION_SPECIFICATION, "a packet is given the entry's arguments";
}

fn exact() -> Entry {
    entry("exact_table").exact("k8", 1).exact("k16", 2)
}

async fn required_on_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.refused(Code::InvalidArgument)
}

async fn kept_on_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact().mark(5)).await.ok()?;
    c.modify(exact()).await.ok()?;
    c.hits(Probe::to(op::EXACT).k8(1).k16(2), 5).await?;
    c.read(entry("exact_table")).await.is([exact().mark(5)])
}

async fn not_of_this_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let foreign = entry("direct_table").call("metered", &[("value", 1)]);
    let wrong = exact().table_action(p4::table_action::Type::Action(foreign));
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn unknown(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let unknown = p4::Action {
        action_id: 0x01ff_fff1,
        params: Vec::new(),
    };
    let wrong = exact().table_action(p4::table_action::Type::Action(unknown));
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn empty(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let empty = exact().with(|e| e.action = Some(p4::TableAction::default()));
    c.insert(empty).await.refused(Code::InvalidArgument)
}

async fn parameter_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let half = exact().action("pair", &[("high", 1)]);
    c.insert(half).await.refused(Code::InvalidArgument)
}

/// An entry with `mark`, whose parameters can be changed.
fn with_params(change: impl FnOnce(&mut Vec<p4::action::Param>)) -> Entry {
    let mut action = exact().call("mark", &[("value", 1)]);
    change(&mut action.params);
    exact().table_action(p4::table_action::Type::Action(action))
}

async fn parameter_extra(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let extra = with_params(|params| {
        params.push(p4::action::Param {
            param_id: 77,
            value: vec![1],
        });
    });
    c.insert(extra).await.refused(Code::InvalidArgument)
}

async fn parameter_twice(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let twice = with_params(|params| params.extend_from_within(..));
    c.insert(twice).await.refused(Code::InvalidArgument)
}

async fn parameter_order(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let backwards = exact().action("pair", &[("low", 4), ("high", 3)]);
    c.insert(backwards).await.ok()?;
    c.hits(Probe::to(op::EXACT).k8(1).k16(2), 0x0304).await
}

fn scoped() -> Entry {
    entry("scoped_table").exact("k8", 1)
}

async fn only_default(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = scoped().action("other", &[("value", 1)]);
    c.insert(wrong).await.refused(Code::PermissionDenied)
}

async fn only_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = entry("scoped_table").default_entry().mark(1);
    c.modify(wrong).await.refused(Code::PermissionDenied)
}

async fn scopes_allow(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(scoped().mark(1)).await.ok()?;
    let default = entry("scoped_table")
        .default_entry()
        .action("other", &[("value", 2)]);
    c.modify(default).await.ok()?;
    c.hits(Probe::to(op::SCOPED).k8(1), 1).await?;
    c.misses(Probe::to(op::SCOPED).k8(2), 2).await
}

async fn member_in_direct_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact().member(1))
        .await
        .refused(Code::InvalidArgument)
}

async fn group_in_direct_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact().group(1))
        .await
        .refused(Code::InvalidArgument)
}

async fn set_in_direct_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let action = exact().call("mark", &[("value", 1)]);
    let set = crate::p4rt::entry::actions([(action, 1)]);
    c.insert(exact().one_shot(set))
        .await
        .refused(Code::InvalidArgument)
}

async fn action_in_indirect_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = entry("member_table").exact("k8", 1).mark(1);
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn group_without_selector(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = entry("member_table").exact("k8", 1).group(1);
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn unknown_member(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let missing = entry("member_table").exact("k8", 1).member(5);
    c.insert(missing).await.refused(Code::NotFound)
}

async fn unknown_group(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let missing = entry("group_table").exact("k8", 1).group(5);
    c.insert(missing).await.refused(Code::NotFound)
}

async fn arguments_are_seen(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let packet = Probe::to(op::EXACT).k8(1).k16(2);
    c.insert(exact().mark(0xabcd)).await.ok()?;
    c.hits(packet, 0xabcd).await?;
    c.modify(exact().action("pair", &[("high", 1), ("low", 2)]))
        .await
        .ok()?;
    c.hits(packet, 0x0102).await
}
