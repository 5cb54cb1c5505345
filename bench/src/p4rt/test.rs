//! What a test is given: a server to ask, and election ids of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use tokio_util::task::TaskTracker;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::client::Client;
use super::failure::{Failure, Outcome, accepted};
use super::program::{ENTITIES, Program};
use super::stream::Stream;

/// The most bytes of one answer.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// The most bytes of what follows an answer: the errors of a batch are there, one for each update.
const MAX_TRAILER_BYTES: u32 = 16 << 20;

/// How long to wait before a connection is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// The server that is asked.
#[derive(Debug)]
pub struct Server {
    /// `host:port`.
    pub address: String,
    /// The device.
    pub device_id: u64,
    /// A port that the device has.
    pub port: u32,
    /// How long a test waits for what should come.
    pub patience: Duration,
    /// The highest election id given out. It only grows, as the server's memory does.
    pub election_id: AtomicU64,
}

/// A running test's view of the server.
#[derive(Clone)]
pub struct Test {
    /// Whom to ask.
    pub server: Arc<Server>,
    /// The streams of this test.
    pub(super) tasks: TaskTracker,
}

impl Test {
    /// An election id above all that were given out.
    pub fn next_id(&self) -> p4::Uint128 {
        let low = self.server.election_id.fetch_add(1, Ordering::Relaxed) + 1;
        p4::Uint128 { high: 0, low }
    }

    /// The device.
    pub fn device_id(&self) -> u64 {
        self.server.device_id
    }

    /// A port that the device has.
    pub fn port(&self) -> u32 {
        self.server.port
    }

    /// A connection, without a stream.
    pub async fn connect(&self) -> Outcome<P4RuntimeClient<Channel>> {
        let address = &self.server.address;
        let cannot = |error: tonic::transport::Error| {
            Failure::differs(
                format!("connecting to {address}"),
                "a server",
                error.to_string(),
            )
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(cannot)?;
        let endpoint = endpoint.http2_max_header_list_size(MAX_TRAILER_BYTES);
        // A server may be starting, or starting again because the last test was too much for it.
        let deadline = Instant::now() + self.server.patience;
        let channel = loop {
            match endpoint.connect().await {
                Ok(channel) => break channel,
                Err(error) if Instant::now() > deadline => return Err(cannot(error)),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        let rpc = P4RuntimeClient::new(channel);
        Ok(rpc
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// A client whose stream is open, and which has not said anything on it.
    pub async fn silent(&self) -> Outcome<Client> {
        let rpc = self.connect().await?;
        let stream = Stream::open(rpc.clone(), &self.tasks, self.server.patience);
        Ok(Client {
            rpc,
            device_id: self.server.device_id,
            role: String::new(),
            election_id: None,
            stream,
            program: &ENTITIES,
        })
    }

    /// A client of a role that has said who it wants to be, and has not been answered.
    pub async fn client_as(&self, role: &str, id: Option<p4::Uint128>) -> Outcome<Client> {
        let mut client = self.silent().await?;
        client.role = role.to_owned();
        client.election_id = id;
        client.arbitrate(client.hello()).await?;
        Ok(client)
    }

    /// The same in the default role.
    pub async fn client(&self, id: Option<p4::Uint128>) -> Outcome<Client> {
        self.client_as("", id).await
    }

    /// The primary of the default role.
    pub async fn primary(&self) -> Outcome<Client> {
        self.primary_as("").await
    }

    /// The primary of a role.
    pub async fn primary_as(&self, role: &str) -> Outcome<Client> {
        let mut client = self.client_as(role, Some(self.next_id())).await?;
        client.arbitrated(Code::Ok).await?;
        Ok(client)
    }

    /// The primary, with the main program newly set.
    pub async fn switch(&self) -> Outcome<Client> {
        self.switch_with(&ENTITIES).await
    }

    /// The primary, with a program newly set.
    pub async fn switch_with(&self, program: &'static Program) -> Outcome<Client> {
        let mut client = self.primary().await?;
        client.program = program;
        let set = client.set(Action::VerifyAndCommit, Some(program.config()));
        accepted("setting the pipeline", set.await)?;
        Ok(client)
    }
}
