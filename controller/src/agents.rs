//! Asks agents: connections by address, one call each with a deadline.
//!
//! For reads on request and checks before a commit. The stream that carries
//! objectives is `distribution`'s own.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::objective::v1::Status;
use pointsman_proto::reach::{self, Spoken};
use thiserror::Error;
use tonic::Code;
use tonic::transport::Channel;

use crate::dial::Dialer;
use crate::encoded::{Change, CheckObjectivesRequest, check_objectives};

/// How long a read may take; an operator waits for it.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a check may take; large change sets are compiled by the agent.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// Answers may hold every entry of every table.
pub const MAX_ANSWER_BYTES: usize = 1 << 30;

/// By which the configuration says whom to believe.
pub const CA: &str = "agent_ca";

/// Why an agent gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AgentError {
    /// The address is none.
    #[error("{address:?} is not an address of an agent; give host:port")]
    BadAddress {
        /// The address.
        address: String,
    },
    /// The certificates for agents are not usable.
    #[error("cannot talk TLS to agents: {cause}")]
    Credentials {
        /// What is wrong with which file.
        cause: String,
    },
    /// Nobody answers there.
    #[error("no agent answers at {address}: {cause}; is pointsman-agent running there?")]
    Unreachable {
        /// The address.
        address: String,
        /// What the transport said.
        cause: String,
    },
    /// It took too long.
    #[error("the agent at {address} did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The address.
        address: String,
        /// How long it had.
        limit: Duration,
    },
    /// It answered with an error.
    #[error("the agent at {address} answered: {message}")]
    Refused {
        /// The address.
        address: String,
        /// The gRPC code.
        code: Code,
        /// Its message.
        message: String,
    },
}

impl AgentError {
    /// What a gRPC status of an agent means.
    pub fn from_status(address: &str, status: &tonic::Status, spoken: Spoken) -> Self {
        let address = address.to_owned();
        let is_of_transport = std::error::Error::source(status).is_some();
        if status.code() == Code::Unavailable || is_of_transport {
            return AgentError::Unreachable {
                address,
                cause: reach::cause(status, spoken, CA),
            };
        }
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        AgentError::Refused {
            address,
            code: status.code(),
            message,
        }
    }
}

/// A client on a connection, with limits that fit whole switches.
pub fn client_on(channel: Channel) -> AgentClient<Channel> {
    AgentClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}

/// Connections to agents, kept for the next question.
pub struct Agents {
    dialer: Dialer,
    channels: Mutex<HashMap<String, Channel>>,
}

impl Agents {
    /// None yet.
    pub fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            channels: Mutex::default(),
        }
    }

    /// The connection to an agent. It is made with the first question, and again when it broke.
    ///
    /// # Errors
    /// When `address` or the certificates are unusable.
    pub fn channel(&self, address: &str) -> Result<Channel, AgentError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = self.dialer.endpoint(address)?.connect_lazy();
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    fn client(&self, address: &str) -> Result<AgentClient<Channel>, AgentError> {
        self.channel(address).map(client_on)
    }

    /// Makes the next connection to an agent a new one, with the certificates of then.
    pub fn forget(&self, address: &str) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.remove(address);
    }

    /// What the agent says of itself.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn status(&self, address: &str) -> Result<pb::AgentStatus, AgentError> {
        let mut client = self.client(address)?;
        self.ask(
            address,
            READ_TIMEOUT,
            client.get_status(pb::GetStatusRequest {}),
        )
        .await
    }

    /// Its ports.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn ports(&self, address: &str) -> Result<Vec<pb::Port>, AgentError> {
        let mut client = self.client(address)?;
        let answer = self
            .ask(
                address,
                READ_TIMEOUT,
                client.list_ports(pb::ListPortsRequest {}),
            )
            .await?;
        Ok(answer.ports)
    }

    /// Its tables, with their entries if asked for.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn tables(&self, address: &str, entries: bool) -> Result<Vec<pb::Table>, AgentError> {
        let mut client = self.client(address)?;
        let request = pb::ListTablesRequest { entries };
        Ok(self
            .ask(address, READ_TIMEOUT, client.list_tables(request))
            .await?
            .tables)
    }

    /// What would happen to a packet there.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn trace(
        &self,
        address: &str,
        packet: pb::TraceRequest,
    ) -> Result<pb::TraceResponse, AgentError> {
        let mut client = self.client(address)?;
        self.ask(address, READ_TIMEOUT, client.trace(packet)).await
    }

    /// What of it is not as its objectives want it.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn drift(
        &self,
        address: &str,
        request: pb::GetDriftRequest,
    ) -> Result<pb::GetDriftResponse, AgentError> {
        let mut client = self.client(address)?;
        self.ask(address, READ_TIMEOUT, client.get_drift(request))
            .await
    }

    /// Has it put that right.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn repair(
        &self,
        address: &str,
        request: pb::RepairRequest,
    ) -> Result<pb::RepairResponse, AgentError> {
        let mut client = self.client(address)?;
        self.ask(address, CHECK_TIMEOUT, client.repair(request))
            .await
    }

    /// Its objectives with the entries that realise them.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn objectives(
        &self,
        address: &str,
    ) -> Result<pb::ListObjectivesResponse, AgentError> {
        let mut client = self.client(address)?;
        let request = pb::ListObjectivesRequest { entries: true };
        self.ask(address, READ_TIMEOUT, client.list_objectives(request))
            .await
    }

    /// Would it accept these changes? One status for each, in order.
    ///
    /// # Errors
    /// When it does not answer in time, or with an error.
    pub async fn check(
        &self,
        address: &str,
        changes: Vec<Change>,
    ) -> Result<Vec<Status>, AgentError> {
        let request = CheckObjectivesRequest { changes };
        let answer = check_objectives(self.channel(address)?, MAX_ANSWER_BYTES, request);
        Ok(self.ask(address, CHECK_TIMEOUT, answer).await?.results)
    }

    async fn ask<T>(
        &self,
        address: &str,
        limit: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, AgentError> {
        match tokio::time::timeout(limit, call).await {
            Err(_) => Err(AgentError::TimedOut {
                address: address.to_owned(),
                limit,
            }),
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(AgentError::from_status(
                address,
                &status,
                self.dialer.spoken(),
            )),
        }
    }
}
