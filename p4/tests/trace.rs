//! A packet that is followed goes where it would go, and nothing remembers it.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use pointsman_p4::dataplane::{DataPlane, EntryRef};
use pointsman_p4::interpreter::{Interpreter, Packet, Trace, TraceStep};
use pointsman_p4::ir::{ActionId, CounterId, MeterId, RegisterId, TableId};
use pointsman_p4::vectors::{self, Case};

fn own_programs() -> Vec<PathBuf> {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut programs = vectors::directories(&crate_directory.join("tests/programs")).unwrap();
    programs.push(crate_directory.join("programs/leaf_spine"));
    programs
}

/// Whether something was assumed that is not so for every packet.
fn assumes(trace: &Trace) -> bool {
    let assumed = |step: &TraceStep| matches!(step, TraceStep::Metered { .. } | TraceStep::Random);
    trace.steps.iter().any(assumed)
}

/// Counts, last hits and cells that packets can change.
fn memory(switch: &Interpreter, case: &Case) -> String {
    let program = &case.pipeline.program;
    let mut text = format!("{:?}", switch.anomalies());
    for (id, counter) in (0..).map(CounterId).zip(&program.counters) {
        let cells = (0..counter.size.min(64)).map(|index| switch.counter(id, index));
        text += &format!("\n{} {:?}", counter.name, cells.collect::<Vec<_>>());
    }
    for (id, meter) in (0..).map(MeterId).zip(&program.meters) {
        let cells = (0..meter.size.min(64)).map(|index| switch.meter_counts(id, index));
        text += &format!("\n{} {:?}", meter.name, cells.collect::<Vec<_>>());
    }
    for (id, register) in (0..).map(RegisterId).zip(&program.registers) {
        let cells = (0..register.size.min(64)).map(|index| switch.register(id, index));
        text += &format!("\n{} {:?}", register.name, cells.collect::<Vec<_>>());
    }
    for (id, table) in (0..).map(TableId).zip(&program.tables) {
        let default = EntryRef::Default(id);
        let counts = (
            switch.direct_counter(default),
            switch.direct_meter_counts(default),
        );
        text += &format!("\n{} {counts:?}", table.name);
    }
    text
}

#[test]
fn a_packet_that_is_followed_goes_where_it_would_go_and_leaves_nothing_behind() {
    let mut packets = 0;
    for directory in own_programs() {
        let case = Case::read(&directory).unwrap();
        let stf = case.stf().unwrap();
        let (plain, followed) = (
            Interpreter::new(case.pipeline.program.clone()),
            Interpreter::new(case.pipeline.program.clone()),
        );
        for operation in &stf.operations {
            operation.apply(&plain).unwrap();
            operation.apply(&followed).unwrap();
        }
        for (number, packet) in stf.packets.iter().enumerate() {
            for operation in &packet.operations {
                operation.apply(&plain).unwrap();
                operation.apply(&followed).unwrap();
            }
            packets += 1;
            let now = Duration::from_millis(number as u64);
            let packet = Packet {
                port: packet.port,
                bytes: packet.packet.clone(),
            };
            let what = format!("{}, packet {number}", case.name);
            let before = memory(&followed, &case);
            let trace = followed.trace(&packet, now);
            assert_eq!(memory(&followed, &case), before, "{what}");
            assert_eq!(followed.take_digests(), [], "{what}");
            let outputs = plain.process(&packet, now);
            assert_eq!(followed.process(&packet, now), outputs, "{what}");
            let digests = plain.take_digests();
            assert_eq!(followed.take_digests(), digests, "{what}");
            if assumes(&trace) {
                continue;
            }
            assert_eq!(trace.outputs, outputs, "{what}");
            let sent = trace.steps.iter().filter_map(|step| match step {
                TraceStep::Sent(output) => Some(output.clone()),
                _ => None,
            });
            assert_eq!(sent.collect::<Vec<_>>(), outputs, "{what}");
            let told = trace.steps.iter().filter_map(|step| match step {
                TraceStep::Digest { list, values } => Some((*list, values.clone())),
                _ => None,
            });
            let digests: Vec<_> = digests.into_iter().map(|d| (d.list, d.values)).collect();
            assert_eq!(told.collect::<Vec<_>>(), digests, "{what}");
        }
        assert_eq!(
            memory(&followed, &case),
            memory(&plain, &case),
            "{}",
            case.name
        );
    }
    assert!(packets > 100, "{packets}");
}

#[test]
fn every_lookup_is_told_with_its_key_the_entry_and_the_action_that_ran() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/leaf_spine");
    let case = Case::read(&directory).unwrap();
    let program = &case.pipeline.program;
    let switch = Interpreter::new(program.clone());
    let stf = case.stf().unwrap();
    for operation in &stf.operations {
        operation.apply(&switch).unwrap();
    }
    let name = |action: ActionId| program.actions[action.index()].name.clone();
    let mut hits = 0;
    for packet in stf.packets {
        let packet = Packet {
            port: packet.port,
            bytes: packet.packet,
        };
        let trace = switch.trace(&packet, Duration::ZERO);
        assert!(!trace.is_cut);
        assert!(matches!(trace.steps[0], TraceStep::Ingress { port, .. } if port == packet.port));
        let mut at = None;
        for step in &trace.steps {
            match step {
                TraceStep::Lookup { table, key, entry } => {
                    let declared = &program.tables[table.index()];
                    assert_eq!(key.len(), declared.key.len());
                    assert!(entry.iter().all(|entry| entry.table == *table));
                    hits += entry.iter().len();
                    at = Some(declared);
                }
                TraceStep::Action(call) => {
                    let table = at.take().expect("a table runs one action");
                    let is_its_own = |own: &ActionId| name(*own) == name(call.action);
                    assert!(table.actions.iter().any(is_its_own), "{}", table.name);
                }
                _ => {}
            }
        }
    }
    assert!(hits > 100, "{hits}");
}
