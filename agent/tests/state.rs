//! The state directory: what survives, and what is refused rather than lost.

mod common;

use std::path::Path;

use common::{TestAgent, config, read, update};
use pointsman_agent::journal::{JournalError, StateDirectory};
use pointsman_agent::start::start_with;
use pointsman_agent::target::interpreter::InterpreterTarget;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::packet_replication_engine_entry::Type;
use tonic::Code;

fn group(id: u32, ports: &[u8]) -> Entity {
    let replicas = ports.iter().map(|port| p4::Replica {
        port_kind: Some(p4::replica::PortKind::Port(vec![*port])),
        ..Default::default()
    });
    Entity::PacketReplicationEngineEntry(p4::PacketReplicationEngineEntry {
        r#type: Some(Type::MulticastGroupEntry(p4::MulticastGroupEntry {
            multicast_group_id: id,
            replicas: replicas.collect(),
            metadata: b"mine".to_vec(),
        })),
    })
}

/// Starts an agent and stops it; an error as operators see it.
fn start(state_dir: &Path, device_id: u64) -> Result<(), String> {
    let mut config = config(state_dir);
    config.device_id = device_id;
    let (packets, _packet_in) = tokio::sync::mpsc::channel(1);
    let (learner, _learnt) = tokio::sync::mpsc::channel(1);
    let target = InterpreterTarget::new(config.cpu_port, packets, learner);
    let started = start_with(&config, Box::new(target));
    started.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn what_a_client_wrote_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = config(dir.path());
    let agent = TestAgent::start(&config).await;
    let mut controller = agent.primary(7).await;
    let insert = |entity| update(p4::update::Type::Insert, entity);
    let batch = vec![insert(group(1, &[1, 2])), insert(group(2, &[49]))];
    controller.write(batch).await.expect("they are new");
    let delete = update(p4::update::Type::Delete, group(2, &[]));
    controller.write(vec![delete]).await.expect("it is there");
    drop(controller);
    agent.stop().await;

    let agent = TestAgent::start(&config).await;
    let everything = Entity::PacketReplicationEngineEntry(Default::default());
    let found = read(&mut agent.p4runtime().await, everything)
        .await
        .expect("readable");
    let expected = p4::Entity {
        entity: Some(group(1, &[1, 2])),
    };
    assert_eq!(found, [expected]);
    let mut low = agent.controller(Some(6)).await;
    let standing = low.arbitration().await;
    assert_eq!(
        standing.status.expect("a status").code,
        Code::NotFound as i32
    );
    assert_eq!(standing.election_id.expect("the highest").low, 7);
}

#[test]
fn a_damaged_file_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    start(dir.path(), 1).expect("it is new");
    let state = dir.path().join("state");
    let mut bytes = std::fs::read(&state).expect("there is a state file");
    bytes[100] ^= 1;
    std::fs::write(&state, &bytes).expect("it can be written");
    let error = start(dir.path(), 1).expect_err("it is damaged");
    assert!(
        error.contains("damaged at byte") && error.contains("nothing was changed"),
        "{error}"
    );
    assert_eq!(std::fs::read(&state).expect("it is still there"), bytes);
}

#[test]
fn whichever_byte_of_what_was_acknowledged_is_damaged_the_file_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    start(dir.path(), 1).expect("it is new");
    let state = dir.path().join("state");
    let bytes = std::fs::read(&state).expect("there is a state file");
    let directory = StateDirectory::open(dir.path(), 1).expect("nobody has it");
    // The last record only says that the others are there.
    let last = 11;
    for byte in (0..bytes.len() - last).step_by(bytes.len() / 500) {
        let mut damaged = bytes.clone();
        damaged[byte] ^= 0x80;
        std::fs::write(&state, &damaged).expect("it can be written");
        let read = directory.read();
        assert!(
            matches!(read, Err(JournalError::Damaged { .. })),
            "byte {byte}"
        );
    }
}

#[test]
fn a_record_that_was_not_finished_is_left_out() {
    let dir = tempfile::tempdir().expect("a directory");
    start(dir.path(), 1).expect("it is new");
    let state = dir.path().join("state");
    let mut bytes = std::fs::read(&state).expect("there is a state file");
    bytes.extend([200, 0, 0, 0, 1, 2, 3, 4, 5]);
    std::fs::write(&state, &bytes).expect("it can be written");
    start(dir.path(), 1).expect("what was acknowledged is whole");
}

#[test]
fn a_directory_belongs_to_one_agent_and_one_device() {
    let dir = tempfile::tempdir().expect("a directory");
    start(dir.path(), 1).expect("it is new");
    let error = start(dir.path(), 2).expect_err("it is device 1's");
    assert!(error.contains("state of device 1"), "{error}");
    let _held = StateDirectory::open(dir.path(), 1).expect("nobody has it");
    let second = StateDirectory::open(dir.path(), 1).expect_err("it is held");
    assert!(matches!(second, JournalError::Locked { .. }));
}
