//! What came out, as a table for people and as JSON.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::requirement::Level;
use super::sections::Section;

/// What a server did about a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "detail")]
pub enum Verdict {
    /// As the specification has it.
    Passed,
    /// Something else: what was expected, and seen.
    Failed(String),
    /// Left to the server, which says that it does not offer it.
    NotOffered(String),
    /// Failed, as was to be expected.
    KnownFailing {
        /// Why it is known.
        reason: String,
        /// What was expected, and seen.
        seen: String,
    },
    /// Was to be expected to fail, and did not: the list is out of date.
    NoLongerFailing,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Passed => "ok",
            Verdict::Failed(_) => "FAILED",
            Verdict::NotOffered(_) => "not offered",
            Verdict::KnownFailing { .. } => "known to fail",
            Verdict::NoLongerFailing => "ok, though listed as failing",
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// `chapter.name`.
    pub id: String,
    /// How much it is wanted.
    pub level: Level,
    /// Where it is written.
    pub section: Section,
    /// What is wanted.
    pub statement: &'static str,
    /// What the server did.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// All that was asked.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// In the order of the chapters.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing failed that is not known to, and the list of those is up to date.
    pub fn is_clean(&self) -> bool {
        let bad = |v: &Verdict| matches!(v, Verdict::Failed(_) | Verdict::NoLongerFailing);
        !self.findings.iter().any(|finding| bad(&finding.verdict))
    }

    /// The identifiers that got a verdict.
    pub fn ids(&self, wanted: impl Fn(&Verdict) -> bool) -> Vec<&str> {
        let findings = self.findings.iter().filter(|f| wanted(&f.verdict));
        findings.map(|finding| finding.id.as_str()).collect()
    }

    /// A line for each requirement, what was seen below those that failed, and the totals.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let width = self.findings.iter().map(|f| f.id.len()).max().unwrap_or(0);
        for finding in &self.findings {
            let Finding {
                id, level, section, ..
            } = finding;
            let _ = writeln!(
                text,
                "{id:width$}  {:<7} {level:<6}  {:<13} {}",
                section.number,
                finding.verdict.word(),
                finding.statement
            );
            let (seen, reason) = match &finding.verdict {
                Verdict::Failed(seen) => (seen, None),
                Verdict::KnownFailing { seen, reason } => (seen, Some(reason)),
                Verdict::NotOffered(what) => (what, None),
                _ => continue,
            };
            let _ = writeln!(text, "    {seen}");
            if let Some(reason) = reason {
                let _ = writeln!(text, "    known: {reason}");
            }
        }
        text + "\n" + &self.totals()
    }

    /// How many of each level came out how.
    pub fn totals(&self) -> String {
        let mut text =
            String::from("          asked      ok  failed  known to fail  not offered\n");
        let mut line = |name: &str, level: Option<Level>| {
            let of = |wanted: fn(&Verdict) -> bool| {
                let findings = self.findings.iter();
                findings
                    .filter(|f| level.is_none_or(|level| f.level == level) && wanted(&f.verdict))
                    .count()
            };
            let _ = writeln!(
                text,
                "{name:<8} {:>6} {:>7} {:>7} {:>14} {:>12}",
                of(|_| true),
                of(|v| matches!(v, Verdict::Passed | Verdict::NoLongerFailing)),
                of(|v| matches!(v, Verdict::Failed(_))),
                of(|v| matches!(v, Verdict::KnownFailing { .. })),
                of(|v| matches!(v, Verdict::NotOffered(_))),
            );
        };
        line("must", Some(Level::Must));
        line("should", Some(Level::Should));
        line("may", Some(Level::May));
        line("all", None);
        text
    }
}
