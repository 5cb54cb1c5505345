//! Digests: configured, sent in lists, acknowledged.

use pointsman_proto::p4::v1::p4_data::Data;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Event;

use super::prelude::*;
use crate::p4rt::entry::bits;

chapter! { "digests":
    Must written, DIGEST, "a digest's config can be inserted, modified, read and deleted";
    Must existing, DIGEST, "INSERT of a config that is there is ALREADY_EXISTS";
    Must missing, DIGEST, "MODIFY and DELETE of a config that is not there are NOT_FOUND";
    Must unknown, DIGEST, "a digest that p4info does not have is refused";
    Must quiet_at_first, DIGEST, "without a config no list is sent";
    Must list_fields, DIGEST, "a list has the digest's id, a list id, a timestamp and the data";
    Must data, P4_DATA, "data are of the digest's type, as the shortest byte strings";
    Must at_once, DIGEST, "with max_list_size 1 each message is a list of its own";
    Must no_delay, DIGEST, "with max_timeout_ns 0 each message is sent at once";
    Must full_list, DIGEST, "a list is sent when it has max_list_size messages";
    Must timed_list, DIGEST, "a list is sent max_timeout_ns after its first message";
    Must never_longer, DIGEST, "no list is longer than max_list_size";
    Must distinct_in_list, DIGEST, "the messages of a list are distinct";
    Must not_again_unacknowledged, DIGEST, "a message that was sent is not sent again before it is acknowledged";
    Must again_after_ack, DIGEST, "a message is sent again after its list was acknowledged";
    Must again_after_timeout, DIGEST, "a message is sent again after ack_timeout_ns";
    Must no_cache, DIGEST, "with ack_timeout_ns 0 every message is sent";
    Must other_list_ids, DIGEST, "lists have different ids";
    Must ack_of_another, DIGEST, "an acknowledgement of another list does not count";
    Must disabled, DIGEST, "DELETE ends the lists";
    Must only_primary, DIGEST, "backups get no lists";
    Must read_all, READ_WILDCARDS, "digest_id 0 reads all configs";
}

const MILLISECOND: i64 = 1_000_000;
/// Longer than any test.
const LONG: i64 = 1_000_000 * MILLISECOND;

fn config(timeout: i64, size: i32, ack: i64) -> Entity {
    Entity::DigestEntry(p4::DigestEntry {
        digest_id: digest_id(),
        config: Some(p4::digest_entry::Config {
            max_timeout_ns: timeout,
            max_list_size: size,
            ack_timeout_ns: ack,
        }),
    })
}

fn digest_id() -> u32 {
    ENTITIES.p4info.digests[0]
        .preamble
        .as_ref()
        .expect("it has one")
        .id
}

/// A filter for the digest, and what DELETE takes.
fn key() -> Entity {
    Entity::DigestEntry(p4::DigestEntry {
        digest_id: digest_id(),
        config: None,
    })
}

/// A switch whose digest is configured.
async fn switch(t: &Test, timeout: i64, size: i32, ack: i64) -> Outcome<Client> {
    let mut c = t.switch().await?;
    c.insert(config(timeout, size, ack)).await.ok()?;
    Ok(c)
}

/// Has the data plane send a message.
async fn learn(c: &mut Client, key: u16) -> Outcome {
    c.probe(Probe::to(op::DIGEST).k16(key)).await.map(drop)
}

/// The next list.
async fn list(c: &mut Client) -> Outcome<p4::DigestList> {
    let pick = |event: &Event| match event {
        Event::Digest(list) => Some(list.clone()),
        _ => None,
    };
    c.stream.next("a digest list", pick).await
}

/// The keys in a list.
fn keys(list: &p4::DigestList) -> Vec<u128> {
    let key = |data: &p4::P4Data| match &data.data {
        Some(Data::Struct(fields)) => match fields.members.first()?.data.as_ref()? {
            Data::Bitstring(bytes) => Some(
                bytes
                    .iter()
                    .fold(0, |number, &byte| number << 8 | u128::from(byte)),
            ),
            _ => None,
        },
        _ => None,
    };
    list.data.iter().filter_map(key).collect()
}

/// The next list has these keys.
async fn learned(c: &mut Client, expected: &[u128]) -> Outcome<p4::DigestList> {
    let list = list(c).await?;
    same("keys in a list", keys(&list), expected.to_vec())?;
    Ok(list)
}

async fn acknowledge(c: &mut Client, list_id: u64) -> Outcome {
    let ack = p4::DigestListAck {
        digest_id: digest_id(),
        list_id,
    };
    c.stream.send(Request::DigestAck(ack)).await
}

async fn written(t: Test) -> Outcome {
    let mut c = switch(&t, 1, 2, 3).await?;
    c.read(key()).await.is([config(1, 2, 3)])?;
    c.modify(config(4, 5, 6)).await.ok()?;
    c.read(key()).await.is([config(4, 5, 6)])?;
    c.delete(key()).await.ok()?;
    c.read(key()).await.is_nothing()
}

async fn existing(t: Test) -> Outcome {
    let mut c = switch(&t, 1, 2, 3).await?;
    c.insert(config(1, 2, 3)).await.refused(Code::AlreadyExists)
}

async fn missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(config(1, 2, 3)).await.refused(Code::NotFound)?;
    c.delete(key()).await.refused(Code::NotFound)
}

async fn unknown(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = Entity::DigestEntry(p4::DigestEntry {
        digest_id: 0x17ff_fff1,
        config: Some(p4::digest_entry::Config::default()),
    });
    c.insert(nothing)
        .await
        .refused_with(&[Code::InvalidArgument, Code::NotFound])
}

