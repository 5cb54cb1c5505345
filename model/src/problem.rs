//! Everything that is wrong with a file, ready to be shown with carets.
//!
//! A [`Problem`] is one mistake at one place; [`Problems`] is what reading
//! returns: all of them. Both are `miette` diagnostics.

use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use crate::yaml::Span;

/// More than this says nothing new to the person who reads it.
const SHOWN: usize = 50;

/// One mistake in one file.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Problem {
    message: String,
    #[source_code]
    source_code: NamedSource<Arc<str>>,
    #[label("{label}")]
    at: SourceSpan,
    label: String,
    #[help]
    help: Option<String>,
}

/// All mistakes of the files that were read; never empty.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
#[error("{}", summary(related.len() + more))]
pub struct Problems {
    #[related]
    related: Vec<Problem>,
    more: usize,
}

impl Problem {
    /// What is wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file's name as it was given.
    pub fn file(&self) -> &str {
        self.source_code.name()
    }

    /// Line and column, both from 1; the column counts characters.
    pub fn position(&self) -> (usize, usize) {
        let text: &str = self.source_code.inner();
        let before = text.get(..self.at.offset()).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }

    pub(crate) fn offset(&self) -> usize {
        self.at.offset()
    }

    /// What would be accepted, if there is something to say.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl Problems {
    /// The mistakes in source order, file by file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.related.iter()
    }

    /// `problems`, unless there are none.
    pub fn of(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        Err(Self {
            related: problems,
            more,
        })
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self {
            related: vec![problem],
            more: 0,
        }
    }
}

fn summary(count: usize) -> String {
    match count {
        1 => "1 mistake".to_owned(),
        count if count > SHOWN => format!("{count} mistakes, the first {SHOWN} of them here"),
        count => format!("{count} mistakes"),
    }
}

/// A named text, shared by the problems in it.
#[derive(Clone, Debug)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// `name` is shown to the user: a path, or `-` for standard input.
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A mistake at `span`. `label` is what the caret says.
    pub fn problem(
        &self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) -> Problem {
        Problem {
            message: message.into(),
            source_code: NamedSource::new(&*self.name, Arc::clone(&self.text)),
            at: (
                span.start,
                span.length
                    .max(1)
                    .min(self.text.len().saturating_sub(span.start)),
            )
                .into(),
            label: label.into(),
            help,
        }
    }
}
