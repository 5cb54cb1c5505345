#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::testing::{StoreBuilder, Suite};
use pointsman_proto::pointsman::objective::v1 as pb;
use proptest::prelude::*;
use tempfile::TempDir;

use super::database::StoreDatabase;
use super::log_store::LogStore;
use super::rows;
use super::state_machine::{SharedState, StateMachine};
use super::types::{StorageError, TypeConfig};
use super::{OpenError, StartError, Store, StoreConfig};
use crate::objective::Objective;
use crate::state::{
    BootId, ChangeSet, Cluster, Command, ConfigureCommand, DeviceChange, DeviceSpec,
    MastershipCommand, NodeCommand, NodeSpec, ObjectiveChange, Operation, Response, Scope, State,
};

pub(crate) mod cluster;
mod disk;
mod faults;
mod snapshots;

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError> {
        let directory = tempfile::tempdir().unwrap();
        let database = Arc::new(StoreDatabase::open(directory.path(), 1).unwrap());
        let shared = Arc::new(SharedState::load(&database).unwrap());
        let state_machine = StateMachine::new(database.clone(), shared);
        Ok((directory, LogStore::new(database), state_machine))
    }
}

#[test]
fn openraft_finds_the_store_correct() {
    Suite::test_all(OnDisk).unwrap();
}

fn config(directory: &TempDir) -> StoreConfig {
    StoreConfig {
        data_dir: directory.path().to_owned(),
        node_id: 1,
        address: "127.0.0.1:9701".into(),
        tls: None,
        new_cluster: Some(Cluster {
            id: "first".into(),
            epoch: 1000,
        }),
    }
}

fn device(name: &str) -> DeviceChange {
    let device_id = if name == "leaf1" { 1 } else { 2 };
    DeviceChange::Put(DeviceSpec {
        name: name.into(),
        address: format!("{name}:9559"),
        device_id,
    })
}

fn put(device: &str, index: usize) -> ObjectiveChange {
    let proto = pb::Objective {
        name: format!("f{index}"),
        priority: 0,
        kind: Some(pb::objective::Kind::Filter(pb::Filter::default())),
        ..pb::Objective::default()
    };
    let operation = Operation::Put(Objective::from_proto(proto).unwrap());
    ObjectiveChange {
        device: device.into(),
        owner: String::new(),
        operation,
    }
}

async fn apply(store: &Store, devices: Vec<DeviceChange>, objectives: Vec<ObjectiveChange>) {
    let changes = ChangeSet {
        devices,
        objectives,
        ..ChangeSet::default()
    };
    let response = store.submit(Command::Apply(changes)).await.unwrap();
    assert!(matches!(response, Response::Applied { .. }), "{response:?}");
}

#[tokio::test]
async fn a_restart_keeps_objectives_revisions_terms_and_the_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(&directory)).await.unwrap();
    apply(
        &store,
        vec![device("leaf1")],
        (0..5).map(|index| put("leaf1", index)).collect(),
    )
    .await;
    let delete = Operation::Delete(put("leaf1", 3).operation.key());
    apply(
        &store,
        vec![],
        vec![ObjectiveChange {
            device: "leaf1".into(),
            owner: String::new(),
            operation: delete,
        }],
    )
    .await;
    let claim = Command::Claim {
        node: 1,
        devices: vec!["leaf1".into()],
    };
    store.submit(claim).await.unwrap();
    let before = store.read(State::clone);
    store.shutdown().await;
    drop(store);

    let other_cluster = Cluster {
        id: "second".into(),
        epoch: 2000,
    };
    let config = StoreConfig {
        new_cluster: Some(other_cluster),
        ..config(&directory)
    };
    let store = Store::open(config).await.unwrap();
    assert_eq!(store.read(State::clone), before);
    assert_eq!(before.cluster().id, "first");
}

#[tokio::test]
async fn a_store_that_was_not_closed_comes_back_with_everything_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(&directory)).await.unwrap();
    apply(&store, vec![device("leaf1")], vec![put("leaf1", 0)]).await;
    let before = store.read(State::clone);
    // What a power cut leaves: the file as of now, whatever is still only in memory.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(
        directory.path().join("store.redb"),
        copy.path().join("store.redb"),
    )
    .unwrap();
    let store = Store::open(config(&copy)).await.unwrap();
    assert_eq!(store.read(State::clone), before);
}

#[tokio::test]
async fn a_snapshot_carries_the_state_to_another_node() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(&directory)).await.unwrap();
    apply(
        &store,
        vec![device("leaf1")],
        vec![put("leaf1", 0), put("leaf1", 1)],
    )
    .await;
    store.raft.trigger().snapshot().await.unwrap();
    let wait = store.raft.wait(Some(std::time::Duration::from_secs(5)));
    wait.metrics(|metrics| metrics.snapshot.is_some(), "a snapshot")
        .await
        .unwrap();
    let snapshot = store.raft.get_snapshot().await.unwrap().unwrap();

    let (_other, _, mut receiver) = OnDisk.build().await.unwrap();
    receiver
        .install_snapshot(&snapshot.meta, snapshot.snapshot)
        .await
        .unwrap();
    assert_eq!(receiver.read(State::clone), store.read(State::clone));
}

