//! A P4Runtime client that reacts: to each packet it is sent with the packet, and with an entry for it if it is told to.

use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use pointsman_p4::programs;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::p4rt::client::insert;
use crate::p4rt::entry::{Entry, canonical};
use crate::p4rt::program::Program;

/// Messages that may wait to be sent.
const QUEUE: usize = 1024;
/// Packets that are answered with one Write.
const BATCH: usize = 256;
/// The MAC address of the router.
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
/// Where the IPv4 destination of a packet stands.
const DESTINATION: std::ops::Range<usize> = 30..34;
/// A host that has its route from the beginning.
pub(super) const KNOWN: [u8; 4] = [10, 255, 0, 1];
const NEXT: u32 = 20;
const OUT: u32 = 2;

static LEAF_SPINE: LazyLock<Program> = LazyLock::new(|| {
    let program = programs::embedded("leaf_spine").expect("it is built in");
    Program::new(program.p4info, program.bmv2_json.as_bytes())
});

/// See above.
pub(super) struct Reacting {
    rpc: P4RuntimeClient<Channel>,
    requests: mpsc::Sender<p4::StreamMessageRequest>,
    events: Streaming<p4::StreamMessageResponse>,
}

/// What a client does when it is sent a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Sends it out by port 2.
    Send,
    /// Writes a route to its destination first.
    WriteAndSend,
}

impl Reacting {
    /// Becomes primary of the default role.
    pub(super) async fn open(mut rpc: P4RuntimeClient<Channel>) -> Result<Reacting> {
        let (requests, outgoing) = mpsc::channel(QUEUE);
        let hello = Request::Arbitration(p4::MasterArbitrationUpdate {
            device_id: 1,
            election_id: Some(election_id()),
            ..Default::default()
        });
        requests.send(message(hello)).await?;
        let answer = rpc.stream_channel(ReceiverStream::new(outgoing)).await?;
        let mut events = answer.into_inner();
        let first = events.message().await?.and_then(|message| message.update);
        let is_primary = matches!(&first, Some(Event::Arbitration(update))
            if update.status.as_ref().is_some_and(|status| status.code == 0));
        ensure!(is_primary, "not primary: {first:?}");
        Ok(Reacting {
            rpc,
            requests,
            events,
        })
    }

    /// Lets packets of port 1 be routed: to one host, and all others to this client.
    pub(super) async fn route(&mut self) -> Result<()> {
        let of = |table| Entry::of(&LEAF_SPINE, table);
        let mac = |mac: [u8; 6]| {
            mac.iter()
                .fold(0u128, |all, byte| all << 8 | u128::from(*byte))
        };
        let entries = vec![
            of("ingress_port_vlan")
                .exact("ingress_port", 1)
                .exact("vlan_id", 0)
                .action("permit_with_internal_vlan", &[("vlan_id", 10)]),
            of("router_mac")
                .exact("ingress_port", 1)
                .exact("eth_dst", mac(ROUTER_MAC))
                .action::<u32>("route", &[]),
            of("simple").exact("next_id", NEXT).action(
                "routing_simple",
                &[
                    ("port", u128::from(OUT)),
                    ("src_mac", mac(ROUTER_MAC)),
                    ("dst_mac", mac([2, 0, 0, 0, 2, 2])),
                ],
            ),
            route_to(KNOWN),
        ];
        self.write(entries).await?;
        let mut rest = of("routing_v4").action::<u32>("punt_routing_v4", &[]);
        rest = rest.default_entry();
        let mut request = self.request(vec![rest]);
        request.updates[0].r#type = p4::update::Type::Modify.into();
        self.rpc.write(request).await?;
        Ok(())
    }

    /// Reacts to packets until it is dropped. Returns if the stream ends.
    pub(super) async fn react(&mut self, reaction: Reaction) -> Result<()> {
        loop {
            let mut packets = vec![self.next().await?];
            // What is there already goes with it.
            while packets.len() < BATCH {
                tokio::select! {
                    biased;
                    packet = self.next() => packets.push(packet?),
                    () = std::future::ready(()) => break,
                }
            }
            if reaction == Reaction::WriteAndSend {
                let routes = packets.iter().map(|packet| {
                    let destination = packet.get(DESTINATION)?.try_into().ok()?;
                    Some(route_to(destination))
                });
                let routes = routes.collect::<Option<Vec<_>>>();
                self.write(routes.context("not an IPv4 packet")?).await?;
            }
            for packet in packets {
                self.requests.send(message(out(packet))).await?;
            }
        }
    }

    async fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            let message = self.events.message().await?;
            let update = message.context("the stream has ended")?.update;
            match update {
                Some(Event::Packet(packet)) => return Ok(packet.payload),
                Some(Event::Error(error)) => anyhow::bail!("{}", error.message),
                _ => {}
            }
        }
    }

    async fn write(&mut self, entries: Vec<Entry>) -> Result<()> {
        let request = self.request(entries);
        self.rpc.write(request).await?;
        Ok(())
    }

    fn request(&self, entries: Vec<Entry>) -> p4::WriteRequest {
        p4::WriteRequest {
            device_id: 1,
            election_id: Some(election_id()),
            updates: entries.into_iter().map(insert).collect(),
            ..Default::default()
        }
    }
}

fn election_id() -> p4::Uint128 {
    p4::Uint128 { high: 0, low: 1 }
}

fn message(update: Request) -> p4::StreamMessageRequest {
    p4::StreamMessageRequest {
        update: Some(update),
    }
}

fn route_to(host: [u8; 4]) -> Entry {
    Entry::of(&LEAF_SPINE, "routing_v4")
        .lpm("ipv4_dst", u32::from_be_bytes(host), 32)
        .action("set_next_id_routing_v4", &[("next_id", NEXT)])
}

/// A packet by port 2, as it is.
fn out(payload: Vec<u8>) -> Request {
    let fields = LEAF_SPINE.header("packet_out").iter();
    let metadata = fields
        .filter(|field| !field.name.contains("pad"))
        .map(|field| {
            let value = match field.name.as_str() {
                "egress_port" => u128::from(OUT),
                _ => 0,
            };
            p4::PacketMetadata {
                metadata_id: field.id,
                value: canonical(value),
            }
        });
    Request::Packet(p4::PacketOut {
        payload,
        metadata: metadata.collect(),
    })
}

/// The headers of a packet to a host, to be routed.
pub(super) fn headers(to: [u8; 4]) -> Vec<u8> {
    let mut headers = ROUTER_MAC.to_vec();
    headers.extend([2, 0, 0, 0, 1, 8, 0x08, 0x00]);
    let mut ip = [
        0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 10, 1, 1, 1, 0, 0, 0, 0,
    ];
    ip[16..].copy_from_slice(&to);
    let words = ip.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    headers.extend(ip);
    headers.extend([3, 232, 7, 208, 0, 26, 0, 0]);
    headers
}
