//! Restrictions on entries and actions: the annotations `@entry_restriction` and
//! `@action_restriction` of the p4-constraints language.
//!
//! An annotation is text in p4info. [`Constraint::of_entries`] and [`Constraint::of_arguments`]
//! read it once, when a pipeline is set, and refuse what is wrong with it by line and column;
//! [`Constraint::check`] then tells for each entry whether it may be written, and if not, which
//! part of the annotation forbids it, with the values that do. Nothing here knows P4Runtime's
//! messages, or where entries are kept. Called by the agent's schema and decoder.
//!
//! ```text
//! annotation ─ source ─► text ─ lexer ─► tokens ─ parser ─► Node ─ check ─► Expr ─ eval ─► bool
//!                                                                             └── explain ─► why not
//! ```
//!
//! The language is that of p4lang's p4-constraints. It goes beyond it in one point: a key of a type
//! that controllers see as strings may be compared with a string, as in `vrf != ''`.

mod check;
mod error;
mod eval;
mod explain;
mod lexer;
mod parser;
mod source;
mod syntax;

use crate::dataplane::{Bits, Match};
use crate::ir::MatchKind;

pub use error::{ConstraintError, Fault, Violation};
use eval::Values;
use source::Source;
use syntax::Expr;

/// Something that a constraint may name: a key of a table, or a parameter of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name in p4info.
    pub name: String,
    /// What it is.
    pub shape: Shape,
}

/// What a key or parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A key that is matched so; its bits, or `None` for a type that controllers see as strings.
    Key(MatchKind, Option<u32>),
    /// A parameter; its bits, or `None` for a type that controllers see as strings.
    Parameter(Option<u32>),
}

/// A constraint that was read and makes sense.
#[derive(Debug, Clone)]
pub struct Constraint {
    /// The table or action.
    owner: String,
    source: Source,
    variables: Vec<Variable>,
    expr: Expr,
}

/// What a constraint is applied to, in the order of its variables. Values are those that controllers
/// see; a string is the number that its bytes are.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// An entry: its matches and its priority.
    Entry(&'a [Match], i32),
    /// The arguments of an action.
    Arguments(&'a [Bits]),
}

impl Constraint {
    /// The `@entry_restriction` among the annotations of a table, if there is one.
    pub fn of_entries(
        table: &str,
        annotations: &[String],
        keys: Vec<Variable>,
    ) -> Result<Option<Constraint>, ConstraintError> {
        Constraint::read("@entry_restriction", table, annotations, keys)
    }

    /// The `@action_restriction` among the annotations of an action, if there is one.
    pub fn of_arguments(
        action: &str,
        annotations: &[String],
        parameters: Vec<Variable>,
    ) -> Result<Option<Constraint>, ConstraintError> {
        Constraint::read("@action_restriction", action, annotations, parameters)
    }

    fn read(
        annotation: &'static str,
        owner: &str,
        annotations: &[String],
        variables: Vec<Variable>,
    ) -> Result<Option<Constraint>, ConstraintError> {
        let source = match Source::find(annotation, annotations) {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(None),
            Err(fault) => {
                return Err(ConstraintError {
                    annotation,
                    owner: owner.to_owned(),
                    line: 1,
                    column: 1,
                    fault,
                });
            }
        };
        let read = parser::parse(source.text()).and_then(|node| check::check(&node, &variables));
        match read {
            Ok(expr) => Ok(Some(Constraint {
                owner: owner.to_owned(),
                source,
                variables,
                expr,
            })),
            Err((span, fault)) => {
                let (line, column) = source.place(span);
                Err(ConstraintError {
                    annotation,
                    owner: owner.to_owned(),
                    line,
                    column,
                    fault,
                })
            }
        }
    }

    /// Does the subject satisfy the constraint?
    pub fn check(&self, subject: Subject<'_>) -> Result<(), Violation> {
        let values = Values(subject);
        match values.holds(&self.expr) {
            true => Ok(()),
            false => Err(explain::explain(self, &values)),
        }
    }
}

#[cfg(test)]
mod tests;
