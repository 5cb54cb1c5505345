//! The IR as text that reads like P4, for people.
//!
//! A program becomes [`Section`]s, one for each header, parser state, action, table and so on, each
//! a few [`Line`]s with the place in the P4 source that they came from. The text is stable: it depends on
//! the program alone, and equal programs read the same. It is not P4 and nothing reads it back.
//!
//! Called by `pointsman pipeline compile`, and by the listing of compiled code for the text of a
//! statement.

mod action;
mod control;
mod expr;
mod object;
mod parser;
mod shape;
#[cfg(test)]
mod tests;

use std::fmt;

use super::{Expr, Program, SourceInfo};

pub use action::statement;
pub use parser::parser_statement;

/// One thing of a program, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is.
    pub kind: SectionKind,
    /// Its name; for one that holds several things, their kind.
    pub name: String,
    /// Where it is declared.
    pub source: SourceInfo,
    /// Its text, the first line being its head.
    pub lines: Vec<Line>,
}

/// The kinds of section, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// A header, a metadata struct, a stack or a union.
    Shape,
    /// A parser state.
    ParserState,
    /// An action.
    Action,
    /// A table.
    Table,
    /// The graph of ingress or of egress.
    Control,
    /// Counters, meters, registers, hashes, checksums, field lists, digests.
    Object,
    /// What is emitted.
    Deparser,
}

/// A line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Indented, without its end.
    pub text: String,
    /// The P4 source that it came from; empty where it is that of its section.
    pub source: SourceInfo,
}

impl Line {
    /// A line that no place in the P4 source stands for.
    fn plain(text: impl Into<String>) -> Line {
        Line {
            text: text.into(),
            source: SourceInfo::default(),
        }
    }

    /// A line with its place in the P4 source.
    fn from(text: impl Into<String>, source: &SourceInfo) -> Line {
        Line {
            text: text.into(),
            source: source.clone(),
        }
    }
}

/// The whole program.
pub fn sections(program: &Program) -> Vec<Section> {
    let mut sections = shape::sections(program);
    sections.extend(parser::sections(program));
    sections.extend(action::sections(program));
    sections.extend(control::tables(program));
    sections.extend(control::graphs(program));
    sections.extend(object::sections(program));
    sections.push(parser::deparser(program));
    sections
}

/// An expression outside of actions, such as a condition.
pub fn expression(program: &Program, expr: &Expr) -> String {
    expr::Scope::global(program).expr(expr)
}

/// Column at which places in the P4 source begin, where the text leaves room.
const SOURCE_COLUMN: usize = 72;

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.file.is_empty() {
            return f.write_str(&self.text);
        }
        write!(f, "{:SOURCE_COLUMN$} // {}", self.text, self.source)
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
