//! Who refers to what, and what is there to be referred to (`@refers_to`).
//!
//! Counts, so that neither a write nor a deletion looks through tables. Behind a lock of their own that is
//! held for one update at a time: a reference is counted before its entry is written, and what is referred
//! to is taken away before its entry is deleted, so that the two cannot pass each other. Called by the
//! writer, for every update of a pipeline that has references.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::schema::ReferenceKey;

/// The references within one switch.
#[derive(Debug, Default)]
pub struct References(Mutex<HashMap<ReferenceKey, Count>>);

#[derive(Debug, Default)]
struct Count {
    /// Entries with these values.
    present: u32,
    /// References to them.
    users: u32,
}

/// What cannot be taken away, and how many refer to it.
#[derive(Debug, PartialEq, Eq)]
pub struct StillUsed {
    /// What is referred to.
    pub key: ReferenceKey,
    /// How often.
    pub users: u32,
}

impl References {
    /// Counts references, unless one of them is to nothing: then that.
    pub fn claim(&self, keys: &[ReferenceKey]) -> Result<(), ReferenceKey> {
        let mut counts = self.lock();
        let is_there = |key: &&ReferenceKey| counts.get(*key).is_some_and(|c| c.present > 0);
        if let Some(missing) = keys.iter().find(|key| !is_there(key)) {
            return Err(missing.clone());
        }
        for key in keys {
            counts.entry(key.clone()).or_default().users += 1;
        }
        Ok(())
    }

    /// Counts references to what may come later, as when saved entries are written again.
    pub fn claim_ahead(&self, keys: &[ReferenceKey]) {
        let mut counts = self.lock();
        for key in keys {
            counts.entry(key.clone()).or_default().users += 1;
        }
    }

    /// Takes back references that were counted.
    pub fn release(&self, keys: &[ReferenceKey]) {
        self.change(keys, |count| count.users = count.users.saturating_sub(1));
    }

    /// Something is there.
    pub fn appear(&self, keys: &[ReferenceKey]) {
        self.change(keys, |count| count.present += 1);
    }

    /// Something goes, unless it is the last of its kind and is referred to.
    pub fn vanish(&self, keys: &[ReferenceKey]) -> Result<(), StillUsed> {
        {
            let counts = self.lock();
            for key in keys {
                let count = counts.get(key);
                if let Some(Count {
                    present: 1,
                    users: users @ 1..,
                }) = count
                {
                    let (key, users) = (key.clone(), *users);
                    return Err(StillUsed { key, users });
                }
            }
        }
        self.change(keys, |count| {
            count.present = count.present.saturating_sub(1)
        });
        Ok(())
    }

    fn change(&self, keys: &[ReferenceKey], change: impl Fn(&mut Count)) {
        let mut counts = self.lock();
        for key in keys {
            let count = counts.entry(key.clone()).or_default();
            change(count);
            if count.present == 0 && count.users == 0 {
                counts.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReferenceKey, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use pointsman_p4::dataplane::Bits;

    use super::*;

    #[test]
    fn what_is_referred_to_stays_until_the_last_reference_goes() {
        let references = References::default();
        let red = [(0, vec![Bits::from(1)])];
        assert_eq!(references.claim(&red), Err(red[0].clone()));
        references.appear(&red);
        assert_eq!(references.claim(&red), Ok(()));
        let key = red[0].clone();
        assert_eq!(references.vanish(&red), Err(StillUsed { key, users: 1 }));
        // Another entry with the same values will do.
        references.appear(&red);
        assert_eq!(references.vanish(&red), Ok(()));
        references.release(&red);
        assert_eq!(references.vanish(&red), Ok(()));
        assert!(
            references.lock().is_empty(),
            "nothing is kept of what is gone"
        );
    }
}
