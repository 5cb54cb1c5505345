//! Limits: who asks for more is told so, and a slow client costs only itself.

mod common;

use common::{Controller, TestAgent, config, hello};
use pointsman_agent::limits::Limits;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::stream_message_response::Update as FromAgent;
use pointsman_proto::pointsman::agent::v1::GetStatusRequest;
use tonic::{Code, Status};

async fn start(directory: &tempfile::TempDir, limits: Limits) -> TestAgent {
    let mut config = config(directory.path());
    config.serving.limits = limits;
    TestAgent::start(&config).await
}

fn exhausted(status: &Status, name: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains(name), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_there_may_be_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits {
        streams: 3,
        streams_per_role: 2,
        roles: 1,
        ..Limits::default()
    };
    let agent = start(&directory, limits).await;
    let first = agent.primary(1).await;
    let mut second = agent.controller(None).await;
    second.arbitration().await;
    let mut third = agent.controller(None).await;
    exhausted(
        &third.next().await.expect_err("two of a role"),
        "streams_per_role",
    );
    let mut other = agent.controller_in_role("a", Some(1)).await;
    other.arbitration().await;
    let (_requests, stream) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let fourth = agent.p4runtime().await.stream_channel(stream).await;
    exhausted(&fourth.expect_err("three streams"), "limits.streams");
    drop(second);
    // The place is free when the agent has noticed.
    let mut refused = loop {
        let client = agent.p4runtime().await;
        let (requests, stream) = tokio::sync::mpsc::channel(1);
        let message = p4::StreamMessageRequest {
            update: Some(p4::stream_message_request::Update::Arbitration(hello(
                "b",
                Some(1),
            ))),
        };
        requests.send(message).await.expect("there is room");
        let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
        match client.clone().stream_channel(stream).await {
            Ok(stream) => break stream.into_inner(),
            Err(status) => exhausted(&status, "limits.streams"),
        }
    };
    exhausted(
        &refused.message().await.expect_err("one role"),
        "limits.roles",
    );
    drop((first, other));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_more_than_they_may_have_are_refused_as_a_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits {
        write_updates: 2,
        read_filters: 2,
        message_bytes: 4 << 20,
        ..Limits::default()
    };
    let agent = start(&directory, limits).await;
    let mut controller = agent.primary(1).await;
    let refused = controller.write(vec![p4::Update::default(); 3]).await;
    exhausted(&refused.expect_err("three updates"), "write_updates");
    let read = p4::ReadRequest {
        device_id: common::DEVICE,
        entities: vec![p4::Entity::default(); 3],
        ..Default::default()
    };
    let refused = controller.client.read(read).await;
    exhausted(&refused.expect_err("three filters"), "read_filters");
    // gRPC libraries call a message that is too long out of range.
    let long = p4::Update {
        entity: Some(p4::Entity {
            entity: Some(p4::entity::Entity::ExternEntry(p4::ExternEntry {
                entry: Some(prost_types::Any {
                    value: vec![0; 5 << 20],
                    ..Default::default()
                }),
                ..Default::default()
            })),
        }),
        ..Default::default()
    };
    let refused = controller.write(vec![long]).await.expect_err("5 MiB");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    drop(controller);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_and_those_there_are_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let agent = start(&directory, limits).await;
    let mut first = agent.primary(1).await;
    let address = agent.address.trim_start_matches("http://");
    let mut second = tokio::net::TcpStream::connect(address).await.expect("TCP");
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut second, &mut byte).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(first.write(Vec::new()).await.is_ok());
    drop(first);
    agent.stop().await;
}

/// What is lost is packets of the client that does not read, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_loses_packets_but_no_notice_and_others_lose_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits {
        packet_in_queue: 64,
        ..Limits::default()
    };
    let agent = start(&directory, limits).await;
    let mut slow = agent.primary(1).await;
    let mut other = agent.controller_in_role("other", Some(1)).await;
    other.arbitration().await;
    let packet = vec![0; 1500];
    let mut lost = 0;
    for _ in 0..2000 {
        lost += agent.agent.packet_in(packet.clone());
        let FromAgent::Packet(_) = other.next().await.expect("a packet") else {
            panic!("not a packet");
        };
    }
    assert!(lost > 0, "nothing was lost");
    let mut service = agent.service().await;
    let status = service.get_status(GetStatusRequest {}).await;
    let losses = status.expect("it answers").into_inner().losses;
    let losses = losses.iter().map(|l| (l.reason.as_str(), l.packets));
    assert_eq!(
        losses.collect::<Vec<_>>(),
        [("controller-slow", lost as u64)]
    );
    // It is told of another primary all the same.
    let _higher = agent.primary(2).await;
    let mut packets = 0;
    loop {
        match slow.next().await.expect("a message") {
            FromAgent::Packet(_) => packets += 1,
            FromAgent::Arbitration(update) => {
                assert_eq!(update.election_id.expect("a primary").low, 2);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(packets + lost <= 2000, "{packets} packets and {lost} lost");
    drop((slow, other, _higher));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_queues_together_hold_so_many_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = Limits {
        queued_bytes: 1 << 20,
        packet_in_queue: 1 << 20,
        ..Limits::default()
    };
    let agent = start(&directory, limits).await;
    let mut slow: Vec<Controller> = Vec::new();
    for role in ["a", "b", "c"] {
        let mut controller = agent.controller_in_role(role, Some(1)).await;
        controller.arbitration().await;
        slow.push(controller);
    }
    let packet = vec![0; 9000];
    let lost: usize = (0..2000)
        .map(|_| agent.agent.packet_in(packet.clone()))
        .sum();
    // Some are on the way to the clients; of the rest there is a megabyte at most.
    assert!(lost > 3 * 2000 - 3000, "{lost} of 6000 lost");
    drop(slow);
    agent.stop().await;
}
