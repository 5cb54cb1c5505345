//! Raft's messages as the peer protocol carries them, and entries as the log keeps them.
//!
//! An entry has one form on the wire and on disk, and its commands are bytes in
//! both: a follower writes what it received.

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::{CommittedLeaderId, EntryPayload};
use pointsman_proto::pointsman::peer::v1 as pb;
use prost::Message;
use thiserror::Error;

use super::database::{DatabaseFault, decode, encode};
use super::types::{Batch, EncodedCommand, Entry, LogId, Membership, TypeConfig, Vote};
use crate::state::NodeId;

/// A message that no version of this program sends.
#[derive(Debug, Error)]
pub enum Malformed {
    /// Something is missing.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// It is not a message at all.
    #[error("not an entry of the log: {0}")]
    Entry(#[from] prost::DecodeError),
    /// Something in it is not CBOR of the right shape.
    #[error(transparent)]
    Cbor(#[from] DatabaseFault),
}

/// A vote as a message.
pub fn vote_to_proto(vote: &Vote) -> pb::Vote {
    pb::Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.node_id,
        committed: vote.committed,
    }
}

/// A vote from a message.
pub fn vote_from_proto(vote: Option<pb::Vote>) -> Result<Vote, Malformed> {
    let vote = vote.ok_or(Malformed::Missing("vote"))?;
    Ok(match vote.committed {
        true => Vote::new_committed(vote.term, vote.node),
        false => Vote::new(vote.term, vote.node),
    })
}

/// A point in the log as a message.
pub fn log_id_to_proto(id: LogId) -> pb::LogId {
    pb::LogId {
        term: id.leader_id.term,
        node: id.leader_id.node_id,
        index: id.index,
    }
}

/// A point in the log from a message.
pub fn log_id_from_proto(id: pb::LogId) -> LogId {
    LogId::new(CommittedLeaderId::new(id.term, id.node), id.index)
}

/// An entry as a message.
pub fn entry_to_proto(entry: &Entry) -> pb::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(Batch(commands)) => {
            let commands = commands.iter().map(|command| command.bytes().clone());
            let commands = commands.collect();
            Some(pb::entry::Payload::Commands(pb::Commands { commands }))
        }
        EntryPayload::Membership(membership) => {
            Some(pb::entry::Payload::Membership(encode(membership).into()))
        }
    };
    pb::Entry {
        id: Some(log_id_to_proto(entry.log_id)),
        payload,
    }
}

/// An entry from a message.
pub fn entry_from_proto(entry: pb::Entry) -> Result<Entry, Malformed> {
    let id = entry.id.ok_or(Malformed::Missing("id of an entry"))?;
    let payload = match entry.payload {
        None => EntryPayload::Blank,
        Some(pb::entry::Payload::Commands(pb::Commands { commands })) => {
            let commands = commands.into_iter().map(EncodedCommand::from_bytes);
            EntryPayload::Normal(Batch(commands.collect()))
        }
        Some(pb::entry::Payload::Membership(bytes)) => {
            let membership: Membership = decode("log", &bytes)?;
            EntryPayload::Membership(membership)
        }
    };
    Ok(Entry {
        log_id: log_id_from_proto(id),
        payload,
    })
}

/// An entry as a row of the log.
pub fn entry_to_row(entry: &Entry) -> Vec<u8> {
    entry_to_proto(entry).encode_to_vec()
}

/// An entry from a row of the log.
pub fn entry_from_row(row: &[u8]) -> Result<Entry, DatabaseFault> {
    let parse = || entry_from_proto(pb::Entry::decode(row)?);
    parse().map_err(|error: Malformed| DatabaseFault::Row {
        table: "log",
        message: error.to_string(),
    })
}

/// A request to append entries as a message.
pub fn append_to_proto(request: &AppendEntriesRequest<TypeConfig>) -> pb::AppendEntriesRequest {
    pb::AppendEntriesRequest {
        vote: Some(vote_to_proto(&request.vote)),
        previous: request.prev_log_id.map(log_id_to_proto),
        entries: request.entries.iter().map(entry_to_proto).collect(),
        committed: request.leader_commit.map(log_id_to_proto),
    }
}

/// A request to append entries from a message.
pub fn append_from_proto(
    request: pb::AppendEntriesRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    let entries = request.entries.into_iter().map(entry_from_proto);
    Ok(AppendEntriesRequest {
        vote: vote_from_proto(request.vote)?,
        prev_log_id: request.previous.map(log_id_from_proto),
        entries: entries.collect::<Result<_, _>>()?,
        leader_commit: request.committed.map(log_id_from_proto),
    })
}

/// The answer to a request to append as a message.
pub fn appended_to_proto(response: &AppendEntriesResponse<NodeId>) -> pb::AppendEntriesResponse {
    use pb::append_entries_response::{Conflict, Done, Outcome, Partial};
    let outcome = match response {
        AppendEntriesResponse::Success => Outcome::Done(Done {}),
        AppendEntriesResponse::PartialSuccess(matching) => Outcome::Partial(Partial {
            matching: matching.map(log_id_to_proto),
        }),
        AppendEntriesResponse::Conflict => Outcome::Conflict(Conflict {}),
        AppendEntriesResponse::HigherVote(vote) => Outcome::HigherVote(vote_to_proto(vote)),
    };
    pb::AppendEntriesResponse {
        outcome: Some(outcome),
    }
}

/// The answer to a request to append from a message.
pub fn appended_from_proto(
    response: pb::AppendEntriesResponse,
) -> Result<AppendEntriesResponse<NodeId>, Malformed> {
    use pb::append_entries_response::Outcome;
    Ok(
        match response.outcome.ok_or(Malformed::Missing("outcome"))? {
            Outcome::Done(_) => AppendEntriesResponse::Success,
            Outcome::Partial(partial) => {
                AppendEntriesResponse::PartialSuccess(partial.matching.map(log_id_from_proto))
            }
            Outcome::Conflict(_) => AppendEntriesResponse::Conflict,
            Outcome::HigherVote(vote) => {
                AppendEntriesResponse::HigherVote(vote_from_proto(Some(vote))?)
            }
        },
    )
}

/// A request for a vote as a message.
pub fn vote_request_to_proto(request: &VoteRequest<NodeId>) -> pb::VoteRequest {
    pb::VoteRequest {
        vote: Some(vote_to_proto(&request.vote)),
        last: request.last_log_id.map(log_id_to_proto),
    }
}

/// A request for a vote from a message.
pub fn vote_request_from_proto(request: pb::VoteRequest) -> Result<VoteRequest<NodeId>, Malformed> {
    Ok(VoteRequest {
        vote: vote_from_proto(request.vote)?,
        last_log_id: request.last.map(log_id_from_proto),
    })
}

/// A granted or refused vote as a message.
pub fn voted_to_proto(response: &VoteResponse<NodeId>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(vote_to_proto(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.map(log_id_to_proto),
    }
}

/// A granted or refused vote from a message.
pub fn voted_from_proto(response: pb::VoteResponse) -> Result<VoteResponse<NodeId>, Malformed> {
    Ok(VoteResponse {
        vote: vote_from_proto(response.vote)?,
        vote_granted: response.granted,
        last_log_id: response.last.map(log_id_from_proto),
    })
}
