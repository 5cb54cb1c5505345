//! What a switch behind the proxy learns, and which of its entries are idle, reaches the proxy's own clients.

use std::time::Duration;

use pointsman_agent::config::{Config, PipelineChoice};
use pointsman_p4::p4info::parse_write_request;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Answer;
use tonic::Code;

use super::*;

const DIGEST: u32 = 400_350_661;
const SOURCES: u32 = 39_666_910;

/// The learning switch on an agent with the interpreter, and a proxy in front of it.
async fn learning() -> (TestAgent, TestAgent, Controller, [tempfile::TempDir; 2]) {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = behind(dirs[0].path()).await;
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs");
    let config = Config {
        pipeline: PipelineChoice::Directory(program.join("learning")),
        ..proxy_config(dirs[1].path())
    };
    let proxy = TestAgent::start_proxy(&config, upstream(&behind.address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    (behind, proxy, controller, dirs)
}

fn frame(source: u8) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([0, 0, 0, 0, 0, source, 0x08, 0x00]);
    frame.resize(64, 0);
    frame
}

/// Updates of one type, by their entity.
fn updates(kind: &str, entity: &str) -> Vec<p4::Update> {
    let text = format!("updates {{ type: {kind} entity {{ {entity} }} }}");
    parse_write_request(&text).expect("it is a request").updates
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

async fn digest(controller: &mut Controller) -> p4::DigestList {
    let next = tokio::time::timeout(PATIENCE, controller.next()).await;
    match next.expect("it comes").expect("no error") {
        Answer::Digest(list) => list,
        other => panic!("not a digest list: {other:?}"),
    }
}

async fn nothing_comes(controller: &mut Controller) {
    let next = tokio::time::timeout(Duration::from_millis(150), controller.next()).await;
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_switch_learns_is_passed_on_once_until_it_is_acknowledged() {
    let (behind, _proxy, mut controller, _dirs) = learning().await;
    let an_hour = 3_600_000_000_000_u64;
    let config = format!(
        "digest_entry {{ digest_id: {DIGEST} \
         config {{ max_list_size: 1 ack_timeout_ns: {an_hour} }} }}"
    );
    let written = controller.write(updates("INSERT", &config)).await;
    written.expect("the switch can");
    behind.engine.receive(1, frame(0x0a));
    let list = digest(&mut controller).await;
    assert_eq!((list.digest_id, list.data.len()), (DIGEST, 1));
    behind.engine.receive(1, frame(0x0a));
    nothing_comes(&mut controller).await;

    let ack = Request::DigestAck(p4::DigestListAck {
        digest_id: DIGEST,
        list_id: list.list_id,
    });
    let message = p4::StreamMessageRequest { update: Some(ack) };
    let sent = controller.requests.send(message).await;
    sent.expect("there is room");
    // The acknowledgement has two streams to go through before the packet counts.
    let again = async {
        loop {
            behind.engine.receive(1, frame(0x0a));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let second = tokio::select! {
        () = again => unreachable!("it goes on"),
        list = digest(&mut controller) => list,
    };
    assert_eq!(second.data, list.data);
    assert_ne!(second.list_id, list.list_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_primary_has_not_seen_can_be_learnt_again() {
    let (behind, proxy, mut controller, _dirs) = learning().await;
    let an_hour = 3_600_000_000_000_u64;
    let config = format!(
        "digest_entry {{ digest_id: {DIGEST} \
         config {{ max_list_size: 1 ack_timeout_ns: {an_hour} }} }}"
    );
    let written = controller.write(updates("INSERT", &config)).await;
    written.expect("the switch can");
    behind.engine.receive(1, frame(0x0a));
    let list = digest(&mut controller).await;
    let mut next = proxy.primary(2).await;
    // Another address tells the proxy that somebody else is asked now.
    behind.engine.receive(1, frame(0x0b));
    digest(&mut next).await;
    let again = async {
        loop {
            behind.engine.receive(1, frame(0x0a));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let second = tokio::select! {
        () = again => unreachable!("it goes on"),
        list = digest(&mut next) => list,
    };
    assert_eq!(second.data, list.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_entries_of_the_switch_are_told_of_as_they_were_written() {
    let (behind, _proxy, mut controller, _dirs) = learning().await;
    let timeout = 100_000_000;
    let fields = format!("idle_timeout_ns: {timeout} metadata: \"who\"");
    let written = controller.write(updates("INSERT", &source(1, &fields)));
    written.await.expect("it is new");
    let next = tokio::time::timeout(PATIENCE, controller.next()).await;
    let Answer::IdleTimeoutNotification(told) = next.expect("it comes").expect("no error") else {
        panic!("not an idle timeout");
    };
    let [entry] = told.table_entry.as_slice() else {
        panic!("not one entry: {told:?}");
    };
    assert_eq!((entry.table_id, entry.r#match.len()), (SOURCES, 2));
    assert_eq!(entry.idle_timeout_ns, timeout);
    assert_eq!(entry.metadata, b"who");

    let written = controller.write(updates("MODIFY", &source(1, "")));
    written.await.expect("it is there");
    behind.engine.receive(1, frame(1));
    let asked = updates("INSERT", &source(1, "time_since_last_hit { }")).remove(0);
    let asked = asked.entity.and_then(|e| e.entity).expect("an entity");
    let found = controller.read(asked).await.expect("the switch says");
    let [Some(Entity::TableEntry(entry))] = [found[0].entity.as_ref()] else {
        panic!("not an entry: {found:?}");
    };
    let elapsed = entry.time_since_last_hit.expect("it was asked for");
    let patience = i64::try_from(PATIENCE.as_nanos()).expect("it is short");
    assert!((0..patience).contains(&elapsed.elapsed_ns), "{elapsed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_without_digests_refuses_their_configuration_in_its_own_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let poor = RunningPoor::start("127.0.0.1:0").await;
    poor.server.lock().lacks_digests = true;
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs");
    let config = Config {
        pipeline: PipelineChoice::Directory(program.join("learning")),
        ..proxy_config(dir.path())
    };
    let upstream = upstream(&poor.address.to_string());
    let proxy = TestAgent::start_proxy(&config, upstream).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    let config = format!("digest_entry {{ digest_id: {DIGEST} config {{ }} }}");
    let refused = controller.write(updates("INSERT", &config)).await;
    let refused = refused.expect_err("it has none");
    assert_eq!(common::codes(&refused), [Code::Unimplemented]);
    let message = &common::errors(&refused)[0].message;
    assert!(message.contains("no digests here"), "{message}");
    let all = Entity::DigestEntry(p4::DigestEntry::default());
    assert!(
        controller
            .read(all)
            .await
            .expect("it is read here")
            .is_empty()
    );

    let written = controller.write(updates("INSERT", &source(1, "")));
    written.await.expect("it is new");
    let asked = updates("INSERT", &source(1, "time_since_last_hit { }")).remove(0);
    let asked = asked.entity.and_then(|e| e.entity).expect("an entity");
    let refused = controller.read(asked).await.expect_err("it does not say");
    assert_eq!(common::codes(&refused), [Code::Unimplemented]);
}
