//! What the data plane noticed, as messages of the StreamChannel.

use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::stream_message_response::Update as Answer;

use super::encode;
use crate::agent::{Idle, LearntList};

/// What packets have learnt.
pub fn digest_list(learnt: &LearntList) -> Answer {
    Answer::Digest(encode::digest_list(
        &learnt.schema,
        &learnt.list,
        learnt.timestamp_ns,
    ))
}

/// Entries that no packet has hit for their timeout: what identifies each, and what its client said of it.
pub fn idle(idle: &Idle) -> Answer {
    let entries = idle.entries.iter().map(|entry| {
        let whole = encode::table_entry(&idle.schema, entry);
        p4::TableEntry {
            action: None,
            meter_config: None,
            ..whole
        }
    });
    Answer::IdleTimeoutNotification(p4::IdleTimeoutNotification {
        table_entry: entries.collect(),
        timestamp: idle.timestamp_ns,
    })
}
