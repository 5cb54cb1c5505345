//! Counters and meters of default entries, over failures and restarts. P4Runtime, "Default Entry" and
//! "Direct resources".

mod common;

use std::path::Path;

use common::{Controller, TestAgent, codes};
use pointsman_agent::config::{Config, PipelineChoice};
use pointsman_p4::p4info::parse_write_request;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::write_request::Atomicity;
use tonic::{Code, Status};

const TABLE: &str = "table_id: 37650516 is_default_action: true";
const EVERYTHING: &str = "meter_config { } counter_data { } meter_counter_data { }";

fn config(state_dir: &Path) -> Config {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/p4/entities");
    Config {
        pipeline: PipelineChoice::Directory(program),
        ports: Vec::new(),
        ..common::config(state_dir)
    }
}

fn default(rest: &str) -> String {
    format!("table_entry {{ {TABLE} {rest} }}")
}

fn metered(value: u8) -> String {
    format!(
        "action {{ action {{ action_id: 31948345 \
         params {{ param_id: 1 value: \"\\x{value:02x}\" }} }} }}"
    )
}

fn rate(cir: u32) -> String {
    format!("{{ cir: {cir} cburst: {cir} pir: {cir} pburst: {cir} }}")
}

fn updates(entities: &[String]) -> Vec<p4::Update> {
    let updates = entities
        .iter()
        .map(|entity| format!("updates {{ type: MODIFY entity {{ {entity} }} }}"));
    let request = parse_write_request(&updates.collect::<String>());
    request.expect("it is a request").updates
}

async fn modify(controller: &mut Controller, entities: &[String]) -> Result<(), Status> {
    let all = Atomicity::RollbackOnError;
    controller.write_with(updates(entities), all).await
}

async fn read(controller: &mut Controller, filter: &str) -> Entity {
    let filter = updates(&[filter.to_owned()]).remove(0).entity;
    let filter = filter.and_then(|e| e.entity).expect("an entity");
    let mut found = controller.read(filter).await.expect("it can be read");
    assert_eq!(found.len(), 1);
    found.remove(0).entity.expect("it is set")
}

/// The default entry with all that it counts.
async fn entry(controller: &mut Controller) -> p4::TableEntry {
    match read(controller, &default(EVERYTHING)).await {
        Entity::TableEntry(entry) => entry,
        other => panic!("not a table entry: {other:?}"),
    }
}

fn packets(entry: &p4::TableEntry) -> i64 {
    entry.counter_data.expect("it was asked for").packet_count
}

fn committed(entry: &p4::TableEntry) -> Option<i64> {
    entry.meter_config.map(|config| config.cir)
}

#[tokio::test]
async fn a_batch_that_fails_leaves_a_default_entry_with_what_it_had() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    let first = format!(
        "{} meter_config {} counter_data {{ packet_count: 5 }} metadata: \"mine\"",
        metered(1),
        rate(10)
    );
    modify(&mut primary, &[default(&first)])
        .await
        .expect("done");
    let before = entry(&mut primary).await;
    assert_eq!((packets(&before), committed(&before)), (5, Some(10)));

    let second = format!("{} counter_data {{ packet_count: 9 }}", metered(2));
    let counter =
        format!("direct_counter_entry {{ table_entry {{ {TABLE} }} data {{ packet_count: 7 }} }}");
    let meter = format!(
        "direct_meter_entry {{ table_entry {{ {TABLE} }} config {} }}",
        rate(20)
    );
    let missing =
        "table_entry { table_id: 37650516 match { field_id: 1 exact { value: \"\\x01\" } } }";
    let batch = [
        default(&second),
        counter.clone(),
        meter.clone(),
        missing.to_owned(),
    ];
    let refused = modify(&mut primary, &batch)
        .await
        .expect_err("one is missing");
    assert_eq!(codes(&refused)[3], Code::NotFound);
    assert_eq!(entry(&mut primary).await, before);

    let batch = [default(&second), counter, meter];
    modify(&mut primary, &batch).await.expect("done");
    let after = entry(&mut primary).await;
    assert_eq!((packets(&after), committed(&after)), (7, Some(20)));
    assert!(after.metadata.is_empty());
    agent.stop().await;
}

#[tokio::test]
async fn without_an_action_the_default_entry_is_the_programs_and_only_counts_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(directory.path())).await;
    let mut primary = agent.primary(1).await;
    let programs = entry(&mut primary).await;
    let first = format!(
        "{} meter_config {} counter_data {{ packet_count: 5 }} metadata: \"mine\"",
        metered(1),
        rate(10)
    );
    modify(&mut primary, &[default(&first)])
        .await
        .expect("done");
    let reset = format!("meter_config {} metadata: \"yours\"", rate(30));
    modify(&mut primary, &[default(&reset)])
        .await
        .expect("done");
    let now = entry(&mut primary).await;
    assert_eq!(packets(&now), 5);
    let but_counts = p4::TableEntry {
        counter_data: programs.counter_data,
        ..now
    };
    assert_eq!(but_counts, programs);
    agent.stop().await;
}

#[tokio::test]
async fn the_meter_of_a_default_entry_survives_a_restart_with_its_action_and_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let meter = format!(
        "direct_meter_entry {{ table_entry {{ {TABLE} }} config {} }}",
        rate(10)
    );
    let with_action = default(&format!("{} meter_config {}", metered(1), rate(20)));
    for (written, cir) in [(meter, 10), (with_action, 20)] {
        let agent = TestAgent::start(&config).await;
        let mut primary = agent.primary(1).await;
        modify(&mut primary, &[written]).await.expect("done");
        drop(primary);
        agent.stop().await;
        // The second time from what the first start made of the state file.
        for _ in 0..2 {
            let agent = TestAgent::start(&config).await;
            let mut primary = agent.primary(1).await;
            assert_eq!(committed(&entry(&mut primary).await), Some(cir));
            let asked = format!("direct_meter_entry {{ table_entry {{ {TABLE} }} }}");
            let Entity::DirectMeterEntry(meter) = read(&mut primary, &asked).await else {
                panic!("not a meter");
            };
            assert_eq!(meter.config.map(|config| config.cir), Some(cir));
            drop(primary);
            agent.stop().await;
        }
    }
}
