//! Packets: out by the stream, through the tables, and back by the stream.
//!
//! The programs send a packet-out back to where it came from with what happened to it in the
//! metadata. So a data plane is seen without access to a port.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Event;

use super::client::Client;
use super::entry::{Value, canonical};
use super::failure::{Failure, Outcome, same};

/// What the main program does with a packet: its `OP_` constants.
pub mod op {
    #![allow(missing_docs, reason = "they are called what the tables are called")]
    pub const ECHO: u8 = 0;
    pub const EXACT: u8 = 1;
    pub const LPM: u8 = 2;
    pub const TERNARY: u8 = 3;
    pub const RANGE: u8 = 4;
    pub const OPTIONAL: u8 = 5;
    pub const WIDE: u8 = 6;
    pub const KEYLESS: u8 = 7;
    pub const CONST: u8 = 8;
    pub const INITIAL: u8 = 9;
    pub const FIXED: u8 = 10;
    pub const SCOPED: u8 = 11;
    pub const DIRECT: u8 = 12;
    pub const IDLE: u8 = 13;
    pub const MEMBER: u8 = 14;
    pub const GROUP: u8 = 15;
    pub const ONE_SHOT: u8 = 16;
    pub const UNWEIGHTED: u8 = 17;
    pub const PAIR: u8 = 18;
    pub const COUNT: u8 = 20;
    pub const METER: u8 = 21;
    pub const REGISTER: u8 = 22;
    pub const VALUE_SET: u8 = 23;
    pub const MULTICAST: u8 = 24;
    pub const CLONE: u8 = 25;
    pub const DIGEST: u8 = 26;
}

/// Bytes of a packet when nothing else is asked for.
const LENGTH: usize = 64;

/// A packet for the main program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Probe {
    /// What to do with it.
    pub op: u8,
    /// Keys, by width.
    pub k8: u8,
    /// 16 bits.
    pub k16: u16,
    /// 32 bits.
    pub k32: u32,
    /// 128 bits.
    pub k128: u128,
    /// 9 bits.
    pub k9: u16,
}

impl Probe {
    /// A packet for one operation.
    pub fn to(op: u8) -> Probe {
        Probe {
            op,
            ..Probe::default()
        }
    }

    /// With an 8-bit key.
    pub fn k8(self, k8: u8) -> Probe {
        Probe { k8, ..self }
    }

    /// With a 16-bit key.
    pub fn k16(self, k16: u16) -> Probe {
        Probe { k16, ..self }
    }

    /// With a 32-bit key.
    pub fn k32(self, k32: u32) -> Probe {
        Probe { k32, ..self }
    }

    /// Its metadata by name.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("op", Value(vec![self.op])),
            ("k8", Value(vec![self.k8])),
            ("k16", Value(canonical(self.k16.into()))),
            ("k32", Value(canonical(self.k32.into()))),
            ("k128", Value(canonical(self.k128))),
            ("k9", Value(canonical(self.k9.into()))),
            ("k7", Value(vec![0])),
        ]
    }
}

/// A packet that came back from the main program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether the table was hit.
    pub hit: bool,
    /// 0, or what made this copy.
    pub copy: u128,
    /// What the action was given.
    pub mark: u128,
    /// What the group action was given.
    pub base: u128,
    /// Which replica it is.
    pub instance: u128,
    /// What was read.
    pub value: u128,
    /// The controller's port.
    pub port: u128,
    /// The packet without headers.
    pub payload: Vec<u8>,
}

/// A payload that no other packet has, of that many bytes.
pub fn payload(length: usize) -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut payload = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec();
    payload.resize(length, 0xa5);
    payload
}

impl Client {
    /// A packet-out with metadata by name.
    pub fn packet<V: Into<Value> + Clone>(
        &self,
        fields: &[(&str, V)],
        payload: Vec<u8>,
    ) -> p4::PacketOut {
        let header = self.program.header("packet_out");
        let metadata = fields.iter().map(|(name, value)| {
            let field = header.iter().find(|field| field.name == *name);
            p4::PacketMetadata {
                metadata_id: field.expect("the program has this field").id,
                value: value.clone().into().0,
            }
        });
        p4::PacketOut {
            payload,
            metadata: metadata.collect(),
        }
    }

    /// Sends a packet.
    pub async fn send(&mut self, packet: p4::PacketOut) -> Outcome {
        self.stream.send(Request::Packet(packet)).await
    }

