//! Who is primary, and who is told.

use pointsman_proto::p4::v1::stream_message_response::Update as Event;

use super::prelude::*;

chapter! { "arbitration":
    Must unknown_device, ARBITRATION_RULES, "a first message for a device that is not there ends the stream with NOT_FOUND";
    Must device_zero, DEFAULT_ROLE, "device_id 0 is not a device";
    Must highest_is_primary, REPLICATION, "the client with the highest election id ever seen is primary, and is told OK";
    Must duplicate_id, ARBITRATION_RULES, "a first message with the id of a live client ends the stream with INVALID_ARGUMENT";
    Must take_over, ARBITRATION_RULES, "a higher election id takes over; the old primary is told ALREADY_EXISTS";
    Must lower_is_backup, ARBITRATION_RULES, "a lower election id is a backup and is told ALREADY_EXISTS and the highest id";
    Must backup_comes_silently, ARBITRATION_RULES, "a new backup is told alone; nobody else is";
    Must all_backups_are_told, ARBITRATION_NOTIFICATIONS, "every backup is told of a new primary";
    Must primary_leaves, ARBITRATION_NOTIFICATIONS, "when the primary's stream breaks, backups are told NOT_FOUND and the highest id";
    Must no_promotion, REPLICATION, "a backup does not become primary because the primary has left";
    Must memory, ARBITRATION_UPDATE, "the highest id is remembered after its client has left: lower ones stay backups";
    Must same_id_returns, ARBITRATION_RULES, "the highest id is primary again when it comes back";
    Must higher_after_leaving, ARBITRATION_RULES, "a higher id becomes primary after the last primary has left, and all are told";
    Must primary_steps_down, ARBITRATION_RULES, "a primary that lowers its id leaves no primary, and all are told NOT_FOUND";
    Must backup_steps_up, ARBITRATION_RULES, "a backup that raises its id above all becomes primary";
    Must backup_changes_id, ARBITRATION_RULES, "a backup that stays below the highest id is told alone";
    Must primary_repeats, ARBITRATION_RULES, "a primary that repeats its id stays primary and is told OK";
    Must primary_raises, ARBITRATION_RULES, "a primary that raises its id stays primary; backups learn the new id";
    Must device_changes, ARBITRATION_RULES, "a live client that changes its device is cut off with FAILED_PRECONDITION";
    Must role_changes, ARBITRATION_RULES, "a live client that changes its role is cut off with FAILED_PRECONDITION";
    Must id_of_another, ARBITRATION_RULES, "a live client that takes another's id is cut off with INVALID_ARGUMENT";
    Must backup_leaves, ARBITRATION_NOTIFICATIONS, "nobody is told when a backup leaves";
    Must unset_is_backup, UNSET_ELECTION_ID, "a client without an election id is a backup";
    Must unset_many, UNSET_ELECTION_ID, "any number of clients may have no election id";
    Must unset_never_primary, UNSET_ELECTION_ID, "a client without an election id does not become primary when there is none";
    Must unset_cannot_write, UNSET_ELECTION_ID, "a Write without an election id is PERMISSION_DENIED";
    Must old_primary_cannot_write, ARBITRATION_RULES, "the old primary's Writes are PERMISSION_DENIED after a take-over";
    Must backup_cannot_write, ARBITRATION_UPDATE, "a backup's Write is PERMISSION_DENIED";
    Must gone_cannot_write, REPLICATION, "Writes with the id of a primary whose stream has ended are PERMISSION_DENIED";
    Must any_connection, REPLICATION, "a Write is the primary's by device, role and election id, whatever connection it comes by";
}

async fn unknown_device(t: Test) -> Outcome {
    let mut client = t.silent().await?;
    let mut hello = client.hello();
    hello.device_id = t.device_id() + 1_000_003;
    hello.election_id = Some(t.next_id());
    client.arbitrate(hello).await?;
    client
        .stream
        .ends_with("arbitration for an unknown device", &[Code::NotFound])
        .await
}

async fn device_zero(t: Test) -> Outcome {
    let mut client = t.silent().await?;
    let mut hello = client.hello();
    hello.device_id = 0;
    hello.election_id = Some(t.next_id());
    client.arbitrate(hello).await?;
    let codes = [Code::NotFound, Code::InvalidArgument];
    client
        .stream
        .ends_with("arbitration for device 0", &codes)
        .await
}

async fn highest_is_primary(t: Test) -> Outcome {
    let id = t.next_id();
    let mut client = t.client(Some(id)).await?;
    let update = client.arbitrated(Code::Ok).await?;
    same("its election id", update.election_id, Some(id))?;
    same("its device", update.device_id, t.device_id())?;
    let role = update.role.map_or_else(String::new, |role| role.name);
    same("its role", role, String::new())
}

async fn duplicate_id(t: Test) -> Outcome {
    let first = t.primary().await?;
    let mut second = t.client(first.election_id).await?;
    second
        .stream
        .ends_with("an id that is taken", &[Code::InvalidArgument])
        .await
}

