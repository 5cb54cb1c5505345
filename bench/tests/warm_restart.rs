//! An agent that is killed loses neither a packet nor an acknowledged write: a short run of what `warm_restart`
//! does at length. Root, or the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::time::Duration;

use pointsman_bench::warm_restart::{Options, run};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_killed_loses_neither_a_packet_nor_an_acknowledged_write() {
    if !switch::privileged() {
        return;
    }
    let options = Options {
        agent: switch::agent(),
        kills: 12,
        longest_life: Duration::from_millis(400),
        seed: 1,
    };
    let report = run(&options).await.unwrap();
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert!(report.writes.acknowledged > 0, "{report}");
}
