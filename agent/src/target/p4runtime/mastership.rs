//! Who the proxy is to the server behind it: always its primary, or on the way to be.
//!
//! A pure core. The server keeps the highest election id that it has seen, so when another client has taken
//! over, the proxy comes back with a higher one: after a pause that grows, so that two who insist do
//! not spend their time on taking over from one another. Called by [`super::link`], which has the
//! stream and the clock.

use std::time::Duration;

use crate::arbitration::ElectionId;

/// The first pause before taking over again, and before connecting again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who has been primary for as long starts with the first pause again.
const SETTLED: Duration = Duration::from_secs(60);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A stream is open.
    Opened,
    /// The server says that we are primary.
    Granted,
    /// The server says that another is, or nobody; and the highest id that it has seen.
    Denied { highest: Option<ElectionId> },
    /// The server ended the stream because another client has our id.
    Duplicate,
    /// The connection is gone.
    Broken,
    /// A pause is over.
    Due,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Send this id on the stream.
    Claim(ElectionId),
    /// Come back with [`Event::Due`] after this time.
    Pause(Duration),
    /// Writes may begin.
    Begin,
    /// No more writes.
    End,
    /// Connect.
    Connect,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mastership {
    /// The id to claim mastership with.
    pub id: ElectionId,
    standing: Standing,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Disconnected,
    Waiting,
    Primary { since: Duration },
}

impl Mastership {
    /// Not connected, with the id to begin with.
    pub fn new(id: ElectionId) -> Mastership {
        Mastership {
            id,
            standing: Standing::Disconnected,
            pause: FIRST_PAUSE,
        }
    }

    /// Takes an event at a time since start.
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<Command> {
        match event {
            Event::Opened => {
                self.standing = Standing::Waiting;
                vec![Command::Claim(self.id)]
            }
            Event::Granted => match self.standing {
                Standing::Primary { .. } => Vec::new(),
                Standing::Waiting | Standing::Disconnected => {
                    self.standing = Standing::Primary { since: now };
                    vec![Command::Begin]
                }
            },
            Event::Denied { highest } => {
                let mut commands = self.ended(now);
                self.standing = Standing::Waiting;
                let highest = highest.map_or(0, |id| id.0);
                if highest >= self.id.0 {
                    self.id = ElectionId(highest.saturating_add(1));
                }
                commands.push(self.next_pause());
                commands
            }
            Event::Duplicate => {
                let mut commands = self.ended(now);
                self.standing = Standing::Disconnected;
                self.id = ElectionId(self.id.0.saturating_add(1));
                commands.push(self.next_pause());
                commands
            }
            Event::Broken => {
                let mut commands = self.ended(now);
                self.standing = Standing::Disconnected;
                commands.push(self.next_pause());
                commands
            }
            Event::Due => match self.standing {
                Standing::Disconnected => vec![Command::Connect],
                Standing::Waiting => vec![Command::Claim(self.id)],
                Standing::Primary { .. } => Vec::new(),
            },
        }
    }

    fn ended(&mut self, now: Duration) -> Vec<Command> {
        match self.standing {
            Standing::Primary { since } => {
                if now.saturating_sub(since) >= SETTLED {
                    self.pause = FIRST_PAUSE;
                }
                vec![Command::End]
            }
            Standing::Waiting | Standing::Disconnected => Vec::new(),
        }
    }

    fn next_pause(&mut self) -> Command {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Command::Pause(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::ZERO;

    fn primary() -> Mastership {
        let mut mastership = Mastership::new(ElectionId(10));
        let opened = mastership.step(Event::Opened, START);
        assert_eq!(opened, [Command::Claim(ElectionId(10))]);
        assert_eq!(mastership.step(Event::Granted, START), [Command::Begin]);
        mastership
    }

    #[test]
    fn whoever_took_over_is_overtaken_after_a_pause_that_grows() {
        let mut mastership = primary();
        let highest = Some(ElectionId(50));
        let denied = mastership.step(Event::Denied { highest }, START);
        assert_eq!(denied, [Command::End, Command::Pause(FIRST_PAUSE)]);
        let due = mastership.step(Event::Due, START);
        assert_eq!(due, [Command::Claim(ElectionId(51))]);
        let highest = Some(ElectionId(60));
        let denied = mastership.step(Event::Denied { highest }, START);
        assert_eq!(denied, [Command::Pause(FIRST_PAUSE * 2)]);
    }

    #[test]
    fn a_long_time_as_primary_makes_the_pause_short_again() {
        let mut mastership = primary();
        for _ in 0..20 {
            mastership.step(Event::Broken, START);
            mastership.step(Event::Due, START);
        }
        let longest = mastership.step(Event::Broken, START);
        assert_eq!(longest, [Command::Pause(LONGEST_PAUSE)]);
        mastership.step(Event::Opened, START);
        mastership.step(Event::Granted, START);
        let broken = mastership.step(Event::Broken, SETTLED);
        assert_eq!(broken, [Command::End, Command::Pause(FIRST_PAUSE)]);
        assert_eq!(mastership.step(Event::Due, SETTLED), [Command::Connect]);
    }

    #[test]
    fn an_id_that_another_client_has_is_not_claimed_again() {
        let mut mastership = Mastership::new(ElectionId(10));
        mastership.step(Event::Opened, START);
        let refused = mastership.step(Event::Duplicate, START);
        assert_eq!(refused, [Command::Pause(FIRST_PAUSE)]);
        mastership.step(Event::Opened, START);
        assert_eq!(mastership.id, ElectionId(11));
    }

    #[test]
    fn a_server_that_knows_no_primary_gets_the_same_id_again() {
        let mut mastership = primary();
        mastership.step(Event::Denied { highest: None }, START);
        let due = mastership.step(Event::Due, START);
        assert_eq!(due, [Command::Claim(ElectionId(10))]);
    }
}
