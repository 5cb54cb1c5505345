//! Where a command's words go: answers to standard output, everything else to
//! standard error; colours only on a terminal.

use std::io::{self, IsTerminal, Write};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;

use crate::args::{Color, Format};
use crate::error::CliError;
use crate::table::{Table, paint};
use crate::words;

/// The way to the user.
pub struct Output {
    format: Format,
    is_coloured: bool,
    is_error_coloured: bool,
}

impl Output {
    /// Output in a format. Colours are for terminals, unless somebody says otherwise.
    pub fn new(format: Format, color: Color) -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colours = |is_terminal: bool| match color {
            Color::Auto => allowed && is_terminal,
            Color::Always => true,
            Color::Never => false,
        };
        Self {
            format,
            is_coloured: colours(io::stdout().is_terminal()),
            is_error_coloured: colours(io::stderr().is_terminal()),
        }
    }

    /// How answers are to be printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Are colours wanted in answers?
    pub fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    /// Prints text as it is.
    pub fn text(&mut self, text: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }

    /// Prints a table.
    pub fn table(&mut self, table: &Table) -> Result<(), CliError> {
        self.text(&table.render(self.is_coloured))
    }

    /// Prints a table, without these columns unless more are wanted.
    pub fn columns(&mut self, table: Table, wide: &[&str]) -> Result<(), CliError> {
        match self.format {
            Format::Wide => self.table(&table),
            _ => self.table(&table.without(wide)),
        }
    }

    /// Prints names, one a line, if that is how answers are to be printed; else the value.
    pub fn listed(
        &mut self,
        value: &impl Serialize,
        names: impl IntoIterator<Item = String>,
        table: impl FnOnce(&mut Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Name => {
                let lines = names.into_iter().map(|name| name + "\n");
                self.text(&lines.collect::<String>())
            }
            _ => self.value(value, table),
        }
    }

    /// Prints a value as JSON or YAML, or else as `table` does.
    pub fn value(
        &mut self,
        value: &impl Serialize,
        table: impl FnOnce(&mut Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table | Format::Wide | Format::Name => table(self),
            Format::Json => {
                let json = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
                self.text(&(json + "\n"))
            }
            Format::Yaml => {
                let yaml = serde_saphyr::to_string(value).map_err(io::Error::other)?;
                self.text(&yaml)
            }
        }
    }

    /// Prints one of several values that come one after the other: a line of JSON or a document of YAML each, or else as `text`
    /// does.
    pub fn document(
        &mut self,
        value: &impl Serialize,
        text: impl FnOnce(&mut Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table | Format::Wide | Format::Name => text(self),
            Format::Json => {
                let json = serde_json::to_string(value).map_err(io::Error::from)?;
                self.text(&(json + "\n"))
            }
            Format::Yaml => {
                let yaml = serde_saphyr::to_string(value).map_err(io::Error::other)?;
                self.text(&format!("---\n{yaml}"))
            }
        }
    }

    /// Prints bytes as they are; on a terminal, what comes next begins a new line.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        if io::stdout().is_terminal() && !bytes.ends_with(b"\n") {
            stdout.write_all(b"\n")?;
        }
        Ok(stdout.flush()?)
    }

    /// Says something beside the answer; silent when the answer is for programs.
    pub fn remark(&self, text: &str) {
        if matches!(self.format, Format::Table | Format::Wide) {
            // Nothing to do about a terminal that is gone.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Says why the command failed.
    pub fn complain(&self, error: &CliError) {
        match error {
            CliError::Problems(problems) => self.show(problems),
            error => {
                let head = paint("error:", words::BAD, self.is_error_coloured);
                let _ = writeln!(io::stderr(), "{head} {error}");
            }
        }
    }

    /// Shows diagnostics with carets.
    pub fn show(&self, diagnostic: &dyn Diagnostic) {
        let theme = if self.is_error_coloured {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
        if handler.render_report(&mut text, diagnostic).is_err() {
            text = diagnostic.to_string();
        }
        let _ = writeln!(io::stderr(), "{}", text.trim_end());
    }
}
