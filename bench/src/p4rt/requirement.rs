//! What is asked of a server: one requirement of the specification and the test that asks.
//!
//! A chapter is a file with a table of requirements at its top and a function for each below. The
//! functions know nothing of tables, filters or exit codes; [`super::run`] calls them.

use std::future::Future;
use std::pin::Pin;

use super::failure::Outcome;
use super::sections::Section;
use super::test::Test;

/// How much the specification wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A server that does otherwise is not a P4Runtime server.
    Must,
    /// There may be reasons to do otherwise.
    Should,
    /// The specification leaves it to the server, which says UNIMPLEMENTED if it does not offer it.
    May,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Level::Must => "must",
            Level::Should => "should",
            Level::May => "may",
        })
    }
}

/// A running test.
pub type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// One requirement.
#[derive(Clone, Copy)]
pub struct Requirement {
    /// Its name within the chapter: that of the function that tests it.
    pub name: &'static str,
    /// How much it is wanted.
    pub level: Level,
    /// Where it is written.
    pub section: Section,
    /// What is wanted, in our words.
    pub statement: &'static str,
    /// Asks a server.
    pub test: fn(Test) -> Running,
}

/// The requirements of one subject.
#[derive(Clone, Copy)]
pub struct Chapter {
    /// The first part of the identifiers.
    pub name: &'static str,
    /// In the order of the specification.
    pub requirements: &'static [Requirement],
}

impl Chapter {
    /// The identifier of one of its requirements: `chapter.name`.
    pub fn id(&self, requirement: &Requirement) -> String {
        format!("{}.{}", self.name, requirement.name)
    }
}

/// A chapter: `level function, section, statement;` for each requirement.
macro_rules! chapter {
    ($name:literal: $($level:ident $function:ident, $section:ident, $statement:literal;)*) => {
        /// The requirements that this file tests.
        pub const CHAPTER: $crate::p4rt::requirement::Chapter = $crate::p4rt::requirement::Chapter {
            name: $name,
            requirements: &[$(
                $crate::p4rt::requirement::Requirement {
                    name: stringify!($function),
                    level: $crate::p4rt::requirement::Level::$level,
                    section: $crate::p4rt::sections::$section,
                    statement: $statement,
                    test: |test| Box::pin($function(test)),
                },
            )*],
        };
    };
}
pub(crate) use chapter;
