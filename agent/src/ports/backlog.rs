//! Link events that wait for whoever has the switch.
//!
//! Whoever listens to netlink never waits: it leaves events here, and of each interface only the last
//! one, so there are never more than interfaces.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::watch::LinkEvent;

/// Events that wait, in the order of each interface's last one.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: Mutex<VecDeque<LinkEvent>>,
    added: Notify,
}

impl Backlog {
    /// Adds an event, in the place of an older one of the same interface.
    pub fn push(&self, event: LinkEvent) {
        let mut waiting = self.lock();
        waiting.retain(|other| other.index() != event.index());
        waiting.push_back(event);
        drop(waiting);
        self.added.notify_one();
    }

    /// The next event, when there is one. One caller at a time.
    pub async fn next(&self) -> LinkEvent {
        loop {
            if let Some(event) = self.lock().pop_front() {
                return event;
            }
            self.added.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<LinkEvent>> {
        // Each use leaves the queue whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_last_event_of_an_interface_waits() {
        let backlog = Backlog::default();
        let gone = |index| LinkEvent::Gone { index };
        for index in [1, 2, 1, 3, 2] {
            backlog.push(gone(index));
        }
        for index in [1, 3, 2] {
            assert_eq!(backlog.next().await, gone(index));
        }
        assert!(backlog.lock().is_empty());
    }
}
