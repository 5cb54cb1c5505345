//! Reading nodes into types while collecting every mistake.
//!
//! A [`Reader`] holds the source and the problems found so far. Its methods
//! return `None` after reporting, so that a caller goes on with what is left.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::problem::{Problem, Problems, Source};
use crate::yaml::{Entry, Node, Shape, Span};

/// Collects what is wrong with one source.
pub struct Reader<'s> {
    source: &'s Source,
    problems: Vec<Problem>,
    /// Where there is nothing more to say, and how often something would have been said.
    settled: BTreeSet<usize>,
    unsaid: usize,
}

impl<'s> Reader<'s> {
    /// Nothing wrong so far.
    pub fn new(source: &'s Source) -> Self {
        Self {
            source,
            problems: Vec::new(),
            settled: BTreeSet::new(),
            unsaid: 0,
        }
    }

    /// The problems found, if any.
    pub fn finish(self) -> Result<(), Problems> {
        Problems::of(self.into_problems())
    }

    /// How many problems there are so far, those included that go without saying.
    pub fn count(&self) -> usize {
        self.problems.len() + self.unsaid
    }

    /// The problems found in source order, to be put together with those of other sources.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(Problem::offset);
        self.problems
    }

    /// Reports a mistake at `span`; `label` is what the caret says.
    pub fn error(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>) {
        self.report(span, message.into(), label.into(), None);
    }

    /// Reports a mistake and what would be accepted.
    pub fn error_with_help(
        &mut self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(span, message.into(), label.into(), Some(help.into()));
    }

    /// All is said of this place: what else is wrong with it follows from that.
    pub fn settle(&mut self, span: Span) {
        self.settled.insert(span.start);
    }

    fn report(&mut self, span: Span, message: String, label: String, help: Option<String>) {
        if self.settled.contains(&span.start) {
            self.unsaid += 1;
        } else {
            let problem = self.source.problem(span, message, label, help);
            self.problems.push(problem);
        }
    }

    /// The entries of the mapping `node`, which is `what`. Keys that are not
    /// `accepted` and keys that come twice are reported and left out.
    pub fn map<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        accepted: &[&str],
    ) -> Option<Vec<&'n Entry>> {
        let entries = self.entries(node, what)?;
        Some(
            entries
                .into_iter()
                .filter(|entry| self.accept(entry, what, accepted))
                .collect(),
        )
    }

    /// The entries of the mapping `node`, whatever their keys; duplicates are
    /// reported and left out.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<Vec<&'n Entry>> {
        let Shape::Map(entries) = &node.shape else {
            self.wrong_shape(node, what, "a mapping");
            return None;
        };
        let mut seen: Vec<&Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            if seen.iter().any(|earlier| earlier.key == entry.key) {
                let message = format!("`{}` is given twice in {what}", entry.key);
                self.error(entry.key_span, message, "the second one");
            } else {
                seen.push(entry);
            }
        }
        Some(seen)
    }

    /// Whether the key of `entry` is one of `accepted`; reported if not.
    pub fn accept(&mut self, entry: &Entry, what: &str, accepted: &[&str]) -> bool {
        let known = accepted.contains(&entry.key.as_str());
        if !known {
            let help = suggestion(&entry.key, accepted);
            let message = format!("unknown field `{}` in {what}", entry.key);
            self.error_with_help(entry.key_span, message, "not known here", help);
        }
        known
    }

    /// The items of the list `node`, which is `what`.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.shape {
            Shape::List(items) => Some(items),
            _ => {
                self.wrong_shape(node, what, "a list");
                None
            }
        }
    }

    /// The text of the scalar `node`, which is `what`.
    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.shape {
            Shape::Scalar(text) => Some(text),
            _ => {
                self.wrong_shape(node, what, "a single value");
                None
            }
        }
    }

    /// The scalar `node` as a value that says itself what is wrong with the text.
    pub fn value<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        node: &Node,
        what: &str,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        self.checked(node, what, text.parse())
    }

    /// The scalar `node` as a number of `accepted`.
    pub fn number(
        &mut self,
        node: &Node,
        what: &str,
        accepted: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let text = self.text(node, what)?;
        let number = crate::value::parse_number(text, 64)
            .ok()
            .and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| accepted.contains(number));
        if number.is_none() {
            let message = format!("{what} is `{text}`");
            let label = format!(
                "write a number from {} to {}",
                accepted.start(),
                accepted.end()
            );
            self.error(node.span, message, label);
        }
        number
    }

    /// The scalar `node` as one of the words that `T` knows.
    pub fn word<T: FromStr>(&mut self, node: &Node, what: &str, accepted: &[&str]) -> Option<T> {
        let text = self.text(node, what)?;
        let value = text.parse().ok();
        if value.is_none() {
            let message = format!("{what} is `{text}`");
            self.error_with_help(
                node.span,
                message,
                "not known here",
                suggestion(text, accepted),
            );
        }
        value
    }

    /// The scalar `node` as `true` or `false`.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        self.word(node, what, &["true", "false"])
    }

    /// A result whose error is reported at `node`.
    pub fn checked<T, E: std::fmt::Display>(
        &mut self,
        node: &Node,
        what: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|error| self.error(node.span, error.to_string(), format!("in {what}")))
            .ok()
    }

    /// The value of `key` in `entries`; reported at `at` if it is missing.
    pub fn required<'n>(
        &mut self,
        entries: &[&'n Entry],
        key: &str,
        what: &str,
        at: Span,
    ) -> Option<&'n Node> {
        let found = optional(entries, key);
        if found.is_none() {
            self.error(
                at,
                format!("{what} has no `{key}`"),
                format!("`{key}` is missing here"),
            );
        }
        found
    }

    fn wrong_shape(&mut self, node: &Node, what: &str, expected: &str) {
        let found = match &node.shape {
            Shape::Null => "nothing",
            Shape::Scalar(_) => "a single value",
            Shape::List(_) => "a list",
            Shape::Map(_) => "a mapping",
        };
        let message = format!("{what} must be {expected}, not {found}");
        self.error(node.span, message, format!("{expected} is expected here"));
    }
}

/// The value of `key` in `entries`, if it is there.
pub fn optional<'n>(entries: &[&'n Entry], key: &str) -> Option<&'n Node> {
    entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| &entry.value)
}

/// What to write instead of `found`: the nearest accepted word, and all of them.
pub fn suggestion(found: &str, accepted: &[&str]) -> String {
    let list = format!("accepted: {}", accepted.join(", "));
    let nearest = accepted
        .iter()
        .map(|word| (distance(found, word), word))
        .min();
    match nearest {
        Some((distance, word)) if distance <= 1 + found.len() / 4 => {
            format!("did you mean `{word}`? {list}")
        }
        _ => list,
    }
}

/// The number of letters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_not() {
        assert_eq!(
            suggestion("ipv4_dest", &["ipv4_dst", "eth_dst"]),
            "did you mean `ipv4_dst`? accepted: ipv4_dst, eth_dst"
        );
        assert_eq!(suggestion("colour", &["ipv4_dst"]), "accepted: ipv4_dst");
    }
}