async fn take_over(t: Test) -> Outcome {
    let mut old = t.primary().await?;
    let new = t.primary().await?;
    let update = old.arbitrated(Code::AlreadyExists).await?;
    same("the highest id", update.election_id, new.election_id)
}

async fn lower_is_backup(t: Test) -> Outcome {
    let low = t.next_id();
    let primary = t.primary().await?;
    let mut backup = t.client(Some(low)).await?;
    let update = backup.arbitrated(Code::AlreadyExists).await?;
    same("the highest id", update.election_id, primary.election_id)
}

async fn backup_comes_silently(t: Test) -> Outcome {
    let (first, second) = (t.next_id(), t.next_id());
    let mut primary = t.primary().await?;
    let mut one = t.client(Some(first)).await?;
    one.arbitrated(Code::AlreadyExists).await?;
    let mut other = t.client(Some(second)).await?;
    other.arbitrated(Code::AlreadyExists).await?;
    for (who, client) in [("the primary", &mut primary), ("another backup", &mut one)] {
        let told = client
            .stream
            .has(|event| matches!(event, Event::Arbitration(_)));
        same(&format!("{who} is told of a new backup"), told, false)?;
    }
    Ok(())
}

async fn all_backups_are_told(t: Test) -> Outcome {
    let low = t.next_id();
    let _primary = t.primary().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let mut standby = t.client(None).await?;
    standby.arbitrated(Code::AlreadyExists).await?;
    let new = t.primary().await?;
    for client in [&mut backup, &mut standby] {
        let update = client.arbitrated(Code::AlreadyExists).await?;
        same("the highest id", update.election_id, new.election_id)?;
    }
    Ok(())
}

async fn primary_leaves(t: Test) -> Outcome {
    let low = t.next_id();
    let primary = t.primary().await?;
    let highest = primary.election_id;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    drop(primary);
    let update = backup.arbitrated(Code::NotFound).await?;
    same("the highest id", update.election_id, highest)
}

async fn no_promotion(t: Test) -> Outcome {
    let low = t.next_id();
    let primary = t.switch().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    drop(primary);
    backup.arbitrated(Code::NotFound).await?;
    let written = backup.insert(entry("lpm_table").mark(1)).await;
    written.rpc_refused(&[Code::PermissionDenied])
}

async fn memory(t: Test) -> Outcome {
    let low = t.next_id();
    let primary = t.primary().await?;
    let highest = primary.election_id;
    let mut witness = t.client(None).await?;
    witness.arbitrated(Code::AlreadyExists).await?;
    drop(primary);
    witness.arbitrated(Code::NotFound).await?;
    let mut late = t.client(Some(low)).await?;
    let update = late.arbitrated(Code::NotFound).await?;
    same("the highest id", update.election_id, highest)
}

async fn same_id_returns(t: Test) -> Outcome {
    let primary = t.primary().await?;
    let id = primary.election_id;
    let mut witness = t.client(None).await?;
    witness.arbitrated(Code::AlreadyExists).await?;
    drop(primary);
    witness.arbitrated(Code::NotFound).await?;
    let mut again = t.client(id).await?;
    again.arbitrated(Code::Ok).await?;
    witness.arbitrated(Code::AlreadyExists).await?;
    Ok(())
}

async fn higher_after_leaving(t: Test) -> Outcome {
    let primary = t.primary().await?;
    let mut witness = t.client(None).await?;
    witness.arbitrated(Code::AlreadyExists).await?;
    drop(primary);
    witness.arbitrated(Code::NotFound).await?;
    let next = t.primary().await?;
    let update = witness.arbitrated(Code::AlreadyExists).await?;
    same("the highest id", update.election_id, next.election_id)
}

async fn primary_steps_down(t: Test) -> Outcome {
    let (low, lower) = (t.next_id(), t.next_id());
    let mut primary = t.primary().await?;
    let highest = primary.election_id;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let hello = p4::MasterArbitrationUpdate {
        election_id: Some(lower),
        ..primary.hello()
    };
    primary.arbitrate(hello).await?;
    for client in [&mut primary, &mut backup] {
        let update = client.arbitrated(Code::NotFound).await?;
        same("the highest id", update.election_id, highest)?;
    }
    Ok(())
}

async fn backup_steps_up(t: Test) -> Outcome {
    let low = t.next_id();
    let mut primary = t.primary().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let id = Some(t.next_id());
    let hello = p4::MasterArbitrationUpdate {
        election_id: id,
        ..backup.hello()
    };
    backup.arbitrate(hello).await?;
    backup.arbitrated(Code::Ok).await?;
    let update = primary.arbitrated(Code::AlreadyExists).await?;
    same("the highest id", update.election_id, id)
}

async fn backup_changes_id(t: Test) -> Outcome {
    let (low, lower) = (t.next_id(), t.next_id());
    let mut primary = t.primary().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let hello = p4::MasterArbitrationUpdate {
        election_id: Some(lower),
        ..backup.hello()
    };
    backup.arbitrate(hello).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let told = primary
        .stream
        .has(|event| matches!(event, Event::Arbitration(_)));
    same("the primary is told", told, false)
}

