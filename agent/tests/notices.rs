//! What the data plane tells its controllers: digests, idle entries and the colours of meters, of a
//! learning switch on the interpreter. The section of the specification that a test holds stands above it.

mod common;

use std::path::Path;
use std::time::Duration;

use pointsman_agent::config::{Config, PipelineChoice};
use pointsman_p4::p4info::parse_write_request;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::p4_data::Data;
use pointsman_proto::p4::v1::stream_message_request::Update as ToAgent;
use pointsman_proto::p4::v1::stream_message_response::Update as FromAgent;
use tonic::Code;

use common::{Controller, TestAgent, codes};

const DIGEST: u32 = 400_350_661;
const SOURCES: u32 = 39_666_910;
const DESTINATIONS: u32 = 46_600_900;
const EXCESS: u32 = 338_661_744;

/// How long something may take to come, and what must not come is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(150);

fn config(state_dir: &Path) -> Config {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs/learning");
    Config {
        pipeline: PipelineChoice::Directory(program),
        ports: Vec::new(),
        ..common::config(state_dir)
    }
}

/// Updates of one type, by their entities.
fn updates(kind: &str, entities: &[&str]) -> Vec<p4::Update> {
    let updates = entities
        .iter()
        .map(|entity| format!("updates {{ type: {kind} entity {{ {entity} }} }}\n"));
    let request = parse_write_request(&updates.collect::<String>());
    request.expect("it is a request").updates
}

async fn write(controller: &mut Controller, kind: &str, entity: &str) -> Result<(), Code> {
    let written = controller.write(updates(kind, &[entity])).await;
    written.map_err(|status| codes(&status)[0])
}

async fn read(controller: &mut Controller, filter: &str) -> Result<Vec<Entity>, Code> {
    let filter = updates("INSERT", &[filter]).remove(0).entity;
    let filter = filter.and_then(|e| e.entity).expect("an entity");
    let found = controller.read(filter).await;
    let found = found.map_err(|status| codes(&status)[0])?;
    Ok(found.into_iter().filter_map(|e| e.entity).collect())
}

fn frame(destination: u64, source: u64) -> Vec<u8> {
    let mut frame = destination.to_be_bytes()[2..].to_vec();
    frame.extend(&source.to_be_bytes()[2..]);
    frame.extend([0x08, 0x00]);
    frame.resize(64, 0);
    frame
}

fn digest_entry(config: &str) -> String {
    format!("digest_entry {{ digest_id: {DIGEST} config {{ {config} }} }}")
}

async fn digest(controller: &mut Controller) -> p4::DigestList {
    match soon(controller).await {
        FromAgent::Digest(list) => list,
        other => panic!("not a digest list: {other:?}"),
    }
}

async fn idle(controller: &mut Controller) -> p4::IdleTimeoutNotification {
    match soon(controller).await {
        FromAgent::IdleTimeoutNotification(notification) => notification,
        other => panic!("not an idle timeout: {other:?}"),
    }
}

async fn soon(controller: &mut Controller) -> FromAgent {
    let next = tokio::time::timeout(PATIENCE, controller.next()).await;
    next.expect("it comes").expect("no error")
}

async fn nothing_comes(controller: &mut Controller) {
    let next = tokio::time::timeout(SILENCE, controller.next()).await;
    assert!(next.is_err(), "{next:?}");
}

async fn acknowledge(controller: &Controller, digest_id: u32, list_id: u64) {
    let ack = ToAgent::DigestAck(p4::DigestListAck { digest_id, list_id });
    let message = p4::StreamMessageRequest { update: Some(ack) };
    let sent = controller.requests.send(message).await;
    sent.expect("there is room");
}

