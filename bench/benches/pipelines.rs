//! How long it takes to set a pipeline, from BMv2 JSON to the loaded program, and what the verifier makes of it.

#[allow(dead_code)]
mod support;

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use pointsman_bench::synthetic::{Size, bmv2_json};
use pointsman_ebpf::compile::Options;
use pointsman_ebpf::pipeline::{Pipeline, PipelineError, Stats};
use pointsman_ebpf::switch::Shared;
use pointsman_p4::{bmv2, programs};

use support::{configure, privileged};

const CPU_PORT: u32 = 255;

fn set(json: &str, shared: &Arc<Shared>) -> Result<Stats, PipelineError> {
    let program = bmv2::read(json).expect("the JSON is a program");
    let options = Options::new(CPU_PORT);
    Ok(Pipeline::new(Arc::new(program), Arc::clone(shared), options)?.stats())
}

fn pipelines(criterion: &mut Criterion) {
    if !privileged() {
        return;
    }
    let leaf_spine = programs::embedded("leaf_spine").expect("it comes with the project");
    let mut all = vec![("leaf_spine".to_owned(), leaf_spine.bmv2_json.to_owned())];
    all.extend([60, 120, 240].map(|tables| {
        let json = bmv2_json(Size::of(tables));
        (format!("{tables} tables"), json)
    }));
    let shared = Arc::new(Shared::new().expect("this machine lets us load programs"));
    let mut group = criterion.benchmark_group("pipeline set");
    configure(&mut group);
    group.sample_size(10);
    for (name, json) in &all {
        let stats = set(json, &shared).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!(
            "{name}: {} instructions in {} programs, {} verified; compiled in {:.1?}, loaded in {:.1?}",
            stats.instructions, stats.programs, stats.verified, stats.compile, stats.load
        );
        group.bench_function(name, |bencher| bencher.iter(|| set(json, &shared)));
    }
    group.finish();
}

criterion_group!(benches, pipelines);
criterion_main!(benches);
