//! The store as a whole, against a simple model of it.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::limits::{MAX_DELETED, MAX_ENTRIES_OF_LEASE, MAX_OPERATIONS, MAX_VALUE_BYTES};
use super::*;

pub(super) const LIMITS: Limits = Limits {
    entries: 8,
    bytes: 4000,
    events: 12,
};

pub(super) fn key(name: &str) -> EntryKey {
    EntryKey::new("app", name).unwrap()
}

pub(super) fn put(name: &str, value: &str, lease: Option<LeaseId>) -> Operation {
    Operation::Put {
        key: key(name),
        value: value.as_bytes().to_vec().into(),
        lease,
    }
}

pub(super) fn does(operations: impl IntoIterator<Item = Operation>) -> KvCommand {
    only_if([], operations)
}

pub(super) fn only_if(
    conditions: impl IntoIterator<Item = Condition>,
    operations: impl IntoIterator<Item = Operation>,
) -> KvCommand {
    KvCommand::Transact(Transaction {
        conditions: conditions.into_iter().collect(),
        then: operations.into_iter().collect(),
        otherwise: vec![],
    })
}

pub(super) fn done(kv: &mut Kv, command: KvCommand) -> KvResponse {
    kv.apply(command, LIMITS).0
}

pub(super) fn lease(kv: &mut Kv) -> LeaseId {
    let grant = KvCommand::Grant {
        ttl_milliseconds: 1000,
        name: "router".into(),
    };
    match done(kv, grant) {
        KvResponse::Granted(lease) => lease,
        other => panic!("{other:?}"),
    }
}

