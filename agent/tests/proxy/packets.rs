//! Packets and registers through the proxy.

use pointsman_p4::p4info::parse_write_request;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::objective::v1::PortRef;
use pointsman_proto::pointsman::objective::v1::port_ref::Port;

use super::*;

/// `last_length` of the tour program.
const REGISTER: u32 = 379_577_968;

fn tour() -> PipelineChoice {
    let clients = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients");
    PipelineChoice::Directory(clients.join("tour"))
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_ins_of_the_switch_reach_the_clients_of_the_proxy() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = behind(dirs[0].path()).await;
    let config = proxy_config(dirs[1].path());
    let proxy = TestAgent::start_proxy(&config, upstream(&behind.address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    // A packet that the pipeline gives to the controller, as the switch's own port would.
    let info = leaf_spine();
    let mut headers = info.controller_packet_metadata.iter();
    let packet_in = headers.find(|h| h.preamble.as_ref().is_some_and(|p| p.name == "packet_in"));
    let bits: i32 = packet_in
        .expect("leaf_spine has it")
        .metadata
        .iter()
        .map(|m| m.bitwidth)
        .sum();
    let mut bytes = vec![0u8; bits as usize / 8];
    bytes.extend([0xab; 60]);
    behind.agent.packet_in(bytes);
    let packet = tokio::time::timeout(PATIENCE, controller.next()).await;
    let packet = packet.expect("it comes").expect("the stream goes on");
    let p4::stream_message_response::Update::Packet(packet) = packet else {
        panic!("not a packet: {packet:?}");
    };
    assert_eq!(packet.payload, [0xab; 60]);
}

#[tokio::test(flavor = "multi_thread")]
async fn packet_outs_of_clients_reach_the_switch_with_their_metadata() {
    let dir = tempfile::tempdir().expect("a directory");
    let poor = RunningPoor::start("127.0.0.1:0").await;
    let config = Config {
        pipeline: tour(),
        ..proxy_config(dir.path())
    };
    let address = poor.address.to_string();
    let proxy = TestAgent::start_proxy(&config, upstream(&address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    let metadata = [(1, vec![1, 2]), (2, vec![1]), (3, vec![0])];
    let metadata = metadata.map(|(metadata_id, value)| p4::PacketMetadata { metadata_id, value });
    let packet = p4::PacketOut {
        payload: vec![0xcd; 60],
        metadata: metadata.to_vec(),
    };
    let message = p4::StreamMessageRequest {
        update: Some(Request::Packet(packet.clone())),
    };
    let sent = controller.requests.send(message).await;
    sent.expect("there is room");
    until("the packet", || !poor.server.lock().packets.is_empty()).await;
    assert_eq!(poor.server.lock().packets, [packet]);
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_are_read_from_and_written_to_the_switch() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = behind(dirs[0].path()).await;
    let config = Config {
        pipeline: tour(),
        ..proxy_config(dirs[1].path())
    };
    let proxy = TestAgent::start_proxy(&config, upstream(&behind.address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    let cell = |value: &str| {
        let text = format!(
            "updates {{ type: MODIFY entity {{ register_entry {{ register_id: {REGISTER} \
             index {{ index: 3 }} {value} }} }} }}"
        );
        let request = parse_write_request(&text).expect("it is a request");
        request.updates[0].clone()
    };
    let written = cell("data { bitstring: \"\\101\" }");
    let filter = cell("").entity.and_then(|e| e.entity).expect("an entity");
    controller
        .write(vec![written.clone()])
        .await
        .expect("it is there");
    let mut observer = behind.controller(None).await;
    let there = observer.read(filter.clone()).await.expect("it answers");
    assert_eq!(there, [written.entity.expect("an entity")]);

    // A packet of that port, of 64 bytes.
    let mut frame = vec![0; 64];
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    behind.engine.receive(3, frame);
    let seen = controller.read(filter).await.expect("the switch answers");
    assert_ne!(seen, there);
}

/// What would happen to a frame of no interest that comes in by port 1.
async fn trace(agent: &TestAgent) -> Result<agent_pb::TraceResponse, tonic::Status> {
    let port = Some(Port::Number(1));
    let request = agent_pb::TraceRequest {
        port: Some(PortRef { port }),
        packet: vec![0xff; 60],
    };
    let answer = agent.service().await.trace(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_followed_through_what_the_switch_was_told() {
    let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
    let behind = behind(dirs[0].path()).await;
    let config = proxy_config(dirs[1].path());
    let proxy = TestAgent::start_proxy(&config, upstream(&behind.address)).await;
    let mut controller = proxy.primary(1).await;
    ready(&mut controller).await;
    let here = trace(&proxy).await.expect("it is followed here");
    let there = trace(&behind).await.expect("it is followed there");
    assert_eq!(
        (here.target.as_str(), there.target.as_str()),
        ("p4runtime", "interpreter")
    );
    let texts = |answer: &agent_pb::TraceResponse| {
        let ends = answer.ends.iter();
        ends.map(|end| end.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&here), texts(&there));
    assert!(here.assumptions[0].starts_with("what the switch behind this agent was told"));
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_not_followed_through_what_only_the_switch_understands() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_poor, proxy, mut controller) = before_poor(dir.path()).await;
    let request = p4::SetForwardingPipelineConfigRequest {
        device_id: DEVICE,
        election_id: controller.election_id,
        action: p4::set_forwarding_pipeline_config_request::Action::VerifyAndCommit.into(),
        config: Some(p4::ForwardingPipelineConfig {
            p4info: Some(leaf_spine()),
            p4_device_config: b"\x7fTOFINO".to_vec(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let set = controller
        .client
        .set_forwarding_pipeline_config(request)
        .await;
    set.expect("the switch takes what it gets");
    let refused = trace(&proxy).await.expect_err("nobody here can read it");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(
        refused.message().contains("only that switch knows"),
        "{}",
        refused.message()
    );
}
