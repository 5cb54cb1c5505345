//! `pointsman-agent doctor`: whether this machine can do what the configuration asks for, and what to do if not.
//!
//! It looks, and changes nothing: what it tries (a map, a pipeline) goes with it, and a state directory is read only if
//! no agent has it. Each check is a function that returns findings; `main` prints them.

mod machine;
mod ports;

use std::fmt;

use crate::config::{Config, TargetKind};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is as it should be.
    Fine,
    /// The agent runs, and something is worse than it could be.
    Warning,
    /// The agent does not run, or a port does not.
    Failure,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

impl Finding {
    fn fine(subject: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Fine,
            subject: subject.into(),
            found: found.into(),
            advice: String::new(),
        }
    }

    fn warning(
        subject: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            severity: Severity::Warning,
            advice: advice.into(),
            ..Finding::fine(subject, found)
        }
    }

    fn failure(
        subject: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            severity: Severity::Failure,
            ..Finding::warning(subject, found, advice)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Fine => "ok",
            Severity::Warning => "warning",
            Severity::Failure => "failed",
        };
        write!(f, "{severity:<8} {:<16} {}", self.subject, self.found)?;
        match self.advice.as_str() {
            "" => Ok(()),
            advice => write!(f, "\n{:<25} {advice}", ""),
        }
    }
}

/// Looks at everything that a configuration needs.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.target == TargetKind::Xdp {
        findings.push(machine::kernel());
        findings.push(machine::may_load());
        findings.extend(machine::features());
        findings.push(machine::jit());
        findings.extend(machine::pipeline(config));
        findings.push(machine::pins(config));
    }
    findings.push(machine::state_directory(config));
    findings.push(machine::listen(config));
    findings.extend(machine::open_files(config));
    if config.target != TargetKind::P4Runtime {
        findings.extend(ports::all(config));
    }
    findings
}

/// How bad the worst finding is.
pub fn worst(findings: &[Finding]) -> Severity {
    let severities = findings.iter().map(|finding| finding.severity);
    severities.max().unwrap_or(Severity::Fine)
}