pub(super) fn refused(kv: &mut Kv, command: KvCommand) -> KvRefusal {
    let before = kv.clone();
    let (response, rows) = kv.apply(command, LIMITS);
    assert_eq!((&*kv, rows), (&before, vec![]), "a refusal changes nothing");
    match response {
        KvResponse::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn value(kv: &Kv, name: &str) -> Option<String> {
    let entry = kv.entry(&key(name));
    entry.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
}

#[test]
fn a_condition_on_a_revision_holds_until_somebody_else_changes_the_entry() {
    let mut kv = Kv::default();
    done(&mut kv, does([put("a", "1", None)]));
    let seen = kv.entry(&key("a")).unwrap().modified;
    let swap = |new| only_if([Condition::Revision(key("a"), seen)], [put("a", new, None)]);
    let succeeded = |response| {
        matches!(
            response,
            KvResponse::Transacted {
                succeeded: true,
                ..
            }
        )
    };
    assert!(succeeded(done(&mut kv, swap("2"))));
    assert!(!succeeded(done(&mut kv, swap("3"))));
    assert_eq!(value(&kv, "a").as_deref(), Some("2"));
    // Also if it was deleted and is there again.
    done(&mut kv, does([Operation::Delete(key("a"))]));
    done(&mut kv, does([put("a", "1", None)]));
    assert!(!succeeded(done(&mut kv, swap("3"))));
}

#[test]
fn a_transaction_is_one_revision_and_reads_what_it_wrote() {
    let mut kv = Kv::default();
    let transaction = does([
        put("a", "1", None),
        put("b", "2", None),
        Operation::Get(key("a")),
    ]);
    let KvResponse::Transacted {
        results, revision, ..
    } = done(&mut kv, transaction)
    else {
        panic!("refused");
    };
    assert_eq!(revision, KvRevision(1));
    let Some(OperationResult::Got(Some(read))) = results.last() else {
        panic!("{results:?}");
    };
    assert_eq!((read.created, read.modified), (revision, revision));
    let events: Vec<_> = kv.events_after(KvRevision(0)).unwrap().collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1.len(), 2);
}

#[test]
fn looking_and_deleting_what_is_not_there_makes_no_revision() {
    let mut kv = Kv::default();
    done(
        &mut kv,
        does([Operation::Get(key("a")), Operation::Delete(key("b"))]),
    );
    assert_eq!(kv.revision(), KvRevision(0));
}

#[test]
fn what_would_be_too_much_is_refused_as_a_whole() {
    let mut kv = Kv::default();
    let many: Vec<_> = (0..9)
        .map(|index| put(&index.to_string(), "", None))
        .collect();
    assert_eq!(
        refused(&mut kv, does(many)),
        KvRefusal::TooManyEntries {
            entries: 9,
            limit: 8
        }
    );
    let large = "x".repeat(4000);
    assert!(matches!(
        refused(&mut kv, does([put("a", "1", None), put("b", &large, None)])),
        KvRefusal::TooManyBytes { limit: 4000, .. }
    ));
    let huge = "x".repeat(MAX_VALUE_BYTES + 1);
    assert!(matches!(
        refused(&mut kv, does([put("a", &huge, None)])),
        KvRefusal::LargeValue { .. }
    ));
    let long = (0..=MAX_OPERATIONS).map(|_| Operation::Get(key("a")));
    assert_eq!(refused(&mut kv, does(long)), KvRefusal::LargeTransaction);
    let twice = does([
        put("a", "1", None),
        Operation::DeletePrefix(EntryKey::first("app", "a")),
    ]);
    done(&mut kv, does([put("a", "1", None)]));
    assert_eq!(
        refused(&mut kv, twice),
        KvRefusal::TwiceInTransaction(key("a"))
    );
    let nobodys = does([put("a", "1", Some(LeaseId(7)))]);
    assert_eq!(
        refused(&mut kv, nobodys),
        KvRefusal::NoSuchLease(LeaseId(7))
    );
}

#[test]
fn what_one_command_can_do_is_bounded() {
    let mut kv = Kv::default();
    let wide = Limits {
        entries: 10_000,
        bytes: 1 << 30,
        events: 10_000,
    };
    let lease = lease(&mut kv);
    for index in 0..=MAX_DELETED {
        let lease = (index < MAX_ENTRIES_OF_LEASE).then_some(lease);
        kv.apply(does([put(&format!("k{index}"), "", lease)]), wide);
    }
    assert_eq!(kv.len(), MAX_DELETED + 1);
    let start = EntryKey::first("app", "k");
    let all = does([Operation::DeletePrefix(start.clone())]);
    assert_eq!(refused(&mut kv, all), KvRefusal::TooManyDeleted(start));
    // What hangs on it already may be put again.
    assert_eq!(
        refused(&mut kv, does([put("more", "", Some(lease))])),
        KvRefusal::FullLease(lease)
    );
    let (again, _) = kv.apply(does([put("k0", "1", Some(lease))]), wide);
    assert!(matches!(again, KvResponse::Transacted { .. }), "{again:?}");
}

#[test]
fn a_store_that_is_too_full_can_be_made_emptier_step_by_step() {
    let mut kv = Kv::default();
    done(
        &mut kv,
        does((0..8).map(|index| put(&index.to_string(), "long", None))),
    );
    let lower = Limits {
        entries: 3,
        bytes: 100,
        events: 12,
    };
    let (shorter, _) = kv.apply(does([put("0", "", None)]), lower);
    assert!(
        matches!(shorter, KvResponse::Transacted { .. }),
        "{shorter:?}"
    );
    let (longer, _) = kv.apply(does([put("0", "longer", None)]), lower);
    assert!(
        matches!(longer, KvResponse::Refused(KvRefusal::TooManyBytes { .. })),
        "{longer:?}"
    );
}

#[test]
fn a_watcher_that_is_too_far_behind_is_told_so() {
    let mut kv = Kv::default();
    for round in 0..20 {
        done(&mut kv, does([put("a", &round.to_string(), None)]));
    }
    assert_eq!(kv.compacted(), KvRevision(8));
    let late = kv.events_after(KvRevision(7)).err().unwrap();
    assert!(late.to_string().contains("after 8"), "{late}");
    assert_eq!(kv.events_after(KvRevision(8)).unwrap().count(), 12);
}

#[test]
fn values_are_kept_as_bytes_and_cost_little_more_than_themselves() {
    let blob = Blob::from(vec![200; 1000]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&blob, &mut bytes).unwrap();
    assert!(bytes.len() < 1010, "{}", bytes.len());
    assert_eq!(
        ciborium::from_reader::<Blob, _>(bytes.as_slice()).unwrap(),
        blob
    );
}

/// Commands about few keys and leases, so that they meet.
pub(crate) fn command() -> impl Strategy<Value = KvCommand> {
    let name = || prop::sample::select(vec!["a", "ab", "abc", "b", "c"]).prop_map(key);
    let lease = || (1..6u64).prop_map(LeaseId);
    let revision = || (0..30u64).prop_map(KvRevision);
    let value = || vec(any::<u8>(), 0..900).prop_map(Blob::from);
    let condition = prop_oneof![
        name().prop_map(Condition::Exists),
        name().prop_map(Condition::Missing),
        (name(), revision()).prop_map(|(key, at)| Condition::Revision(key, at)),
        (name(), value()).prop_map(|(key, value)| Condition::Value(key, value)),
        (name(), revision()).prop_map(|(key, token)| Condition::Locked(key, token)),
    ];
    let operation = || {
        prop_oneof![
            1 => name().prop_map(Operation::Get),
            4 => (name(), value(), prop::option::of(lease()))
                .prop_map(|(key, value, lease)| Operation::Put { key, value, lease }),
            1 => name().prop_map(Operation::Delete),
            1 => name().prop_map(Operation::DeletePrefix),
        ]
    };
    let operations = move || vec(operation(), 0..4);
    let transaction = (vec(condition, 0..2), operations(), operations());
    prop_oneof![
        6 => transaction.prop_map(|(conditions, then, otherwise)| {
            KvCommand::Transact(Transaction { conditions, then, otherwise })
        }),
        2 => (400..2000u64).prop_map(|ttl_milliseconds| KvCommand::Grant {
            ttl_milliseconds,
            name: String::new(),
        }),
        1 => vec(lease(), 0..3).prop_map(KvCommand::Keep),
        1 => lease().prop_map(KvCommand::Revoke),
        1 => Just(KvCommand::TakeOffice),
        2 => (0..3u64, vec((lease(), 0..2u64), 0..3))
            .prop_map(|(office, leases)| KvCommand::Expire { office, leases }),
        4 => (name(), lease(), any::<bool>())
            .prop_map(|(key, lease, wait)| KvCommand::Lock { key, lease, wait }),
        2 => (name(), lease()).prop_map(|(key, lease)| KvCommand::Unlock { key, lease }),
    ]
}

fn check_invariants(kv: &Kv) {
    let mut rebuilt = kv.clone();
    rebuilt.reindex();
    assert_eq!(kv, &rebuilt, "the index says what follows from the rest");
    for (key, entry) in &kv.entries {
        assert!(
            entry.created <= entry.modified && entry.modified <= kv.revision(),
            "{key}"
        );
        if let Some(lease) = entry.lease {
            assert!(kv.leases.contains_key(&lease), "{key} outlives its lease");
        }
    }
    for (name, lock) in &kv.locks {
        let everybody = lock.waiting.iter().chain([&lock.holder]);
        let mut seen = BTreeSet::new();
        for lease in everybody {
            assert!(kv.leases.contains_key(lease), "{name} is held by nobody");
            assert!(seen.insert(lease), "{name} has {lease} twice");
        }
    }
    assert!(kv.len() <= LIMITS.entries && kv.bytes() <= LIMITS.bytes);
    let fits = kv.event_count() <= LIMITS.events && kv.index.event_bytes <= LIMITS.bytes / 2;
    assert!(fits || kv.events.len() <= 1);
}

proptest! {
    #[test]
    fn random_commands_keep_the_invariants_and_rows_and_events_tell_all(
        commands in vec(command(), 1..60),
    ) {
        let mut kv = Kv::default();
        let mut watched: BTreeMap<EntryKey, Entry> = BTreeMap::new();
        let mut tokens: BTreeMap<EntryKey, KvRevision> = BTreeMap::new();
        for command in commands {
            let before = kv.clone();
            let (response, rows) = kv.apply(command.clone(), LIMITS);
            check_invariants(&kv);
            // A refusal, and what only looks, changes nothing.
            if rows.is_empty() {
                prop_assert_eq!(&before, &kv);
            }
            if let KvResponse::Refused(_) = response {
                prop_assert_eq!(rows, vec![]);
            }
            // A watcher that follows holds the entries.
            for (_, events) in kv.events_after(before.revision()).unwrap() {
                for event in events {
                    match &event.entry {
                        Some(entry) => drop(watched.insert(event.key.clone(), entry.clone())),
                        None => drop(watched.remove(&event.key)),
                    }
                }
            }
            prop_assert_eq!(&watched, &kv.entries);
            // A lock never has a token that it had before, for another holder.
            for (name, lock) in kv.locks() {
                let old = tokens.insert(name.clone(), lock.token);
                let same = before.locks().get(name).is_some_and(|old| old.holder == lock.holder);
                prop_assert!(old.is_none_or(|old| old < lock.token || same && old == lock.token));
            }
        }
        let mut bytes = Vec::new();
        ciborium::into_writer(&kv, &mut bytes).unwrap();
        let mut restored: Kv = ciborium::from_reader(bytes.as_slice()).unwrap();
        restored.reindex();
        prop_assert_eq!(restored, kv);
    }

    #[test]
    fn rows_that_are_not_said_to_be_touched_are_as_they_were(commands in vec(command(), 1..40)) {
        let mut kv = Kv::default();
        let look = |kv: &Kv, row: &KvRow| match row {
            KvRow::Head => format!("{:?}", kv.head()),
            KvRow::Entry(key) => format!("{:?}", kv.entry(key)),
            KvRow::Lease(lease) => format!("{:?}", kv.leases().get(lease)),
            KvRow::Lock(key) => format!("{:?}", kv.locks().get(key)),
            KvRow::Events(revision) => format!("{:?}", kv.events_of(*revision)),
        };
        for command in commands {
            let before = kv.clone();
            let (_, touched) = kv.apply(command, LIMITS);
            let rows: BTreeSet<_> = before.all_rows().into_iter().chain(kv.all_rows()).collect();
            for row in rows.iter().filter(|row| !touched.contains(row)) {
                prop_assert_eq!(look(&before, row), look(&kv, row), "{:?}", row);
            }
        }
    }
}
