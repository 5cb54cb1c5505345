//! The end of the log in memory: what was appended last is what is sent to
//! followers and applied next, and need not be read from the disk for it.
//!
//! Only what is on the disk is in here, and nothing is only in here.

use std::collections::VecDeque;
use std::ops::{Bound, RangeBounds};

use openraft::EntryPayload;

use super::types::{Batch, Entry};

/// What is kept at most, in bytes of commands.
const CAPACITY_BYTES: usize = 16 << 20;

/// The last entries, without gaps.
#[derive(Default)]
pub struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

/// What an entry weighs: its commands, and something for itself.
pub fn weight(entry: &Entry) -> usize {
    const ITSELF: usize = 64;
    ITSELF
        + match &entry.payload {
            EntryPayload::Normal(Batch(commands)) => {
                commands.iter().map(|command| command.bytes().len()).sum()
            }
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

impl Recent {
    /// Entries that were appended.
    pub fn append(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let follows = self
                .entries
                .back()
                .is_none_or(|last| last.log_id.index + 1 == entry.log_id.index);
            if !follows {
                *self = Self::default();
            }
            self.bytes += weight(&entry);
            self.entries.push_back(entry);
        }
        while self.bytes > CAPACITY_BYTES {
            self.forget_first();
        }
    }

    /// Entries from this one on are gone.
    pub fn truncate(&mut self, from: u64) {
        while let Some(last) = self.entries.pop_back_if(|last| last.log_id.index >= from) {
            self.bytes -= weight(&last);
        }
    }

    /// Entries up to this one are gone.
    pub fn purge(&mut self, to: u64) {
        while self
            .entries
            .front()
            .is_some_and(|first| first.log_id.index <= to)
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.entries.pop_front() {
            self.bytes -= weight(&first);
        }
    }

    /// The entries of a range, if all of those that can exist are here.
    pub fn get(&self, range: &impl RangeBounds<u64>) -> Option<Vec<Entry>> {
        let first = self.entries.front()?.log_id.index;
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => return None,
        };
        let skipped = usize::try_from(start.checked_sub(first)?).ok()?;
        let rest = self.entries.range(skipped.min(self.entries.len())..);
        let within = rest.take_while(|entry| range.contains(&entry.log_id.index));
        Some(within.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::{CommittedLeaderId, LogId};

    use super::super::types::EncodedCommand;
    use super::*;

    fn entry(index: u64, bytes: usize) -> Entry {
        let command = EncodedCommand::from_bytes(Bytes::from(vec![0; bytes]));
        Entry {
            log_id: LogId::new(CommittedLeaderId::new(1, 1), index),
            payload: EntryPayload::Normal(Batch(vec![command])),
        }
    }

    fn indexes(recent: &Recent, range: impl RangeBounds<u64>) -> Option<Vec<u64>> {
        let entries = recent.get(&range)?;
        Some(entries.iter().map(|entry| entry.log_id.index).collect())
    }

    #[test]
    fn a_range_is_answered_if_its_start_is_there() {
        let mut recent = Recent::default();
        recent.append((5..10).map(|index| entry(index, 1)).collect());
        assert_eq!(indexes(&recent, 6..8), Some(vec![6, 7]));
        assert_eq!(indexes(&recent, 8..=20), Some(vec![8, 9]));
        assert_eq!(indexes(&recent, 10..12), Some(vec![]));
        assert_eq!(indexes(&recent, 4..8), None);
        assert_eq!(indexes(&recent, ..8), None);
    }

    #[test]
    fn what_was_truncated_or_purged_is_not_there() {
        let mut recent = Recent::default();
        recent.append((5..10).map(|index| entry(index, 1)).collect());
        recent.truncate(8);
        recent.purge(5);
        assert_eq!(indexes(&recent, 6..20), Some(vec![6, 7]));
        recent.append(vec![entry(8, 1)]);
        assert_eq!(indexes(&recent, 6..20), Some(vec![6, 7, 8]));
        recent.append(vec![entry(20, 1)]);
        assert_eq!(indexes(&recent, 6..30), None);
        assert_eq!(indexes(&recent, 20..30), Some(vec![20]));
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut recent = Recent::default();
        for index in 0..100 {
            recent.append(vec![entry(index, 1 << 20)]);
        }
        assert!(recent.bytes <= CAPACITY_BYTES);
        assert_eq!(indexes(&recent, 99..), Some(vec![99]));
        assert_eq!(indexes(&recent, 50..), None);
    }
}
