//! BMv2's own outputs, on programs in the kernel.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::compile::output::EventKind;
use pointsman_ebpf::pipeline::Pipeline;
use pointsman_ebpf::switch::Shared;
use pointsman_ebpf::switch::events::Events;
use pointsman_p4::vectors::{self, Case};

#[test]
fn onos_pipelines_give_bmv2s_outputs() {
    let Some(dir) = vectors::directory() else {
        println!("skipped: no recorded vectors");
        return;
    };
    for pipeline in ["onos-basic", "onos-fabric"] {
        let dir = dir.join("pipelines").join(pipeline);
        let case = Case::read(&dir).unwrap();
        for scenario in vectors::directories(&dir.join("golden")).unwrap() {
            run(&case, &scenario);
        }
    }
}

fn run(case: &Case, scenario: &Path) {
    let golden = case.golden(&scenario.join("golden.jsonl")).unwrap();
    let shared = Arc::new(Shared::new().unwrap());
    let options = Options {
        cpu_port: golden.cpu_port.unwrap_or(511),
    };
    let mut pipeline = match Pipeline::new(
        Arc::clone(&case.pipeline.program),
        Arc::clone(&shared),
        options,
    ) {
        Ok(p) => p,
        Err(e) => panic!("{e}"),
    };
    for op in case.entries(&scenario.join("entries.txtpb")).unwrap() {
        op.apply(&mut pipeline)
            .unwrap_or_else(|e| panic!("{op:?}: {e}"));
    }
    let mut events = Events::open(&shared).unwrap();
    for port in &golden.ports {
        shared.devmap.set(*port, &1u32.to_ne_bytes()).unwrap();
    }
    let (mut ok, mut bad, mut slow) = (0, 0, 0);
    let mut shown = 0;
    for exchange in &golden.exchanges {
        shared.ports.set_interface(1, Some(exchange.port));
        let before: Vec<u64> = golden
            .ports
            .iter()
            .map(|p| shared.ports.stats(*p).tx_packets)
            .collect();
        let run = pipeline.loaded().test_run(&exchange.packet, 1).unwrap();
        let mut out: Vec<(u32, Vec<u8>)> = Vec::new();
        if run.verdict == 4 {
            let port = golden
                .ports
                .iter()
                .zip(&before)
                .find(|(p, b)| shared.ports.stats(**p).tx_packets > **b)
                .unwrap()
                .0;
            out.push((*port, run.frame));
        }
        let mut is_slow = false;
        while let Some(event) = events.next_event() {
            match event.kind {
                EventKind::PacketIn => out.push((options.cpu_port, event.packet)),
                _ => is_slow = true,
            }
        }
        if is_slow {
            slow += 1;
            continue;
        }
        let good = out.len() == exchange.outputs.len()
            && exchange
                .outputs
                .iter()
                .zip(&out)
                .all(|(e, (p, b))| e.matches(*p, b));
        if good {
            ok += 1
        } else {
            bad += 1;
            if shown < 3 {
                shown += 1;
                println!(
                    "line {} in port {} verdict {} {:02x?}\n got {:02x?}\n exp {:02x?}",
                    exchange.line,
                    exchange.port,
                    run.verdict,
                    exchange.packet,
                    out,
                    exchange.outputs
                );
            }
        }
    }
    println!(
        "{} {}: {ok} ok {bad} bad {slow} slow",
        case.name,
        scenario.display()
    );
    assert_eq!(bad, 0, "packets that differ from BMv2's");
}
