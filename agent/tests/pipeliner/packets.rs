//! The files of the leaf-spine example on both pipelines, with packets: the same objectives, run
//! by the reference interpreter, send the same packets to the same ports.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use expect_test::expect;
use pointsman_model::Model;
use pointsman_proto::pointsman::objective::v1::Reason;

use super::bench::{TCP, UDP, ethernet, ipv4, ipv6, outputs, running};
use super::support::{Pipeline, leaf_spine, onos_fabric, ports};
use pointsman_pipeliner::{Book, Refusal};

const H1: u64 = 0x0200_0000_0001;
const H2: u64 = 0x0200_0000_0002;
const GATEWAY: u64 = 0x0200_0000_00fe;
const LEAF1: u64 = 0x0200_0000_0101;
const SPINE1: u64 = 0x0200_0000_0201;
const EVERYONE: u64 = 0xffff_ffff_ffff;

/// Puts the objectives of a file; what the pipeline refuses is left out and told.
fn realise(pipeline: &Pipeline, file: &str) -> (Book, Vec<(String, Refusal)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/leaf-spine")
        .join(file);
    let yaml = fs::read_to_string(&path).expect("an example");
    let model = Model::parse(file, &yaml).expect("the example is in order");
    let mut book = Book::default();
    let mut refused = Vec::new();
    for located in &model.objectives {
        let objective = &located.value.change.objective;
        match pipeline.pipeliner.put(&book, &ports(), objective) {
            Ok(staged) => drop(book.commit(staged)),
            Err(refusal) => refused.push((objective.id().to_string(), refusal)),
        }
    }
    (book, refused)
}

/// What leaf1 does with each of these frames.
fn behaviour(pipeline: &Pipeline) -> String {
    let (book, _) = realise(pipeline, "leaf1.yaml");
    let mut leaf = running(pipeline, &book);
    let (h1, h2, h3) = ([10, 0, 10, 11], [10, 0, 10, 12], [10, 0, 20, 13]);
    let cases = [
        (
            "bridged",
            1,
            ethernet(H2, H1, 0x0800, &ipv4(h1, h2, UDP, 9)),
        ),
        ("flooded", 1, ethernet(EVERYONE, H1, 0x0806, &[0; 28])),
        (
            "unknown MAC",
            2,
            ethernet(0x0200_0000_0099, H2, 0x0800, &ipv4(h2, h1, UDP, 9)),
        ),
        (
            "routed in",
            49,
            ethernet(LEAF1, SPINE1, 0x0800, &ipv4(h3, h2, UDP, 9)),
        ),
        (
            "routed back down",
            1,
            ethernet(GATEWAY, H1, 0x0800, &ipv4(h1, h2, UDP, 9)),
        ),
        (
            "no route",
            1,
            ethernet(GATEWAY, H1, 0x0800, &ipv4(h1, [192, 0, 2, 1], UDP, 9)),
        ),
        (
            "LLDP",
            49,
            ethernet(0x0180_c200_000e, SPINE1, 0x88cc, &[0; 46]),
        ),
        (
            "telnet",
            1,
            ethernet(GATEWAY, H1, 0x0800, &ipv4(h1, h3, TCP, 23)),
        ),
        ("no such port", 7, ethernet(EVERYONE, H1, 0x0806, &[0; 28])),
    ];
    let mut text = String::new();
    for (what, port, frame) in cases {
        let outputs = outputs(&mut leaf, port, frame);
        writeln!(text, "{what}: {outputs}").expect("writing to a string does not fail");
    }
    text
}

#[test]
fn the_same_objectives_send_the_same_packets_on_either_pipeline() {
    let expected = expect![[r#"
        bridged: swp2: 020000000002 < 020000000001 0x0800 ttl 64
        flooded: swp2: ffffffffffff < 020000000001 0x0806
        unknown MAC: swp1: 020000000099 < 020000000002 0x0800 ttl 64
        routed in: swp2: 020000000002 < 0200000000fe 0x0800 ttl 63
        routed back down: swp2: 020000000002 < 0200000000fe 0x0800 ttl 63
        no route: nothing
        LLDP: to the controller
        telnet: nothing
        no such port: nothing
    "#]];
    expected.assert_eq(&behaviour(&leaf_spine()));
    if let Some(fabric) = onos_fabric() {
        expected.assert_eq(&behaviour(&fabric));
    }
}

#[test]
fn flows_to_the_other_rack_use_both_spines() {
    for pipeline in [Some(leaf_spine()), onos_fabric()].into_iter().flatten() {
        let (book, _) = realise(&pipeline, "leaf1.yaml");
        let mut leaf = running(&pipeline, &book);
        let mut seen: Vec<_> = (0..64)
            .map(|flow| {
                let packet = ipv4([10, 0, 10, 11], [10, 0, 20, 13], UDP, 1000 + flow);
                outputs(&mut leaf, 1, ethernet(GATEWAY, H1, 0x0800, &packet))
            })
            .collect();
        seen.sort();
        seen.dedup();
        let to = |port, spine| format!("swp{port}: {spine} < 020000000101 0x0800 ttl 63");
        assert_eq!(
            seen,
            [to(49, "020000000201"), to(50, "020000000202")],
            "{}",
            pipeline.name
        );
    }
}

#[test]
fn leaf_spine_routes_ipv6() {
    let pipeline = leaf_spine();
    let (book, _) = realise(&pipeline, "leaf1.yaml");
    let mut leaf = running(&pipeline, &book);
    let h2 = [0xfd, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12];
    let frame = ethernet(LEAF1, SPINE1, 0x86dd, &ipv6(h2));
    assert_eq!(
        outputs(&mut leaf, 49, frame),
        "swp2: 020000000002 < 0200000000fe 0x86dd ttl 63"
    );
}

#[test]
fn the_example_is_realised_but_for_what_a_pipeline_lacks() {
    let files = ["leaf1.yaml", "leaf2.yaml", "spine1.yaml", "spine2.yaml"];
    for file in files {
        let (_, refused) = realise(&leaf_spine(), file);
        assert!(refused.is_empty(), "{file}: {refused:?}");
    }
    let Some(fabric) = onos_fabric() else { return };
    for file in files {
        let (_, refused) = realise(&fabric, file);
        for (id, refusal) in refused {
            assert!(id.ends_with("-v6"), "{file}: {id}: {refusal}");
            assert_eq!(refusal.reason, Reason::UnsupportedByPipeline);
            assert_eq!(refusal.field.as_deref(), Some("ipv6_dst"));
        }
    }
}
