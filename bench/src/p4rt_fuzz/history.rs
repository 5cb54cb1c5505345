//! The history of a fight for being primary, and what it must not contain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The number of a write: the key of its entry, and the mark it leaves on the shared one.
pub type Number = u64;

/// What a contender heard of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Acknowledged,
    /// It is refused.
    Refused,
    /// The connection broke before the answer.
    Unknown,
}

/// A write.
#[derive(Debug, Clone)]
pub struct Write {
    /// Which contender's.
    pub contender: u64,
    /// Under which election id.
    pub election_id: u64,
    /// Which one.
    pub number: Number,
    /// When it was sent.
    pub sent: Instant,
    /// What came of it.
    pub outcome: Outcome,
}

/// A contender was told that it is primary.
#[derive(Debug, Clone)]
pub struct Crowned {
    /// Which one.
    pub contender: u64,
    /// Under which election id.
    pub election_id: u64,
    /// When it heard of it.
    pub heard: Instant,
}

/// The shared entry, as it was read.
#[derive(Debug, Clone)]
pub struct Look {
    /// When the read was sent.
    pub sent: Instant,
    /// When it was answered.
    pub answered: Instant,
    /// Under which election id the entry was written.
    pub election_id: u64,
    /// By which write.
    pub number: Number,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// In no order.
    pub writes: Vec<Write>,
    /// In no order.
    pub crowned: Vec<Crowned>,
    /// One after the other.
    pub looks: Vec<Look>,
    /// The entries at the end.
    pub entries: BTreeSet<Number>,
}

impl History {
    /// Looks for what must not have happened.
    ///
    /// # Errors
    /// The first trace of two primaries at a time, or of an acknowledged write that is lost, or of a refused
    /// one that was done.
    pub fn check(&self) -> Result<(), String> {
        self.check_entries()?;
        self.check_looks()?;
        self.check_writes()
    }

    fn check_entries(&self) -> Result<(), String> {
        for write in &self.writes {
            let there = self.entries.contains(&write.number);
            match write.outcome {
                Outcome::Acknowledged if !there => {
                    return Err(format!("an acknowledged write is lost: {write:?}"));
                }
                Outcome::Refused if there => {
                    return Err(format!("a refused write was done: {write:?}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What a later primary has written is never followed by what an earlier one wrote.
    fn check_looks(&self) -> Result<(), String> {
        for pair in self.looks.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            let mark = |look: &Look| (look.election_id, look.number);
            if mark(after) < mark(before) {
                return Err(format!(
                    "a write of an earlier primary was seen after one of a later primary: {before:?}, {after:?}"
                ));
            }
        }
        Ok(())
    }

    /// No write succeeds that was sent after somebody else had heard that it is primary with a higher id; and an
    /// acknowledged write is seen by every look that was sent after its acknowledgement, or one that came later.
    fn check_writes(&self) -> Result<(), String> {
        let mut crowned = self.crowned.clone();
        crowned.sort_by_key(|crowned| crowned.heard);
        let mut highest = Vec::with_capacity(crowned.len());
        for crowned in &crowned {
            let before = highest.last().map_or(0, |(_, id)| *id);
            highest.push((crowned.heard, before.max(crowned.election_id)));
        }
        for write in &self.writes {
            let earlier = highest.partition_point(|(heard, _)| *heard < write.sent);
            let primary = earlier.checked_sub(1).map_or(0, |last| highest[last].1);
            if write.outcome == Outcome::Acknowledged && primary > write.election_id {
                return Err(format!(
                    "a write was done although {primary} had heard that it is primary: {write:?}"
                ));
            }
        }
        let mut owners = BTreeMap::new();
        for write in &self.writes {
            if write.outcome == Outcome::Acknowledged {
                let owner = owners.entry(write.election_id).or_insert(write.contender);
                if *owner != write.contender {
                    return Err(format!(
                        "{owner} wrote under the same election id: {write:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// How many writes came out so.
    pub fn count(&self, outcome: Outcome) -> usize {
        let writes = self.writes.iter();
        writes.filter(|write| write.outcome == outcome).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write(election_id: u64, number: Number, sent: Instant, outcome: Outcome) -> Write {
        Write {
            contender: election_id,
            election_id,
            number,
            sent,
            outcome,
        }
    }

    #[test]
    fn a_lost_write_is_found() {
        let now = Instant::now();
        let mut history = History {
            writes: vec![write(1, 2, now, Outcome::Acknowledged)],
            ..History::default()
        };
        assert!(history.check().is_err());
        history.entries.insert(2);
        assert!(history.check().is_ok());
    }

    #[test]
    fn a_write_of_an_old_primary_is_found() {
        let now = Instant::now();
        let later = now + Duration::from_millis(1);
        let crowned = Crowned {
            contender: 2,
            election_id: 2,
            heard: now,
        };
        let history = |sent| History {
            writes: vec![write(1, 2, sent, Outcome::Acknowledged)],
            crowned: vec![crowned.clone()],
            entries: [2].into(),
            ..History::default()
        };
        assert!(history(now).check().is_ok());
        assert!(history(later).check().is_err());
    }

    #[test]
    fn an_old_value_after_a_new_one_is_found() {
        let now = Instant::now();
        let look = |election_id| Look {
            sent: now,
            answered: now,
            election_id,
            number: 0,
        };
        let history = |looks| History {
            looks,
            ..History::default()
        };
        assert!(history(vec![look(1), look(2)]).check().is_ok());
        assert!(history(vec![look(2), look(1)]).check().is_err());
    }
}
