//! What would happen to a packet, asked of an agent: every table with its entry and objective, the end with its
//! reason, and no mark that it was asked.

mod common;

use std::path::Path;

use common::{TestAgent, config};
use pointsman_agent::config::{Config, PipelineChoice};
use pointsman_agent::objectives::Batch;
use pointsman_model::Model;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::trace_end::Fate;
use pointsman_proto::pointsman::agent::v1::trace_step::Step;
use pointsman_proto::pointsman::objective::v1 as objective;
use pointsman_proto::pointsman::objective::v1::port_ref::Port;
use tonic::{Code, Status};

const H1: [u8; 6] = [2, 0, 0, 0, 0, 1];
const GATEWAY: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
const EVERYONE: [u8; 6] = [0xff; 6];
const TCP: u8 = 6;
const UDP: u8 = 17;

/// leaf1 of the example.
async fn leaf1(config: &Config) -> TestAgent {
    let agent = TestAgent::start(config).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/leaf-spine/leaf1.yaml");
    let yaml = std::fs::read_to_string(file).expect("the example");
    let model = Model::parse("leaf1.yaml", &yaml).expect("it is in order");
    let changes = model.objectives.into_iter();
    let changes = changes.map(|located| (located.value.change, 1));
    let batch = Batch {
        changes: changes.collect(),
        snapshot: true,
        ..Batch::default()
    };
    let mut state = agent.agent.exclusive();
    state.change_objectives(|objectives, context, sink| objectives.take(batch, context, sink));
    drop(state);
    agent
}

fn frame(destination: [u8; 6], source: [u8; 6], ether_type: [u8; 2], payload: &[u8]) -> Vec<u8> {
    [&destination, &source, &ether_type[..], payload].concat()
}

/// From h1, with a TTL of 64 and a checksum that is right.
fn ipv4(destination: [u8; 4], protocol: u8, port: u16) -> Vec<u8> {
    let mut header = vec![
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 10, 11,
    ];
    header.extend(destination);
    let words = header
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
    let sum: u32 = words.sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("it is folded");
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend([0xc0, 0]);
    header.extend(port.to_be_bytes());
    header.extend([0; 16]);
    frame(GATEWAY, H1, [0x08, 0x00], &header)
}

async fn trace(agent: &TestAgent, port: Port, packet: &[u8]) -> Result<pb::TraceResponse, Status> {
    let request = pb::TraceRequest {
        port: Some(objective::PortRef { port: Some(port) }),
        packet: packet.to_vec(),
    };
    let answer = agent.service().await.trace(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn traced(agent: &TestAgent, packet: &[u8]) -> pb::TraceResponse {
    let answer = trace(agent, Port::Name("swp1".to_owned()), packet).await;
    answer.unwrap_or_else(|status| panic!("{status}"))
}

/// The tables that controllers see, by the last part of their names.
fn tables(answer: &pb::TraceResponse) -> Vec<(&str, &pb::TraceTable)> {
    let steps = answer.passes.iter().flat_map(|pass| &pass.steps);
    let tables = steps.filter_map(|step| match &step.step {
        Some(Step::Table(table)) if !table.is_hidden => Some(table),
        _ => None,
    });
    let named = tables.map(|table| (table.table.rsplit('.').next().unwrap_or_default(), table));
    named.collect()
}

fn owners(table: &pb::TraceTable) -> Vec<String> {
    let owners = table.objectives.iter();
    let owners = owners.map(|owner| format!("{:?} {}", owner.kind(), owner.name));
    owners.collect()
}

#[tokio::test]
async fn a_packet_meets_its_tables_with_the_objectives_that_their_entries_belong_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = leaf1(&config(dir.path())).await;
    let packet = ipv4([10, 0, 20, 13], UDP, 80);
    let answer = traced(&agent, &packet).await;
    let tables = tables(&answer);
    let table = |name: &str| {
        let found = tables.iter().find(|(known, _)| *known == name);
        found
            .unwrap_or_else(|| panic!("{name} is not among {tables:?}"))
            .1
    };
    assert_eq!(owners(table("ingress_port_vlan")), ["Filter h1-in"]);
    assert_eq!(table("routing_v4").entry, "ipv4_dst=0xa001400/24");
    assert_eq!(owners(table("routing_v4")), ["Forward vlan20-v4"]);
    let acl = table("acl");
    assert!(
        !acl.hit && acl.is_default && acl.entry.is_empty(),
        "{acl:?}"
    );
    let group = table("hashed")
        .group
        .clone()
        .expect("it leads to two spines");
    let ports = group.members.iter().filter_map(|m| m.watch.as_ref());
    assert_eq!(ports.map(|port| port.number).collect::<Vec<_>>(), [49, 50]);
    assert_eq!(
        group.members.iter().filter(|member| member.chosen).count(),
        1
    );
    // It goes where such a packet goes; in this process no port has a link.
    let sent = agent.engine.receive(1, packet);
    let [end] = answer.ends.as_slice() else {
        panic!("one packet leaves: {:?}", answer.ends);
    };
    assert_eq!(end.packet, sent[0].bytes);
    let port = end.port.as_ref().expect("it has one").number;
    assert_eq!((port, end.fate()), (sent[0].port, Fate::Lost));
    let text = format!("lost at port {port} (swp{port}), which is down");
    assert!(end.text.starts_with(&text), "{}", end.text);
}

#[tokio::test]
async fn a_packet_is_dropped_by_an_entry_of_an_objective() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = leaf1(&config(dir.path())).await;
    let answer = traced(&agent, &ipv4([10, 0, 20, 13], TCP, 23)).await;
    let [end] = answer.ends.as_slice() else {
        panic!("nothing leaves: {:?}", answer.ends);
    };
    assert_eq!(end.fate(), Fate::Dropped);
    assert_eq!(
        end.text,
        "dropped by acl.drop of the acl entry eth_type=0x800&0xffff ip_proto=0x6&0xff l4_dst=0x17&0xffff \
         priority=30000 of forward/no-telnet"
    );
}

