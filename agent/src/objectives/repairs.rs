//! When entries that have drifted are put right, where that is the policy.
//!
//! At once, the first time. Whoever changes the same entry again and again finds the pauses before its repair grow, so that
//! two parties that both want it do not keep the switch busy; after some peace it is put right at once again. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::pipeliner::EntityKey;

/// The pause before the second repair of an entry.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many entries are remembered; of more, those that were repaired longest ago are forgotten.
const REMEMBERED: usize = 4096;

/// What was put right lately.
#[derive(Debug, Default)]
pub struct Repairs {
    tried: HashMap<EntityKey, Tried>,
}

#[derive(Debug, Clone, Copy)]
struct Tried {
    times: u32,
    last: Duration,
}

impl Tried {
    fn pause(self) -> Duration {
        let doublings = (self.times - 1).min(16);
        (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE)
    }

    /// Long ago: nobody fights about it.
    fn is_over(self, now: Duration) -> bool {
        now.saturating_sub(self.last) > 2 * LONGEST_PAUSE
    }
}

impl Repairs {
    /// When an entry is to be put right that has drifted; times are those since some start.
    pub fn due(&self, key: &EntityKey, now: Duration) -> Duration {
        match self.tried.get(key) {
            Some(tried) if !tried.is_over(now) => tried.last + tried.pause(),
            _ => now,
        }
    }

    /// It was put right, or that was tried.
    pub fn tried(&mut self, key: &EntityKey, now: Duration) {
        if self.tried.len() >= REMEMBERED {
            self.forget(now);
        }
        let tried = self.tried.entry(key.clone()).or_insert(Tried {
            times: 0,
            last: now,
        });
        if tried.is_over(now) {
            tried.times = 0;
        }
        tried.times += 1;
        tried.last = now;
    }

    fn forget(&mut self, now: Duration) {
        self.tried.retain(|_, tried| !tried.is_over(now));
        if self.tried.len() >= REMEMBERED {
            let mut times: Vec<_> = self.tried.values().map(|tried| tried.last).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.tried.retain(|_, tried| tried.last > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_grow_while_somebody_insists_and_are_forgotten_in_peace() {
        let mut repairs = Repairs::default();
        let key = EntityKey::MulticastGroup(1);
        let mut now = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let due = repairs.due(&key, now);
            pauses.push((due - now).as_secs());
            now = due;
            repairs.tried(&key, now);
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(repairs.due(&EntityKey::MulticastGroup(2), now), now);
        now += 121 * SECOND;
        assert_eq!(repairs.due(&key, now), now);
        repairs.tried(&key, now);
        assert_eq!(repairs.due(&key, now), now + SECOND);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut repairs = Repairs::default();
        for id in 0..3 * REMEMBERED as u32 {
            let now = Duration::from_millis(id.into());
            repairs.tried(&EntityKey::MulticastGroup(id), now);
        }
        assert!(repairs.tried.len() <= REMEMBERED);
    }
}
