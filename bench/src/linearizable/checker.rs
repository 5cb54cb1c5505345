//! Is there an order in which the operations on a key can have taken place, one at a time, each between its asking and
//! its answer?
//!
//! The search of Wing and Gong with Lowe's memory of what was tried: take any operation that no answered one precedes,
//! see whether the value allows it, go on; back up where nothing fits. A set of operations that are done, with a value,
//! is never looked at twice.

use std::collections::HashSet;
use std::time::Duration;

use super::history::{Operation, Value};

/// How many sets of operations are looked at before a history is given up as too hard.
const MOST_STEPS: usize = 1_000_000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none. As far as one got, these come next and none of them fits what the key had.
    Violated {
        /// What the key had.
        value: Value,
        /// What could come next.
        stuck: Vec<Operation>,
    },
    /// It took too many steps to know.
    TooHard,
}

/// The operations that have taken place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Done(Vec<u64>);

impl Done {
    fn none(of: usize) -> Done {
        Done(vec![0; of.div_ceil(64)])
    }

    fn has(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn with(&self, index: usize) -> Done {
        let mut more = self.clone();
        more.0[index / 64] |= 1 << (index % 64);
        more
    }
}

/// Looks at the history of one key that began with `value`.
///
/// Operations without an answer are what makes this hard, and most of them leave no trace. They may as well not have taken
/// place, so it is tried without those first.
pub fn check(history: &[Operation], value: Value) -> Verdict {
    let seen: HashSet<Value> = history.iter().filter_map(|op| op.action.seen()).collect();
    let has_trace = |operation: &&Operation| {
        let written = operation.action.written();
        operation.answered.is_some() || written.is_some_and(|written| seen.contains(&written))
    };
    let with_trace: Vec<_> = history.iter().filter(has_trace).collect();
    match search(with_trace, value) {
        Verdict::Violated { .. } => search(history.iter().collect(), value),
        verdict => verdict,
    }
}

fn search(mut operations: Vec<&Operation>, value: Value) -> Verdict {
    operations.sort_by_key(|operation| operation.asked);
    let answered = operations.iter().filter(|op| op.answered.is_some()).count();
    let mut tried = HashSet::new();
    let mut todo = vec![(Done::none(operations.len()), value, 0)];
    let mut furthest = (0, value, Done::none(operations.len()));
    while let Some((done, value, count)) = todo.pop() {
        if count == answered {
            return Verdict::Linearizable;
        }
        if count >= furthest.0 {
            furthest = (count, value, done.clone());
        }
        if tried.len() > MOST_STEPS {
            return Verdict::TooHard;
        }
        // The last to be pushed is tried first: the one that was answered first.
        let mut next = candidates(&operations, &done);
        next.sort_by_key(|index| {
            std::cmp::Reverse(operations[*index].answered.unwrap_or(Duration::MAX))
        });
        for index in next {
            let operation = operations[index];
            let Some(after) = operation.action.after(value) else {
                continue;
            };
            let done = done.with(index);
            if tried.insert((done.clone(), after)) {
                let count = count + usize::from(operation.answered.is_some());
                todo.push((done, after, count));
            }
        }
    }
    let (_, value, done) = furthest;
    let stuck = candidates(&operations, &done).into_iter();
    Verdict::Violated {
        value,
        stuck: stuck.map(|index| operations[index].clone()).collect(),
    }
}

/// Those that may come next: asked before the first answer of those that are not done.
fn candidates(operations: &[&Operation], done: &Done) -> Vec<usize> {
    let mut first_answer = Duration::MAX;
    let mut candidates = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        if operation.asked > first_answer {
            break;
        }
        if !done.has(index) {
            first_answer = first_answer.min(operation.answered.unwrap_or(Duration::MAX));
            candidates.push(index);
        }
    }
    candidates.retain(|index| operations[*index].asked <= first_answer);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizable::Action;

    fn operation(action: Action, asked: u64, answered: Option<u64>) -> Operation {
        Operation {
            client: 0,
            action,
            asked: Duration::from_millis(asked),
            answered: answered.map(Duration::from_millis),
        }
    }

    #[track_caller]
    fn is_linearizable(history: &[Operation]) -> bool {
        match check(history, None) {
            Verdict::Linearizable => true,
            Verdict::Violated { .. } => false,
            Verdict::TooHard => panic!("too hard"),
        }
    }

    #[test]
    fn a_read_may_see_a_write_that_is_under_way_or_not() {
        let write = operation(Action::Write(Some(1)), 0, Some(10));
        for seen in [None, Some(1)] {
            let read = operation(Action::Read(seen), 5, Some(6));
            assert!(is_linearizable(&[write.clone(), read]), "{seen:?}");
        }
    }

    #[test]
    fn a_read_after_a_write_sees_it() {
        let write = operation(Action::Write(Some(1)), 0, Some(10));
        let read = operation(Action::Read(None), 11, Some(12));
        assert!(!is_linearizable(&[write, read]));
    }

    #[test]
    fn a_value_that_was_seen_is_not_unseen() {
        let history = [
            operation(Action::Write(Some(1)), 0, Some(100)),
            operation(Action::Read(Some(1)), 10, Some(20)),
            operation(Action::Read(None), 30, Some(40)),
        ];
        assert!(!is_linearizable(&history));
    }

    #[test]
    fn a_write_without_an_answer_may_take_place_late_or_never() {
        let lost = operation(Action::Write(Some(1)), 0, None);
        for seen in [None, Some(1)] {
            let read = operation(Action::Read(seen), 1000, Some(1001));
            assert!(is_linearizable(&[lost.clone(), read]), "{seen:?}");
        }
        let history = [
            lost,
            operation(Action::Read(Some(1)), 10, Some(11)),
            operation(Action::Read(None), 12, Some(13)),
        ];
        assert!(!is_linearizable(&history));
    }

    #[test]
    fn of_two_swaps_from_one_value_only_one_succeeds() {
        let swap = |to| operation(Action::Swap(None, Some(to)), 0, Some(10));
        assert!(!is_linearizable(&[swap(1), swap(2)]));
        let refused = operation(Action::NotSwapped(None), 0, Some(10));
        assert!(is_linearizable(&[swap(1), refused.clone()]));
        assert!(!is_linearizable(&[refused]));
    }

    #[test]
    fn what_cannot_come_next_is_said() {
        let write = operation(Action::Write(Some(1)), 0, Some(10));
        let read = operation(Action::Read(Some(7)), 11, Some(12));
        let verdict = check(&[write, read.clone()], None);
        let stuck = vec![read];
        let value = Some(1);
        assert_eq!(verdict, Verdict::Violated { value, stuck });
    }

    #[test]
    fn long_histories_of_many_clients_are_not_too_hard() {
        let mut history = Vec::new();
        for round in 0..2000u64 {
            let start = round * 10;
            history.push(operation(
                Action::Write(Some(round)),
                start,
                Some(start + 8),
            ));
            for client in 0..6 {
                let read = Action::Read(Some(round));
                history.push(operation(read, start + client, Some(start + 9)));
            }
        }
        assert!(is_linearizable(&history));
    }
}
