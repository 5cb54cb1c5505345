//! Disks that fail the store: it says so and stops, or refuses to start, and has
//! everything that it ever acknowledged.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tempfile::TempDir;

use super::super::database::StoreDatabase;
use super::super::state_machine::SharedState;
use super::super::{OpenError, StartError, Store, StoreConfig, StoreError};
use super::cluster::{Node, cluster, join, leader_of};
use super::disk::Disk;
use super::{apply, config, device, put};
use crate::state::{ChangeSet, Command, Note, State};

async fn open_on(disk: &Disk) -> Store {
    let database = StoreDatabase::on(disk.clone(), 1).unwrap();
    let directory = tempfile::tempdir().unwrap();
    Store::over(database, config(&directory)).await.unwrap()
}

/// Writes until the store says no, and returns how many objectives it acknowledged.
async fn write_until_refused(store: &Store) -> (usize, StoreError) {
    for index in 0.. {
        let changes = ChangeSet {
            devices: if index == 0 {
                vec![device("leaf1")]
            } else {
                vec![]
            },
            objectives: vec![put("leaf1", index)],
            // So that a disk is full before long.
            note: Note {
                reason: "x".repeat(16 << 10),
                ..Note::default()
            },
            ..ChangeSet::default()
        };
        if let Err(error) = store.submit(Command::Apply(changes)).await {
            return (index, error);
        }
    }
    unreachable!("the disk never failed")
}

fn objectives(state: &State) -> usize {
    state
        .device("leaf1")
        .map_or(0, |device| device.objectives().len())
}

/// What has been acknowledged is there, and nothing that was not asked for: the next one may be, too.
fn assert_holds(store: &Store, acknowledged: usize) {
    let held = store.read(objectives);
    assert!(
        (acknowledged..=acknowledged + 1).contains(&held),
        "{held} of {acknowledged}"
    );
}

/// A store that failed gives its file back when the last task that reads it has ended.
async fn reopened(config: StoreConfig) -> Store {
    let start = Instant::now();
    loop {
        match Store::open(config.clone()).await {
            Err(StartError::Open(OpenError::InUse { .. })) if start.elapsed().as_secs() < 10 => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}

async fn ended(store: &Store) -> String {
    tokio::time::timeout(Duration::from_secs(10), store.failed())
        .await
        .expect("it ends")
}

#[tokio::test]
async fn a_full_disk_ends_the_store_with_a_message_and_loses_nothing() {
    let disk = Disk::with_capacity(3 << 20);
    let store = open_on(&disk).await;
    let (acknowledged, _) = write_until_refused(&store).await;
    assert!(acknowledged > 10, "{acknowledged}");
    let reason = ended(&store).await;
    assert!(reason.contains("the disk failed the store"), "{reason}");
    store.shutdown().await;
    assert_holds(&open_on(&disk.moved()).await, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_system_that_runs_full_loses_nothing_either() {
    let Some(small) = SmallFileSystem::mount("4m") else {
        return;
    };
    let store = Store::open(small.config()).await.unwrap();
    let (acknowledged, _) = write_until_refused(&store).await;
    let reason = ended(&store).await;
    assert!(reason.contains("the disk failed the store"), "{reason}");
    store.shutdown().await;
    drop(store);
    small.resize("64m");
    assert_holds(&reopened(small.config()).await, acknowledged);
}

#[tokio::test]
async fn a_power_cut_at_any_moment_and_torn_writes_lose_nothing_acknowledged() {
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for round in 0..25 {
        let disk = Disk::default();
        let store = open_on(&disk).await;
        disk.fail_after(u64::from(random.next_u32() % 300));
        let (acknowledged, _) = write_until_refused(&store).await;
        store.shutdown().await;
        for coin in 0..4 {
            let left = disk.after_power_cut(|| match coin {
                0 => false,
                1 => true,
                _ => random.next_u32() & 1 == 0,
            });
            let store = open_on(&left).await;
            let held = store.read(objectives);
            assert!(
                (acknowledged..=acknowledged + 1).contains(&held),
                "round {round}: {held} of {acknowledged}"
            );
            store.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_disk_that_fails_ends_the_store_with_a_message() {
    let disk = Disk::default();
    let store = open_on(&disk).await;
    disk.fail_after(40);
    let (_, error) = write_until_refused(&store).await;
    let reason = ended(&store).await;
    assert!(reason.contains("the disk is gone"), "{reason}; {error}");
    let after = store
        .submit(Command::Apply(ChangeSet::default()))
        .await
        .unwrap_err();
    assert!(matches!(after, StoreError::Stopped(_)), "{after}");
}

#[tokio::test]
async fn a_damaged_byte_anywhere_is_refused_or_does_no_harm() {
    let disk = Disk::default();
    let store = open_on(&disk).await;
    apply(
        &store,
        vec![device("leaf1")],
        (0..50).map(|index| put("leaf1", index)).collect(),
    )
    .await;
    let state = store.read(State::clone);
    store.shutdown().await;
    drop(store);
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut refused = 0;
    for round in 0..250 {
        let damaged = disk.moved();
        // Where it is dense: the header, and the pages at the start.
        let range = if round % 2 == 0 { 8192 } else { damaged.len() };
        let place = random.next_u64() as usize % range;
        damaged.flip(place);
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = StoreDatabase::on(damaged, 1).ok()?;
            Some(SharedState::load(&database).ok()?.read(State::clone))
        }));
        match opened.unwrap_or_else(|_| panic!("byte {place} is answered with a panic")) {
            Some(found) => assert_eq!(found, state, "byte {place}"),
            None => refused += 1,
        }
    }
    assert!(refused > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_of_one_node_slows_nobody_else_and_changes_no_leader() {
    let mut nodes = cluster(2).await;
    let slow = Node::waiting_on(Disk::slow(Duration::from_millis(150))).await;
    join(&nodes[0].store, &slow).await;
    nodes.push(slow);
    let leader = leader_of(&nodes).await;
    assert_ne!(leader, 2, "the slow one was never asked to lead");
    let term = nodes[leader].store.membership().term;
    apply(&nodes[leader].store, vec![device("leaf1")], vec![]).await;
    let start = Instant::now();
    for index in 0..30 {
        apply(&nodes[leader].store, vec![], vec![put("leaf1", index)]).await;
    }
    let took = start.elapsed();
    assert!(took < Duration::from_millis(150 * 30 / 2), "{took:?}");
    nodes[2].store.ensure_current().await.unwrap();
    assert_eq!(nodes[2].store.read(objectives), 30);
    assert_eq!(nodes[leader].store.membership().term, term);
}

/// A file system of its own in memory, gone with this.
struct SmallFileSystem(TempDir);

impl SmallFileSystem {
    /// None, with a line that says so, where that takes privileges which are not there.
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Process::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "pointsman-test"])
            .arg(directory.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(directory));
        }
        assert!(
            std::env::var_os("REQUIRE_NETNS").is_none(),
            "a tmpfs cannot be mounted, and REQUIRE_NETNS is set"
        );
        eprintln!("skipped: mounting a tmpfs takes privileges");
        None
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let status = Process::new("mount")
            .args(["-o", &options])
            .arg(self.0.path())
            .status();
        assert!(status.unwrap().success());
    }

    fn config(&self) -> StoreConfig {
        config(&self.0)
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        // Lazily: the store may not have closed its file yet.
        let unmounted = Process::new("umount").arg("-l").arg(self.0.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.path().display());
        }
    }
}