async fn quiet_at_first(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    learn(&mut c, 1).await?;
    c.insert(config(0, 1, 0)).await.ok()?;
    learn(&mut c, 2).await?;
    learned(&mut c, &[2]).await.map(drop)
}

/// A list of one message.
async fn learned_one(c: &mut Client) -> Outcome<p4::DigestList> {
    learn(c, 0x12).await?;
    list(c).await
}

async fn list_fields(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, 0).await?;
    let list = learned_one(&mut c).await?;
    same("the digest's id", list.digest_id, digest_id())?;
    holds("the timestamp", "set", list.timestamp > 0, list.timestamp)?;
    same("messages", list.data.len(), 1)
}

async fn data(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, 0).await?;
    let port = c.probe(Probe::to(op::ECHO)).await?.port;
    let list = learned_one(&mut c).await?;
    let members = vec![bits([0x12]), bits(port)];
    let expected = p4::P4Data {
        data: Some(Data::Struct(p4::P4StructLike { members })),
    };
    same("the data", list.data, vec![expected])
}

async fn at_once(t: Test) -> Outcome {
    let mut c = switch(&t, LONG, 1, 0).await?;
    for key in 1..4 {
        learn(&mut c, key).await?;
        learned(&mut c, &[key.into()]).await?;
    }
    Ok(())
}

async fn no_delay(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 100, 0).await?;
    for key in 1..4 {
        learn(&mut c, key).await?;
        learned(&mut c, &[key.into()]).await?;
    }
    Ok(())
}

async fn full_list(t: Test) -> Outcome {
    let mut c = switch(&t, LONG, 3, 0).await?;
    for key in 1..=3 {
        learn(&mut c, key).await?;
    }
    learned(&mut c, &[1, 2, 3]).await.map(drop)
}

async fn timed_list(t: Test) -> Outcome {
    let mut c = switch(&t, 700 * MILLISECOND, 100, 0).await?;
    learn(&mut c, 1).await?;
    learn(&mut c, 2).await?;
    learned(&mut c, &[1, 2]).await.map(drop)
}

async fn never_longer(t: Test) -> Outcome {
    let mut c = switch(&t, 500 * MILLISECOND, 2, 0).await?;
    for key in 1..=5 {
        learn(&mut c, key).await?;
    }
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let keys = keys(&list(&mut c).await?);
        holds("messages in a list", "at most 2", keys.len() <= 2, &keys)?;
        seen.extend(keys);
    }
    same("keys", seen, vec![1, 2, 3, 4, 5])
}

async fn distinct_in_list(t: Test) -> Outcome {
    let mut c = switch(&t, LONG, 2, 0).await?;
    for key in [1, 1, 1, 2] {
        learn(&mut c, key).await?;
    }
    learned(&mut c, &[1, 2]).await.map(drop)
}

async fn not_again_unacknowledged(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, LONG).await?;
    for key in [1, 1, 2] {
        learn(&mut c, key).await?;
    }
    learned(&mut c, &[1]).await?;
    learned(&mut c, &[2]).await.map(drop)
}

async fn again_after_ack(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, LONG).await?;
    learn(&mut c, 1).await?;
    let list = learned(&mut c, &[1]).await?;
    acknowledge(&mut c, list.list_id).await?;
    // The stream is served in order: the acknowledgement is known before the packet goes out.
    learn(&mut c, 1).await?;
    learned(&mut c, &[1]).await.map(drop)
}

async fn again_after_timeout(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, 300 * MILLISECOND).await?;
    learn(&mut c, 1).await?;
    learned(&mut c, &[1]).await?;
    let started = tokio::time::Instant::now();
    while !c.stream.has(|event| matches!(event, Event::Digest(_))) {
        let waited = started.elapsed();
        holds(
            "the same message",
            "comes again",
            waited < t.server.patience,
            waited,
        )?;
        learn(&mut c, 1).await?;
    }
    learned(&mut c, &[1]).await.map(drop)
}

async fn no_cache(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, 0).await?;
    for _ in 0..3 {
        learn(&mut c, 1).await?;
        learned(&mut c, &[1]).await?;
    }
    Ok(())
}

async fn other_list_ids(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, 0).await?;
    let first = learned_one(&mut c).await?;
    let second = learned_one(&mut c).await?;
    let ids = (first.list_id, second.list_id);
    holds("list ids", "two different ones", ids.0 != ids.1, ids)
}

async fn ack_of_another(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, LONG).await?;
    learn(&mut c, 1).await?;
    let list = learned(&mut c, &[1]).await?;
    acknowledge(&mut c, list.list_id + 1000).await?;
    learn(&mut c, 1).await?;
    learn(&mut c, 2).await?;
    learned(&mut c, &[2]).await.map(drop)
}

async fn disabled(t: Test) -> Outcome {
    let mut c = switch(&t, 0, 1, 0).await?;
    learn(&mut c, 1).await?;
    learned(&mut c, &[1]).await?;
    c.delete(key()).await.ok()?;
    learn(&mut c, 2).await?;
    c.insert(config(0, 1, 0)).await.ok()?;
    learn(&mut c, 3).await?;
    learned(&mut c, &[3]).await.map(drop)
}

async fn only_primary(t: Test) -> Outcome {
    let low = t.next_id();
    let mut c = switch(&t, 0, 1, 0).await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    learn(&mut c, 1).await?;
    learned(&mut c, &[1]).await?;
    let came = |event: &Event| matches!(event, Event::Digest(_));
    same("the backup got a list", backup.stream.has(came), false)
}

async fn read_all(t: Test) -> Outcome {
    let mut c = switch(&t, 1, 2, 3).await?;
    let all = Entity::DigestEntry(p4::DigestEntry::default());
    c.read(all).await.is([config(1, 2, 3)])
}
