//! What a check of objectives foresees: tables that have no room.

mod common;

use common::master::{Master, puts};
use common::{TestAgent, config};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::objective::v1 as objective;
use pointsman_proto::pointsman::objective::v1::{Operation, Reason, State};

/// Entries that the table of rules holds.
const ROOM: usize = 1024;

/// Objectives of one entry each in the table of rules.
fn rules(numbers: std::ops::Range<usize>) -> Vec<objective::Change> {
    let rules = numbers.map(|number| {
        format!(
            "
  - forward: rule{number}
    flag: versatile
    priority: {}
    selector: {{ eth_type: ipv4, ipv4_dst: 10.{}.{}.0/24 }}
    treatment: [ drop ]
",
            number + 1,
            number >> 8,
            number & 0xff
        )
    });
    puts(&rules.collect::<String>())
}

fn deletion(mut change: objective::Change) -> objective::Change {
    change.set_operation(Operation::Delete);
    change
}

async fn check(agent: &TestAgent, changes: Vec<objective::Change>) -> Vec<objective::Status> {
    let request = pb::CheckObjectivesRequest { changes };
    let mut client = agent.service().await;
    let answer = client.check_objectives(request).await.expect("it answers");
    answer.into_inner().results
}

fn full(statuses: &[objective::Status]) -> Vec<usize> {
    let statuses = statuses.iter().enumerate();
    let full = statuses.filter(|(_, status)| {
        let is_full = status.reason() == Reason::TableFull;
        assert_eq!(is_full, status.state() != State::Applied, "{status:?}");
        is_full
    });
    full.map(|(index, _)| index).collect()
}

#[tokio::test]
async fn what_a_table_has_no_room_for_is_known_before_it_is_sent() {
    let dir = tempfile::tempdir().expect("a directory");
    let agent = TestAgent::start(&config(dir.path())).await;
    let mut master = Master::open(&agent, 1).await.expect("it is the first");

    let statuses = check(&agent, rules(0..ROOM + 2)).await;
    assert_eq!(full(&statuses), [ROOM, ROOM + 1]);
    assert!(
        statuses[ROOM].message.contains("holds 1024"),
        "{:?}",
        statuses[ROOM]
    );

    let acks = master.send(rules(0..ROOM), false).await;
    assert!(
        acks.iter().all(|ack| ack.ends_with(": applied")),
        "{acks:?}"
    );
    assert_eq!(full(&check(&agent, rules(ROOM..ROOM + 1)).await), [0]);
    // One goes for each that comes.
    let mut exchange = rules(ROOM..ROOM + 2);
    exchange.extend(rules(0..1).into_iter().map(deletion));
    assert_eq!(full(&check(&agent, exchange.clone()).await), [1]);
    exchange.extend(rules(1..2).into_iter().map(deletion));
    assert!(full(&check(&agent, exchange.clone()).await).is_empty());
    let acks = master.send(exchange, false).await;
    assert!(
        acks.iter()
            .all(|ack| ack.ends_with(": applied") || ack.ends_with(": gone")),
        "{acks:?}"
    );
}
