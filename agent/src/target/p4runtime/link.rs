//! The connection to the server: one thread with a runtime of its own, which connects, holds the stream,
//! claims mastership and carries packets; and calls on the server for threads that wait for the answer.
//!
//! Callers are synchronous, as all of the switch is. They wait on a channel while the thread of the link does
//! the talking, so that it does not matter on which thread of which runtime they run. When to connect and what to
//! claim is decided by [`super::mastership`]. What the server should hold is not known here.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tonic::Status;
use tonic::transport::Channel;

use super::notice::{self, Notice};
use super::{Upstream, packet};
use crate::arbitration::ElectionId;
use crate::schema::Schema;

/// How long the server may take for one call.
const DEADLINE: Duration = Duration::from_secs(60);
/// The largest answer taken.
const MAX_MESSAGE: usize = 256 << 20;

/// What the rest of the agent shares with the thread of the connection.
pub(super) struct Link {
    pub options: Upstream,
    /// Where calls run; set when the thread has started.
    pub runtime: OnceLock<Handle>,
    session: Mutex<Session>,
    schema: Mutex<Option<Arc<Schema>>>,
    packet_in: mpsc::Sender<Vec<u8>>,
    lost_packets: AtomicU64,
    doubts: Notify,
}

/// How it stands with the server.
#[derive(Clone)]
enum Session {
    /// No calls; says why.
    Away(String),
    /// The server is there and we are its primary.
    Primary(Connection),
}

/// A connection on which we are primary.
#[derive(Clone)]
pub(super) struct Connection {
    pub client: P4RuntimeClient<Channel>,
    pub requests: mpsc::Sender<p4::StreamMessageRequest>,
    pub election_id: ElectionId,
    /// It holds what is stored.
    pub in_step: bool,
}

impl Link {
    pub fn new(options: Upstream, packet_in: mpsc::Sender<Vec<u8>>) -> Link {
        Link {
            options,
            runtime: OnceLock::new(),
            session: Mutex::new(Session::Away("it was not connected to yet".to_owned())),
            schema: Mutex::default(),
            packet_in,
            lost_packets: AtomicU64::new(0),
            doubts: Notify::new(),
        }
    }

    /// Whether the server may be expected to answer. Before that, what it should hold is only noted.
    pub fn is_started(&self) -> bool {
        self.runtime.get().is_some()
    }

    /// The connection, or why there is none.
    pub fn connection(&self) -> Result<Connection, String> {
        match &*lock(&self.session) {
            Session::Primary(connection) => Ok(connection.clone()),
            Session::Away(why) => Err(format!("the switch at {}: {why}", self.options.address)),
        }
    }

    /// The connection to a server that holds what is stored, or why there is none.
    pub fn connection_in_step(&self) -> Result<Connection, String> {
        let connection = self.connection()?;
        match connection.in_step {
            true => Ok(connection),
            false => Err(format!(
                "the switch at {} is being brought in step with what is stored",
                self.options.address
            )),
        }
    }

    pub fn begin(&self, connection: Connection) {
        *lock(&self.session) = Session::Primary(connection);
    }

    pub fn end(&self, why: String) {
        *lock(&self.session) = Session::Away(why);
    }

    /// A call went wrong in a way that leaves open who is primary and what was applied: mastership is
    /// claimed anew, and the server compared with what is stored.
    pub fn doubt(&self, why: &str) {
        self.end(why.to_owned());
        self.doubts.notify_one();
    }

    /// Waits for a doubt.
    pub async fn doubted(&self) {
        self.doubts.notified().await;
    }

    /// Notes whether the server holds what is stored.
    pub fn set_in_step(&self, is_in_step: bool) {
        if let Session::Primary(connection) = &mut *lock(&self.session) {
            connection.in_step = is_in_step;
        }
    }

    /// What packets are read with.
    pub fn set_schema(&self, schema: Option<Arc<Schema>>) {
        *lock(&self.schema) = schema;
    }

    /// Makes a call and waits for its answer.
    pub fn call<T, F>(&self, call: impl FnOnce(P4RuntimeClient<Channel>) -> F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Status>> + Send + 'static,
    {
        let connection = self.connection().map_err(Status::unavailable)?;
        let Some(runtime) = self.runtime.get() else {
            return Err(Status::unavailable("the connection was not started yet"));
        };
        let call = call(connection.client);
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        runtime.spawn(async move {
            let result = tokio::time::timeout(DEADLINE, call).await;
            let late = |_| {
                Err(Status::deadline_exceeded(
                    "the switch did not answer in time",
                ))
            };
            // Whoever asked waits for it.
            let _ = answer.send(result.unwrap_or_else(late));
        });
        let ended = |_| Err(Status::unavailable("the connection has ended"));
        answered.recv().unwrap_or_else(ended)
    }

    /// A packet of the server's pipeline, as it left at the CPU port.
    pub fn packet_in(&self, packet: p4::PacketIn) {
        let schema = lock(&self.schema).clone();
        let bytes = schema.and_then(|schema| packet::to_bytes(&schema, packet));
        let taken = bytes.is_none_or(|bytes| self.packet_in.try_send(bytes).is_ok());
        if !taken {
            let lost = self.lost_packets.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::debug!(lost, "the packet-in queue is full; a packet is lost");
        }
    }

    /// Sends a packet, controller header and all, into the server's pipeline.
    pub fn packet_out(&self, bytes: &[u8]) -> Result<(), String> {
        let connection = self.connection()?;
        let schema = lock(&self.schema).clone();
        let schema = schema.ok_or("no pipeline is loaded")?;
        let packet = packet::to_message(&schema, bytes).ok_or("the packet has no whole header")?;
        let message = p4::StreamMessageRequest {
            update: Some(Request::Packet(packet)),
        };
        let sent = connection.requests.try_send(message);
        sent.map_err(|_| "the switch takes packets too slowly; this one is dropped".to_owned())
    }

    /// A digest list of the server's pipeline.
    pub fn learnt(&self, list: &p4::DigestList) -> Option<Notice> {
        let schema = lock(&self.schema).clone()?;
        notice::learnt(&schema, list)
    }

    /// Entries of the server's pipeline.
    pub fn idle(&self, told: &p4::IdleTimeoutNotification) -> Option<Notice> {
        let schema = lock(&self.schema).clone()?;
        Some(notice::idle(&schema, told))
    }

    /// Tells the server that a digest list is dealt with.
    pub fn acknowledge(&self, digest_id: u32, list_id: u64) {
        let message = p4::StreamMessageRequest {
            update: Some(Request::DigestAck(p4::DigestListAck { digest_id, list_id })),
        };
        let connection = self.connection();
        if !connection.is_ok_and(|c| c.requests.try_send(message).is_ok()) {
            tracing::debug!("an acknowledgement of a digest list did not reach the switch");
        }
    }

    /// A client for a channel, with room for large answers.
    pub fn client(channel: Channel) -> P4RuntimeClient<Channel> {
        P4RuntimeClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves the value whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
