//! The Write RPC: what is checked first, and how errors are reported.

use super::prelude::*;

chapter! { "write":
    Must unknown_device, WRITE, "a device that the server does not have is NOT_FOUND";
    Must device_before_primary, WRITE, "the device is checked before the client: NOT_FOUND comes first";
    Must not_primary, WRITE, "another election id than the primary's is PERMISSION_DENIED";
    Must empty_batch, WRITE_ERRORS, "a Write without updates succeeds";
    Must unspecified_type, WRITE, "an update without a type is INVALID_ARGUMENT";
    Must no_entity, WRITE, "an update without an entity is INVALID_ARGUMENT";
    Must zero_id, DEFAULT_VALUES, "0 is not an object's id in a Write: INVALID_ARGUMENT or NOT_FOUND";
    Must unknown_table, WRITE, "a table that p4info does not have is refused";
    Must insert_existing, WRITE, "INSERT of what exists is ALREADY_EXISTS and changes nothing";
    Must modify_missing, WRITE, "MODIFY of what does not exist is NOT_FOUND";
    Must delete_missing, WRITE, "DELETE of what does not exist is NOT_FOUND";
    Must modify_is_snapshot, WRITE, "MODIFY replaces the whole entity: what is not set is reset";
    Must delete_takes_key, WRITE, "DELETE looks at the key only";
    Must all_attempted, BATCH_ATOMICITY, "every update of a batch is attempted though others fail";
    Must one_error_each, WRITE_ERRORS, "a failed batch is UNKNOWN with one p4.Error for each update, in order";
    Must ok_has_only_code, WRITE_ERRORS, "the p4.Error of an update that succeeded is OK and empty otherwise";
    Should error_has_message, ERRORS, "the p4.Error of an update that failed has a message";
    Must status_repeats_itself, ERRORS, "google.rpc.Status in the details has the RPC's code and message";
    Must committed_when_returned, BATCHING, "what a Write has changed is in the data plane when it returns";
    Must any_entities_in_a_batch, BATCHING, "a batch may hold any mix of entities";
    Must large_batch, GUIDELINES, "a batch close to 4 MB is accepted";
    Must concurrent_writes, BATCHING, "concurrent Writes are as if one came after the other";
    Must externs, EXTERN, "an extern that p4info does not have is refused";
}

fn route(n: u8) -> Entry {
    entry("lpm_table").lpm("k32", [10, n, 0, 0], 16).mark(n + 1)
}

async fn unknown_device(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.device_id += 1_000_003;
    c.insert(route(1)).await.rpc_refused(&[Code::NotFound])
}

async fn device_before_primary(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.device_id += 1_000_003;
    c.election_id = None;
    c.insert(route(1)).await.rpc_refused(&[Code::NotFound])
}

async fn not_primary(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.election_id = Some(t.next_id());
    c.insert(route(1))
        .await
        .rpc_refused(&[Code::PermissionDenied])
}

async fn empty_batch(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.write([]).await.ok()
}

async fn unspecified_type(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let mut update = insert(route(1));
    update.r#type = Type::Unspecified.into();
    c.write([update]).await.refused(Code::InvalidArgument)
}

async fn no_entity(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let mut update = insert(route(1));
    update.entity = Some(p4::Entity::default());
    c.write([update]).await.refused(Code::InvalidArgument)
}

async fn zero_id(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = route(1).with(|entry| entry.table_id = 0);
    c.insert(nothing)
        .await
        .refused_with(&[Code::InvalidArgument, Code::NotFound])
}

async fn unknown_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = route(1).with(|entry| entry.table_id = 0x02ff_fff1);
    c.insert(nothing)
        .await
        .refused_with(&[Code::InvalidArgument, Code::NotFound])
}

async fn insert_existing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(route(1)).await.ok()?;
    c.insert(route(1).mark(77))
        .await
        .refused(Code::AlreadyExists)?;
    c.read(entry("lpm_table")).await.is([route(1)])
}

async fn modify_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(route(1)).await.refused(Code::NotFound)
}

async fn delete_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.delete(route(1)).await.refused(Code::NotFound)
}

async fn modify_is_snapshot(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let noted = route(1).with(|entry| entry.metadata = b"note".to_vec());
    c.insert(noted).await.ok()?;
    c.modify(route(1).mark(9)).await.ok()?;
    c.read(entry("lpm_table")).await.is([route(1).mark(9)])
}