#[tokio::test]
async fn a_second_process_is_refused_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Store::open(config(&directory)).await.unwrap();
    let second = Store::open(config(&directory)).await;
    let Err(StartError::Open(error)) = second else {
        panic!("it opened")
    };
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_store_of_another_node_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    Store::open(config(&directory))
        .await
        .unwrap()
        .shutdown()
        .await;
    let other = StoreConfig {
        node_id: 2,
        ..config(&directory)
    };
    let Err(StartError::Open(error)) = Store::open(other).await else {
        panic!("it opened")
    };
    assert!(
        matches!(
            error,
            OpenError::OtherNode {
                stored: 1,
                configured: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_damaged_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(&directory)).await.unwrap();
    apply(&store, vec![device("leaf1")], vec![put("leaf1", 0)]).await;
    store.shutdown().await;
    drop(store);
    let path = directory.path().join("store.redb");
    let whole = std::fs::read(&path).unwrap();
    let mut scrambled = whole.clone();
    scrambled[4096..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    let mut headless = whole.clone();
    headless[..16].fill(b'X');
    for damaged in [Vec::new(), whole[..5000].to_vec(), headless, scrambled] {
        std::fs::write(&path, &damaged).unwrap();
        let Err(StartError::Open(error)) = Store::open(config(&directory)).await else {
            panic!("it opened")
        };
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "{error}");
    }
}

fn command_strategy() -> impl Strategy<Value = Command> {
    let name = || prop::sample::select(vec!["leaf1", "leaf2"]);
    let changes = |devices, objectives| {
        Command::Apply(ChangeSet {
            devices,
            objectives,
            ..ChangeSet::default()
        })
    };
    let delete = |device: &str, index| ObjectiveChange {
        device: device.into(),
        owner: String::new(),
        operation: Operation::Delete(put(device, index).operation.key()),
    };
    prop_oneof![
        3 => name().prop_map(move |name| changes(vec![device(name)], vec![])),
        1 => name().prop_map(move |name| changes(vec![DeviceChange::Remove(name.into())], vec![])),
        8 => (name(), 0..6usize).prop_map(move |(name, index)| changes(vec![], vec![put(name, index)])),
        4 => (name(), 0..6usize).prop_map(move |(name, index)| changes(vec![], vec![delete(name, index)])),
        1 => name().prop_map(|name| Command::Claim { node: 1, devices: vec![name.into()] }),
        2 => (1..4u64, 0..2u64).prop_map(|(node, boot)| {
            let (boot, spec) = (BootId(boot), NodeSpec::default());
            Command::Node(NodeCommand::Start { node, boot, spec })
        }),
        2 => (1..4u64, 0..2u64).prop_map(|(node, boot)| {
            Command::Node(NodeCommand::Lost { node, boot: BootId(boot) })
        }),
        1 => (1..4u64).prop_map(|node| Command::Node(NodeCommand::Drain { node })),
        1 => (1..4u64).prop_map(|node| Command::Node(NodeCommand::Remove { node })),
        1 => any::<bool>().prop_map(|anew| {
            Command::Mastership(MastershipCommand::Balance { anew })
        }),
        1 => (name(), 1..4u64).prop_map(|(device, node)| {
            let devices = vec![device.into()];
            Command::Mastership(MastershipCommand::Set { devices, node })
        }),
        1 => name().prop_map(|name| Command::Apply(ChangeSet {
            prune: vec![Scope { device: name.into(), owner: String::new() }],
            ..ChangeSet::default()
        })),
        12 => crate::state::kv::tests::command().prop_map(Command::Kv),
        2 => (name(), prop::option::of(Just("1".to_owned()))).prop_map(|(name, value)| {
            let changes = vec![(name.to_owned(), value)];
            Command::Configure(ConfigureCommand { changes, expected: None })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Every row that a command changes is among those it says it touched.
    #[test]
    fn the_rows_on_disk_are_the_state_in_memory_after_any_commands(
        commands in prop::collection::vec(command_strategy(), 1..40),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = StoreDatabase::open(directory.path(), 1).unwrap();
        let mut state = State::default();
        for command in commands {
            let touched = state.apply(command).touched;
            database
                .write(|transaction| rows::store(transaction, &state, &touched))
                .unwrap();
        }
        prop_assert_eq!(rows::load(&database.begin_read().unwrap()).unwrap(), state);
    }
}