async fn primary_repeats(t: Test) -> Outcome {
    let mut primary = t.primary().await?;
    primary.arbitrate(primary.hello()).await?;
    let update = primary.arbitrated(Code::Ok).await?;
    same("the highest id", update.election_id, primary.election_id)
}

async fn primary_raises(t: Test) -> Outcome {
    let mut primary = t.primary().await?;
    let mut backup = t.client(None).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let id = Some(t.next_id());
    let hello = p4::MasterArbitrationUpdate {
        election_id: id,
        ..primary.hello()
    };
    primary.arbitrate(hello).await?;
    primary.arbitrated(Code::Ok).await?;
    let update = backup.arbitrated(Code::AlreadyExists).await?;
    same("the highest id", update.election_id, id)
}

async fn device_changes(t: Test) -> Outcome {
    let mut client = t.primary().await?;
    let mut hello = client.hello();
    hello.device_id += 1;
    client.arbitrate(hello).await?;
    client
        .stream
        .ends_with("another device", &[Code::FailedPrecondition])
        .await
}

async fn role_changes(t: Test) -> Outcome {
    let mut client = t.primary().await?;
    let mut hello = client.hello();
    hello.role = Some(p4::Role {
        name: "conformance-other".to_owned(),
        ..Default::default()
    });
    client.arbitrate(hello).await?;
    client
        .stream
        .ends_with("another role", &[Code::FailedPrecondition])
        .await
}

async fn id_of_another(t: Test) -> Outcome {
    let low = t.next_id();
    let primary = t.primary().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let hello = p4::MasterArbitrationUpdate {
        election_id: primary.election_id,
        ..backup.hello()
    };
    backup.arbitrate(hello).await?;
    backup
        .stream
        .ends_with("the primary's id", &[Code::InvalidArgument])
        .await
}

async fn backup_leaves(t: Test) -> Outcome {
    let low = t.next_id();
    let mut primary = t.primary().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    drop(backup);
    // The id is free again once the server has seen it leave.
    let mut again = t.client(Some(low)).await?;
    let mut tries = 0;
    while again.arbitrated(Code::AlreadyExists).await.is_err() {
        tries += 1;
        holds(
            "the id of a client that left",
            "can be used again",
            tries < 20,
            tries,
        )?;
        again = t.client(Some(low)).await?;
    }
    let told = primary
        .stream
        .has(|event| matches!(event, Event::Arbitration(_)));
    same("the primary is told", told, false)
}

async fn unset_is_backup(t: Test) -> Outcome {
    let primary = t.primary().await?;
    let mut standby = t.client(None).await?;
    let update = standby.arbitrated(Code::AlreadyExists).await?;
    same("the highest id", update.election_id, primary.election_id)
}

async fn unset_many(t: Test) -> Outcome {
    let _primary = t.primary().await?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut standby = t.client(None).await?;
        standby.arbitrated(Code::AlreadyExists).await?;
        clients.push(standby);
    }
    Ok(())
}

async fn unset_never_primary(t: Test) -> Outcome {
    let primary = t.primary().await?;
    let mut witness = t.client(None).await?;
    witness.arbitrated(Code::AlreadyExists).await?;
    drop(primary);
    witness.arbitrated(Code::NotFound).await?;
    let mut standby = t.client(None).await?;
    standby.arbitrated(Code::NotFound).await?;
    Ok(())
}

async fn unset_cannot_write(t: Test) -> Outcome {
    let _primary = t.switch().await?;
    let mut standby = t.client(None).await?;
    standby.arbitrated(Code::AlreadyExists).await?;
    let written = standby.insert(entry("lpm_table").mark(1)).await;
    written.rpc_refused(&[Code::PermissionDenied])
}

async fn old_primary_cannot_write(t: Test) -> Outcome {
    let mut old = t.switch().await?;
    let _new = t.primary().await?;
    let written = old.insert(entry("lpm_table").mark(1)).await;
    written.rpc_refused(&[Code::PermissionDenied])
}

async fn backup_cannot_write(t: Test) -> Outcome {
    let low = t.next_id();
    let _primary = t.switch().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let written = backup.insert(entry("lpm_table").mark(1)).await;
    written.rpc_refused(&[Code::PermissionDenied])
}

async fn gone_cannot_write(t: Test) -> Outcome {
    let primary = t.switch().await?;
    let mut witness = t.client(None).await?;
    witness.arbitrated(Code::AlreadyExists).await?;
    let request = primary.request(
        Atomicity::ContinueOnError,
        [insert(entry("lpm_table").mark(1))],
    );
    drop(primary);
    witness.arbitrated(Code::NotFound).await?;
    witness
        .send_write(request)
        .await
        .rpc_refused(&[Code::PermissionDenied])
}

async fn any_connection(t: Test) -> Outcome {
    let mut primary = t.switch().await?;
    primary.rpc = t.connect().await?;
    primary.insert(entry("lpm_table").mark(1)).await.ok()
}
