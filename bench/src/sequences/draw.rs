//! Random steps, and random objectives that a pipeline like `leaf_spine` can take.
//!
//! No two objectives want the same entry for something else: which of them comes first must not matter, because it is not
//! part of the model.

use pointsman_model::{Change, Kind, Model as Files, Name, Objective, ObjectiveId, Operation};

use super::model::Objectives;
use crate::fuzz::Random;

/// Ports that objectives name: `swp1`, `swp2`, ...
pub(super) const PORTS: u32 = 4;

/// Something that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Changes in one request; whatever is not named is deleted if it prunes.
    Apply { changes: Vec<Change>, prune: bool },
    /// Back to a revision.
    Rollback(usize),
    /// A port goes down, or comes up.
    Port { number: u32, up: bool },
    /// The agent ends, at once or in good order, and another one starts after so many changes.
    Agent { kill: bool },
    /// The controller ends in good order, and another one starts.
    Controller,
    /// A client writes an entry of its own, or deletes one.
    Foreign { number: usize },
    /// A client writes to an entry of an objective.
    Tamper { delete: bool },
    /// What is there is compared.
    Compare,
}

/// Draws what happens next.
pub(super) fn step(random: &mut Random, wanted: &Objectives) -> Step {
    match random.below(100) {
        0..=44 => apply(random, wanted),
        45..=52 => Step::Rollback(random.below(64)),
        53..=62 => Step::Port {
            number: 1 + random.below(PORTS as usize) as u32,
            up: random.one_in(2),
        },
        63..=67 => Step::Agent {
            kill: !random.one_in(3),
        },
        68..=69 => Step::Controller,
        70..=79 => Step::Foreign {
            number: random.below(12),
        },
        80..=91 => Step::Tamper {
            delete: random.one_in(2),
        },
        _ => Step::Compare,
    }
}

fn apply(random: &mut Random, wanted: &Objectives) -> Step {
    let prune = random.one_in(12);
    let many = if random.one_in(6) { 24 } else { 6 };
    let count = 1 + random.below(many);
    let ids: Vec<&ObjectiveId> = wanted.keys().collect();
    let mut changes: Vec<Change> = Vec::new();
    for _ in 0..count {
        let change = match random.pick(&ids) {
            Some(id) if random.one_in(3) => Change {
                operation: Operation::Delete,
                objective: Objective::empty(id.kind, id.name.clone()),
            },
            _ => Change {
                operation: Operation::Put,
                objective: objective(random),
            },
        };
        // The last change of one objective is the one that counts; two in one request are refused.
        changes.retain(|other| other.objective.id() != change.objective.id());
        changes.push(change);
    }
    if !random.one_in(10) {
        bring_nexts(random, wanted, &mut changes, prune);
    }
    Step::Apply { changes, prune }
}

/// Adds the nexts that changes refer to, and that would not be there.
fn bring_nexts(random: &mut Random, wanted: &Objectives, changes: &mut Vec<Change>, prune: bool) {
    loop {
        let after = applied(wanted, changes, prune);
        let is_there = |name: &Name| {
            after
                .keys()
                .any(|id| id.kind == Kind::Next && id.name == *name)
        };
        let named = after.values().flat_map(|objective| objective.nexts());
        let Some(missing) = named.into_iter().find(|name| !is_there(name)).cloned() else {
            return;
        };
        let content = match missing.as_str().as_bytes()[0] {
            b's' => one_bucket(random),
            b'b' => broadcast(random),
            _ => next(random),
        };
        let objective = parse(&format!("next: {missing}\n    {content}"));
        changes.retain(|other| other.objective.id() != objective.id());
        changes.push(Change {
            operation: Operation::Put,
            objective,
        });
    }
}

/// What changes come to.
pub(super) fn applied(wanted: &Objectives, changes: &[Change], prune: bool) -> Objectives {
    let mut after = wanted.clone();
    if prune {
        let named: Vec<ObjectiveId> = changes.iter().map(|c| c.objective.id()).collect();
        after.retain(|id, _| named.contains(id));
    }
    for change in changes {
        let id = change.objective.id();
        match change.operation {
            Operation::Delete => drop(after.remove(&id)),
            _ => drop(after.insert(id, change.objective.clone())),
        }
    }
    after
}

fn objective(random: &mut Random) -> Objective {
    let yaml = match random.below(20) {
        0..=2 => format!("next: s{}\n    {}", random.below(3), one_bucket(random)),
        3..=7 => format!("next: n{}\n    {}", random.below(6), next(random)),
        8 => format!("next: b{}\n    {}", random.below(2), broadcast(random)),
        9..=13 => route(random),
        14 => {
            let number = random.below(2);
            format!(
                "forward: flood{number}\n    flag: specific\n    selector: {{ vlan_vid: {} }}\n    next: b{number}",
                vlan(number)
            )
        }
        15..=17 => access(random),
        _ => filter(random),
    };
    parse(&yaml)
}

