//! One file on all pipelines, unchanged: the same packets leave, by the reference interpreter and by the kernel.

use std::fmt::Write;

use expect_test::expect;
use pointsman_ebpf::rig::Rig;
use pointsman_model::Kind;
use pointsman_p4::interpreter::Interpreter;
use pointsman_pipeliner::Book;

use super::bench::{Machine, TCP, UDP, ethernet, ipv4, is_privileged, outputs, running_in};
use super::support::{Pipeline, changes, leaf_spine, onos_basic, onos_fabric, ports};

const HOST: u64 = 0x0200_0000_0001;
const GATEWAY: u64 = 0x0200_0000_00fe;
const STATION: u64 = 0x0200_0000_0099;
const NEAREST_BRIDGE: u64 = 0x0180_c200_000e;

/// What the file is on a pipeline. ONOS's basic lets in what comes: it has no filters, and says so.
fn book(pipeline: &Pipeline) -> Book {
    let mut book = Book::default();
    for change in changes(include_str!("portable.yaml")) {
        let objective = change.objective;
        match pipeline.pipeliner.put(&book, &ports(), &objective) {
            Ok(staged) => drop(book.commit(staged)),
            Err(refusal) => {
                assert_eq!(pipeline.name, "onos_basic", "{}: {refusal}", objective.id());
                assert_eq!(objective.kind(), Kind::Filter, "{refusal}");
            }
        }
    }
    book
}

/// What becomes of each of these frames.
fn behaviour<M: Machine>(pipeline: &Pipeline) -> String {
    let mut switch: M = running_in(pipeline, &book(pipeline));
    let (host, far, guest) = ([10, 0, 0, 1], [10, 9, 0, 1], [192, 0, 2, 7]);
    let to = |destination, source, protocol, port| {
        let packet = ipv4(source, destination, protocol, port);
        ethernet(GATEWAY, HOST, 0x0800, &packet)
    };
    let frames = [
        ("web", 1, to(far, host, TCP, 80)),
        ("web from another port", 2, to(far, host, TCP, 80)),
        ("web of a guest", 1, to(far, guest, TCP, 80)),
        ("telnet", 1, to(far, host, TCP, 23)),
        ("telnet by UDP", 1, to(far, host, UDP, 23)),
        ("LLDP", 3, ethernet(NEAREST_BRIDGE, HOST, 0x88cc, &[0; 46])),
        ("station", 1, ethernet(STATION, HOST, 0x88b5, &[7; 46])),
        ("nobody", 1, ethernet(GATEWAY, HOST, 0x88b5, &[7; 46])),
    ];
    let mut text = String::new();
    for (what, port, frame) in frames {
        let outputs = outputs(&mut switch, port, frame);
        writeln!(text, "{what}: {outputs}").expect("writing to a string does not fail");
    }
    // Which flow goes which way is the pipeline's, by its hash. That both ways are used is not.
    let mut ways: Vec<_> = (0..64)
        .map(|flow| outputs(&mut switch, 1, to([10, 9, 0, flow], host, UDP, 53)))
        .collect();
    ways.sort();
    ways.dedup();
    writeln!(text, "names: {}", ways.join("; or ")).expect("writing to a string does not fail");
    switch.plane().set_port_up(2, false);
    let frame = ethernet(STATION, HOST, 0x88b5, &[7; 46]);
    let outputs = outputs(&mut switch, 1, frame);
    writeln!(text, "station, swp2 is down: {outputs}").expect("writing to a string does not fail");
    text
}

#[test]
fn one_file_gives_the_same_packets_on_all_pipelines() {
    let expected = expect![[r#"
        web: swp3: 0200000000fe < 020000000001 0x0800 ttl 64
        web from another port: nothing
        web of a guest: nothing
        telnet: nothing
        telnet by UDP: nothing
        LLDP: to the controller
        station: swp2: 020000000099 < 020000000001 0x88b5
        nobody: nothing
        names: swp2: 0200000000fe < 020000000001 0x0800 ttl 64; or swp3: 0200000000fe < 020000000001 0x0800 ttl 64
        station, swp2 is down: swp3: 020000000099 < 020000000001 0x88b5
    "#]];
    let is_privileged = is_privileged();
    for pipeline in [Some(leaf_spine()), onos_fabric(), onos_basic()]
        .into_iter()
        .flatten()
    {
        expected.assert_eq(&behaviour::<Interpreter>(&pipeline));
        if is_privileged {
            expected.assert_eq(&behaviour::<Rig>(&pipeline));
        }
    }
}
