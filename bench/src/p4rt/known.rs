//! Requirements that a server is known not to meet.
//!
//! A file names them, one a line, with the reason after `#`. It is for servers of others: Pointsman
//! has none.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::chapters::CHAPTERS;
use super::report::Verdict;

/// What is known, with the reasons.
#[derive(Debug, Clone, Default)]
pub struct Known {
    reasons: BTreeMap<String, String>,
}

impl Known {
    /// Reads a file; each line has to name a requirement that there is, and a reason.
    pub fn read(path: &Path) -> Result<Known> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Known::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// The same from text.
    pub fn parse(text: &str) -> Result<Known> {
        let all: Vec<String> = CHAPTERS
            .iter()
            .flat_map(|chapter| chapter.requirements.iter().map(|r| chapter.id(r)))
            .collect();
        let mut reasons = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let (id, reason) = line.split_once('#').unwrap_or((line, ""));
            let (id, reason) = (id.trim(), reason.trim());
            if id.is_empty() {
                continue;
            }
            if !all.iter().any(|known| known == id) {
                bail!("line {}: there is no requirement {id}", number + 1);
            }
            if reason.is_empty() {
                bail!("line {}: say after # why {id} is known to fail", number + 1);
            }
            reasons.insert(id.to_owned(), reason.to_owned());
        }
        Ok(Known { reasons })
    }

    /// Whether a requirement is among them.
    pub fn has(&self, id: &str) -> bool {
        self.reasons.contains_key(id)
    }

    /// A verdict in the light of what is known.
    pub fn judge(&self, id: &str, verdict: Verdict) -> Verdict {
        match (self.reasons.get(id), verdict) {
            (Some(reason), Verdict::Failed(seen) | Verdict::NotOffered(seen)) => {
                Verdict::KnownFailing {
                    reason: reason.clone(),
                    seen,
                }
            }
            (Some(_), Verdict::Passed) => Verdict::NoLongerFailing,
            (_, verdict) => verdict,
        }
    }
}
