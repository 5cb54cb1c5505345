//! Which leases are over: those that nobody has kept for as long as they say, by the steady clock of one node.
//!
//! Pure. A keeper begins to count when it takes office and knows nothing of what its predecessor counted, so that every
//! lease has its full time again. That can only make a lease last longer than it says, never shorter. What it finds is
//! proposed with its office and the renewals that it saw; `state::kv` ignores what was overtaken.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::state::kv::{Lease, LeaseId};

/// How often it has to be asked.
pub const TICK: Duration = Duration::from_millis(100);

/// Asked later than this, the process stood still: it was stopped, or the machine was suspended. Those who wanted to keep
/// their leases meanwhile could not.
const STOOD_STILL: Duration = Duration::from_millis(300);

/// Counts the time of leases.
#[derive(Debug)]
pub struct Keeper {
    office: u64,
    asked: Instant,
    watched: BTreeMap<LeaseId, Watched>,
}

#[derive(Debug)]
struct Watched {
    renewals: u64,
    until: Instant,
}

impl Keeper {
    /// A keeper that takes office now.
    pub fn new(office: u64, now: Instant) -> Self {
        Self {
            office,
            asked: now,
            watched: BTreeMap::new(),
        }
    }

    /// The number under which it was taken.
    pub fn office(&self) -> u64 {
        self.office
    }

    /// Takes note of what there is, and says what is over, with the renewals of each. It is said again until the lease is gone.
    pub fn step(&mut self, leases: &BTreeMap<LeaseId, Lease>, now: Instant) -> Vec<(LeaseId, u64)> {
        let since = now.saturating_duration_since(self.asked);
        self.asked = now;
        let lost = match since > STOOD_STILL {
            true => since,
            false => Duration::ZERO,
        };
        self.watched.retain(|id, _| leases.contains_key(id));
        let mut over = Vec::new();
        for (id, lease) in leases {
            let until = now + Duration::from_millis(lease.ttl_milliseconds);
            let fresh = Watched {
                renewals: lease.renewals,
                until,
            };
            match self.watched.get_mut(id) {
                Some(watched) if watched.renewals == lease.renewals => {
                    watched.until += lost;
                    if watched.until <= now {
                        over.push((*id, lease.renewals));
                    }
                }
                Some(watched) => *watched = fresh,
                None => drop(self.watched.insert(*id, fresh)),
            }
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(renewals: u64) -> BTreeMap<LeaseId, Lease> {
        let lease = Lease {
            ttl_milliseconds: 1000,
            name: String::new(),
            renewals,
        };
        BTreeMap::from([(LeaseId(1), lease)])
    }

    /// Asks every tick until a time, and says when the lease was first over.
    fn over_at(
        keeper: &mut Keeper,
        start: Instant,
        milliseconds: std::ops::RangeInclusive<u64>,
        renewals: u64,
    ) -> Option<u64> {
        milliseconds.step_by(100).find(|at| {
            let now = start + Duration::from_millis(*at);
            !keeper.step(&leases(renewals), now).is_empty()
        })
    }

    #[test]
    fn a_lease_is_over_when_nobody_has_kept_it_for_its_time() {
        let start = Instant::now();
        let mut keeper = Keeper::new(1, start);
        assert_eq!(over_at(&mut keeper, start, 0..=3000, 0), Some(1000));
        // And is until it is gone.
        let later = start + Duration::from_millis(1100);
        assert_eq!(keeper.step(&leases(0), later), [(LeaseId(1), 0)]);
        assert_eq!(keeper.step(&BTreeMap::new(), later), []);
        assert_eq!(keeper.step(&leases(0), later), []);
    }

    #[test]
    fn keeping_a_lease_gives_it_its_time_again() {
        let start = Instant::now();
        let mut keeper = Keeper::new(1, start);
        assert_eq!(over_at(&mut keeper, start, 0..=900, 0), None);
        assert_eq!(over_at(&mut keeper, start, 950..=3000, 1), Some(1950));
    }

    #[test]
    fn a_new_keeper_gives_every_lease_its_full_time() {
        let start = Instant::now();
        let mut keeper = Keeper::new(1, start);
        assert_eq!(over_at(&mut keeper, start, 0..=900, 0), None);
        let start = start + Duration::from_millis(900);
        let mut successor = Keeper::new(2, start);
        assert_eq!(over_at(&mut successor, start, 0..=3000, 0), Some(1000));
    }

    #[test]
    fn time_in_which_the_process_stood_still_does_not_count() {
        let start = Instant::now();
        let mut keeper = Keeper::new(1, start);
        assert_eq!(over_at(&mut keeper, start, 0..=500, 0), None);
        assert_eq!(
            over_at(&mut keeper, start, 10_500..=13_000, 0),
            Some(11_000)
        );
    }
}
