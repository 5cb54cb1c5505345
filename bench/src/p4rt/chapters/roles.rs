//! Roles: each with an arbitration of its own.

use pointsman_proto::p4::v1::stream_message_response::Update as Event;

use super::prelude::*;

chapter! { "roles":
    Must own_primary, REPLICATION, "each role has a primary of its own; the same election id may be used in both";
    Must own_notifications, ARBITRATION_NOTIFICATIONS, "clients of another role are not told";
    Must never_a_primary, ARBITRATION_NOTIFICATIONS, "before there ever was a primary the notification has NOT_FOUND and no election id";
    Must zero_is_an_id, UNSET_ELECTION_ID, "election id {0, 0} differs from an unset one: it can be primary";
    Must high_before_low, REPLICATION, "election ids are compared as 128-bit numbers";
    Must named_in_notification, ARBITRATION_NOTIFICATIONS, "a notification names the role";
    Must empty_name_is_default, DEFAULT_ROLE, "a role without a name is the default role";
    Must unknown_scheme, ARBITRATION_RULES, "a role.config of a scheme that nobody agreed upon is INVALID_ARGUMENT";
    Must full_access, ROLE_CONFIG, "a role without config has full pipeline access";
    Must wrong_role_in_write, WRITE, "a Write is refused when the election id is the primary's of another role only";
    Must unknown_role_in_write, WRITE, "a Write for a role that the device does not know is NOT_FOUND";
    Must unknown_role_in_set, SET_PIPELINE, "SetForwardingPipelineConfig for a role that the device does not know is NOT_FOUND";
}

/// A role that no run has used before.
fn new_role(t: &Test) -> String {
    format!("conformance-{}", t.next_id().low)
}

async fn own_primary(t: Test) -> Outcome {
    let default = t.primary().await?;
    let mut other = t.client_as(&new_role(&t), default.election_id).await?;
    other.arbitrated(Code::Ok).await?;
    Ok(())
}

async fn own_notifications(t: Test) -> Outcome {
    let mut default = t.primary().await?;
    let role = new_role(&t);
    let _one = t.primary_as(&role).await?;
    let _other = t.primary_as(&role).await?;
    let told = default
        .stream
        .has(|event| matches!(event, Event::Arbitration(_)));
    same("the default role's primary is told", told, false)
}

async fn never_a_primary(t: Test) -> Outcome {
    let mut standby = t.client_as(&new_role(&t), None).await?;
    let update = standby.arbitrated(Code::NotFound).await?;
    same("the highest id", update.election_id, None)
}

async fn zero_is_an_id(t: Test) -> Outcome {
    let zero = p4::Uint128 { high: 0, low: 0 };
    let mut client = t.client_as(&new_role(&t), Some(zero)).await?;
    let update = client.arbitrated(Code::Ok).await?;
    same("the highest id", update.election_id, Some(zero))
}

async fn high_before_low(t: Test) -> Outcome {
    let role = new_role(&t);
    let high = p4::Uint128 { high: 1, low: 0 };
    let low = p4::Uint128 {
        high: 0,
        low: u64::MAX,
    };
    let mut first = t.client_as(&role, Some(low)).await?;
    first.arbitrated(Code::Ok).await?;
    let mut second = t.client_as(&role, Some(high)).await?;
    second.arbitrated(Code::Ok).await?;
    first.arbitrated(Code::AlreadyExists).await?;
    Ok(())
}

async fn named_in_notification(t: Test) -> Outcome {
    let role = new_role(&t);
    let mut client = t.client_as(&role, Some(t.next_id())).await?;
    let update = client.arbitrated(Code::Ok).await?;
    same("the role", update.role.map(|role| role.name), Some(role))
}

async fn empty_name_is_default(t: Test) -> Outcome {
    let primary = t.primary().await?;
    let mut client = t.silent().await?;
    let hello = p4::MasterArbitrationUpdate {
        role: Some(p4::Role::default()),
        election_id: primary.election_id,
        ..client.hello()
    };
    client.arbitrate(hello).await?;
    let codes = [Code::InvalidArgument];
    client
        .stream
        .ends_with("the id of the default role's primary", &codes)
        .await
}

async fn unknown_scheme(t: Test) -> Outcome {
    let mut client = t.silent().await?;
    let role = p4::Role {
        name: new_role(&t),
        config: Some(prost_types::Any {
            type_url: "type.googleapis.com/conformance.NobodyAgreedOnThis".to_owned(),
            value: vec![8, 1],
        }),
        ..Default::default()
    };
    let hello = p4::MasterArbitrationUpdate {
        role: Some(role),
        election_id: Some(t.next_id()),
        ..client.hello()
    };
    client.arbitrate(hello).await?;
    let codes = [Code::InvalidArgument];
    client
        .stream
        .ends_with("an unknown scheme of roles", &codes)
        .await
}

async fn full_access(t: Test) -> Outcome {
    let _default = t.switch().await?;
    let mut client = t.primary_as(&new_role(&t)).await?;
    let route = entry("lpm_table").lpm("k32", [10, 0, 0, 0], 8).mark(1);
    client.insert(route.clone()).await.ok()?;
    client.delete(route).await.ok()
}

async fn wrong_role_in_write(t: Test) -> Outcome {
    let role = new_role(&t);
    let _default = t.switch().await?;
    let mut client = t.primary_as(&role).await?;
    client.role = String::new();
    let written = client.insert(entry("lpm_table").mark(1)).await;
    written.rpc_refused(&[Code::PermissionDenied])
}

async fn unknown_role_in_write(t: Test) -> Outcome {
    let mut client = t.switch().await?;
    client.role = new_role(&t);
    let written = client.insert(entry("lpm_table").mark(1)).await;
    written.rpc_refused(&[Code::NotFound])
}

async fn unknown_role_in_set(t: Test) -> Outcome {
    use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
    let mut client = t.primary().await?;
    client.role = new_role(&t);
    let set = client
        .set(Action::VerifyAndCommit, Some(ENTITIES.config()))
        .await;
    refused("setting a pipeline", set, &[Code::NotFound])
}
