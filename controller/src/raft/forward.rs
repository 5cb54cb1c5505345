//! Requests that only the leader can answer, on whichever node they are made.
//!
//! A node that does not lead passes them on. While nobody leads, they wait; an
//! election takes a fraction of a second. What was certainly not done is tried
//! again, what may have been done is not: whoever asked is told.

use std::error::Error;
use std::time::Duration;

use futures::future::BoxFuture;
use pointsman_proto::pointsman::peer::v1 as pb;
use pointsman_proto::pointsman::peer::v1::leader_client::LeaderClient;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::database::{decode, encode};
use super::membership::MembershipChange;
use super::network::MAX_MESSAGE_BYTES;
use super::types::EncodedCommand;
use super::{Store, StoreError};
use crate::state::{Command, Response};

/// How long a request waits for somebody who leads, and for its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the same node is asked once more.
const PAUSE: Duration = Duration::from_millis(10);

type Client = LeaderClient<Channel>;

impl Store {
    /// Commits a command and returns its answer. It is on the disks of a majority when this returns.
    ///
    /// # Errors
    /// When nobody leads for long, or the store stopped: then it is not committed.
    /// After [`StoreError::Unknown`] it may be.
    pub async fn submit(&self, command: Command) -> Result<Response, StoreError> {
        let begun = Instant::now();
        let command = EncodedCommand::of(&command);
        let there = |mut leader: Client| -> BoxFuture<'_, Result<Response, Status>> {
            let request = pb::SubmitRequest {
                command: command.bytes().clone(),
            };
            Box::pin(async move {
                let answer = leader.submit(request).await?.into_inner();
                decode("log", &answer.response).map_err(|error| Status::internal(error.to_string()))
            })
        };
        let answer = self
            .at_leader(|| Box::pin(self.commit_here(command.clone())), there)
            .await;
        self.commit_times.observe(begun.elapsed().as_secs_f64());
        answer
    }

    /// Waits until everything that was acknowledged before this call, on whichever node, is visible here.
    ///
    /// # Errors
    /// When no majority answers, or the store stopped.
    pub async fn ensure_current(&self) -> Result<(), StoreError> {
        let there = |mut leader: Client| -> BoxFuture<'_, Result<Option<u64>, Status>> {
            Box::pin(async move {
                let answer = leader.read_index(pb::ReadIndexRequest {}).await?;
                Ok(answer.into_inner().index)
            })
        };
        let index = self
            .at_leader(|| Box::pin(self.leading.read_index()), there)
            .await?;
        let mut applied = self.shared.watch_applied();
        let reached = applied.wait_for(|applied| *applied >= index);
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(StoreError::Stopped("it is shutting down".to_owned())),
            Err(_) => Err(StoreError::NoQuorum(
                "the leader sends this node nothing".to_owned(),
            )),
        }
    }

    pub(super) async fn change_membership(
        &self,
        change: MembershipChange,
    ) -> Result<(), StoreError> {
        let there = |mut leader: Client| -> BoxFuture<'_, Result<(), Status>> {
            let request = pb::ChangeMembershipRequest {
                change: encode(&change),
            };
            Box::pin(async move { leader.change_membership(request).await.map(drop) })
        };
        let here = || -> BoxFuture<'_, Result<(), StoreError>> {
            Box::pin(self.change_membership_here(change.clone()))
        };
        self.at_leader(here, there).await
    }

    /// Commits a command, if this node leads.
    pub(super) async fn commit_here(
        &self,
        command: EncodedCommand,
    ) -> Result<Response, StoreError> {
        let metrics = self.raft.server_metrics().borrow().clone();
        let leads = metrics.current_leader == Some(self.node_id);
        if leads && !self.contact.has_majority(metrics.vote) {
            return Err(StoreError::NoQuorum(
                "this node leads, and hears less than half of the others".to_owned(),
            ));
        }
        let committed = self.leading.commit(command);
        match tokio::time::timeout(PATIENCE, committed).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unknown(
                "a majority of the nodes does not answer".to_owned(),
            )),
        }
    }

    async fn at_leader<'a, T>(
        &'a self,
        here: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
        there: impl Fn(Client) -> BoxFuture<'a, Result<T, Status>>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let mut leaders = self.raft.server_metrics();
        loop {
            let leader = self.known_leader(leaders.borrow_and_update().current_leader);
            let why_not = match leader {
                None => "no node leads".to_owned(),
                Some(leader) if leader == self.node_id => match here().await {
                    Err(StoreError::NotLeader { .. }) => "this node no longer leads".to_owned(),
                    result => return result,
                },
                Some(leader) => match self.peer(leader) {
                    None => format!("node {leader} leads, and is not in the cluster any more"),
                    Some(Err(error)) => error.to_string(),
                    Some(Ok(link)) => {
                        let client = LeaderClient::new(link.urgent)
                            .max_decoding_message_size(MAX_MESSAGE_BYTES)
                            .max_encoding_message_size(MAX_MESSAGE_BYTES);
                        let answer = tokio::time::timeout(PATIENCE, there(client)).await;
                        match answer {
                            Ok(Ok(answer)) => return Ok(answer),
                            Ok(Err(status)) => not_done(status)?,
                            Err(_) => {
                                return Err(StoreError::Unknown(format!(
                                    "node {leader}, which leads, does not answer"
                                )));
                            }
                        }
                    }
                },
            };
            if Instant::now() >= deadline {
                return Err(StoreError::NoQuorum(why_not));
            }
            let changed = tokio::time::timeout(PAUSE, leaders.changed()).await;
            if self.stop.is_cancelled() || matches!(changed, Ok(Err(_))) {
                return Err(StoreError::Stopped("consensus ended".to_owned()));
            }
        }
    }
}

/// Why a request was certainly not done, so that it may be made again.
fn not_done(status: Status) -> Result<String, StoreError> {
    let mut causes = std::iter::successors(status.source(), |error| (*error).source());
    let is_unsent = causes.any(|cause| cause.is::<tonic::ConnectError>());
    let message = status.message().to_owned();
    match status.code() {
        Code::FailedPrecondition => Ok(message),
        Code::Unavailable if is_unsent => Ok(message),
        Code::InvalidArgument => Err(StoreError::Refused(message)),
        _ => Err(StoreError::Unknown(message)),
    }
}
