//! What a line of the audit log says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tonic::Code;

use crate::arbitration::ElectionId;
use crate::server::Peer;

/// A change, or an attempt at one.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// When it was answered, in UTC.
    pub time: String,
    /// What the client's certificate says; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Where it comes from.
    pub peer: String,
    /// In which role; the default role is empty.
    pub role: String,
    /// `HIGH:LOW`, if the request has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub election_id: Option<String>,
    /// What was asked for.
    #[serde(flatten)]
    pub rpc: Rpc,
    /// The status code of the whole, by its name in gRPC.
    pub code: &'static str,
    /// The status message of a request that failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "rpc")]
pub enum Rpc {
    /// P4Runtime's Write.
    Write {
        /// In the order of the request.
        updates: Vec<UpdateRecord>,
    },
    /// SetForwardingPipelineConfig.
    SetForwardingPipelineConfig {
        /// The action, as P4Runtime names it.
        action: &'static str,
        /// The name in the new p4info.
        #[serde(skip_serializing_if = "String::is_empty")]
        pipeline: String,
    },
    /// Objectives of a controller.
    SyncObjectives {
        /// The controller's name.
        controller: String,
        /// What it brings the switch to.
        revision: u64,
        /// How many objectives are changed.
        changes: usize,
    },
    /// A stream has become, or is no longer, the primary of its role.
    Mastership {
        /// Which.
        change: Mastership,
    },
}

/// What has become of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mastership {
    /// It is the primary of its role.
    Gained,
    /// It was.
    Lost,
}

/// One update of a Write.
#[derive(Debug, Clone, Serialize)]
pub struct UpdateRecord {
    /// INSERT, MODIFY or DELETE.
    pub operation: &'static str,
    /// The entity, as errors name it.
    pub entity: String,
    /// The code of the update.
    pub code: &'static str,
}

impl Record {
    /// A record of now.
    pub fn new(peer: &Peer, role: &str, election_id: Option<ElectionId>, rpc: Rpc) -> Record {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Record {
            time: utc(now.unwrap_or_default()),
            identity: peer.identity.as_ref().map(ToString::to_string),
            peer: peer.address.to_string(),
            role: role.to_owned(),
            election_id: election_id.map(|id| id.to_string()),
            rpc,
            code: code_name(Code::Ok),
            message: String::new(),
        }
    }

    /// The same with what came of it.
    pub fn with_outcome(self, outcome: Result<(), &tonic::Status>) -> Record {
        match outcome {
            Ok(()) => self,
            Err(status) => Record {
                code: code_name(status.code()),
                message: status.message().to_owned(),
                ..self
            },
        }
    }
}

/// A code by its name in gRPC.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A time since 1970 as RFC 3339 has it, in UTC.
fn utc(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days are counted from 1 March of the year 0, so that the leap day is a year's last; 146,097 of
    // them are 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        since_1970.subsec_micros()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_calendar_dates_in_leap_years_and_others() {
        let at = |seconds| utc(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_795_305_600), "2026-11-22T00:00:00.000000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        let peer = Peer {
            address: "192.0.2.1:4711".parse().expect("an address"),
            identity: None,
        };
        let rpc = Rpc::Write {
            updates: vec![UpdateRecord {
                operation: "INSERT",
                entity: "an entry\nof table acl".to_owned(),
                code: "OK",
            }],
        };
        let mut record = Record::new(&peer, "", Some(ElectionId::new(0, 5)), rpc);
        record.time = "now".to_owned();
        expect_test::expect![[r#"{"time":"now","peer":"192.0.2.1:4711","role":"","election_id":"0:5","rpc":"Write","updates":[{"operation":"INSERT","entity":"an entry\nof table acl","code":"OK"}],"code":"OK"}"#]]
        .assert_eq(&serde_json::to_string(&record).expect("it is JSON"));
    }
}