/// 9.6.9 `DigestEntry`
#[tokio::test]
async fn a_digest_is_sent_to_the_primary_with_its_type_and_not_again_before_it_is_acknowledged() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    // Nobody has asked for it.
    agent.engine.receive(1, frame(2, 0x0a));
    nothing_comes(&mut primary).await;

    let an_hour = 3_600_000_000_000_u64;
    let entry = digest_entry(&format!("max_list_size: 1 ack_timeout_ns: {an_hour}"));
    assert_eq!(write(&mut primary, "INSERT", &entry).await, Ok(()));
    agent.engine.receive(1, frame(0xffff_ffff_ffff, 0x0a));
    let list = digest(&mut primary).await;
    assert_eq!((list.digest_id, list.data.len()), (DIGEST, 1));
    assert!(list.timestamp > 0);
    let bits = |bytes: &[u8]| p4::P4Data {
        data: Some(Data::Bitstring(bytes.to_vec())),
    };
    let broadcast = p4::P4Data {
        data: Some(Data::Bool(true)),
    };
    let members = |members| p4::P4Data {
        data: Some(Data::Struct(p4::P4StructLike { members })),
    };
    // A number, a string, and a struct in a struct.
    let kind = members(vec![bits(&[0x08, 0x00]), broadcast]);
    let learnt = members(vec![bits(&[0x0a]), bits(b"1"), kind]);
    assert_eq!(list.data, [learnt]);

    agent.engine.receive(1, frame(0xffff_ffff_ffff, 0x0a));
    nothing_comes(&mut primary).await;
    agent.engine.receive(1, frame(0xffff_ffff_ffff, 0x0b));
    let other = digest(&mut primary).await;
    assert_ne!(other.list_id, list.list_id);
    acknowledge(&primary, DIGEST, list.list_id).await;
    // Acknowledgements and packets come by different ways.
    let again = async {
        loop {
            agent.engine.receive(1, frame(0xffff_ffff_ffff, 0x0a));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let list = tokio::select! {
        () = again => unreachable!("it goes on"),
        list = digest(&mut primary) => list,
    };
    assert_eq!(
        list.data,
        [members(vec![
            bits(&[0x0a]),
            bits(b"1"),
            members(vec![
                bits(&[0x08, 0x00]),
                p4::P4Data {
                    data: Some(Data::Bool(true))
                }
            ])
        ])]
    );
    agent.stop().await;
}

/// 9.6.9 `DigestEntry`
#[tokio::test]
async fn digests_that_come_together_are_sent_together() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    let entry = digest_entry("max_timeout_ns: 100000000 max_list_size: 3");
    assert_eq!(write(&mut primary, "INSERT", &entry).await, Ok(()));
    for source in [1, 1, 2, 2, 3, 4, 4] {
        agent.engine.receive(1, frame(9, source));
    }
    assert_eq!(digest(&mut primary).await.data.len(), 3);
    // The last one waits for its timeout.
    assert_eq!(digest(&mut primary).await.data.len(), 1);
    agent.stop().await;
}

/// 9.6.9 `DigestEntry`, 16.5 "Stream Error Reporting"
#[tokio::test]
async fn digests_are_configured_as_other_entities_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(2).await;
    let entry = digest_entry("max_timeout_ns: 7 max_list_size: 8 ack_timeout_ns: 9");
    let missing = Err(Code::NotFound);
    assert_eq!(write(&mut primary, "MODIFY", &entry).await, missing);
    assert_eq!(write(&mut primary, "DELETE", &entry).await, missing);
    assert_eq!(write(&mut primary, "INSERT", &entry).await, Ok(()));
    let there = Err(Code::AlreadyExists);
    assert_eq!(write(&mut primary, "INSERT", &entry).await, there);
    let entry = digest_entry("max_timeout_ns: 1 max_list_size: 2 ack_timeout_ns: 3");
    assert_eq!(write(&mut primary, "MODIFY", &entry).await, Ok(()));
    let invalid = Err(Code::InvalidArgument);
    for wrong in [
        "max_timeout_ns: -1",
        "max_list_size: -1",
        "ack_timeout_ns: -1",
    ] {
        let wrong = digest_entry(wrong);
        assert_eq!(write(&mut primary, "MODIFY", &wrong).await, invalid);
    }
    let unknown = "digest_entry { digest_id: 5 }";
    assert_eq!(write(&mut primary, "INSERT", unknown).await, invalid);
    assert_eq!(
        read(&mut primary, unknown).await,
        Err(Code::InvalidArgument)
    );

    let config = p4::digest_entry::Config {
        max_timeout_ns: 1,
        max_list_size: 2,
        ack_timeout_ns: 3,
    };
    let expected = Entity::DigestEntry(p4::DigestEntry {
        digest_id: DIGEST,
        config: Some(config),
    });
    let one = format!("digest_entry {{ digest_id: {DIGEST} }}");
    for filter in ["digest_entry { }", &one] {
        let found = read(&mut primary, filter).await;
        assert_eq!(found, Ok(vec![expected.clone()]));
    }

    // A list that nobody was sent is no error, a digest that does not exist is one, and so is a backup.
    acknowledge(&primary, DIGEST, 77).await;
    acknowledge(&primary, 5, 1).await;
    let mut backup = agent.controller(Some(1)).await;
    backup.arbitration().await;
    acknowledge(&backup, DIGEST, 1).await;
    for (controller, code) in [
        (&mut primary, Code::InvalidArgument),
        (&mut backup, Code::PermissionDenied),
    ] {
        match soon(controller).await {
            FromAgent::Error(error) => assert_eq!(error.canonical_code, code as i32),
            other => panic!("not an error: {other:?}"),
        }
    }
    drop((primary, backup));

    // What is configured survives a restart, and goes when it is deleted.
    agent.stop().await;
    let agent = TestAgent::start(&self::config(directory.path())).await;
    let mut primary = agent.primary(3).await;
    let found = read(&mut primary, "digest_entry { }").await;
    assert_eq!(found, Ok(vec![expected]));
    agent.engine.receive(1, frame(1, 2));
    digest(&mut primary).await;
    assert_eq!(write(&mut primary, "DELETE", &one).await, Ok(()));
    assert_eq!(read(&mut primary, "digest_entry { }").await, Ok(vec![]));
    agent.engine.receive(1, frame(1, 3));
    nothing_comes(&mut primary).await;
    drop(primary);
    agent.stop().await;
}

