//! Leases and locks.
#![allow(clippy::unwrap_used)]

use super::tests::{does, done, key, lease, only_if, put, refused};
use super::*;

fn lock(lease: LeaseId, wait: bool) -> KvCommand {
    KvCommand::Lock {
        key: key("leader"),
        lease,
        wait,
    }
}

fn unlock(lease: LeaseId) -> KvCommand {
    KvCommand::Unlock {
        key: key("leader"),
        lease,
    }
}

fn token(response: KvResponse) -> KvRevision {
    match response {
        KvResponse::Locked(token) => token,
        other => panic!("{other:?}"),
    }
}

fn office(kv: &mut Kv) -> u64 {
    match done(kv, KvCommand::TakeOffice) {
        KvResponse::InOffice(office) => office,
        other => panic!("{other:?}"),
    }
}

fn expire(kv: &mut Kv, office: u64, lease: LeaseId, renewals: u64) {
    let leases = vec![(lease, renewals)];
    done(kv, KvCommand::Expire { office, leases });
}

#[test]
fn a_lock_goes_to_who_waited_longest_and_each_gets_a_higher_token() {
    let mut kv = Kv::default();
    let [a, b, c] = [(); 3].map(|()| lease(&mut kv));
    let first = token(done(&mut kv, lock(a, false)));
    let holder = KvResponse::Waiting { holder: a };
    assert_eq!(done(&mut kv, lock(b, true)), holder);
    assert_eq!(done(&mut kv, lock(c, true)), holder);
    assert_eq!(done(&mut kv, unlock(a)), KvResponse::Unlocked(true));
    let second = token(done(&mut kv, lock(b, false)));
    assert_eq!(done(&mut kv, unlock(b)), KvResponse::Unlocked(true));
    let third = token(done(&mut kv, lock(c, false)));
    assert!(first < second && second < third);
    assert_eq!(done(&mut kv, unlock(c)), KvResponse::Unlocked(true));
    assert!(kv.locks().is_empty());
    assert!(token(done(&mut kv, lock(a, false))) > third);
}

#[test]
fn who_asks_again_gets_the_same_answer_and_one_place_in_the_queue() {
    let mut kv = Kv::default();
    let [a, b] = [(); 2].map(|()| lease(&mut kv));
    let first = done(&mut kv, lock(a, true));
    assert_eq!(done(&mut kv, lock(a, true)), first);
    done(&mut kv, lock(b, true));
    done(&mut kv, lock(b, true));
    assert_eq!(kv.locks()[&key("leader")].waiting, [b]);
    // Who does not want to wait does not.
    assert_eq!(done(&mut kv, unlock(b)), KvResponse::Unlocked(true));
    done(&mut kv, lock(b, false));
    assert_eq!(done(&mut kv, unlock(b)), KvResponse::Unlocked(false));
}

#[test]
fn what_is_done_under_a_lock_is_refused_once_another_one_has_it() {
    let mut kv = Kv::default();
    let [a, b] = [(); 2].map(|()| lease(&mut kv));
    let mine = token(done(&mut kv, lock(a, false)));
    let write = |value| {
        only_if(
            [Condition::Locked(key("leader"), mine)],
            [put("x", value, None)],
        )
    };
    done(&mut kv, lock(b, true));
    done(&mut kv, write("1"));
    done(&mut kv, KvCommand::Revoke(a));
    let late = done(&mut kv, write("2"));
    assert!(
        matches!(
            late,
            KvResponse::Transacted {
                succeeded: false,
                ..
            }
        ),
        "{late:?}"
    );
    assert_eq!(kv.entry(&key("x")).unwrap().value.to_vec(), b"1");
}

#[test]
fn a_lease_takes_its_entries_and_locks_with_it_in_one_revision() {
    let mut kv = Kv::default();
    let [a, b] = [(); 2].map(|()| lease(&mut kv));
    done(
        &mut kv,
        does([put("mine", "1", Some(a)), put("stays", "1", None)]),
    );
    done(&mut kv, lock(a, false));
    done(&mut kv, lock(b, true));
    let before = kv.revision();
    done(&mut kv, KvCommand::Revoke(a));
    assert_eq!(kv.revision(), before.next());
    assert!(kv.entry(&key("mine")).is_none() && kv.entry(&key("stays")).is_some());
    assert_eq!(kv.locks()[&key("leader")].token, kv.revision());
    assert_eq!(
        refused(&mut kv, KvCommand::Revoke(a)),
        KvRefusal::NoSuchLease(a)
    );
    assert_eq!(refused(&mut kv, lock(a, true)), KvRefusal::NoSuchLease(a));
}

#[test]
fn an_entry_that_is_put_without_the_lease_outlives_it() {
    let mut kv = Kv::default();
    let a = lease(&mut kv);
    done(&mut kv, does([put("x", "1", Some(a))]));
    done(&mut kv, does([put("x", "2", None)]));
    done(&mut kv, KvCommand::Revoke(a));
    assert!(kv.entry(&key("x")).is_some());
}

#[test]
fn a_lease_that_was_kept_meanwhile_does_not_end() {
    let mut kv = Kv::default();
    let a = lease(&mut kv);
    let keeper = office(&mut kv);
    assert_eq!(
        done(&mut kv, KvCommand::Keep(vec![a])),
        KvResponse::Kept(vec![Some(1000)])
    );
    expire(&mut kv, keeper, a, 0);
    assert!(kv.leases().contains_key(&a));
    expire(&mut kv, keeper, a, 1);
    assert!(!kv.leases().contains_key(&a));
    assert_eq!(
        done(&mut kv, KvCommand::Keep(vec![a])),
        KvResponse::Kept(vec![None])
    );
}

#[test]
fn a_keeper_of_leases_that_has_a_successor_is_not_listened_to() {
    let mut kv = Kv::default();
    let a = lease(&mut kv);
    let former = office(&mut kv);
    let keeper = office(&mut kv);
    expire(&mut kv, former, a, 0);
    assert!(kv.leases().contains_key(&a));
    expire(&mut kv, keeper, a, 0);
    assert!(!kv.leases().contains_key(&a));
}

#[test]
fn leases_are_never_called_alike_and_last_neither_too_short_nor_for_ever() {
    let mut kv = Kv::default();
    let a = lease(&mut kv);
    done(&mut kv, KvCommand::Revoke(a));
    assert_ne!(lease(&mut kv), a);
    for ttl_milliseconds in [0, 499, 86_400_001] {
        let grant = KvCommand::Grant {
            ttl_milliseconds,
            name: String::new(),
        };
        assert_eq!(refused(&mut kv, grant), KvRefusal::BadTtl(ttl_milliseconds));
    }
}
