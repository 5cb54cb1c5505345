//! `owner`, `group` and `timeout` of an objective.

use crate::attributes::{Attributes, Period, Timeout};
use crate::objective::Name;
use crate::reader::{Reader, optional};
use crate::yaml::{Entry, Node};

pub(crate) const TIMEOUT_FIELDS: &[&str] = &["idle", "hard"];

/// Reads what an objective says of itself; `None` when a mistake was reported.
pub(crate) fn read_attributes(reader: &mut Reader<'_>, entries: &[&Entry]) -> Option<Attributes> {
    let owner = read_word(reader, entries, "owner");
    let group = read_word(reader, entries, "group");
    let timeout = match optional(entries, "timeout") {
        Some(node) => read_timeout(reader, node),
        None => Some(Timeout::default()),
    };
    Some(Attributes {
        owner: owner?,
        group: group?,
        timeout: timeout?,
    })
}

/// The name that a field gives, if it is there.
fn read_word(reader: &mut Reader<'_>, entries: &[&Entry], key: &str) -> Option<Option<Name>> {
    match optional(entries, key) {
        Some(node) => read_owner(reader, node, key).map(Some),
        None => Some(None),
    }
}

/// The name of an application or group.
pub(crate) fn read_owner(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Name> {
    let text = reader.text(node, what)?;
    let name = Name::new(text);
    if name.is_none() {
        let help = "it starts with a letter or digit and goes on with these or - _ . : / @ +, at most 128 characters";
        let message = format!("{what} is `{text}`");
        reader.error_with_help(node.span, message, "not a name", help);
    }
    name
}

fn read_timeout(reader: &mut Reader<'_>, node: &Node) -> Option<Timeout> {
    let entries = reader.map(node, "a timeout", TIMEOUT_FIELDS)?;
    let mut period = |key: &str| match optional(&entries, key) {
        Some(node) => reader.value::<Period>(node, "timeout").map(Some),
        None => Some(None),
    };
    let (idle, hard) = (period("idle"), period("hard"));
    let timeout = Timeout {
        idle: idle?,
        hard: hard?,
    };
    if timeout.is_never() {
        let help = "timeout: { idle: 30s } counts from the last packet, { hard: 5m } from when it was applied";
        reader.error_with_help(node.span, "a timeout without a time", "say how long", help);
        return None;
    }
    Some(timeout)
}
