//! YAML text as a tree of nodes that know where they stand.
//!
//! Reading goes through a tree, not straight into structs, so that *every*
//! mistake of a file is reported at once and each with its own place: a typed
//! deserializer stops at the first. Scalars keep the spelling of the source
//! (`0x0800`, `00:00:00:00:01:00`); what they mean is for the reader of the field.
//!
//! Used by this crate's own readers and by the agent for pipeline manifests.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

/// Deeper nesting than any model needs is an attack on the reader's stack.
const MAX_DEPTH: usize = 24;

/// Files of a million routes are read; aliases that multiply are not.
const MAX_NODES: usize = 50_000_000;

/// A range of bytes in the source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Length in bytes; zero for a point.
    pub length: usize,
}

/// One YAML value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The scalar's text, or the point where a list or mapping begins.
    pub span: Span,
    /// The value.
    pub shape: Shape,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar, in the spelling of the source without its quotes.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in source order; duplicate keys are kept for the reader to refuse.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

/// Text that is not YAML, with the place where it stops being so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// What the parser expected or found.
    pub message: String,
    /// Where.
    pub span: Span,
}

/// Reads every document of `source`.
pub fn parse(source: &str) -> Result<Vec<Node>, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_total_scalar_bytes: usize::MAX,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let documents: Vec<Spanned<Raw>> = serde_saphyr::from_multiple_with_options(source, options)
        .map_err(|error| SyntaxError::of(source, &error))?;
    documents
        .into_iter()
        .map(|document| resolve(document, source))
        .collect()
}

impl Node {
    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.shape {
            Shape::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

impl SyntaxError {
    fn of(source: &str, error: &serde_saphyr::Error) -> Self {
        let span = error.location().map(|location| span_of(source, location));
        // The message repeats the position that the span already shows.
        let text = error.without_snippet().to_string();
        let message = match text.find(" at line ") {
            Some(end) if span.is_some() => text[..end].to_owned(),
            _ => text,
        };
        Self {
            message,
            span: span.unwrap_or_default(),
        }
    }
}

/// What the deserializer hands over: numbers and booleans have lost their spelling.
enum Raw {
    Null,
    Text(String),
    Reinterpreted,
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn resolve(raw: Spanned<Raw>, source: &str) -> Result<Node, SyntaxError> {
    let span = span_of(source, raw.referenced);
    let shape = match raw.value {
        Raw::Null => Shape::Null,
        Raw::Text(text) => Shape::Scalar(text),
        Raw::Reinterpreted => {
            let defined = span_of(source, raw.defined);
            let text = source.get(defined.start..defined.start + defined.length);
            Shape::Scalar(text.unwrap_or_default().trim().to_owned())
        }
        Raw::List(items) => Shape::List(
            items
                .into_iter()
                .map(|item| resolve(item, source))
                .collect::<Result<_, _>>()?,
        ),
        Raw::Map(entries) => Shape::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let key = resolve(key, source)?;
                    let Shape::Scalar(text) = key.shape else {
                        let message = "a key must be a word".to_owned();
                        return Err(SyntaxError {
                            message,
                            span: key.span,
                        });
                    };
                    let value = resolve(value, source)?;
                    Ok(Entry {
                        key: text,
                        key_span: key.span,
                        value,
                    })
                })
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Node { span, shape })
}

fn span_of(source: &str, location: Location) -> Span {
    let span = location.span();
    let as_usize = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let start = as_usize(span.byte_offset()).unwrap_or_else(|| offset_of(source, location));
    let start = start.min(source.len());
    let length = as_usize(span.byte_len())
        .unwrap_or(0)
        .min(source.len() - start);
    Span { start, length }
}

/// The byte at a line and column: syntax errors come without a byte offset.
fn offset_of(source: &str, location: Location) -> usize {
    let index = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    let before: usize = source
        .split_inclusive('\n')
        .take(index(location.line()))
        .map(str::len)
        .sum();
    let column = source[before..]
        .char_indices()
        .nth(index(location.column()));
    column.map_or(source.len(), |(offset, _)| before + offset)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Reinterpreted)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Reinterpreted)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Reinterpreted)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Reinterpreted)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Reinterpreted)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Reinterpreted)
    }
    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(node: &Node) -> &str {
        match &node.shape {
            Shape::Scalar(text) => text,
            other => panic!("not a scalar: {other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_spelling_and_place() {
        let source = "a: 0x0800\nb: [ 00:00:00:00:01:00, 1.50, yes, \"q\" ]\n10: é\n";
        let document = &parse(source).expect("valid YAML")[0];
        assert_eq!(scalar(document.get("a").expect("a")), "0x0800");
        let Shape::List(items) = &document.get("b").expect("b").shape else {
            panic!("not a list")
        };
        let texts: Vec<_> = items.iter().map(scalar).collect();
        assert_eq!(texts, ["00:00:00:00:01:00", "1.50", "yes", "q"]);
        let entry = document.entry("10").expect("10");
        let Span { start, length } = entry.value.span;
        assert_eq!(&source[start..start + length], "é");
        assert_eq!(
            &source[entry.key_span.start..][..entry.key_span.length],
            "10"
        );
    }

    #[test]
    fn duplicate_keys_reach_the_reader() {
        let document = &parse("a: 1\na: 2\n").expect("valid YAML")[0];
        let Shape::Map(entries) = &document.shape else {
            panic!("not a map")
        };
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn a_syntax_error_has_a_place() {
        let error = parse("a: [1, 2\nb: 3\n").expect_err("not YAML");
        assert!(error.span.start > 0, "{error:?}");
    }

    #[test]
    fn nesting_without_end_is_refused() {
        for (open, count) in [("[", 100_000), ("{a: ", 100_000), ("- ", 50_000)] {
            assert!(parse(&open.repeat(count)).is_err(), "{open}");
        }
        let nested = format!(
            "{}1{}",
            "[".repeat(MAX_DEPTH + 1),
            "]".repeat(MAX_DEPTH + 1)
        );
        assert!(parse(&nested).is_err());
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 [ x, x, x, x, x, x, x, x, x, x ]\n".to_owned();
        for level in 1..10 {
            let before = format!("*a{}", level - 1);
            text += &format!(
                "a{level}: &a{level} [ {} ]\n",
                [before.as_str(); 10].join(", ")
            );
        }
        assert!(parse(&text).is_err());
    }
}
