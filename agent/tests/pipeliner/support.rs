//! Pipelines and objectives for tests.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use pointsman_model::{Change, Model, Objective};
use pointsman_p4::p4info::parse_p4info;
use pointsman_p4::programs;

use pointsman_agent::switch::PipelineSource;
use pointsman_p4::entity::{Operation, Update};
use pointsman_p4::schema::Schema;
use pointsman_pipeliner::{Pipeliner, Ports};

/// A pipeline with its manifest.
pub(super) struct Pipeline {
    pub(super) name: &'static str,
    pub(super) set: pointsman_agent::switch::Pipeline,
    pub(super) schema: Arc<Schema>,
    pub(super) pipeliner: Pipeliner,
}

fn pipeline(name: &'static str, bmv2_json: &str, p4info: &str) -> Pipeline {
    let manifest = programs::MANIFESTS.iter().find(|(known, _)| *known == name);
    let (_, manifest) = manifest.expect("it has a manifest");
    pipeline_with(name, bmv2_json, p4info, manifest)
}

/// Our own program that can do whatever objectives have words for.
pub(super) fn vocabulary() -> Pipeline {
    pipeline_with(
        "vocabulary",
        include_str!("../programs/vocabulary/bmv2.json"),
        include_str!("../programs/vocabulary/p4info.txtpb"),
        include_str!("../programs/vocabulary/pipeline.yaml"),
    )
}

fn pipeline_with(name: &'static str, bmv2_json: &str, p4info: &str, manifest: &str) -> Pipeline {
    let set = pointsman_agent::switch::Pipeline::read(PipelineSource {
        p4info: parse_p4info(p4info).expect("p4info that can be read"),
        device_config: bmv2_json.as_bytes().to_vec(),
        cookie: None,
        manifest: None,
        configured: true,
    })
    .expect("a pipeline whose parts fit");
    let file = format!("{name}/pipeline.yaml");
    let pipeliner = Pipeliner::new(&file, manifest, &set.schema)
        .unwrap_or_else(|problems| panic!("{:?}", miette::Report::new(problems)));
    Pipeline {
        name,
        schema: Arc::clone(&set.schema),
        set,
        pipeliner,
    }
}

pub(super) fn leaf_spine() -> Pipeline {
    let program = programs::embedded("leaf_spine").expect("it is embedded");
    pipeline("leaf_spine", program.bmv2_json, program.p4info)
}

/// The tables of SD-Fabric's pipeline for Tofino, of which there is a p4info and no program.
pub(super) fn fabric_tna() -> Pipeline {
    let p4info = include_str!("../programs/fabric_tna/p4info.txtpb");
    pipeline("fabric_tna", "", p4info)
}

/// ONOS's fabric, where the shared vectors are present.
pub(super) fn onos_fabric() -> Option<Pipeline> {
    shared("onos_fabric", "pipelines/onos-fabric")
}

/// ONOS's basic, where the shared vectors are present.
pub(super) fn onos_basic() -> Option<Pipeline> {
    shared("onos_basic", "pipelines/onos-basic")
}

fn shared(name: &'static str, directory: &str) -> Option<Pipeline> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let root =
        std::env::var_os("POINTSMAN_VECTORS").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let directory = root.join(directory);
    let Ok(json) = fs::read_to_string(directory.join("bmv2.json")) else {
        println!(
            "skipped: {} is not there (set POINTSMAN_VECTORS)",
            directory.display()
        );
        return None;
    };
    let info = fs::read_to_string(directory.join("p4info.txtpb")).expect("p4info is beside it");
    Some(pipeline(name, &json, &info))
}

/// Ports swp1..swp64 with the numbers 1..64.
pub(super) fn ports() -> Ports {
    Ports::new((1..=64).map(|number| (format!("swp{number}"), number)))
}

/// The changes in a file.
pub(super) fn changes(yaml: &str) -> Vec<Change> {
    let model = Model::parse("case.yaml", yaml)
        .unwrap_or_else(|problems| panic!("{:?}", miette::Report::new(problems)));
    model
        .objectives
        .into_iter()
        .map(|located| located.value.change)
        .collect()
}

/// The objectives in a file, without `device:` and `objectives:`.
pub(super) fn objectives(items: &str) -> Vec<Objective> {
    let line = |line: &str| format!("{}\n", line.strip_prefix("  ").unwrap_or(line));
    let items: String = items.lines().map(line).collect();
    changes(&format!("device: d\nobjectives:\n{items}"))
        .into_iter()
        .map(|change| change.objective)
        .collect()
}

/// One line for each update.
pub(super) fn text_of(schema: &Schema, updates: &[Update]) -> String {
    let line = |update: &Update| {
        let operation = match update.operation {
            Operation::Insert => "insert",
            Operation::Modify => "modify",
            Operation::Delete => "delete",
        };
        format!("{operation} {}\n", schema.describe(&update.entity))
    };
    updates.iter().map(line).collect()
}
