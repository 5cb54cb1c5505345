//! Tracing a packet through the controller: the device's agent is asked, and its words come back.
#![allow(clippy::unwrap_used)]

mod support;

use pointsman_proto::pointsman::agent::v1 as agent_pb;
use pointsman_proto::pointsman::controller::v1 as pb;
use support::fake_agent::FakeAgent;
use support::*;
use tonic::{Code, Status};

async fn trace(
    controller: &mut TestController,
    device: &str,
) -> Result<agent_pb::TraceResponse, Status> {
    let request = pb::TraceRequest {
        device: device.to_owned(),
        packet: Some(agent_pb::TraceRequest {
            port: None,
            packet: vec![0xff; 60],
        }),
    };
    let answer = controller.client.trace(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_packet_is_traced_by_the_agent_of_its_device() {
    let agent = FakeAgent::start().await;
    let mut controller = TestController::start().await;
    let devices = vec![
        device("leaf1", agent.address, 1),
        device("leaf2", "127.0.0.1:1", 2),
    ];
    controller.must_apply(request(devices, [])).await;
    let answer = trace(&mut controller, "leaf1").await.unwrap();
    assert_eq!(answer.packet_bytes, 60);

    let nobody = trace(&mut controller, "leaf2").await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unavailable);
    assert!(nobody.message().contains("127.0.0.1:1"), "{nobody}");
    let unknown = trace(&mut controller, "leaf3").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(
        unknown.message().contains("known devices: leaf1, leaf2"),
        "{unknown}"
    );
    let nowhere = trace(&mut controller, "").await.unwrap_err();
    assert_eq!(nowhere.code(), Code::InvalidArgument);
}
