//! Packets to and from controllers. They wait for no Write and no change of the pipeline: what they need
//! is published here whenever it changes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use pointsman_p4::dataplane::Bits;
use thiserror::Error;
use tokio::sync::mpsc;
use tonic::Code;

use super::Agent;
use super::stream::{StreamNote, Subscribers};
use crate::arbitration::StreamId;
use crate::schema::{PacketHeader, Schema};
use crate::switch::Switch;
use crate::target::{Loss, PacketOut, TargetError};

/// A packet for the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketIn {
    /// p4info id and value of each field of the controller header.
    pub metadata: Vec<(u32, Vec<u8>)>,
    /// The packet after that header.
    pub payload: Vec<u8>,
}

/// A packet for a consumer in the agent itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Punted {
    bytes: Vec<u8>,
    payload_at: usize,
}

impl Punted {
    /// The packet after the controller header.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_at..]
    }
}

/// Why a packet-out is not sent.
#[derive(Debug, Error)]
pub enum PacketError {
    /// The stream may not send packets.
    #[error("only the primary of a role may send packets")]
    NotPrimary,
    /// There is no pipeline.
    #[error("no pipeline is set")]
    NoPipeline,
    /// A field of the controller header is wrong.
    #[error("packet_out metadata: {0}")]
    Metadata(String),
    /// The data plane refuses.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl PacketError {
    /// The canonical code of the refusal.
    pub fn code(&self) -> Code {
        match self {
            PacketError::NotPrimary => Code::PermissionDenied,
            PacketError::NoPipeline | PacketError::Target(TargetError::NoProgram) => {
                Code::FailedPrecondition
            }
            PacketError::Metadata(_) => Code::InvalidArgument,
            PacketError::Target(_) => Code::Internal,
        }
    }
}

/// What packets to and from controllers need, each part replaced as a whole when it changes.
#[derive(Default)]
pub struct PacketIo {
    /// Who may send packets, and who is told what the switch notices.
    pub subscribers: Subscribers,
    /// Packets that came while there was nobody to tell.
    unheard: AtomicU64,
    /// Packets that somebody was not told of, as it had too many unread.
    missed: AtomicU64,
    /// The consumer in the agent itself, and packets that it had no room for.
    local: RwLock<Option<mpsc::Sender<Punted>>>,
    local_missed: AtomicU64,
    path: RwLock<Option<Arc<Path>>>,
}

/// A pipeline as packets see it.
struct Path {
    /// What it prepends to packets.
    schema: Arc<Schema>,
    out: Arc<dyn PacketOut>,
}

impl Path {
    /// A packet as controllers see it. It is as long as its header at least.
    fn read(&self, packet: &[u8]) -> PacketIn {
        let header = self.schema.packet_in.as_ref();
        let split = header.and_then(|header| Some((header, header.split(packet)?)));
        let Some((header, (values, payload))) = split else {
            return PacketIn {
                metadata: Vec::new(),
                payload: packet.to_vec(),
            };
        };
        let fields = header.fields.iter().zip(values);
        let shown = fields.filter(|(field, _)| !field.padding);
        let metadata = shown.map(|(field, value)| {
            let translation = field.translation.as_deref();
            let bytes = self.schema.bytes(&value, field.width, translation);
            (field.id, bytes)
        });
        PacketIn {
            metadata: metadata.collect(),
            payload: payload.to_vec(),
        }
    }
}

impl PacketIo {
    /// Takes note of the pipeline that a switch has now.
    pub fn follow(&self, switch: &Switch) {
        let path = switch.pipeline().zip(switch.packet_out());
        let path = path.map(|(pipeline, out)| {
            Arc::new(Path {
                schema: Arc::clone(&pipeline.schema),
                out,
            })
        });
        *self.path.write().unwrap_or_else(PoisonError::into_inner) = path;
    }

