//! Decides, for one device, when its master hands it on because it cannot reach it, and when somebody else tries. Pure:
//! no clock, no socket, no store.
//!
//! A master that has had no session for a while hands the device to the next standby, and so does that one, once round;
//! the replicated state remembers who has tried. Then the device is offline: its last master goes on dialling, and the
//! others look now and then. Whoever reaches it says so, and is its master from then on.

use std::time::{Duration, Instant};

use crate::state::{Acknowledged, Mastership, NodeId, Term};
use crate::status::Reason;

/// How often a standby looks whether it reaches a device that is offline.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How often it sees to it that it is connected to one that is not, so that it can take it over at once.
const WARM_INTERVAL: Duration = Duration::from_secs(5);

/// How a master fares with the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// The agent has greeted.
    Open,
    /// There is none yet, for no known reason.
    Opening,
    /// The agent does not answer.
    Unreachable,
    /// The agent answers, and refuses; another node would fare no better.
    Refused,
}

/// How the master of a term fares, by what its session has reported.
pub fn session_of(reported: &Acknowledged, term: Term) -> Session {
    match reported.fault(term) {
        Some(fault) if fault.reason == Reason::DeviceUnreachable => Session::Unreachable,
        Some(_) => Session::Refused,
        None if reported.is_of(term) => Session::Open,
        None => Session::Opening,
    }
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Tell the store that the master of this term cannot reach the device.
    HandOn(Term),
    /// Tell the store that this node reaches the device.
    SayReached,
    /// Ask the agent anything; if it answers, tell the store that this node reaches the device.
    Probe,
    /// Ask the agent anything, so that there is a connection.
    KeepWarm,
}

/// What is remembered about one device.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    /// Since when this node, as its master in this term, has not reached it.
    unreachable_since: Option<(Term, Instant)>,
    asked_at: Option<Instant>,
}

impl Contact {
    /// What the master does.
    pub fn of_master(
        &mut self,
        held: &Mastership,
        session: Session,
        delay: Duration,
        now: Instant,
    ) -> Option<Action> {
        if session != Session::Unreachable {
            self.unreachable_since = None;
        }
        match session {
            Session::Open if !held.tried.is_empty() => Some(Action::SayReached),
            Session::Unreachable => {
                let is_current = |(term, _): &(Term, Instant)| *term == held.term;
                let since = self.unreachable_since.filter(is_current);
                let (_, since) = *self
                    .unreachable_since
                    .insert(since.unwrap_or((held.term, now)));
                let is_due = now.duration_since(since) >= delay;
                let helps = held.can_be_handed_on() || !held.is_offline();
                (is_due && helps).then_some(Action::HandOn(held.term))
            }
            Session::Open | Session::Opening | Session::Refused => None,
        }
    }

    /// What another node does.
    pub fn of_standby(&mut self, held: &Mastership, me: NodeId, now: Instant) -> Option<Action> {
        self.unreachable_since = None;
        let (action, interval) = match held.is_offline() {
            true => (Action::Probe, PROBE_INTERVAL),
            false => (Action::KeepWarm, WARM_INTERVAL),
        };
        let is_due = |at: Instant| now.duration_since(at) >= interval;
        if !held.standbys.contains(&me) || !self.asked_at.is_none_or(is_due) {
            return None;
        }
        self.asked_at = Some(now);
        Some(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(1);

    fn held(term: u64, tried: &[NodeId]) -> Mastership {
        Mastership {
            node: 1,
            term: Term(term),
            standbys: vec![2, 3],
            tried: tried.to_vec(),
            preferred: None,
        }
    }

    /// What the master of `held` does when it does not reach the device at these milliseconds.
    fn unreachable_at(held: &Mastership, times: &[u64]) -> Vec<Option<Action>> {
        let (mut contact, start) = (Contact::default(), Instant::now());
        let at = |time: &u64| start + Duration::from_millis(*time);
        times
            .iter()
            .map(|time| contact.of_master(held, Session::Unreachable, DELAY, at(time)))
            .collect()
    }

    #[test]
    fn a_device_is_handed_on_once_it_was_unreachable_for_long_enough() {
        let hand_on = Some(Action::HandOn(Term(7)));
        let actions = unreachable_at(&held(7, &[]), &[0, 900, 1000]);
        assert_eq!(actions, [None, None, hand_on]);
    }

    #[test]
    fn a_session_in_between_begins_the_wait_anew() {
        let (mut contact, now, held) = (Contact::default(), Instant::now(), held(7, &[]));
        let mut look = |session, after| {
            contact.of_master(&held, session, DELAY, now + Duration::from_millis(after))
        };
        assert_eq!(look(Session::Unreachable, 0), None);
        assert_eq!(look(Session::Open, 500), None);
        assert_eq!(look(Session::Unreachable, 600), None);
        assert_eq!(look(Session::Unreachable, 1500), None);
    }

    #[test]
    fn a_later_term_begins_the_wait_anew() {
        let (mut contact, now) = (Contact::default(), Instant::now());
        contact.of_master(&held(7, &[]), Session::Unreachable, DELAY, now);
        let action = contact.of_master(&held(8, &[]), Session::Unreachable, DELAY, now + DELAY);
        assert_eq!(action, None);
    }

    #[test]
    fn the_last_one_to_try_says_so_and_keeps_the_device() {
        let last = unreachable_at(&held(7, &[2, 3]), &[0, 1000]);
        assert_eq!(last[1], Some(Action::HandOn(Term(7))));
        let offline = unreachable_at(&held(7, &[2, 3, 1]), &[0, 1000]);
        assert_eq!(offline[1], None);
    }

    #[test]
    fn an_offline_device_is_handed_to_a_node_that_has_come_since() {
        let offline = unreachable_at(&held(7, &[2, 1]), &[0, 1000]);
        assert_eq!(offline[1], Some(Action::HandOn(Term(7))));
    }

    #[test]
    fn a_switch_that_refuses_is_not_handed_on() {
        let (mut contact, now) = (Contact::default(), Instant::now());
        for after in [Duration::ZERO, DELAY] {
            let action = contact.of_master(&held(7, &[]), Session::Refused, DELAY, now + after);
            assert_eq!(action, None);
        }
    }

    #[test]
    fn a_master_says_that_it_reaches_what_others_did_not() {
        let (mut contact, now) = (Contact::default(), Instant::now());
        let action = contact.of_master(&held(7, &[2]), Session::Open, DELAY, now);
        assert_eq!(action, Some(Action::SayReached));
    }

    #[test]
    fn standbys_keep_connections_and_look_for_offline_devices_now_and_then() {
        let (mut contact, now) = (Contact::default(), Instant::now());
        let action = contact.of_standby(&held(7, &[2]), 3, now);
        assert_eq!(action, Some(Action::KeepWarm));
        assert_eq!(contact.of_standby(&held(7, &[2]), 3, now + DELAY), None);
        let now = now + DELAY;
        let offline = held(7, &[1, 2, 3]);
        assert_eq!(contact.of_standby(&offline, 3, now), Some(Action::Probe));
        assert_eq!(contact.of_standby(&offline, 3, now), None);
        let later = now + PROBE_INTERVAL;
        assert_eq!(contact.of_standby(&offline, 3, later), Some(Action::Probe));
        assert_eq!(contact.of_standby(&offline, 4, later + DELAY), None);
    }
}
