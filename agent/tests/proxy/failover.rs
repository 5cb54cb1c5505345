//! Failover nexts on a switch that does not know them: it is given the first live member alone.

use std::path::Path;

use pointsman_agent::ports::{Link, LinkEvent};
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;

use super::common::master::Master;
use super::common::{Controller, TestAgent, config};
use super::poor_server::RunningPoor;
use super::{ready, until, upstream};

const NEXT: &str = "
  - next: uplinks
    type: failover
    buckets: [ { output: 49 }, { output: 50 } ]
";

/// A link of an interface by the number of its port.
fn link(number: u32, up: bool) -> LinkEvent {
    LinkEvent::Changed(Link {
        index: number,
        name: format!("swp{number}"),
        admin_up: true,
        up,
        is_ethernet: true,
        mac: Vec::new(),
        mtu: 1500,
        counters: Default::default(),
    })
}

/// The ports of the groups among these entities, by what their actions are given.
fn ports<'e>(entities: impl IntoIterator<Item = &'e Entity>) -> Vec<Vec<u8>> {
    let groups = entities.into_iter().filter_map(|entity| {
        let Entity::TableEntry(entry) = entity else {
            return None;
        };
        match entry.action.as_ref()?.r#type.as_ref()? {
            p4::table_action::Type::ActionProfileActionSet(set) => Some(set),
            _ => None,
        }
    });
    let port = |action: &p4::ActionProfileAction| {
        let action = action.action.as_ref().expect("it has an action");
        *action.params[0].value.last().expect("a number")
    };
    groups
        .map(|set| set.action_profile_actions.iter().map(port).collect())
        .collect()
}

async fn stored(controller: &mut Controller) -> Vec<Vec<u8>> {
    let all = Entity::TableEntry(p4::TableEntry::default());
    let found = controller
        .read(all)
        .await
        .expect("what is stored can be read");
    let found: Vec<Entity> = found.into_iter().filter_map(|e| e.entity).collect();
    ports(&found)
}

async fn proxy(dir: &Path, poor: &RunningPoor) -> TestAgent {
    TestAgent::start_proxy(&config(dir), upstream(&poor.address.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_without_failover_gets_the_first_live_member_and_another_when_its_port_goes_down()
{
    let dir = tempfile::tempdir().expect("a directory");
    let poor = RunningPoor::start("127.0.0.1:0").await;
    let held = |poor: &RunningPoor| ports(poor.server.lock().entities.values());
    let proxy_agent = proxy(dir.path(), &poor).await;
    let mut controller = proxy_agent.primary(1).await;
    ready(&mut controller).await;
    drop(controller);
    let mut master = Master::open(&proxy_agent, 2)
        .await
        .expect("it is the highest");
    assert_eq!(master.put(NEXT).await, ["next uplinks: applied"]);
    assert_eq!(held(&poor), [[49]]);

    // Interfaces that are on this machine are watched, as with BMv2 beside the agent.
    let agent = proxy_agent.agent.clone();
    let turn = |number, up| tokio::task::block_in_place(|| agent.link_event(&link(number, up)));
    turn(49, true);
    turn(49, false);
    assert_eq!(held(&poor), [[50]]);
    assert_eq!(master.acks().await.acks.len(), 1, "the next is degraded");
    turn(50, false);
    assert_eq!(held(&poor), [[49]], "none is up");
    turn(50, true);
    assert_eq!(held(&poor), [[50]]);
    let mut observer = proxy_agent.controller(None).await;
    assert_eq!(stored(&mut observer).await, [[49, 50]], "all are read");

    // What it holds is compared with what it should hold now, not with what is stored.
    let writes = poor.server.lock().writes.len();
    let poor = poor.restart().await;
    until("the repair", || held(&poor) == [[50]]).await;
    assert!(poor.server.lock().writes.len() < writes);
    turn(49, true);
    assert_eq!(held(&poor), [[49]]);
    drop((master, observer, agent));
    proxy_agent.stop().await;

    // After a restart of the agent nothing has to be written again.
    let before = poor.server.lock().writes.len();
    let proxy_agent = proxy(dir.path(), &poor).await;
    let mut controller = proxy_agent.primary(3).await;
    ready(&mut controller).await;
    assert_eq!(
        (held(&poor), poor.server.lock().writes.len()),
        (vec![vec![49]], before)
    );
}
