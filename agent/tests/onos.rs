//! The pipelines that ONOS ships, with the entries that were recorded for them: all are
//! accepted as they are, and read back.

mod common;

use std::path::{Path, PathBuf};

use common::{TestAgent, config};
use pointsman_agent::config::PipelineChoice;
use pointsman_p4::p4info::parse_write_request;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;

/// The pipelines' directory, or `None` with a line saying that the test skips.
fn pipelines() -> Option<PathBuf> {
    let shared = std::env::var_os("POINTSMAN_VECTORS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("pipelines");
    if !path.is_dir() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    paths
}

#[tokio::test]
async fn recorded_entries_of_onos_pipelines_are_accepted_and_read_back() {
    let Some(pipelines) = pipelines() else { return };
    for pipeline in directories(&pipelines) {
        for golden in directories(&pipeline.join("golden")) {
            let Ok(text) = std::fs::read_to_string(golden.join("entries.txtpb")) else {
                continue;
            };
            let dir = tempfile::tempdir().expect("a directory");
            let mut config = config(dir.path());
            config.pipeline = PipelineChoice::Directory(pipeline.clone());
            let agent = TestAgent::start(&config).await;
            let mut controller = agent.primary(1).await;
            let request = parse_write_request(&text).expect("it is a write request");
            let tables = request.updates.iter().filter(|update| {
                let entity = update.entity.as_ref().and_then(|e| e.entity.as_ref());
                matches!(entity, Some(Entity::TableEntry(e)) if !e.is_default_action)
            });
            let tables = tables.count();
            let written = controller.write(request.updates).await;
            assert!(written.is_ok(), "{}: {written:?}", golden.display());
            let everything = Entity::TableEntry(p4::TableEntry::default());
            let mut found = controller.read(everything).await.expect("readable");
            found.retain(
                |entity| !matches!(&entity.entity, Some(Entity::TableEntry(e)) if e.is_const),
            );
            assert_eq!(found.len(), tables, "{}", golden.display());
        }
    }
}