    /// Packets for a consumer in the agent itself, beside controllers, from now on. At most so many wait; more are lost
    /// to it and counted.
    pub fn listen(&self, most: usize) -> mpsc::Receiver<Punted> {
        let (sender, receiver) = mpsc::channel(most);
        *self.local.write().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Gives a packet to the consumer in the agent. Says whether there is one.
    fn offer(&self, punted: impl FnOnce() -> Punted) -> bool {
        let local = self.local.read().unwrap_or_else(PoisonError::into_inner);
        let Some(consumer) = local.as_ref() else {
            return false;
        };
        if consumer.try_send(punted()).is_err() {
            self.local_missed.fetch_add(1, Relaxed);
        }
        true
    }

    /// Packets that nobody got whom they were for.
    pub fn losses(&self) -> [Loss; 3] {
        [
            Loss {
                reason: "policy-slow",
                what: "packets that the agent's own policies did not get, as they had not looked at those before them",
                packets: self.local_missed.load(Relaxed),
            },
            Loss {
                reason: "no-controller",
                what: "packets for controllers while none was primary, or none of them for whom it was",
                packets: self.unheard.load(Relaxed),
            },
            Loss {
                reason: "controller-slow",
                what: "packets that a controller did not get, as it had not read those before them",
                packets: self.missed.load(Relaxed),
            },
        ]
    }

    fn path(&self) -> Option<Arc<Path>> {
        let path = self.path.read().unwrap_or_else(PoisonError::into_inner);
        path.clone()
    }
}

impl Agent {
    /// Gives a packet that left at the CPU port to the primary of each role, and to the agent's own consumer. Returns
    /// how many of the primaries could not take it.
    pub fn packet_in(&self, packet: Vec<u8>) -> usize {
        let io = &self.packet_io;
        let Some(path) = io.path() else {
            return 0;
        };
        let header = path.schema.packet_in.as_ref();
        let payload_at = header.map_or(0, PacketHeader::len);
        if payload_at > packet.len() {
            tracing::debug!(
                length = packet.len(),
                "a packet-in is shorter than its header"
            );
            return 0;
        }
        let subscribers = io.subscribers.get();
        if subscribers.is_empty() {
            let punted = || Punted {
                bytes: packet,
                payload_at,
            };
            if !io.offer(punted) {
                io.unheard.fetch_add(1, Relaxed);
            }
            return 0;
        }
        let is_local = io.offer(|| Punted {
            bytes: packet.clone(),
            payload_at,
        });
        let packet = path.read(&packet);
        let mut receivers = subscribers
            .iter()
            .filter(|subscriber| subscriber.receives(&packet.metadata))
            .peekable();
        if receivers.peek().is_none() && !is_local {
            io.unheard.fetch_add(1, Relaxed);
        }
        let missed = receivers
            .filter(|receiver| !receiver.offer(StreamNote::PacketIn(packet.clone())))
            .count();
        io.missed.fetch_add(missed as u64, Relaxed);
        missed
    }

    /// Sends a packet from a controller through the pipeline.
    pub fn packet_out(
        &self,
        stream: StreamId,
        metadata: &[(u32, Vec<u8>)],
        payload: &[u8],
    ) -> Result<(), PacketError> {
        let primaries = self.packet_io.subscribers.get();
        if !primaries.iter().any(|primary| primary.stream == stream) {
            return Err(PacketError::NotPrimary);
        }
        let path = self.packet_io.path().ok_or(PacketError::NoPipeline)?;
        let packet = match &path.schema.packet_out {
            None if metadata.is_empty() => payload.to_vec(),
            None => {
                let what = "this pipeline has no packet_out header";
                return Err(PacketError::Metadata(what.to_owned()));
            }
            Some(header) => {
                let mut values = vec![None; header.fields.len()];
                for (id, bytes) in metadata {
                    // Some clients send padding, too.
                    let found = header.fields.iter().position(|f| f.id == *id);
                    let index = found.ok_or_else(|| {
                        PacketError::Metadata(format!("there is no field with id {id}"))
                    })?;
                    let field = &header.fields[index];
                    let value = match &field.translation {
                        None => Bits::from_be_bytes(bytes),
                        Some(translation) => translation.to_program(bytes).map_err(|error| {
                            PacketError::Metadata(format!("{}: {error}", field.name))
                        })?,
                    };
                    if value.bit_length() > field.width {
                        return Err(PacketError::Metadata(format!(
                            "{value} does not fit the {} bits of {}",
                            field.width, field.name
                        )));
                    }
                    if values[index].replace(value).is_some() {
                        let what = format!("{} is given twice", field.name);
                        return Err(PacketError::Metadata(what));
                    }
                }
                let fields = header.fields.iter().zip(values);
                let values = fields.map(|(field, value)| match value {
                    Some(value) => Ok(value),
                    // Programs that predate @padding call it so.
                    None if field.padding || field.name.starts_with("_pad") => Ok(Bits::zero()),
                    None => Err(PacketError::Metadata(format!("{} is missing", field.name))),
                });
                header.join(&values.collect::<Result<Vec<_>, _>>()?, payload)
            }
        };
        Ok(path.out.send(&packet)?)
    }
}
