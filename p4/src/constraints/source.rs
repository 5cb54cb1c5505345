//! The text of a constraint: out of its annotation, and back to lines and columns.

use super::error::Fault;

/// Part of a text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// From the start of this to the end of that.
    pub fn to(self, other: Span) -> Span {
        Span {
            start: self.start,
            end: other.end,
        }
    }
}

/// The text of a constraint.
#[derive(Debug, Clone)]
pub struct Source {
    text: String,
    /// The line of the program before the annotation (`@line(__LINE__)`), or 0.
    line: usize,
}

impl Source {
    /// Finds an annotation among others and takes the text out of it.
    pub fn find(annotation: &str, annotations: &[String]) -> Result<Option<Source>, Fault> {
        let mut line = 0;
        for candidate in annotations {
            let candidate = candidate.trim();
            if let Some(number) = candidate.strip_prefix("@line(") {
                line = number.trim_end_matches(')').trim().parse().unwrap_or(0);
            }
            let Some(rest) = candidate.strip_prefix(annotation) else {
                continue;
            };
            let body = rest.trim_start().strip_prefix('(');
            let body = body.and_then(|body| body.trim_end().strip_suffix(')'));
            let text = body.and_then(unquote).ok_or(Fault::NotQuoted)?;
            return Ok(Some(Source { text, line }));
        }
        Ok(None)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A part of the text on one line, its comments and line breaks as spaces.
    pub fn quote(&self, span: Span) -> String {
        let mut words = Vec::new();
        for line in self.text[span.start..span.end].lines() {
            let code = line.split("//").next().unwrap_or_default();
            words.extend(code.split_whitespace());
        }
        words.join(" ")
    }

    /// Line and column of the start of a part, from 1; of the P4 program where its annotations say
    /// the line.
    pub fn place(&self, span: Span) -> (usize, usize) {
        let before = &self.text[..span.start];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line + self.line, before[start..].chars().count() + 1)
    }
}

/// Strings one after the other as one text, a line each.
fn unquote(body: &str) -> Option<String> {
    let mut lines = Vec::new();
    let mut rest = body.trim();
    while !rest.is_empty() {
        rest = rest.strip_prefix('"')?;
        let end = rest.find('"')?;
        lines.push(&rest[..end]);
        rest = rest[end + 1..].trim_start();
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn find(annotations: &[&str]) -> Result<Option<Source>, Fault> {
        let annotations: Vec<String> = annotations.iter().map(|a| (*a).to_owned()).collect();
        Source::find("@entry_restriction", &annotations)
    }

    #[test]
    fn strings_one_after_the_other_are_one_text_with_a_line_each() {
        let source = find(&["@brief(\"x\")", "@entry_restriction(\"a;\" \"b\n c\")"]);
        let source = source.unwrap().unwrap();
        assert_eq!(source.text(), "a;\nb\n c");
        let (start, end) = (6, 7);
        assert_eq!(source.place(Span { start, end }), (3, 2));
        assert!(find(&["@id(1)"]).unwrap().is_none());
    }

    #[test]
    fn the_line_of_the_program_is_counted_on() {
        let source = find(&["@line(40)", "@entry_restriction(\"\n a\")"]).unwrap();
        let (start, end) = (2, 3);
        assert_eq!(source.unwrap().place(Span { start, end }), (42, 2));
    }

    #[test]
    fn an_annotation_that_is_no_string_is_refused() {
        for wrong in ["(forgot)", "(\"forgot)", "()", ""] {
            let annotation = format!("@entry_restriction{wrong}");
            assert_eq!(find(&[&annotation]).unwrap_err(), Fault::NotQuoted);
        }
    }
}
