//! Idle timeouts: entries that no packet hits.

use std::time::Duration;

use pointsman_proto::p4::v1::stream_message_response::Update as Event;

use super::prelude::*;

chapter! { "idle":
    Must timeout_read_back, IDLE_TIMEOUT, "idle_timeout_ns is read back exactly";
    Must modified, IDLE_TIMEOUT, "MODIFY sets another timeout";
    Must unsupported_timeout, IDLE_TIMEOUT, "a timeout in a table that does not support it is INVALID_ARGUMENT";
    Must unsupported_time, IDLE_TIMEOUT, "time_since_last_hit of a table that does not support it is INVALID_ARGUMENT";
    Must time_in_write, IDLE_TIMEOUT, "time_since_last_hit in a write is INVALID_ARGUMENT";
    Must time_only_when_asked, IDLE_TIMEOUT, "time_since_last_hit is answered if and only if it was asked for";
    Must time_without_timeout, IDLE_TIMEOUT, "time_since_last_hit is right though the timeout is 0";
    Must time_restarts, IDLE_TIMEOUT, "time_since_last_hit grows, and a hit sets it back";
    Must default_timeout, IDLE_TIMEOUT, "a default entry with a timeout is INVALID_ARGUMENT";
    Must default_time, IDLE_TIMEOUT, "time_since_last_hit in a default entry's write is INVALID_ARGUMENT";
    Should notifies, IDLE_NOTIFICATION, "the primary is told of an entry that was not hit for its timeout";
    Must notified_fields, IDLE_NOTIFICATION, "the notification has the key, metadata and timeout of the entry, and the time";
    Must again, IDLE_NOTIFICATION, "an entry that stays idle is told of again after another timeout";
    Must zero_never, IDLE_TIMEOUT, "an entry with a timeout of 0 is never told of";
    Should hits_keep_quiet, IDLE_TIMEOUT, "an entry that is hit again and again is not told of";
    Must tiny_timeout, IDLE_TIMEOUT, "a timeout that is too small is approximated, not refused";
    Must only_primary_is_told, IDLE_NOTIFICATION, "backups are not told";
    Must deleted_is_quiet, IDLE_NOTIFICATION, "a deleted entry is not told of";
}

const MILLISECOND: i64 = 1_000_000;

fn idle(k8: u8, timeout_ns: i64) -> Entry {
    let entry = entry("idle_table").exact("k8", k8).mark(1);
    entry.with(|e| e.idle_timeout_ns = timeout_ns)
}

/// The key only, asking for the time.
fn asking(k8: u8) -> Entry {
    let entry = entry("idle_table").exact("k8", k8);
    entry.with(|e| e.time_since_last_hit = Some(p4::table_entry::IdleTimeout::default()))
}

async fn timeout_read_back(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = idle(1, 123_456_789_012_345);
    c.insert(written.clone()).await.ok()?;
    c.read(entry("idle_table")).await.is([written])
}

async fn modified(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 1_000_000_000_000)).await.ok()?;
    c.modify(idle(1, 2_000_000_000_000)).await.ok()?;
    c.read(entry("idle_table"))
        .await
        .is([idle(1, 2_000_000_000_000)])
}

fn exact() -> Entry {
    entry("exact_table").exact("k8", 1).exact("k16", 2).mark(1)
}

fn with_time(entry: Entry) -> Entry {
    entry.with(|e| e.time_since_last_hit = Some(p4::table_entry::IdleTimeout::default()))
}

async fn unsupported_timeout(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let timed = exact().with(|e| e.idle_timeout_ns = 1);
    c.insert(timed).await.refused(Code::InvalidArgument)
}

async fn unsupported_time(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact()).await.ok()?;
    c.read(with_time(entry("exact_table")))
        .await
        .refused_with(&[Code::InvalidArgument])
}

async fn time_in_write(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(with_time(idle(1, 0)))
        .await
        .refused(Code::InvalidArgument)
}

async fn time_only_when_asked(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 0)).await.ok()?;
    let silent = c.read(entry("idle_table")).await.entry()?;
    same("the time, not asked for", silent.time_since_last_hit, None)?;
    let told = c.read(asking(1)).await.entry()?;
    holds(
        "the time, asked for",
        "there",
        told.time_since_last_hit.is_some(),
        "none",
    )
}

/// Nanoseconds since the entry was hit.
async fn elapsed(c: &mut Client, k8: u8) -> Outcome<i64> {
    let entry = c.read(asking(k8)).await.entry()?;
    let time = entry.time_since_last_hit;
    let time = time.ok_or_else(|| Failure::differs("time_since_last_hit", "set", "unset"))?;
    Ok(time.elapsed_ns)
}

