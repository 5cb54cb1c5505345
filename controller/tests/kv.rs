//! The key-value store of applications and the settings of the cluster, through the API of a controller.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use pb::configuration_client::ConfigurationClient;
use pb::kv_client::KvClient;
use pointsman_proto::pointsman::controller::v1 as pb;
use support::TestController;
use tonic::Code;
use tonic::transport::Channel;

async fn client(controller: &TestController) -> KvClient<Channel> {
    let address = format!("http://{}", controller.server.address());
    KvClient::connect(address).await.unwrap()
}

fn put(key: &str, value: &str) -> pb::KvPutRequest {
    pb::KvPutRequest {
        namespace: "app".into(),
        key: key.into(),
        value: value.as_bytes().to_vec(),
        ..Default::default()
    }
}

fn get(key: &str) -> pb::KvGetRequest {
    pb::KvGetRequest {
        namespace: "app".into(),
        key: key.into(),
        ..Default::default()
    }
}

fn lock(lease: u64, wait_milliseconds: u32) -> pb::LockRequest {
    pb::LockRequest {
        namespace: "app".into(),
        name: "leader".into(),
        lease,
        wait_milliseconds,
    }
}

async fn grant(kv: &mut KvClient<Channel>, ttl_milliseconds: u64) -> u64 {
    let request = pb::GrantLeaseRequest {
        ttl_milliseconds,
        name: "test".into(),
    };
    kv.grant_lease(request).await.unwrap().into_inner().lease
}

#[tokio::test]
async fn a_value_is_there_after_a_restart_and_is_swapped_only_at_its_revision() {
    let controller = TestController::start().await;
    let mut kv = client(&controller).await;
    let first = kv.put(put("a", "1")).await.unwrap().into_inner().revision;
    let controller = controller.restart().await;
    let mut kv = client(&controller).await;
    let swap = |expected, value| pb::KvPutRequest {
        expected_revision: Some(expected),
        ..put("a", value)
    };
    kv.put(swap(first, "2")).await.unwrap();
    let late = kv.put(swap(first, "3")).await.unwrap_err();
    assert_eq!(late.code(), Code::Aborted);
    assert_eq!(
        late.message(),
        "app/a is at revision 2, and was to be at revision 1; nothing was changed"
    );
    let entry = kv.get(get("a")).await.unwrap().into_inner().entry.unwrap();
    assert_eq!(
        (
            entry.value.as_slice(),
            entry.revision,
            entry.created_revision
        ),
        (&b"2"[..], 2, 1)
    );
    assert_eq!(kv.get(get("b")).await.unwrap_err().code(), Code::NotFound);
    let bad = kv.get(get("")).await.unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_list_comes_in_pages_that_leave_nothing_out() {
    let controller = TestController::start().await;
    let mut kv = client(&controller).await;
    for key in ["a/1", "a/2", "a/3", "b"] {
        kv.put(put(key, key)).await.unwrap();
    }
    for (namespace, prefix, wanted) in [
        ("app", "a/", vec!["a/1", "a/2", "a/3"]),
        ("", "", vec!["a/1", "a/2", "a/3", "b"]),
    ] {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let request = pb::KvListRequest {
                namespace: namespace.into(),
                prefix: prefix.into(),
                limit: 2,
                after,
                ..Default::default()
            };
            let answer = kv.list(request).await.unwrap().into_inner();
            assert!(answer.entries.len() <= 2);
            keys.extend(answer.entries.into_iter().map(|entry| entry.key));
            after = answer.more_after;
            if after.is_empty() {
                break;
            }
        }
        assert_eq!(keys, wanted);
    }
}