#[tokio::test]
async fn copies_are_told_with_their_group_and_what_becomes_of_each() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = leaf1(&config(dir.path())).await;
    let answer = traced(&agent, &frame(EVERYONE, H1, [0x08, 0x06], &[0; 46])).await;
    let steps = answer.passes.iter().flat_map(|pass| &pass.steps);
    let notes = steps.filter_map(|step| match &step.step {
        Some(Step::Note(note)) => Some(note.as_str()),
        _ => None,
    });
    let notes: Vec<_> = notes.collect();
    assert_eq!(
        notes,
        ["multicast group 1 of next/flood-vlan10 makes 2 copies"]
    );
    let ends: Vec<_> = answer
        .ends
        .iter()
        .map(|end| (end.pass, end.fate()))
        .collect();
    assert_eq!(ends, [(1, Fate::Dropped), (2, Fate::Lost)]);
    assert!(
        answer.ends[0]
            .text
            .starts_with("the copy for port 1 is dropped by leaf_spine.p4:")
    );
    assert!(
        answer.ends[1]
            .text
            .starts_with("a copy is lost at port 2 (swp2)")
    );
}

#[tokio::test]
async fn a_packet_for_the_controller_is_told_from_the_header_that_the_program_puts_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = leaf1(&config(dir.path())).await;
    let lldp = frame([1, 0x80, 0xc2, 0, 0, 0x0e], H1, [0x88, 0xcc], &[0; 46]);
    let answer = traced(&agent, &lldp).await;
    let [end] = answer.ends.as_slice() else {
        panic!("one packet leaves: {:?}", answer.ends);
    };
    assert_eq!(end.fate(), Fate::ToController);
    assert_eq!(end.text, "goes to the controller");
    assert_eq!(end.packet[end.header_bytes as usize..], lldp);
}

#[tokio::test]
async fn nothing_counts_a_packet_that_is_only_followed() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = leaf1(&config(dir.path())).await;
    let counts = |agent: &TestAgent| agent.agent.shared().switch.counts();
    let packet = ipv4([10, 0, 20, 13], TCP, 23);
    assert!(!traced(&agent, &packet).await.passes.is_empty());
    assert_eq!(counts(&agent), []);
    assert_eq!(agent.agent.shared().switch.target().slow_path_packets(), 0);
    agent.engine.receive(1, packet);
    assert_ne!(counts(&agent), []);
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = leaf1(&config(dir.path())).await;
    let packet = ipv4([10, 0, 20, 13], UDP, 80);
    let refused = trace(&agent, Port::Name("swp7".to_owned()), &packet).await;
    assert_eq!(refused.expect_err("no such port").code(), Code::NotFound);
    let refused = trace(&agent, Port::Number(1), &packet[..13]).await;
    let refused = refused.expect_err("no frame");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("13 bytes"),
        "{}",
        refused.message()
    );
    // A port that is none is no reason: a program may say what it does with it.
    let answer = trace(&agent, Port::Number(7), &packet)
        .await
        .expect("it is followed");
    assert!(answer.assumptions[0].contains("port 7 is none of this switch"));
}

#[tokio::test]
async fn a_p4info_alone_has_no_program_to_follow_packets_through() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config {
        pipeline: PipelineChoice::None,
        ..config(dir.path())
    };
    let agent = TestAgent::start(&config).await;
    let packet = ipv4([10, 0, 20, 13], UDP, 80);
    let refused = trace(&agent, Port::Number(1), &packet).await;
    assert_eq!(
        refused.expect_err("no pipeline").code(),
        Code::FailedPrecondition
    );

    let mut controller = agent.primary(1).await;
    let program = pointsman_p4::programs::embedded("leaf_spine").expect("it is built in");
    let p4info = pointsman_p4::p4info::parse_p4info(program.p4info).expect("it is a p4info");
    let request = p4::SetForwardingPipelineConfigRequest {
        device_id: common::DEVICE,
        election_id: controller.election_id,
        action: Action::VerifyAndCommit.into(),
        config: Some(p4::ForwardingPipelineConfig {
            p4info: Some(p4info),
            ..Default::default()
        }),
        ..Default::default()
    };
    let set = controller
        .client
        .set_forwarding_pipeline_config(request)
        .await;
    set.expect("entries can be stored");
    let refused = trace(&agent, Port::Number(1), &packet).await;
    let refused = refused.expect_err("no program");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused
            .message()
            .contains("set the pipeline with its p4_device_config"),
        "{}",
        refused.message()
    );
}
