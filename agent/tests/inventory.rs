//! What the inventory says of a switch as it is written: how full its tables are.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use common::leaf_spine::{TABLE, leaf_spine, route};
use common::{Controller, DEVICE, TestAgent, config, update};
use pointsman_p4::p4info::parse_p4info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::p4::v1::update::Type;
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::gone::Item;
use pointsman_proto::pointsman::agent::v1::inventory_event::Change;
use tonic::Streaming;

/// Much longer than it takes until tables are looked at.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program with other tables than leaf_spine.
fn entities() -> p4::ForwardingPipelineConfig {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/entities");
    let read = |file| std::fs::read_to_string(directory.join(file)).expect("it is there");
    p4::ForwardingPipelineConfig {
        p4info: Some(parse_p4info(&read("p4info.txtpb")).expect("it is a p4info")),
        p4_device_config: read("bmv2.json").into_bytes(),
        cookie: None,
    }
}

async fn set_pipeline(controller: &mut Controller, program: p4::ForwardingPipelineConfig) {
    let request = p4::SetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        election_id: controller.election_id,
        action: Action::VerifyAndCommit.into(),
        config: Some(program),
        ..Default::default()
    };
    let set = controller.client.set_forwarding_pipeline_config(request);
    set.await.expect("the pipeline is good");
}

/// Somebody who follows the tables of a switch.
struct Watcher {
    batches: Streaming<pb::InventoryBatch>,
    tables: BTreeMap<u32, pb::TableOccupancy>,
}

impl Watcher {
    async fn new(agent: &TestAgent) -> Watcher {
        let watching = agent
            .service()
            .await
            .watch_inventory(pb::WatchInventoryRequest::default())
            .await;
        Watcher {
            batches: watching.expect("it answers").into_inner(),
            tables: BTreeMap::new(),
        }
    }

    /// Waits until the tables are such.
    async fn until(&mut self, mut is_so: impl FnMut(&[&pb::TableOccupancy]) -> bool) {
        let so = async {
            while !is_so(&self.tables.values().collect::<Vec<_>>()) {
                let batch = self.batches.message().await.expect("no error");
                for event in batch.expect("the stream goes on").events {
                    match event.change {
                        Some(Change::Table(table)) => drop(self.tables.insert(table.id, table)),
                        Some(Change::Gone(pb::Gone {
                            item: Some(Item::Table(id)),
                        })) => {
                            assert!(self.tables.remove(&id).is_some(), "it was there");
                        }
                        _ => {}
                    }
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, so).await;
        waited.unwrap_or_else(|_| panic!("still {:?}", self.tables));
    }
}

/// Entries of the table of routes, if it is there.
fn routes(tables: &[&pb::TableOccupancy]) -> Option<u64> {
    let mut tables = tables.iter().filter(|table| table.name.ends_with(TABLE));
    tables.next().map(|table| {
        assert!(table.capacity > 1000, "{table:?}");
        table.entries
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_is_told_how_full_tables_are_and_which_there_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut controller = agent.primary(1).await;
    let mut watcher = Watcher::new(&agent).await;
    watcher.until(|tables| routes(tables) == Some(0)).await;

    let info = leaf_spine().p4info.expect("it has one");
    let updates = (0..5).map(|third| update(Type::Insert, route(&info, third)));
    controller
        .write(updates.collect())
        .await
        .expect("good routes");
    watcher.until(|tables| routes(tables) == Some(5)).await;

    controller
        .write(vec![update(Type::Delete, route(&info, 3))])
        .await
        .expect("it is there");
    watcher.until(|tables| routes(tables) == Some(4)).await;

    set_pipeline(&mut controller, entities()).await;
    watcher
        .until(|tables| !tables.is_empty() && routes(tables).is_none())
        .await;
}
