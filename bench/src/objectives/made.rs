//! Objectives that are made up: routes to addresses that differ, through a next that each switch has.

use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective;

/// The next that routes go to.
const NEXT: &str = "spine";

pub(super) fn next() -> objective::Objective {
    let port = objective::PortRef {
        port: Some(objective::port_ref::Port::Number(1)),
    };
    let output = objective::Instruction {
        instruction: Some(objective::instruction::Instruction::Output(port)),
    };
    let next = objective::Next {
        r#type: objective::NextType::Simple.into(),
        buckets: vec![objective::Bucket {
            treatment: vec![output],
            ..objective::Bucket::default()
        }],
        ..objective::Next::default()
    };
    objective::Objective {
        name: NEXT.to_owned(),
        kind: Some(objective::objective::Kind::Next(next)),
        ..objective::Objective::default()
    }
}

/// The route of a number: a /32 in 10.0.0.0/8.
pub(super) fn route(number: u32) -> objective::Objective {
    use objective::criterion::Match;
    let criterion = |field: &str, matching| objective::Criterion {
        field: field.to_owned(),
        r#match: Some(matching),
        ..objective::Criterion::default()
    };
    let [_, high, middle, low] = number.to_be_bytes();
    let prefix = objective::Prefix {
        value: vec![10, high, middle, low],
        length: 32,
    };
    let forward = objective::Forward {
        flag: objective::ForwardFlag::Specific.into(),
        selector: vec![
            criterion("eth_type", Match::Exact(vec![8, 0])),
            criterion("ipv4_dst", Match::Prefix(prefix)),
        ],
        next: NEXT.to_owned(),
        ..objective::Forward::default()
    };
    objective::Objective {
        name: format!("r{number}"),
        kind: Some(objective::objective::Kind::Forward(forward)),
        ..objective::Objective::default()
    }
}

pub(super) fn put(device: &str, objective: objective::Objective) -> pb::ObjectiveChange {
    pb::ObjectiveChange {
        device: device.to_owned(),
        change: Some(objective::Change {
            operation: objective::Operation::Put.into(),
            objective: Some(objective),
        }),
    }
}
