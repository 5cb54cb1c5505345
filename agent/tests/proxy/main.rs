//! The agent in front of other P4Runtime servers: another agent, and one that keeps to nothing.

#[path = "../common/mod.rs"]
mod common;
mod drift;
mod failover;
mod faults;
mod notices;
mod packets;
mod poor_server;
mod security;

use std::time::Duration;

use common::{Controller, DEVICE, TestAgent, codes, config, update};
use pointsman_agent::arbitration::ElectionId;
use pointsman_agent::config::{Config, PipelineChoice};
use pointsman_agent::target::p4runtime::Upstream;
use pointsman_p4::p4info::parse_p4info;
use pointsman_p4::programs;
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::{FieldMatchType, Lpm};
use pointsman_proto::p4::v1::update::Type::{Delete, Insert, Modify};
use pointsman_proto::p4::v1::write_request::Atomicity;
use poor_server::{COUNT, RunningPoor};
use tonic::Code;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what} did not happen");
}

fn leaf_spine() -> P4Info {
    let program = programs::embedded("leaf_spine").expect("it is built in");
    parse_p4info(program.p4info).expect("it is a p4info")
}

fn route(third: u8, next: u8) -> p4::TableEntry {
    let info = leaf_spine();
    let mut tables = info.tables.iter();
    let table = tables.find(|t| t.preamble.as_ref().is_some_and(|p| p.alias == "routing_v4"));
    let table = table.expect("leaf_spine has it");
    let mut actions = info.actions.iter();
    let named = "set_next_id_routing_v4";
    let action = actions.find(|a| a.preamble.as_ref().is_some_and(|p| p.alias == named));
    let action = action.expect("leaf_spine has it");
    p4::TableEntry {
        table_id: table.preamble.as_ref().map_or(0, |p| p.id),
        r#match: vec![p4::FieldMatch {
            field_id: table.match_fields[0].id,
            field_match_type: Some(FieldMatchType::Lpm(Lpm {
                value: vec![10, 0, third, 0],
                prefix_len: 24,
            })),
        }],
        action: Some(p4::TableAction {
            r#type: Some(p4::table_action::Type::Action(p4::Action {
                action_id: action.preamble.as_ref().map_or(0, |p| p.id),
                params: vec![p4::action::Param {
                    param_id: action.params[0].id,
                    value: vec![next],
                }],
            })),
        }),
        metadata: b"mine".to_vec(),
        ..Default::default()
    }
}

fn insert(third: u8) -> p4::Update {
    update(Insert, Entity::TableEntry(route(third, 1)))
}

async fn routes(controller: &mut Controller) -> Vec<p4::TableEntry> {
    let filter = p4::TableEntry {
        table_id: route(0, 0).table_id,
        ..Default::default()
    };
    let found = controller.read(Entity::TableEntry(filter)).await;
    let found = found.expect("what is stored can be read");
    let entries = found.into_iter().filter_map(|e| match e.entity {
        Some(Entity::TableEntry(entry)) => Some(entry),
        _ => None,
    });
    entries.collect()
}

fn proxy_config(dir: &std::path::Path) -> Config {
    Config {
        ports: Vec::new(),
        ..config(dir)
    }
}

fn upstream(address: &str) -> Upstream {
    let address = address.trim_start_matches("http://").to_owned();
    Upstream::new(address, DEVICE, ElectionId::new(0, 100))
}

/// An agent without a pipeline, over the interpreter, to be behind a proxy.
async fn behind(dir: &std::path::Path) -> TestAgent {
    let mut config = config(dir);
    config.pipeline = PipelineChoice::None;
    TestAgent::start(&config).await
}