async fn delete_takes_key(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(route(1)).await.ok()?;
    let nonsense = route(1).with(|entry| {
        entry.metadata = b"other".to_vec();
        entry.action = Some(p4::TableAction {
            r#type: Some(p4::table_action::Type::Action(p4::Action {
                action_id: 0x01ff_fff1,
                params: Vec::new(),
            })),
        });
    });
    c.delete(nonsense).await.ok()?;
    c.read(entry("lpm_table")).await.is_nothing()
}

async fn all_attempted(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = c
        .write([insert(route(1)), delete(route(9)), insert(route(2))])
        .await;
    written.each(&[Code::Ok, Code::NotFound, Code::Ok])?;
    c.read(entry("lpm_table")).await.is([route(1), route(2)])
}

async fn one_error_each(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(route(1)).await.ok()?;
    let too_long = entry("lpm_table").lpm("k32", [10, 0, 0, 0], 33).mark(1);
    let written = c.write([
        insert(route(1)),
        insert(route(2)),
        modify(route(9)),
        insert(too_long),
    ]);
    let codes = [
        Code::AlreadyExists,
        Code::Ok,
        Code::NotFound,
        Code::InvalidArgument,
    ];
    written.await.each(&codes)
}

async fn ok_has_only_code(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = c.write([insert(route(1)), delete(route(9))]).await;
    same(
        "the p4.Error of a success",
        written.errors()?[0].clone(),
        p4::Error::default(),
    )
}

async fn error_has_message(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = c.delete(route(9)).await;
    let message = written.errors()?[0].message.clone();
    holds(
        "the p4.Error's message",
        "some text",
        !message.is_empty(),
        message,
    )
}

async fn status_repeats_itself(t: Test) -> Outcome {
    use prost::Message;
    let mut c = t.switch().await?;
    let written = c.delete(route(9)).await;
    let _ = written.errors()?;
    let Err(status) = written.result else {
        return Err(Failure::differs("a Write", "UNKNOWN", "OK"));
    };
    let details = pointsman_proto::google::rpc::Status::decode(status.details());
    let details = details.unwrap_or_default();
    let seen = (details.code, details.message.as_str());
    same(
        "google.rpc.Status",
        seen,
        (status.code() as i32, status.message()),
    )
}

async fn committed_when_returned(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let packet = Probe::to(op::EXACT).k8(1).k16(2);
    let entry = entry("exact_table").exact("k8", 1).exact("k16", 2);
    for round in 1..10_u8 {
        c.insert(entry.clone().mark(round)).await.ok()?;
        c.hits(packet, round.into()).await?;
        c.delete(entry.clone()).await.ok()?;
        c.misses(packet, 0).await?;
    }
    Ok(())
}

async fn any_entities_in_a_batch(t: Test) -> Outcome {
    use crate::p4rt::entry::{member, multicast, multicast_entity};
    let mut c = t.switch().await?;
    let action = entry("member_table").call("mark", &[("value", 1)]);
    let written = c.write([
        insert(route(1)),
        insert(multicast_entity(multicast(1, &[(t.port(), 1)]))),
        insert(member("profile", 1, Some(action))),
    ]);
    written.await.ok()
}

async fn large_batch(t: Test) -> Outcome {
    use prost::Message;
    let mut c = t.switch().await?;
    // One update, changed again and again: a table of any size takes it.
    c.insert(route(1)).await.ok()?;
    let padded = route(1).with(|entry| entry.metadata = vec![1; 1000]);
    let updates = vec![modify(padded); 3800];
    let request = c.request(Atomicity::ContinueOnError, updates);
    let length = request.encoded_len();
    holds("the request", "is below 4 MiB", length < 4 << 20, length)?;
    c.send_write(request).await.ok()
}

async fn concurrent_writes(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    // Two clients' batches insert the same entries: one gets them all, the other none.
    let keys: Vec<_> = (0..40).map(|n| insert(route(n))).collect();
    let one = c.request(Atomicity::ContinueOnError, keys);
    let other = one.clone();
    let mut second = c.rpc.clone();
    let (first, second) = tokio::join!(c.rpc.write(one), second.write(other));
    let done = [first.is_ok(), second.is_ok()];
    same(
        "batches that were applied as a whole",
        done.iter().filter(|d| **d).count(),
        1,
    )?;
    let entries = c.read(entry("lpm_table")).await.entries()?;
    same("entries", entries.len(), 40)
}

async fn externs(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = Entity::ExternEntry(p4::ExternEntry {
        extern_type_id: 0x99,
        extern_id: 0x9900_0001,
        entry: None,
    });
    let codes = [Code::InvalidArgument, Code::NotFound, Code::Unimplemented];
    c.insert(nothing).await.refused_with(&codes)
}
