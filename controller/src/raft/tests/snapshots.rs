//! Snapshots between nodes: what is not whole is not used.

use std::pin::pin;

use futures::{StreamExt, stream};
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use openraft::testing::StoreBuilder;
use pointsman_proto::pointsman::peer::v1::SnapshotChunk;
use pointsman_proto::pointsman::peer::v1::snapshot_chunk::Part;

use super::super::snapshot::{self, SnapshotError};
use super::super::types::Vote;
use super::{OnDisk, apply, config, device, put};
use crate::raft::Store;
use crate::state::State;

/// The messages of a snapshot of some objectives, and their state.
async fn messages() -> (Vec<SnapshotChunk>, State) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(config(&directory)).await.unwrap();
    let objectives = (0..3000).map(|index| put("leaf1", index)).collect();
    apply(&store, vec![device("leaf1")], objectives).await;
    store.raft.trigger().snapshot().await.unwrap();
    let wait = store.raft.wait(Some(std::time::Duration::from_secs(5)));
    wait.metrics(|metrics| metrics.snapshot.is_some(), "a snapshot")
        .await
        .unwrap();
    let snapshot = store.raft.get_snapshot().await.unwrap().unwrap();
    let chunks = snapshot::chunks(Vote::new(1, 1), snapshot).collect().await;
    (chunks, store.read(State::clone))
}

async fn receive(chunks: Vec<SnapshotChunk>) -> Result<State, SnapshotError> {
    let directory = tempfile::tempdir().unwrap();
    let chunks = pin!(stream::iter(chunks.into_iter().map(Ok)));
    let (_, snapshot) = snapshot::receive(directory.path(), chunks).await?;
    let (_directory, _, mut receiver) = OnDisk.build().await.unwrap();
    let installed = receiver
        .install_snapshot(&snapshot.meta, snapshot.snapshot)
        .await;
    installed.unwrap();
    // What it was given, it can pass on.
    receiver
        .get_snapshot_builder()
        .await
        .build_snapshot()
        .await
        .unwrap();
    assert!(receiver.get_current_snapshot().await.unwrap().is_some());
    Ok(receiver.read(State::clone))
}

#[tokio::test]
async fn a_snapshot_arrives_in_pieces_as_it_was() {
    let (chunks, state) = messages().await;
    assert!(chunks.len() > 3, "{} pieces", chunks.len());
    assert_eq!(receive(chunks).await.unwrap(), state);
}

#[tokio::test]
async fn a_snapshot_that_was_damaged_or_cut_is_not_used() {
    let (chunks, _) = messages().await;
    let mut damaged = chunks.clone();
    let Some(Part::Data(data)) = &mut damaged[1].part else {
        panic!("no data")
    };
    let mut bytes = data.to_vec();
    bytes[1000] ^= 1;
    *data = bytes.into();
    let error = receive(damaged).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Checksum { .. }), "{error}");
    let mut gap = chunks.clone();
    gap.remove(2);
    let error = receive(gap).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Checksum { .. }), "{error}");
    let cut = chunks[..chunks.len() - 1].to_vec();
    let error = receive(cut).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Order("trailer")), "{error}");
    let error = receive(chunks[1..].to_vec()).await.unwrap_err();
    assert!(matches!(error, SnapshotError::Order("header")), "{error}");
}
