//! Which parts of a program are asked for: a table, an action, a line of the P4 source.

use std::str::FromStr;

use pointsman_p4::ir::{Program, SourceInfo, print};

use crate::error::CliError;

/// What to show; without any restriction everything.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    table: Option<String>,
    action: Option<String>,
    line: Option<SourceLine>,
}

/// A line of a P4 file, as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    file: String,
    line: u32,
}

impl FromStr for SourceLine {
    type Err = String;

    fn from_str(text: &str) -> Result<SourceLine, String> {
        let wrong = || format!("{text:?} is not FILE:LINE, for example leaf_spine.p4:120");
        let (file, line) = text.rsplit_once(':').ok_or_else(wrong)?;
        let line = line.parse().ok().filter(|line| *line > 0);
        match line {
            Some(line) if !file.is_empty() => Ok(SourceLine {
                file: file.to_owned(),
                line,
            }),
            _ => Err(wrong()),
        }
    }
}

impl SourceLine {
    /// Files are named from different directories: the shorter name must end the longer one.
    fn is_in_file(&self, source: &SourceInfo) -> bool {
        let ends = |long: &str, short: &str| {
            let before = long.strip_suffix(short);
            before.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        !source.file.is_empty()
            && (ends(&self.file, &source.file) || ends(&source.file, &self.file))
    }

    fn is(&self, source: &SourceInfo) -> bool {
        source.line == self.line && self.is_in_file(source)
    }
}

impl Selection {
    /// A selection; parts of the program have to meet all of it.
    pub fn new(table: Option<String>, action: Option<String>, line: Option<SourceLine>) -> Self {
        Self {
            table,
            action,
            line,
        }
    }

    /// Is everything asked for?
    pub fn is_all(&self) -> bool {
        self.table.is_none() && self.action.is_none() && self.line.is_none()
    }

    /// Is a table of that name asked for?
    pub fn has_table(&self, name: &str) -> bool {
        self.table
            .as_ref()
            .is_none_or(|wanted| is_named(name, wanted))
    }

    /// Are tables restricted?
    pub fn names_table(&self) -> bool {
        self.table.is_some()
    }

    /// Is an action of that name asked for?
    pub fn has_action(&self, name: &str) -> bool {
        self.action
            .as_ref()
            .is_none_or(|wanted| is_named(name, wanted))
    }

    /// Are actions restricted?
    pub fn names_action(&self) -> bool {
        self.action.is_some()
    }

    /// Is what comes from this place asked for?
    pub fn has_source(&self, source: &SourceInfo) -> bool {
        self.line.as_ref().is_none_or(|line| line.is(source))
    }

    /// Are lines of the source restricted?
    pub fn names_line(&self) -> bool {
        self.line.is_some()
    }

    /// Refuses names that the program does not have.
    pub fn check(&self, program: &Program) -> Result<(), CliError> {
        let tables = program.tables.iter().map(|table| table.name.as_str());
        exists("table", self.table.as_deref(), tables)?;
        let actions = program.actions.iter().map(|action| action.name.as_str());
        exists("action", self.action.as_deref(), actions)
    }

    /// Why nothing was found, and what would be.
    pub fn nothing(&self, program: &Program) -> String {
        let Some(wanted) = self.line.as_ref() else {
            return "nothing of the program meets the whole selection".to_owned();
        };
        let sections = print::sections(program);
        let lines = sections.iter().flat_map(|section| &section.lines);
        let sources = lines.map(|line| &line.source);
        let near: Vec<u32> = sources
            .filter(|source| wanted.is_in_file(source))
            .map(|source| source.line)
            .collect();
        let SourceLine { file, line } = wanted;
        if near.contains(line) {
            return format!(
                "what came from {file}:{line} makes no difference and was left out; --emit ir shows it"
            );
        }
        let before = near.iter().filter(|line| **line < wanted.line).max();
        let after = near.iter().filter(|line| **line > wanted.line).min();
        let advice = match (before, after) {
            (Some(before), Some(after)) => {
                format!("the nearest lines that something came from are {before} and {after}")
            }
            (Some(line), None) | (None, Some(line)) => {
                format!("the nearest line that something came from is {line}")
            }
            (None, None) => "nothing came from that file".to_owned(),
        };
        format!("nothing that was asked for came from {file}:{line}; {advice}")
    }
}

/// A name is given as a whole, or by its last parts.
fn is_named(name: &str, wanted: &str) -> bool {
    let before = name.strip_suffix(wanted);
    before.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn exists<'a>(
    kind: &str,
    wanted: Option<&str>,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), CliError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let mut names: Vec<&str> = names.collect();
    if names.iter().any(|name| is_named(name, wanted)) {
        return Ok(());
    }
    names.sort_unstable();
    names.dedup();
    Err(CliError::Failed(format!(
        "there is no {kind} {wanted}; there are: {}",
        names.join(", ")
    )))
}
