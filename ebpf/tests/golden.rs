//! BMv2's own outputs, from programs in the kernel and the slow path beside them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::compile::output::EventKind;
use pointsman_ebpf::pipeline::Pipeline;
use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::Shared;
use pointsman_ebpf::switch::events::Events;
use pointsman_p4::vectors::{self, Case, Exchange};

/// The interface index that a test run comes in by: loopback's.
const LOOPBACK: u32 = 1;
const XDP_REDIRECT: u32 = 4;

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

/// Whether this machine lets us load programs; `REQUIRE_NETNS` makes it an error if not.
fn privileged() -> bool {
    match Shared::new() {
        Ok(_) => true,
        Err(error) if std::env::var_os("REQUIRE_NETNS").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

fn run(case: &Case, scenario: &Path) -> (usize, Vec<String>) {
    let golden = case.golden(&scenario.join("golden.jsonl")).unwrap();
    let shared = Arc::new(Shared::new().unwrap());
    let options = Options {
        cpu_port: golden.cpu_port.unwrap(),
    };
    let program = Arc::clone(&case.pipeline.program);
    let pipeline = Pipeline::new(program, Arc::clone(&shared), options);
    let mut plane = Plane::new(pipeline.unwrap_or_else(|e| panic!("{e}")));
    for operation in case.entries(&scenario.join("entries.txtpb")).unwrap() {
        operation
            .apply(&mut plane)
            .unwrap_or_else(|e| panic!("{operation:?}: {e}"));
    }
    for port in &golden.ports {
        shared.devmap.set(*port, &LOOPBACK.to_ne_bytes()).unwrap();
    }
    let mut rig = Rig {
        events: Events::open(&shared).unwrap(),
        shared,
        plane,
        options,
    };
    let mut failures = Vec::new();
    for exchange in &golden.exchanges {
        let found = rig.forward(exchange, &golden.ports);
        let expected = &exchange.outputs;
        let same = found.len() == expected.len()
            && expected
                .iter()
                .zip(&found)
                .all(|(e, (port, packet))| e.matches(*port, packet));
        if !same {
            failures.push(format!(
                "line {}: expected {expected:02x?}, found {found:02x?}",
                exchange.line
            ));
        }
    }
    (golden.exchanges.len() - failures.len(), failures)
}

struct Rig {
    shared: Arc<Shared>,
    plane: Plane,
    events: Events,
    options: Options,
}

impl Rig {
    /// What leaves for a packet, by port.
    fn forward(&mut self, exchange: &Exchange, ports: &[u32]) -> Vec<(u32, Vec<u8>)> {
        self.shared
            .ports
            .set_interface(LOOPBACK, Some(exchange.port));
        let sent = |shared: &Shared| -> Vec<u64> {
            ports
                .iter()
                .map(|port| shared.ports.stats(*port).tx_packets)
                .collect()
        };
        let before = sent(&self.shared);
        let run = self
            .plane
            .fast()
            .loaded()
            .test_run(&exchange.packet, 1)
            .unwrap();
        let after = sent(&self.shared);
        let mut found = Vec::new();
        if run.verdict == XDP_REDIRECT {
            let at = before.iter().zip(&after).position(|(b, a)| a > b).unwrap();
            found.push((ports[at], run.frame));
        }
        while let Some(event) = self.events.next_event() {
            if event.kind == EventKind::PacketIn {
                found.push((self.options.cpu_port, event.packet));
            } else {
                let outputs = self.plane.slow_path().handle(&event, Duration::ZERO);
                found.extend(outputs.into_iter().map(|o| (o.port, o.bytes)));
            }
        }
        // Across ports there is no order.
        found.sort_by_key(|(port, _)| *port);
        found
    }
}