/// An entry for a source on port 1, with more fields.
fn source(address: u8, fields: &str) -> String {
    format!(
        "table_entry {{ table_id: {SOURCES} \
         match {{ field_id: 1 exact {{ value: \"\\{address:03o}\" }} }} \
         match {{ field_id: 2 exact {{ value: \"\\001\" }} }} \
         action {{ action {{ action_id: 21257015 }} }} {fields} }}"
    )
}

fn elapsed(found: &[Entity]) -> Option<i64> {
    match found {
        [Entity::TableEntry(entry)] => Some(entry.time_since_last_hit?.elapsed_ns),
        other => panic!("not one entry: {other:?}"),
    }
}

/// 9.1.8 "Idle-timeout", 16.3 "Table Idle Timeout Notification"
#[tokio::test]
async fn an_entry_that_no_packet_hits_is_reported_after_each_timeout() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    let timeout = 200_000_000;
    let fields = format!("idle_timeout_ns: {timeout} metadata: \"who\" controller_metadata: 9");
    let written = write(&mut primary, "INSERT", &source(1, &fields)).await;
    assert_eq!(written, Ok(()));
    // This one never goes.
    assert_eq!(write(&mut primary, "INSERT", &source(2, "")).await, Ok(()));

    for _ in 0..2 {
        let notification = idle(&mut primary).await;
        assert!(notification.timestamp > 0);
        let [entry] = notification.table_entry.as_slice() else {
            panic!("not one entry: {notification:?}");
        };
        assert_eq!((entry.table_id, entry.r#match.len()), (SOURCES, 2));
        assert_eq!(entry.idle_timeout_ns, timeout);
        assert_eq!(entry.metadata, b"who");
        #[allow(deprecated)]
        let controller_metadata = entry.controller_metadata;
        assert_eq!(controller_metadata, 9);
    }

    // Packets keep it for longer than its timeout.
    let kept = tokio::time::Instant::now() + Duration::from_nanos(3 * timeout as u64);
    while tokio::time::Instant::now() < kept {
        agent.engine.receive(1, frame(9, 1));
        let next = tokio::time::timeout(Duration::from_millis(10), primary.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
    let hit = source(1, "time_since_last_hit { }");
    let found = read(&mut primary, &hit).await.expect("it is there");
    assert!(elapsed(&found).is_some_and(|ns| (0..timeout).contains(&ns)));

    // A modification changes the timeout, and a deletion ends it.
    let written = write(&mut primary, "MODIFY", &source(1, "")).await;
    assert_eq!(written, Ok(()));
    let found = read(&mut primary, &source(1, ""))
        .await
        .expect("it is there");
    assert_eq!(elapsed(&found), None);
    nothing_comes(&mut primary).await;
    let written = write(&mut primary, "MODIFY", &source(2, "idle_timeout_ns: 1")).await;
    assert_eq!(written, Ok(()));
    assert_eq!(idle(&mut primary).await.table_entry.len(), 1);
    assert_eq!(write(&mut primary, "DELETE", &source(2, "")).await, Ok(()));
    while tokio::time::timeout(SILENCE, primary.next()).await.is_ok() {}
    nothing_comes(&mut primary).await;
    agent.stop().await;
}

/// 9.1.8 "Idle-timeout"
#[tokio::test]
async fn the_time_since_the_last_hit_is_true_without_a_timeout_and_only_where_there_can_be_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    assert_eq!(write(&mut primary, "INSERT", &source(1, "")).await, Ok(()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = source(1, "time_since_last_hit { }");
    let found = read(&mut primary, &asked).await.expect("it is there");
    let never_hit = elapsed(&found).expect("it is told");
    assert!(never_hit >= 100_000_000);
    agent.engine.receive(1, frame(9, 1));
    let found = read(&mut primary, &asked).await.expect("it is there");
    assert!(elapsed(&found).expect("it is told") < never_hit);

    let invalid = Err(Code::InvalidArgument);
    for wrong in ["idle_timeout_ns: -1", "time_since_last_hit { }"] {
        let wrong = source(3, wrong);
        assert_eq!(write(&mut primary, "INSERT", &wrong).await, invalid);
    }
    let default = format!(
        "table_entry {{ table_id: {DESTINATIONS} is_default_action: true idle_timeout_ns: 1 }}"
    );
    assert_eq!(write(&mut primary, "MODIFY", &default).await, invalid);
    drop(primary);
    agent.stop().await;

    // A program whose tables have no timeouts.
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&common::config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    let table = {
        let state = agent.agent.shared();
        let pipeline = state.switch.pipeline().expect("it is set");
        pipeline.schema.tables[0].id
    };
    let filter = format!("table_entry {{ table_id: {table} time_since_last_hit {{ }} }}");
    assert_eq!(
        read(&mut primary, &filter).await,
        Err(Code::InvalidArgument)
    );
    drop(primary);
    agent.stop().await;
}

fn colors(found: &[Entity]) -> Option<[i64; 3]> {
    let counts = match found {
        [Entity::MeterEntry(entry)] => entry.counter_data,
        [Entity::DirectMeterEntry(entry)] => entry.counter_data,
        [Entity::TableEntry(entry)] => entry.meter_counter_data,
        other => panic!("not one entry: {other:?}"),
    };
    let counts = counts?;
    let colors = [counts.green, counts.yellow, counts.red];
    Some(colors.map(|color| color.expect("all are told").packet_count))
}

/// 9.5 `MeterEntry` and `DirectMeterEntry`, 9.1.5 "Direct resources"
#[tokio::test]
async fn what_meters_mark_is_counted_by_colour_read_when_asked_for_and_reset() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    let destination = |fields: &str| {
        format!(
            "table_entry {{ table_id: {DESTINATIONS} \
             match {{ field_id: 1 exact {{ value: \"\\002\" }} }} {fields} }}"
        )
    };
    let forward = "action { action { action_id: 33480099 \
                   params { param_id: 1 value: \"\\002\" } } } \
                   meter_config { cburst: 3 pburst: 5 }";
    let written = write(&mut primary, "INSERT", &destination(forward)).await;
    assert_eq!(written, Ok(()));
    let excess = |fields: &str| {
        format!("meter_entry {{ meter_id: {EXCESS} index {{ index: 1 }} {fields} }}")
    };
    let single_rate = excess("config { cburst: 2 pburst: 2 eburst: 4 }");
    assert_eq!(write(&mut primary, "MODIFY", &single_rate).await, Ok(()));
    for _ in 0..8 {
        agent.engine.receive(1, frame(2, 7));
    }

    let direct = |fields: &str| {
        let entry = destination("");
        format!("direct_meter_entry {{ {entry} {fields} }}")
    };
    for (filter, expected) in [
        (excess("counter_data { }"), Some([2, 4, 2])),
        (excess(""), None),
        (direct("counter_data { }"), Some([3, 2, 3])),
        (direct(""), None),
        (destination("meter_counter_data { }"), Some([3, 2, 3])),
        (destination(""), None),
    ] {
        let found = read(&mut primary, &filter).await.expect("it is there");
        assert_eq!(colors(&found), expected, "{filter}");
    }

    // Set is reset, whatever a client would like, and unset leaves them alone.
    let invalid = Err(Code::InvalidArgument);
    let wrong = "counter_data { green { packet_count: 1 } }";
    assert_eq!(write(&mut primary, "MODIFY", &excess(wrong)).await, invalid);
    assert_eq!(write(&mut primary, "MODIFY", &direct(wrong)).await, invalid);
    let written = write(&mut primary, "MODIFY", &destination("")).await;
    assert_eq!(written, Ok(()));
    let asked = destination("meter_counter_data { }");
    let found = read(&mut primary, &asked).await.expect("it is there");
    assert_eq!(colors(&found), Some([3, 2, 3]));
    for reset in [excess("counter_data { }"), direct("counter_data { }")] {
        assert_eq!(write(&mut primary, "MODIFY", &reset).await, Ok(()));
        let found = read(&mut primary, &reset).await.expect("it is there");
        assert_eq!(colors(&found), Some([0, 0, 0]));
    }
    // No config is green for all packets, and they are counted.
    agent.engine.receive(1, frame(2, 7));
    let found = read(&mut primary, &asked).await.expect("it is there");
    assert_eq!(colors(&found), Some([1, 0, 0]));

    // Each type has the fields that it uses.
    let two_rates = excess("config { cir: 1 cburst: 2 pir: 3 pburst: 4 }");
    assert_eq!(write(&mut primary, "MODIFY", &two_rates).await, invalid);
    let excess_burst = direct("config { cburst: 2 pburst: 2 eburst: 4 }");
    assert_eq!(write(&mut primary, "MODIFY", &excess_burst).await, invalid);
    agent.stop().await;
}
