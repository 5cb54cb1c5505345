//! Numbers of slots: handed out, given back, and used again only after a grace period.

use std::ops::Range;

use crate::sys::SysError;

use super::grace::Grace;

/// Free and retired slots.
#[derive(Debug)]
pub struct Slots {
    /// Those that were never in use.
    fresh: Range<u32>,
    free: Vec<u32>,
    retired: Vec<u32>,
    /// Retired slots that are not to be used again for now, see [`hold`](Slots::hold).
    held: Option<Vec<u32>>,
}

/// There is no free slot.
#[derive(Debug)]
pub enum SlotError {
    /// All are in use.
    Full,
    /// The grace period could not be waited for.
    Grace(SysError),
}

impl Slots {
    /// All of these are free; the lowest goes first.
    pub fn new(range: Range<u32>) -> Slots {
        Slots {
            fresh: range,
            free: Vec::new(),
            retired: Vec::new(),
            held: None,
        }
    }

    /// Those of a range are free that are not in use already.
    pub fn but(range: Range<u32>, used: impl IntoIterator<Item = u32>) -> Slots {
        let mut used: Vec<u32> = used.into_iter().collect();
        used.sort_unstable();
        let first_fresh = used.last().map_or(range.start, |last| last + 1);
        let is_free = |slot: &u32| used.binary_search(slot).is_err();
        Slots {
            free: (range.start..first_fresh).rev().filter(is_free).collect(),
            ..Slots::new(first_fresh..range.end)
        }
    }

    /// Hands out a slot that no program can still be reading.
    pub fn take(&mut self, grace: &Grace) -> Result<u32, SlotError> {
        if let Some(slot) = self.take_unused() {
            return Ok(slot);
        }
        if !self.retired.is_empty() {
            grace.wait().map_err(SlotError::Grace)?;
            self.free.append(&mut self.retired);
        }
        let held = || self.held.as_mut()?.pop();
        self.free.pop().or_else(held).ok_or(SlotError::Full)
    }

    /// Hands out a slot if that needs no waiting.
    pub fn take_unused(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| self.fresh.next())
    }

    /// Gives back a slot to which nothing leads any more; a program may still be reading it.
    pub fn retire(&mut self, slot: u32) {
        self.held.as_mut().unwrap_or(&mut self.retired).push(slot);
    }

    /// Keeps what is retired from now on from being used again, until it is released or nothing else is
    /// left.
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Lets what was held be used again after a grace period.
    pub fn release(&mut self) {
        self.retired.extend(self.held.take().into_iter().flatten());
    }

    /// Gives back a slot that was never published.
    pub fn put_back(&mut self, slot: u32) {
        self.free.push(slot);
    }
}