/// Waits until writes are taken.
async fn ready(controller: &mut Controller) {
    let waiting = async {
        while controller.write(Vec::new()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "the switch did not come");
}

/// A proxy in front of a poor server, and its primary.
async fn before_poor(dir: &std::path::Path) -> (RunningPoor, TestAgent, Controller) {
    let poor = RunningPoor::start("127.0.0.1:0").await;
    let address = poor.address.to_string();
    let proxy = TestAgent::start_proxy(&proxy_config(dir), upstream(&address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    (poor, proxy, controller)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_the_proxy_is_on_the_switch_and_is_counted_there() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = behind(dirs[0].path()).await;
    let config = proxy_config(dirs[1].path());
    let proxy = TestAgent::start_proxy(&config, upstream(&behind.address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    controller
        .write(vec![insert(1), insert(2)])
        .await
        .expect("both are new");
    let mut observer = behind.controller(None).await;
    assert_eq!(routes(&mut observer).await.len(), 2);
    assert_eq!(routes(&mut controller).await[0].metadata, b"mine");

    let again = controller.write(vec![insert(3), insert(1)]).await;
    let again = again.expect_err("the second is there");
    assert_eq!(codes(&again), [Code::Ok, Code::AlreadyExists]);
    assert_eq!(routes(&mut observer).await.len(), 3);

    let atomic = vec![insert(4), insert(1)];
    let rolled_back = controller
        .write_with(atomic, Atomicity::RollbackOnError)
        .await;
    let rolled_back = rolled_back.expect_err("the second is there");
    assert_eq!(codes(&rolled_back), [Code::Aborted, Code::AlreadyExists]);
    assert_eq!(routes(&mut observer).await.len(), 3);

    let counted = p4::TableEntry {
        counter_data: Some(p4::CounterData::default()),
        ..route(1, 1)
    };
    let counters = Entity::DirectCounterEntry(p4::DirectCounterEntry {
        table_entry: Some(p4::TableEntry {
            table_id: counted.table_id,
            ..Default::default()
        }),
        data: None,
    });
    let found = controller.read(counters).await.expect("the switch answers");
    assert_eq!(found.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_to_the_switch_as_one_request() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    let batch = (0..200).map(insert).collect();
    controller.write(batch).await.expect("they are new");
    assert_eq!(poor.server.lock().writes, [200]);
    assert_eq!(poor.server.lock().entities.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_error_for_each_update_whatever_the_switch_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    poor.server.lock().refuses = Some(vec![10, 0, 7, 0]);
    let batch = vec![insert(1), insert(7), insert(2)];
    let error = controller.write(batch).await.expect_err("one is refused");
    assert_eq!(codes(&error), [Code::Ok, Code::Unknown, Code::Ok]);
    assert_eq!(routes(&mut controller).await.len(), 2);
    assert_eq!(poor.server.lock().entities.len(), 2);

    let batch = vec![insert(3), insert(7)];
    let error = controller.write_with(batch, Atomicity::RollbackOnError);
    let error = error.await.expect_err("one is refused");
    assert_eq!(codes(&error), [Code::Aborted, Code::Unknown]);
    assert_eq!(routes(&mut controller).await.len(), 2);
    assert_eq!(poor.server.lock().entities.len(), 2);

    let batch = vec![
        update(Modify, Entity::TableEntry(route(1, 9))),
        update(Delete, Entity::TableEntry(route(2, 1))),
    ];
    controller.write(batch).await.expect("both are there");
    assert_eq!(poor.server.lock().entities.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_modified_without_an_action_keeps_it_on_a_switch_that_asks_for_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    controller.write(vec![insert(1)]).await.expect("it is new");
    let noted = p4::TableEntry {
        action: None,
        metadata: b"other".to_vec(),
        ..route(1, 1)
    };
    let noted = update(Modify, Entity::TableEntry(noted));
    controller.write(vec![noted]).await.expect("it is there");
    let action = format!("{:?}", route(1, 1).action);
    assert!(format!("{:?}", poor.server.lock().entities).contains(&action));
    assert_eq!(routes(&mut controller).await[0].metadata, b"other");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_switch_drops_or_pads_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_poor, _proxy, mut controller) = before_poor(dir.path()).await;
    controller.write(vec![insert(1)]).await.expect("it is new");
    assert_eq!(routes(&mut controller).await, [route(1, 1)]);

    let counter = |table_id| {
        Entity::DirectCounterEntry(p4::DirectCounterEntry {
            table_entry: Some(p4::TableEntry {
                table_id,
                ..Default::default()
            }),
            data: None,
        })
    };
    let found = controller.read(counter(route(1, 1).table_id)).await;
    let found = found.expect("the switch counts");
    let Some(Entity::DirectCounterEntry(found)) = &found[0].entity else {
        panic!("not a counter: {found:?}");
    };
    assert_eq!(found.data, Some(COUNT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_has_forgotten_everything_is_given_it_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    let batch = vec![insert(1), insert(2)];
    controller.write(batch).await.expect("both are new");
    let poor = poor.restart().await;
    until("the repair", || poor.server.lock().entities.len() == 2).await;
    assert!(poor.server.lock().pipeline.is_some());
    ready(&mut controller).await;
    controller.write(vec![insert(3)]).await.expect("it is new");
    assert_eq!(poor.server.lock().entities.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_to_the_switch_is_taken_away_and_what_they_took_is_put_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, proxy, mut controller) = before_poor(dir.path()).await;
    let batch = vec![insert(1), insert(2)];
    controller.write(batch).await.expect("both are new");
    drop(controller);
    proxy.stop().await;
    {
        let mut state = poor.server.lock();
        let (key, mut entity) = state.entities.pop_first().expect("there are two");
        if let Entity::TableEntry(entry) = &mut entity {
            entry.r#match = route(9, 1).r#match;
        }
        state.entities.insert(format!("{key} of another"), entity);
    }
    let address = poor.address.to_string();
    let proxy = TestAgent::start_proxy(&proxy_config(dir.path()), upstream(&address)).await;
    let mut controller = proxy.primary(2).await;
    ready(&mut controller).await;
    assert_eq!(routes(&mut controller).await.len(), 2);
    let held = format!("{:?}", poor.server.lock().entities);
    assert!(
        held.contains("[10, 0, 1, 0]") && held.contains("[10, 0, 2, 0]"),
        "{held}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_switch_is_away_writes_are_unavailable_and_what_is_stored_can_be_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    controller.write(vec![insert(1)]).await.expect("it is new");
    let address = poor.address.to_string();
    drop(poor);
    let mut codes = Vec::new();
    let waiting = async {
        loop {
            match controller.write(vec![insert(2)]).await {
                Err(status) if status.code() == Code::Unavailable => break status,
                other => codes.push(other.map_err(|s| s.code())),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let status = tokio::time::timeout(PATIENCE, waiting).await;
    let status = status.expect("it is noticed");
    assert!(status.message().contains(&address), "{status:?}");
    assert_eq!(routes(&mut controller).await.len(), 1);
    let counters = Entity::DirectCounterEntry(p4::DirectCounterEntry::default());
    let refused = controller.read(counters).await.expect_err("nobody counts");
    assert_eq!(common::codes(&refused), [Code::Unavailable]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_the_switch_over_is_overtaken() {
    let dir = tempfile::tempdir().expect("a directory");
    let dirs = tempfile::tempdir().expect("a directory");
    let behind = behind(dirs.path()).await;
    let config = proxy_config(dir.path());
    let proxy = TestAgent::start_proxy(&config, upstream(&behind.address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    let mut thief = behind.primary(500).await;
    let overtaken = thief.arbitration().await;
    assert_eq!(overtaken.election_id.expect("the highest").low, 501);
    ready(&mut controller).await;
    controller.write(vec![insert(1)]).await.expect("it is new");
}

#[tokio::test(flavor = "multi_thread")]
async fn dataplane_atomic_is_what_the_switch_says_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let (poor, _proxy, mut controller) = before_poor(dir.path()).await;
    let batch = vec![insert(1), insert(2)];
    let refused = controller
        .write_with(batch, Atomicity::DataplaneAtomic)
        .await;
    assert_eq!(refused.expect_err("it cannot").code(), Code::Unimplemented);
    assert!(poor.server.lock().entities.is_empty());
    assert!(routes(&mut controller).await.is_empty());
}