/// One objective as it stands in a file.
pub(super) fn parse(yaml: &str) -> Objective {
    let text = format!("device: leaf1\nobjectives:\n  - {yaml}\n");
    let files = Files::parse("drawn.yaml", &text);
    let mut files = files.unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    let located = files.objectives.pop();
    let located = located.expect("there is one objective in the text");
    located.value.change.objective
}

fn vlan(number: usize) -> usize {
    10 + 10 * number
}

fn port(random: &mut Random) -> String {
    format!("swp{}", 1 + random.below(PORTS as usize))
}

fn bucket(random: &mut Random, mac: usize) -> String {
    format!(
        "set: {{ eth_src: 02:00:00:00:00:fe, eth_dst: 02:00:00:00:02:0{mac} }}, output: {}",
        port(random)
    )
}

fn one_bucket(random: &mut Random) -> String {
    let vlan = vlan(random.below(2));
    let mac = random.below(4);
    format!(
        "type: simple\n    meta: {{ vlan_vid: {vlan} }}\n    buckets: [ {{ {} }} ]",
        bucket(random, mac)
    )
}

fn next(random: &mut Random) -> String {
    let (kind, weighs) = match random.below(4) {
        0 => return one_bucket(random),
        1 => ("failover", false),
        _ => ("hashed", true),
    };
    let vlan = vlan(random.below(2));
    let mut buckets = Vec::new();
    // No two buckets are the same.
    for number in 0..1 + random.below(4) {
        let weight = match weighs && random.one_in(2) {
            true => format!("weight: {}, ", 1 + random.below(3)),
            false => String::new(),
        };
        buckets.push(match random.one_in(6) {
            true if number < 3 => format!("{{ {weight}next: s{number} }}"),
            _ => format!("{{ {weight}{} }}", bucket(random, number)),
        });
    }
    format!(
        "type: {kind}\n    meta: {{ vlan_vid: {vlan} }}\n    buckets: [ {} ]",
        buckets.join(", ")
    )
}

fn broadcast(random: &mut Random) -> String {
    let first = 1 + random.below(PORTS as usize) as u32;
    let ports = (first..=PORTS).map(|port| format!("{{ output: swp{port} }}"));
    format!(
        "type: broadcast\n    meta: {{ vlan_vid: {} }}\n    buckets: [ {} ]",
        vlan(random.below(2)),
        ports.collect::<Vec<_>>().join(", ")
    )
}

fn route(random: &mut Random) -> String {
    let number = random.below(10);
    let name = match random.below(4) {
        0 => format!("s{}", random.below(3)),
        _ => format!("n{}", random.below(6)),
    };
    match random.one_in(4) {
        true => format!(
            "forward: v6-{number}\n    flag: specific\n    selector: {{ ipv6_dst: 'fd00:{number}::/64' }}\n    next: {name}"
        ),
        false => format!(
            "forward: r{number}\n    flag: specific\n    selector: {{ ipv4_dst: 10.0.{number}.0/24 }}\n    next: {name}"
        ),
    }
}

fn access(random: &mut Random) -> String {
    let number = random.below(6);
    let what = match random.below(5) {
        0 => "treatment: drop".to_owned(),
        1 => "treatment: punt".to_owned(),
        2 => "treatment: copy_to_cpu".to_owned(),
        3 => format!("next: n{}", random.below(6)),
        _ => {
            let rate = 1000 * (1 + random.below(3));
            format!(
                "treatment: {{ meter: {{ committed_rate: {rate}, committed_burst: 2000, peak_rate: 9000, peak_burst: 9000 }} }}"
            )
        }
    };
    let priority = 100 + random.below(3);
    format!(
        "forward: a{number}\n    flag: versatile\n    priority: {priority}\n    selector: {{ eth_type: ipv4, ipv4_src: 10.1.{number}.0/24 }}\n    {what}"
    )
}

fn filter(random: &mut Random) -> String {
    let number = 1 + random.below(PORTS as usize);
    match random.below(3) {
        0 => format!(
            "filter: router{number}\n    key: {{ in_port: swp{number} }}\n    conditions: {{ eth_dst: '02:00:00:00:00:fe' }}"
        ),
        _ => format!(
            "filter: in{number}\n    key: {{ in_port: swp{number} }}\n    conditions: {{ vlan_vid: untagged }}\n    treatment: {{ push_vlan: {} }}",
            vlan(random.below(2))
        ),
    }
}
