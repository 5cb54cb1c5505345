//! Whether a pipeline can do what a set of changes asks, before any switch is asked.
//!
//! What only the switch knows is taken to be as the changes say: the ports that they name are there, and so are the nexts
//! that they refer to without making them. All else is as it will be on the switch, by the same rules and the same book:
//! objectives that contradict each other are found, and tables that are too small for all of them. Nothing stops at the
//! first refusal. Called by `pointsman check`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pointsman_model::{
    Change, Instruction, Kind, Match, Name, Objective, ObjectiveKind, Operation, PortRef, Selector,
};
use pointsman_p4::entity::Entity;
use pointsman_proto::pointsman::objective::v1::Reason;

use super::{Book, Pipeliner, Ports, Refusal, merge};

impl Pipeliner {
    /// Why changes cannot be realised on an empty switch: each refusal with the index of its change, in order.
    pub fn check(&self, changes: &[&Change]) -> Vec<(usize, Refusal)> {
        let mut check = Check {
            pipeliner: self,
            changes,
            ports: ports_of(changes),
            book: Book::default(),
            unsure: BTreeSet::new(),
            found: Vec::new(),
        };
        check.nexts();
        check.others();
        check.tables();
        check.found.sort_by_key(|(index, _)| *index);
        check.found
    }
}

struct Check<'a> {
    pipeliner: &'a Pipeliner,
    changes: &'a [&'a Change],
    ports: Ports,
    book: Book,
    /// Nexts of which too little is known to say what refers to them in a bucket: refused ones, and those of the switch.
    unsure: BTreeSet<Name>,
    found: Vec<(usize, Refusal)>,
}

impl Check<'_> {
    /// Nexts, each after those that it refers to.
    fn nexts(&mut self) {
        let is_next = |(_, change): &(usize, &&Change)| change.objective.kind() == Kind::Next;
        let nexts = self.changes.iter().enumerate().filter(is_next);
        let nexts = nexts.filter(|(_, change)| says_how_it_is(change.operation));
        let mut pending: Vec<usize> = nexts.map(|(index, _)| index).collect();
        let mut made: BTreeSet<&Name> = BTreeSet::new();
        made.extend(
            pending
                .iter()
                .map(|index| &self.changes[*index].objective.name),
        );
        let referred = self
            .changes
            .iter()
            .flat_map(|change| change.objective.nexts());
        for name in referred.filter(|name| !made.contains(name)) {
            self.assume(name);
        }
        loop {
            let before = pending.len();
            pending.retain(|index| {
                let objective = &self.changes[*index].objective;
                let refers_to = objective.nexts();
                if refers_to.iter().any(|name| self.unsure.contains(*name)) {
                    self.assume(&objective.name);
                    return false;
                }
                let waits = refers_to.iter().any(|name| self.book.next(name).is_none());
                if !waits && let Err(refusal) = self.put(*index) {
                    self.found.push((*index, refusal));
                    self.assume(&objective.name);
                }
                waits
            });
            if pending.len() == before {
                return;
            }
        }
    }

    fn others(&mut self) {
        for (index, change) in self.changes.iter().enumerate() {
            if says_how_it_is(change.operation)
                && change.objective.kind() != Kind::Next
                && let Err(refusal) = self.put(index)
            {
                self.found.push((index, refusal));
            }
        }
    }

    fn put(&mut self, index: usize) -> Result<(), Refusal> {
        let change = self.changes[index];
        let existing = self.book.objective(&change.objective.id());
        let merged;
        let objective = match (change.operation, existing) {
            // What the switch has already is not known; what is added to it can be judged alone.
            (Operation::Put, _) | (_, None) => &change.objective,
            (_, Some(existing)) => {
                merged = merge(Some(existing), change)?;
                &merged
            }
        };
        let staged = self.pipeliner.put(&self.book, &self.ports, objective)?;
        self.book.commit(staged);
        Ok(())
    }

    /// Takes a next to be on the switch.
    fn assume(&mut self, name: &Name) {
        self.unsure.insert(name.clone());
        self.book
            .assume_next(name, &self.pipeliner.manifest.next_ids);
    }

    /// Tables that have no room for all that is asked for.
    fn tables(&mut self) {
        let mut entries: HashMap<_, u64> = HashMap::new();
        let mut seen = HashSet::new();
        let mut overflows = BTreeMap::new();
        for (index, change) in self.changes.iter().enumerate() {
            let of_change = self.book.entities(&change.objective.id());
            for entity in of_change.unwrap_or_default() {
                let Entity::TableEntry(entry) = entity else {
                    continue;
                };
                let Some(table) = self.pipeliner.schema.table_of(entry.key.table) else {
                    continue;
                };
                if !seen.insert(&entry.key) {
                    continue;
                }
                let count = entries.entry(table.id).or_default();
                *count += 1;
                if *count == table.size + 1 && table.size > 0 {
                    overflows.insert(table.id, (index, table));
                }
            }
        }
        for (id, (index, table)) in overflows {
            let (name, size, all) = (&table.name, table.size, entries[&id]);
            let message = format!(
                "table {name} holds {size} entries, and all of these objectives need {all}"
            );
            let refusal = Refusal::new(Reason::TableFull, message);
            self.found.push((index, refusal));
        }
    }
}

/// Whether a change of this kind makes an objective something, wholly or in part.
fn says_how_it_is(operation: Operation) -> bool {
    !matches!(operation, Operation::Delete | Operation::Verify)
}

/// All ports that changes name. Those without a number get one that no other has.
fn ports_of(changes: &[&Change]) -> Ports {
    let mut named = BTreeSet::new();
    for change in changes {
        named_ports(&change.objective, &mut |port| {
            named.insert(port.clone());
        });
    }
    let numbers = named.iter().filter_map(|port| match port {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(_) => None,
    });
    let numbers: BTreeSet<u32> = numbers.collect();
    let mut free = (1..).filter(|number| !numbers.contains(number));
    let ports = named.iter().map(|port| match port {
        PortRef::Number(number) => (number.to_string(), *number),
        PortRef::Name(name) => (name.clone(), free.next().expect("numbers go on")),
    });
    Ports::new(ports.collect::<Vec<_>>())
}

fn named_ports(objective: &Objective, take: &mut impl FnMut(&PortRef)) {
    let (selectors, treatments): (Vec<&Selector>, Vec<&[Instruction]>) = match &objective.kind {
        ObjectiveKind::Filter(filter) => (
            vec![&filter.key, &filter.conditions],
            vec![&filter.treatment],
        ),
        ObjectiveKind::Forward(forward) => (vec![&forward.selector], vec![&forward.treatment]),
        ObjectiveKind::Next(next) => {
            let treatments = next.buckets.iter().map(|bucket| &*bucket.treatment);
            (vec![&next.meta], treatments.collect())
        }
    };
    for criterion in selectors.iter().flat_map(|selector| selector.iter()) {
        if let Match::Port(port) = &criterion.matching {
            take(port);
        }
    }
    for instruction in treatments.into_iter().flatten() {
        if let Instruction::Output(port) = instruction {
            take(port);
        }
    }
}
