//! BMv2's own outputs, from programs in the kernel and the slow path beside them.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use pointsman_p4::vectors::{self, Case};

use support::{Rig, privileged};

#[test]
fn onos_pipelines_give_bmv2s_outputs() {
    let Some(directory) = vectors::directory() else {
        println!("skipped: there are no recorded packets beside the project");
        return;
    };
    if !privileged() {
        return;
    }
    let mut failures = Vec::new();
    for pipeline in ["onos-basic", "onos-fabric"] {
        let directory = directory.join("pipelines").join(pipeline);
        let case = Case::read(&directory).unwrap();
        for scenario in vectors::directories(&directory.join("golden")).unwrap() {
            let name = format!("{pipeline}/{}", scenario.file_name().unwrap().display());
            let (passed, failed) = run(&case, &scenario);
            println!("{name}: {passed} passed, {} failed", failed.len());
            failures.extend(failed.into_iter().map(|f| format!("{name}: {f}")));
        }
    }
    assert!(
        failures.is_empty(),
        "{}",
        failures[..failures.len().min(5)].join("\n")
    );
}

fn run(case: &Case, scenario: &Path) -> (usize, Vec<String>) {
    let golden = case.golden(&scenario.join("golden.jsonl")).unwrap();
    let cpu_port = golden.cpu_port.unwrap();
    let rig = Rig::new(&case.pipeline.program, cpu_port, &golden.ports);
    let mut rig = rig.unwrap_or_else(|e| panic!("{e}"));
    for operation in case.entries(&scenario.join("entries.txtpb")).unwrap() {
        operation
            .apply(&mut rig.plane)
            .unwrap_or_else(|e| panic!("{operation:?}: {e}"));
    }
    let mut failures = Vec::new();
    for exchange in &golden.exchanges {
        let found = rig.forward(exchange.port, &exchange.packet);
        let expected = &exchange.outputs;
        let same = found.len() == expected.len()
            && expected
                .iter()
                .zip(&found)
                .all(|(e, (port, packet))| e.matches(*port, packet));
        if !same {
            let line = exchange.line;
            failures.push(format!(
                "line {line}: expected {expected:02x?}, found {found:02x?}"
            ));
        }
    }
    (golden.exchanges.len() - failures.len(), failures)
}