/// Waits until the server says that an entry has been idle for so long.
async fn until_idle(c: &mut Client, k8: u8, ns: i64) -> Outcome<i64> {
    let mut seen = 0;
    for _ in 0..200 {
        seen = elapsed(c, k8).await?;
        if seen >= ns {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Failure::differs(
        "time_since_last_hit",
        format!("at least {ns}"),
        format!("{seen}"),
    ))
}

async fn time_without_timeout(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 0)).await.ok()?;
    until_idle(&mut c, 1, 300 * MILLISECOND).await.map(drop)
}

async fn time_restarts(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 1_000_000 * MILLISECOND)).await.ok()?;
    let before = until_idle(&mut c, 1, 800 * MILLISECOND).await?;
    c.hits(Probe::to(op::IDLE).k8(1), 1).await?;
    let after = elapsed(&mut c, 1).await?;
    holds(
        "after a hit",
        "less than before it",
        after < before,
        (before, after),
    )
}

async fn default_timeout(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("idle_table").default_entry().mark(1);
    let default = default.with(|e| e.idle_timeout_ns = 1);
    c.modify(default).await.refused(Code::InvalidArgument)
}

async fn default_time(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("idle_table").default_entry().mark(1);
    c.modify(with_time(default))
        .await
        .refused(Code::InvalidArgument)
}

/// The next notification.
async fn told(c: &mut Client) -> Outcome<p4::IdleTimeoutNotification> {
    let pick = |event: &Event| match event {
        Event::IdleTimeoutNotification(told) => Some(told.clone()),
        _ => None,
    };
    c.stream.next("an idle timeout notification", pick).await
}

async fn notifies(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 200 * MILLISECOND)).await.ok()?;
    let told = told(&mut c).await?;
    same("entries in it", told.table_entry.len(), 1)
}

#[allow(deprecated, reason = "the field is still in the specification")]
async fn notified_fields(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = idle(1, 200 * MILLISECOND).with(|e| {
        e.metadata = b"note".to_vec();
        e.controller_metadata = 7;
    });
    c.insert(written.clone()).await.ok()?;
    let told = told(&mut c).await?;
    holds("the timestamp", "set", told.timestamp > 0, told.timestamp)?;
    let wanted = |entry: &p4::TableEntry| {
        (
            entry.table_id,
            entry.r#match.clone(),
            entry.metadata.clone(),
            entry.controller_metadata,
            entry.idle_timeout_ns,
        )
    };
    let seen: Vec<_> = told.table_entry.iter().map(wanted).collect();
    same("the entry", seen, vec![wanted(&written.message)])
}

async fn again(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 200 * MILLISECOND)).await.ok()?;
    let first = told(&mut c).await?;
    let second = told(&mut c).await?;
    let between = second.timestamp - first.timestamp;
    holds(
        "between two of them",
        "at least half of the timeout",
        between >= 100 * MILLISECOND,
        between,
    )
}

async fn zero_never(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 0)).await.ok()?;
    c.insert(idle(2, 200 * MILLISECOND)).await.ok()?;
    let told = told(&mut c).await?;
    let seen: Vec<_> = told.table_entry.into_iter().map(|e| e.r#match).collect();
    same("entries told of", seen, vec![idle(2, 0).message.r#match])
}

async fn hits_keep_quiet(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 1000 * MILLISECOND)).await.ok()?;
    c.insert(idle(2, 1500 * MILLISECOND)).await.ok()?;
    // The second times out while the first is hit all the time.
    loop {
        c.hits(Probe::to(op::IDLE).k8(1), 1).await?;
        if c.stream
            .has(|event| matches!(event, Event::IdleTimeoutNotification(_)))
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = told(&mut c).await?;
    let seen: Vec<_> = told.table_entry.into_iter().map(|e| e.r#match).collect();
    same("entries told of", seen, vec![idle(2, 0).message.r#match])
}

async fn tiny_timeout(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 1)).await.ok()?;
    told(&mut c).await?;
    let seen = c.read(entry("idle_table")).await.entry()?;
    same("the timeout read back", seen.idle_timeout_ns, 1)
}

async fn only_primary_is_told(t: Test) -> Outcome {
    let low = t.next_id();
    let mut c = t.switch().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    c.insert(idle(1, 200 * MILLISECOND)).await.ok()?;
    told(&mut c).await?;
    let came = |event: &Event| matches!(event, Event::IdleTimeoutNotification(_));
    same("the backup is told", backup.stream.has(came), false)
}

async fn deleted_is_quiet(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(idle(1, 300 * MILLISECOND)).await.ok()?;
    c.delete(idle(1, 0)).await.ok()?;
    c.insert(idle(2, 600 * MILLISECOND)).await.ok()?;
    let told = told(&mut c).await?;
    let seen: Vec<_> = told.table_entry.into_iter().map(|e| e.r#match).collect();
    same("entries told of", seen, vec![idle(2, 0).message.r#match])
}
