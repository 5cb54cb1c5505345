//! The timers of all entries and their one transition function.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use pointsman_p4::dataplane::EntryKey;

/// Entries that are looked at, and reported, at a time.
pub const MAX_LOOKED_AT: usize = 512;

/// The shortest timeout: shorter ones last as long.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(10);

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An entry was added, with this timeout; zero is none.
    Added(EntryKey, Duration),
    /// An entry was changed, and has this timeout now.
    Changed(EntryKey, Duration),
    /// An entry is gone.
    Removed(EntryKey),
    /// When entries that were to be looked at were last hit; `None` for those that are gone.
    Seen(Vec<(Arc<EntryKey>, Option<Duration>)>),
    /// The [deadline](Aging::deadline) has come.
    Timer,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Find out when these were last hit.
    LookAt(Vec<Arc<EntryKey>>),
    /// Tell the primary that these are idle.
    Report(Vec<Arc<EntryKey>>),
}

/// All entries with a timeout.
#[derive(Debug, Default)]
pub struct Aging {
    timers: HashMap<Arc<EntryKey>, Timer>,
    /// When which entry is to be looked at.
    deadlines: BTreeSet<(Duration, Arc<EntryKey>)>,
}

/// The timer of an entry.
#[derive(Debug, Clone, Copy)]
struct Timer {
    timeout: Duration,
    /// When the entry was added, or last reported: it is idle from then on at the earliest.
    since: Duration,
    /// When it is to be looked at; `None` while it is.
    deadline: Option<Duration>,
}

impl Aging {
    /// Takes what happened; returns what to do.
    pub fn step(&mut self, event: Event, now: Duration) -> Option<Command> {
        match event {
            Event::Added(key, timeout) => {
                self.remove(&key);
                let deadline = now.saturating_add(timeout.max(MIN_TIMEOUT));
                self.set(key, timeout, now, deadline);
                None
            }
            Event::Changed(key, timeout) => {
                let old = self.remove(&key);
                // What it was before it had a timeout, only the data plane knows.
                let since = old.map_or(Duration::ZERO, |timer| timer.since);
                self.set(key, timeout, since, now);
                None
            }
            Event::Removed(key) => {
                self.remove(&key);
                None
            }
            Event::Seen(seen) => self.see(seen, now),
            Event::Timer => self.look(now),
        }
    }

    /// When the next entry is to be looked at, if nothing else happens before.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn set(&mut self, key: EntryKey, timeout: Duration, since: Duration, deadline: Duration) {
        if timeout.is_zero() {
            return;
        }
        let key = Arc::new(key);
        let timer = Timer {
            timeout: timeout.max(MIN_TIMEOUT),
            since,
            deadline: Some(deadline),
        };
        self.deadlines.insert((deadline, Arc::clone(&key)));
        self.timers.insert(key, timer);
    }

    fn remove(&mut self, key: &EntryKey) -> Option<Timer> {
        let (key, timer) = self.timers.remove_entry(key)?;
        if let Some(deadline) = timer.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        Some(timer)
    }

    /// Some of the entries whose deadline has come.
    fn look(&mut self, now: Duration) -> Option<Command> {
        let mut due = Vec::new();
        while due.len() < MAX_LOOKED_AT && self.deadline().is_some_and(|first| first <= now) {
            let (_, key) = self.deadlines.pop_first().expect("there is a deadline");
            let timer = self.timers.get_mut(&key);
            timer.expect("a deadline is a timer's").deadline = None;
            due.push(key);
        }
        (!due.is_empty()).then_some(Command::LookAt(due))
    }

    fn see(
        &mut self,
        seen: Vec<(Arc<EntryKey>, Option<Duration>)>,
        now: Duration,
    ) -> Option<Command> {
        let mut idle = Vec::new();
        for (key, last_hit) in seen {
            // It may have been written since.
            let timer = self.timers.get_mut(&key);
            let Some(timer) = timer.filter(|timer| timer.deadline.is_none()) else {
                continue;
            };
            let Some(last_hit) = last_hit else {
                self.timers.remove(&key);
                continue;
            };
            if timer.since.max(last_hit).saturating_add(timer.timeout) <= now {
                timer.since = now;
                idle.push(Arc::clone(&key));
            }
            let deadline = timer.since.max(last_hit).saturating_add(timer.timeout);
            timer.deadline = Some(deadline);
            self.deadlines.insert((deadline, key));
        }
        (!idle.is_empty()).then_some(Command::Report(idle))
    }
}
