//! Which acknowledgements a controller has to be sent that wants exceptions only: objectives that are not plainly applied,
//! and, once, those that were such exceptions and are not any more.

use std::collections::HashSet;

use pointsman_proto::pointsman::agent::v1::Ack;
use pointsman_proto::pointsman::objective::v1::{Reason, State, Status};

/// The exceptions that a controller has been told of in a stream.
#[derive(Debug, Default)]
pub struct Exceptions {
    told: HashSet<(i32, String)>,
}

impl Exceptions {
    /// Leaves what the controller has to be told.
    pub fn filter(&mut self, acks: &mut Vec<Ack>) {
        acks.retain(|ack| {
            let key = (ack.kind, ack.name.clone());
            let status = ack.status.as_ref().filter(|_| ack.exists);
            match status.is_some_and(|status| !is_plainly_applied(status)) {
                true => {
                    self.told.insert(key);
                    true
                }
                false => self.told.remove(&key),
            }
        });
    }
}

fn is_plainly_applied(status: &Status) -> bool {
    status.state() == State::Applied
        && status.reason() == Reason::Unspecified
        && status.message.is_empty()
        && status.applied_revision == status.revision
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(name: &str, status: Option<Status>) -> Ack {
        Ack {
            kind: 1,
            name: name.to_owned(),
            exists: status.is_some(),
            status,
        }
    }

    fn applied() -> Option<Status> {
        Some(Status {
            state: State::Applied.into(),
            revision: 1,
            applied_revision: 1,
            ..Status::default()
        })
    }

    fn with_reason(reason: Reason) -> Option<Status> {
        Some(Status {
            reason: reason.into(),
            ..applied().unwrap()
        })
    }

    fn told(exceptions: &mut Exceptions, acks: Vec<Ack>) -> Vec<String> {
        let mut acks = acks;
        exceptions.filter(&mut acks);
        acks.into_iter().map(|ack| ack.name).collect()
    }

    #[test]
    fn what_is_plainly_applied_or_gone_is_not_told() {
        let mut exceptions = Exceptions::default();
        let acks = vec![
            ack("applied", applied()),
            ack("gone", None),
            ack("degraded", with_reason(Reason::PortDown)),
        ];
        assert_eq!(told(&mut exceptions, acks), ["degraded"]);
    }

    #[test]
    fn the_end_of_an_exception_is_told_once() {
        let mut exceptions = Exceptions::default();
        let degraded = vec![
            ack("a", with_reason(Reason::PortDown)),
            ack("b", with_reason(Reason::Drifted)),
        ];
        assert_eq!(told(&mut exceptions, degraded), ["a", "b"]);
        let over = || vec![ack("a", applied()), ack("b", None)];
        assert_eq!(told(&mut exceptions, over()), ["a", "b"]);
        assert_eq!(told(&mut exceptions, over()), Vec::<String>::new());
    }
}