    /// The next packet whose payload begins like this one's.
    pub async fn back(&mut self, payload: &[u8]) -> Outcome<p4::PacketIn> {
        let mark = payload[..8].to_vec();
        let pick = |event: &Event| match event {
            Event::Packet(packet) if packet.payload.starts_with(&mark) => Some(packet.clone()),
            _ => None,
        };
        self.stream.next("the packet back", pick).await
    }

    /// The metadata of a packet-in, by name.
    pub fn metadata(&self, packet: &p4::PacketIn) -> HashMap<String, Vec<u8>> {
        let header = self.program.header("packet_in");
        let fields = packet.metadata.iter().filter_map(|metadata| {
            let field = header.iter().find(|f| f.id == metadata.metadata_id)?;
            Some((field.name.clone(), metadata.value.clone()))
        });
        fields.collect()
    }

    /// Sends a packet to the main program and says what came back.
    pub async fn probe(&mut self, probe: Probe) -> Outcome<Seen> {
        let payload = payload(LENGTH);
        let mut packet = self.packet(&probe.fields(), Vec::new());
        packet.payload.clone_from(&payload);
        self.send(packet).await?;
        let back = self.back(&payload).await?;
        self.seen(&back)
    }

    /// Sends a packet that comes back as many times, and no more.
    pub async fn copies(&mut self, probe: Probe, copies: usize) -> Outcome<Vec<Seen>> {
        self.copies_of(probe, payload(LENGTH), copies).await
    }

    /// The same, with a payload.
    pub async fn copies_of(
        &mut self,
        probe: Probe,
        payload: Vec<u8>,
        copies: usize,
    ) -> Outcome<Vec<Seen>> {
        let packet = self.packet(&probe.fields(), payload.clone());
        self.send(packet).await?;
        let mut seen = Vec::new();
        for _ in 0..copies {
            let back = self.back(&payload).await?;
            seen.push(self.seen(&back)?);
        }
        // What is still on its way is before this one.
        self.probe(Probe::to(op::ECHO)).await?;
        let more = |event: &Event| matches!(event, Event::Packet(p) if p.payload.starts_with(&payload[..8]));
        same(
            "packets beyond those expected",
            self.stream.has(more),
            false,
        )?;
        seen.sort_by_key(|seen| (seen.copy, seen.instance));
        Ok(seen)
    }

    /// A table that the packet hits, and its action's argument.
    pub async fn hits(&mut self, probe: Probe, mark: u128) -> Outcome {
        let seen = self.probe(probe).await?;
        let doing = format!("a packet with {probe:?}");
        same(&doing, (seen.hit, seen.mark), (true, mark))
    }

    /// A table that the packet does not hit, and its default action's argument.
    pub async fn misses(&mut self, probe: Probe, mark: u128) -> Outcome {
        let seen = self.probe(probe).await?;
        let doing = format!("a packet with {probe:?}");
        same(&doing, (seen.hit, seen.mark), (false, mark))
    }

    /// How often each mark comes of packets that differ in what selectors hash.
    pub async fn spread(&mut self, op: u8, packets: u32) -> Outcome<Vec<(u128, usize)>> {
        /// Neighbouring numbers differ in few bits, of which a CRC makes too little.
        const FAR_APART: u32 = 0x9e37_79b1;
        let mut marks = Vec::new();
        for number in 0..packets {
            let k32 = number.wrapping_mul(FAR_APART);
            marks.push(self.probe(Probe::to(op).k8(1).k32(k32)).await?.mark);
        }
        marks.sort_unstable();
        let counted = marks.chunk_by(|a, b| a == b);
        Ok(counted.map(|equal| (equal[0], equal.len())).collect())
    }

    fn seen(&self, packet: &p4::PacketIn) -> Outcome<Seen> {
        let fields = self.metadata(packet);
        let number = |name: &str| {
            let value = fields.get(name).ok_or_else(|| {
                Failure::differs(
                    "a packet-in",
                    format!("metadata {name}"),
                    format!("{fields:?}"),
                )
            })?;
            Ok(value
                .iter()
                .fold(0, |number, &byte| number << 8 | u128::from(byte)))
        };
        Ok(Seen {
            hit: number("hit")? != 0,
            copy: number("copy")?,
            mark: number("mark")?,
            base: number("base")?,
            instance: number("instance")?,
            value: number("value")?,
            port: number("port")?,
            payload: packet.payload.clone(),
        })
    }
}
