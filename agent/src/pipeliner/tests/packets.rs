//! The files of the leaf-spine example on both pipelines, with packets: the same objectives, run
//! by the reference interpreter, send the same packets to the same ports.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::expect;
use pointsman_model::Model;
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::{Interpreter, Packet};
use pointsman_p4::ir::Program;
use pointsman_proto::pointsman::objective::v1::Reason;

use super::support::{Pipeline, leaf_spine, onos_fabric, ports};
use crate::entity::Update;
use crate::pipeliner::{Book, Refusal};
use crate::switch::Switch;
use crate::target::{Attachment, Fill, Interface, Target, TargetError};

const H1: u64 = 0x0200_0000_0001;
const H2: u64 = 0x0200_0000_0002;
const GATEWAY: u64 = 0x0200_0000_00fe;
const LEAF1: u64 = 0x0200_0000_0101;
const SPINE1: u64 = 0x0200_0000_0201;
const EVERYONE: u64 = 0xffff_ffff_ffff;
const TCP: u8 = 6;
const UDP: u8 = 17;

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
            Ok(staged) => book.commit(staged),
            Err(refusal) => refused.push((objective.id().to_string(), refusal)),
        }
    }
    (book, refused)
}

/// A target that leaves the loaded interpreter where the test can reach it.
#[derive(Default, Clone)]
struct Bench(Arc<Mutex<Option<Interpreter>>>);

impl Target for Bench {
    fn kind(&self) -> &'static str {
        "bench"
    }
    fn verify(&self, _: &Program) -> Result<(), TargetError> {
        Ok(())
    }
    fn load(&mut self, program: Arc<Program>, fill: &mut Fill<'_>) -> Result<(), TargetError> {
        let mut interpreter = Interpreter::new(program);
        fill(&mut interpreter)?;
        *self.0.lock().expect("no test panics with it") = Some(interpreter);
        Ok(())
    }
    fn plane(&mut self) -> Option<&mut dyn DataPlane> {
        None
    }
    fn attach(&mut self, _: u32, _: &Interface) -> Result<Attachment, TargetError> {
        Ok(Attachment::None)
    }
    fn detach(&mut self, _: u32) {}
    fn set_port_up(&mut self, _: u32, _: bool) {}
    fn packet_out(&mut self, _: &[u8]) -> Result<(), TargetError> {
        Ok(())
    }
    fn slow_path_packets(&self) -> u64 {
        0
    }
}

/// The interpreter of a pipeline with everything that a book holds.
fn running(pipeline: &Pipeline, book: &Book) -> Interpreter {
    let bench = Bench::default();
    let mut updates: Vec<_> = book.all().cloned().map(Update::insert).collect();
    // The book has no order; groups and sessions need not come first, but it reads better.
    updates.sort_by_key(|update| pipeline.schema.describe(&update.entity));
    let mut switch = Switch::new(Box::new(bench.clone()));
    switch
        .load(pipeline.set.clone(), &updates)
        .expect("the pipeline takes its own entries");
    let interpreter = bench.0.lock().expect("no test panics with it").take();
    interpreter.expect("it is loaded")
}

fn ethernet(destination: u64, source: u64, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = destination.to_be_bytes()[2..].to_vec();
    frame.extend(&source.to_be_bytes()[2..]);
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

fn ipv4(source: [u8; 4], destination: [u8; 4], protocol: u8, l4_destination: u16) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend(source);
    header.extend(destination);
    let sum: u32 = header
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("a header is short");
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header.extend(4321_u16.to_be_bytes());
    header.extend(l4_destination.to_be_bytes());
    header.extend([0; 16]);
    header
}

fn ipv6(destination: [u8; 16]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0, 20, UDP, 64];
    header.extend([0xfd, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11]);
    header.extend(destination);
    header.extend([0; 20]);
    header
}

/// What comes out, as text: `swp2: 02..02 < 02..01 type 0x0800 ttl 63`.
fn outputs(interpreter: &mut Interpreter, port: u32, bytes: Vec<u8>) -> String {
    let outputs = interpreter.process(&Packet { port, bytes }, Duration::ZERO);
    let mut lines: Vec<_> = outputs
        .iter()
        .map(|output| {
            if output.port == 255 {
                return "to the controller".to_owned();
            }
            let bytes = &output.bytes;
            let mac = |bytes: &[u8]| {
                bytes
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            };
            let ether_type = u16::from_be_bytes([bytes[12], bytes[13]]);
            let ttl = match ether_type {
                0x0800 => format!(" ttl {}", bytes[22]),
                0x86dd => format!(" ttl {}", bytes[21]),
                _ => String::new(),
            };
            format!(
                "swp{}: {} < {} {ether_type:#06x}{ttl}",
                output.port,
                mac(&bytes[..6]),
                mac(&bytes[6..12])
            )
        })
        .collect();
    lines.sort();
    if lines.is_empty() {
        "nothing".to_owned()
    } else {
        lines.join(", ")
    }
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
