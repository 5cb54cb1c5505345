//! One wording for each state and reason, and its colour.

use anstyle::{AnsiColor, Style};
use pointsman_proto::pointsman::agent::v1::{LinkState, OperState};
use pointsman_proto::pointsman::objective::v1 as pb;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// All is well.
pub const GOOD: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
/// Not yet.
pub const WAITING: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));
/// Something is wrong.
pub const BAD: Style = Style::new()
    .fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)))
    .bold();

/// Somebody else has changed or deleted entries of an objective that is applied.
pub const DRIFTED: &str = "drifted";

/// The word for how an objective fares, and its colour.
pub fn state(status: &pb::Status) -> (&'static str, Style) {
    match (status.state(), status.reason()) {
        (pb::State::Unspecified, _) => ("unknown", WAITING),
        (pb::State::Pending, pb::Reason::InFlight | pb::Reason::DeviceUnreachable) => {
            ("accepted", WAITING)
        }
        (pb::State::Pending, pb::Reason::SwitchAway) => ("compiled", WAITING),
        (pb::State::Pending, pb::Reason::Expired) => ("expired", WAITING),
        (pb::State::Pending, _) => ("pending", WAITING),
        (pb::State::Applied, pb::Reason::Unspecified) => ("applied", GOOD),
        (pb::State::Applied, pb::Reason::Drifted) => (DRIFTED, BAD),
        (pb::State::Applied, _) => ("degraded", WAITING),
        (pb::State::Failed, pb::Reason::Superseded) => ("superseded", WAITING),
        (pb::State::Failed, _) => ("failed", BAD),
    }
}

/// The words for a reason.
pub fn reason(reason: pb::Reason) -> &'static str {
    match reason {
        pb::Reason::Unspecified => "",
        pb::Reason::DeviceUnreachable => "device unreachable",
        pb::Reason::WaitsForNext => "waits for next",
        pb::Reason::NoPipeline => "no pipeline",
        pb::Reason::UnsupportedByPipeline => "unsupported by pipeline",
        pb::Reason::UnknownPort => "unknown port",
        pb::Reason::BadParameters => "bad parameters",
        pb::Reason::TableFull => "table full",
        pb::Reason::Conflict => "conflict",
        pb::Reason::NextInUse => "next in use",
        pb::Reason::NoSuchObjective => "no such objective",
        pb::Reason::Internal => "internal error",
        pb::Reason::InFlight => "in flight",
        pb::Reason::PortDown => "port down",
        pb::Reason::Drifted => "drifted",
        pb::Reason::Superseded => "superseded",
        pb::Reason::SwitchAway => "switch away",
        pb::Reason::Expired => "expired",
        pb::Reason::Group => "not with its group",
        pb::Reason::OwnedByAnother => "another application's",
        pb::Reason::Differs => "differs",
    }
}

/// The word for the state of a link, and its colour.
pub fn link_state(state: LinkState) -> (&'static str, Style) {
    match state {
        LinkState::TwoWay => ("two-way", GOOD),
        LinkState::OneWay => ("one-way", BAD),
        LinkState::Pending => ("pending", WAITING),
        LinkState::Edge => ("edge", Style::new()),
        LinkState::Unspecified => ("unknown", WAITING),
    }
}

/// The word for the state of a port, and its colour.
pub fn oper_state(state: OperState) -> (&'static str, Style) {
    match state {
        OperState::Up => ("up", GOOD),
        OperState::Down => ("down", WAITING),
        OperState::Unavailable => ("unavailable", BAD),
        OperState::Unspecified => ("unknown", WAITING),
    }
}

/// The word for a kind.
pub fn kind(kind: pb::Kind) -> &'static str {
    match kind {
        pb::Kind::Unspecified => "unknown",
        pb::Kind::Filter => "filter",
        pb::Kind::Forward => "forward",
        pb::Kind::Next => "next",
    }
}

/// Seconds since 1970 as UTC, as in RFC 3339.
pub fn time(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// `1 entry`, `2 entries`.
pub fn entries(number: usize) -> String {
    match number {
        1 => "1 entry".to_owned(),
        _ => format!("{number} entries"),
    }
}

/// `1 objective`, `2 objectives`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}