#[tokio::test]
async fn a_watcher_sees_what_came_since_its_revision_and_then_what_comes() {
    let controller = TestController::start().await;
    let mut kv = client(&controller).await;
    let since = kv.put(put("a", "1")).await.unwrap().into_inner().revision;
    kv.put(put("a", "2")).await.unwrap();
    kv.put(put("other", "x")).await.unwrap();
    let request = pb::KvWatchRequest {
        namespace: "app".into(),
        prefix: "a".into(),
        after_revision: Some(since),
    };
    let mut changes = kv.watch(request).await.unwrap().into_inner();
    let begins = changes.message().await.unwrap().unwrap();
    assert_eq!((begins.revision, begins.events.len()), (since, 0));
    let put_again = changes.message().await.unwrap().unwrap();
    assert_eq!(put_again.events[0].entry.as_ref().unwrap().value, b"2");
    let delete = pb::KvDeleteRequest {
        namespace: "app".into(),
        key: "a".into(),
        ..Default::default()
    };
    kv.delete(delete).await.unwrap();
    let deleted = changes.message().await.unwrap().unwrap();
    assert_eq!((deleted.revision, &deleted.events[0].entry), (4, &None));
    // A stream does not keep a controller from stopping.
    let begun = Instant::now();
    controller.server.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_watcher_from_too_long_ago_is_told_to_begin_anew() {
    let controller = TestController::start().await;
    let address = format!("http://{}", controller.server.address());
    let mut configuration = ConfigurationClient::connect(address).await.unwrap();
    let fewer = pb::SettingChange {
        name: "kv.events".into(),
        value: Some("1".into()),
    };
    let request = pb::ConfigureRequest {
        changes: vec![fewer],
        expected_revision: None,
    };
    configuration.configure(request).await.unwrap();
    let mut kv = client(&controller).await;
    for value in ["1", "2", "3"] {
        kv.put(put("a", value)).await.unwrap();
    }
    let watch = |after_revision| pb::KvWatchRequest {
        after_revision: Some(after_revision),
        ..Default::default()
    };
    let late = kv.watch(watch(1)).await.unwrap_err();
    assert_eq!(late.code(), Code::OutOfRange);
    assert!(
        late.message().contains("list the keys anew"),
        "{}",
        late.message()
    );
    kv.watch(watch(2)).await.unwrap();
    assert_eq!(
        kv.watch(watch(9)).await.unwrap_err().code(),
        Code::OutOfRange
    );
}

#[tokio::test]
async fn a_lease_lasts_as_long_as_it_is_kept_and_takes_its_keys_with_it() {
    let controller = TestController::start().await;
    let mut kv = client(&controller).await;
    let lease = grant(&mut kv, 500).await;
    let request = pb::KvPutRequest {
        lease,
        ..put("alive", "yes")
    };
    kv.put(request).await.unwrap();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let kept = kv.keep_lease(pb::KeepLeaseRequest { lease }).await;
        assert_eq!(kept.unwrap().into_inner().ttl_milliseconds, 500);
    }
    let last = Instant::now();
    kv.get(get("alive")).await.unwrap();
    support::eventually("the key is gone", || {
        let mut kv = kv.clone();
        async move { kv.get(get("alive")).await.is_err() }
    })
    .await;
    assert!(
        last.elapsed() > Duration::from_millis(480),
        "{:?}",
        last.elapsed()
    );
    let gone = kv
        .keep_lease(pb::KeepLeaseRequest { lease })
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

#[tokio::test]
async fn a_lock_goes_to_who_waits_when_its_holder_ends_and_bears_a_higher_token() {
    let controller = TestController::start().await;
    let mut kv = client(&controller).await;
    let (first, second) = (grant(&mut kv, 60_000).await, grant(&mut kv, 60_000).await);
    let token = kv.lock(lock(first, 0)).await.unwrap().into_inner().token;
    let busy = kv.lock(lock(second, 0)).await.unwrap_err();
    assert_eq!(busy.code(), Code::Aborted);
    let busy = kv.lock(lock(second, 50)).await.unwrap_err();
    assert_eq!(
        busy.message(),
        format!("the lock app/leader is held by lease {first}")
    );
    let mut waiting = kv.clone();
    let waits = tokio::spawn(async move { waiting.lock(lock(second, 30_000)).await });
    support::eventually("it waits", || {
        let mut kv = kv.clone();
        async move {
            let locks = kv.get_locks(pb::GetLocksRequest::default()).await.unwrap();
            locks.into_inner().locks[0].waiting == [second]
        }
    })
    .await;
    kv.revoke_lease(pb::RevokeLeaseRequest { lease: first })
        .await
        .unwrap();
    let next = waits.await.unwrap().unwrap().into_inner().token;
    assert!(next > token);
    // What the former holder still sends under its token is not done.
    let condition = |token| pb::KvCondition {
        namespace: "app".into(),
        key: "leader".into(),
        holds: Some(pb::kv_condition::Holds::LockToken(token)),
    };
    for (token, holds) in [(token, false), (next, true)] {
        let request = pb::KvTransactRequest {
            conditions: vec![condition(token)],
            ..Default::default()
        };
        let answer = kv.transact(request).await.unwrap().into_inner();
        assert_eq!(answer.succeeded, holds);
    }
}

#[tokio::test]
async fn settings_say_what_they_are_and_are_kept_and_wrong_ones_are_refused() {
    let controller = TestController::start().await;
    let connect = |controller: &TestController| {
        ConfigurationClient::connect(format!("http://{}", controller.server.address()))
    };
    let mut configuration = connect(&controller).await.unwrap();
    let set = |name: &str, value: Option<&str>| pb::ConfigureRequest {
        changes: vec![pb::SettingChange {
            name: name.into(),
            value: value.map(Into::into),
        }],
        expected_revision: None,
    };
    configuration
        .configure(set("history.change_sets", Some("7")))
        .await
        .unwrap();
    let refused = configuration
        .configure(set("history.change_sets", Some("0")))
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        "history.change_sets cannot be \"0\"; give 1 to 100000"
    );
    let controller = controller.restart().await;
    let mut configuration = connect(&controller).await.unwrap();
    let request = pb::GetSettingsRequest {
        prefix: "history.".into(),
        ..Default::default()
    };
    let settings = configuration
        .get_settings(request)
        .await
        .unwrap()
        .into_inner()
        .settings;
    let [setting] = settings.as_slice() else {
        panic!("{settings:?}")
    };
    assert_eq!(
        (
            setting.value.as_str(),
            setting.default_value.as_str(),
            setting.set
        ),
        ("7", "1000", true)
    );
    let stale = pb::ConfigureRequest {
        expected_revision: Some(0),
        ..set("history.change_sets", None)
    };
    assert_eq!(
        configuration.configure(stale).await.unwrap_err().code(),
        Code::Aborted
    );
}
