//! The order in which parser states are emitted, and which of them form loops.

use std::collections::HashMap;

use pointsman_p4::ir::{ParserStateId, Program};

/// The states that can be reached.
pub(super) struct States {
    /// States that lead to each other are together in a group; each group is behind all that lead to it.
    pub(super) groups: Vec<Vec<ParserStateId>>,
    group_of: HashMap<ParserStateId, usize>,
}

impl States {
    pub(super) fn new(program: &Program) -> States {
        let mut search = Search {
            program,
            visits: HashMap::new(),
            open: Vec::new(),
            groups: Vec::new(),
        };
        if let Some(start) = program.parser_start {
            search.visit_from(start);
        }
        let mut groups = search.groups;
        groups.reverse();
        let members = groups.iter().enumerate();
        let group_of = members.flat_map(|(at, group)| group.iter().map(move |id| (*id, at)));
        States {
            group_of: group_of.collect(),
            groups,
        }
    }

    /// Whether a packet can be in a state of a group more than once.
    pub(super) fn is_loop(&self, group: &[ParserStateId], program: &Program) -> bool {
        group.iter().any(|id| {
            let transitions = &program.parser_states[id.index()].transitions;
            let next = transitions.iter().filter_map(|t| t.next);
            next.into_iter().any(|next| self.is_in_loop(*id, next))
        })
    }

    /// Whether a transition is part of a loop.
    pub(super) fn is_in_loop(&self, from: ParserStateId, to: ParserStateId) -> bool {
        self.group_of[&from] == self.group_of[&to]
    }
}

/// Tarjan's search for strongly connected components, without recursion.
struct Search<'p> {
    program: &'p Program,
    visits: HashMap<ParserStateId, Visit>,
    /// States whose component is not complete.
    open: Vec<ParserStateId>,
    /// Complete ones, each before all that lead to it.
    groups: Vec<Vec<ParserStateId>>,
}

struct Visit {
    /// The number of states seen before.
    number: usize,
    /// The lowest number of an open state that can be reached.
    lowest: usize,
    is_open: bool,
}

impl Search<'_> {
    fn visit_from(&mut self, start: ParserStateId) {
        let mut path = vec![(start, 0)];
        self.enter(start);
        while let Some((state, transition)) = path.last_mut() {
            let state = *state;
            let transitions = &self.program.parser_states[state.index()].transitions;
            let next = transitions.get(*transition);
            *transition += 1;
            match next.map(|t| t.next) {
                Some(Some(next)) if !self.visits.contains_key(&next) => {
                    self.enter(next);
                    path.push((next, 0));
                }
                Some(Some(next)) => {
                    let seen = &self.visits[&next];
                    if seen.is_open {
                        self.reaches(state, seen.number);
                    }
                }
                Some(None) => {}
                None => {
                    path.pop();
                    self.leave(state);
                    if let Some((before, _)) = path.last() {
                        self.reaches(*before, self.visits[&state].lowest);
                    }
                }
            }
        }
    }

    fn enter(&mut self, state: ParserStateId) {
        let number = self.visits.len();
        let visit = Visit {
            number,
            lowest: number,
            is_open: true,
        };
        self.visits.insert(state, visit);
        self.open.push(state);
    }

    fn reaches(&mut self, state: ParserStateId, number: usize) {
        let visit = self
            .visits
            .get_mut(&state)
            .expect("a state on the path was entered");
        visit.lowest = visit.lowest.min(number);
    }

    fn leave(&mut self, state: ParserStateId) {
        let visit = &self.visits[&state];
        if visit.lowest < visit.number {
            return;
        }
        let from = self.open.iter().rposition(|id| *id == state);
        let group = self
            .open
            .split_off(from.expect("a state is open until its group is complete"));
        for id in &group {
            self.visits.get_mut(id).expect("it was entered").is_open = false;
        }
        self.groups.push(group);
    }
}
