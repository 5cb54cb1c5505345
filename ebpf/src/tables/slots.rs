//! Numbers of slots: handed out, given back, and used again only after a grace period.

use crate::sys::SysError;

use super::grace::Grace;

/// Free and retired slots.
#[derive(Debug)]
pub struct Slots {
    free: Vec<u32>,
    retired: Vec<u32>,
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
    pub fn new(range: std::ops::Range<u32>) -> Slots {
        Slots {
            free: range.rev().collect(),
            retired: Vec::new(),
        }
    }

    /// Hands out a slot that no program can still be reading.
    pub fn take(&mut self, grace: &Grace) -> Result<u32, SlotError> {
        if self.free.is_empty() && !self.retired.is_empty() {
            grace.wait().map_err(SlotError::Grace)?;
            self.free.append(&mut self.retired);
        }
        self.free.pop().ok_or(SlotError::Full)
    }

    /// Hands out a slot if that needs no waiting.
    pub fn take_unused(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// Gives back a slot to which nothing leads any more; a program may still be reading it.
    pub fn retire(&mut self, slot: u32) {
        self.retired.push(slot);
    }

    /// Gives back a slot that was never published.
    pub fn put_back(&mut self, slot: u32) {
        self.free.push(slot);
    }
}
