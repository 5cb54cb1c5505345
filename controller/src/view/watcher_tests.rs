//! What somebody is told who watches, in whatever rhythm.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;

use super::device::{Event, Position, step};
use super::inventory::KEPT_CHANGES;
use super::item::{Change, Item, Key};
use super::test_agent::TestAgent;
use super::watcher::{News, Update, Watcher, Wishes};
use super::{Shared, Specs};
use crate::state::DeviceSpec;

fn spec(name: &str) -> DeviceSpec {
    DeviceSpec {
        name: name.into(),
        address: format!("{name}:1"),
        device_id: 1,
    }
}

fn specs(names: &[&str]) -> Specs {
    let specs = names.iter().map(|name| (name.to_string(), spec(name)));
    specs.collect()
}

fn fabric(names: &[&str]) -> Arc<Shared> {
    let shared = Arc::<Shared>::default();
    shared.change(|fabric| fabric.reconcile(&specs(names), Instant::now()));
    shared
}

/// The agent tells its view what that lacks.
fn tell(shared: &Shared, name: &str, agent: &TestAgent) {
    shared.change(|fabric| {
        let view = fabric.view_mut(&spec(name)).unwrap();
        let known = view.inventory().position().clone();
        let batch = agent.since(Some(&known));
        let commands = step(view, Event::Batch(batch), Instant::now());
        assert_eq!(commands, []);
    });
}

fn lose(shared: &Shared, name: &str) {
    shared.change(|fabric| {
        let view = fabric.view_mut(&spec(name)).unwrap();
        step(view, Event::Lost("gone".into()), Instant::now())
    });
}

/// What a client has made of what it was told of one device.
#[derive(Debug, Default)]
struct Client {
    position: Position,
    items: BTreeMap<Key, Item>,
    snapshots: usize,
    is_stale: bool,
}

impl Client {
    fn take(&mut self, update: Update) {
        let Update::Device(update) = update else {
            return;
        };
        self.is_stale = update.freshness.doubt().is_some();
        match update.news {
            News::Changes(changes) => {
                for (sequence, change) in changes {
                    assert_eq!(sequence, self.position.sequence + 1, "none is left out");
                    self.position.sequence = sequence;
                    match change {
                        Change::Put(item, _) => drop(self.items.insert(item.key(), item)),
                        Change::Gone(key) => assert!(self.items.remove(&key).is_some()),
                        Change::Unknown => panic!("all changes have names"),
                    }
                }
            }
            News::Snapshot {
                items, is_first, ..
            } => {
                if is_first {
                    self.snapshots += 1;
                    self.items.clear();
                }
                self.items
                    .extend(items.into_iter().map(|item| (item.key(), item)));
            }
        }
        self.position = update.position;
    }

    fn drain(&mut self, watcher: &mut Watcher) {
        while let Some(update) = watcher.poll() {
            self.take(update);
        }
    }

    fn is_equal(&self, shared: &Shared, name: &str) -> bool {
        shared.read(|fabric| {
            let device = &fabric.devices()[name];
            let items = device.items().into_iter().map(|item| (item.key(), item));
            self.items == items.collect() && self.position == *device.view.inventory().position()
        })
    }
}

fn watch(shared: &Arc<Shared>) -> Watcher {
    Watcher::new(shared.clone(), Wishes::default())
}

#[test]
fn everything_there_is_is_told_and_then_that_this_was_all() {
    let shared = fabric(&["leaf1", "leaf2"]);
    let mut agent = TestAgent::new("boot");
    for port in 0..1300 {
        agent.port(port, true);
    }
    tell(&shared, "leaf1", &agent);
    let mut watcher = watch(&shared);
    let mut seen = Vec::new();
    while let Some(update) = watcher.poll() {
        seen.push(match update {
            Update::Complete => "complete".to_owned(),
            Update::Removed { .. } => panic!("nothing is removed"),
            Update::Device(update) => match update.news {
                News::Changes(changes) => format!("{} {} changes", update.device, changes.len()),
                News::Snapshot {
                    items,
                    is_first,
                    more,
                } => format!("{} {} {is_first} {more}", update.device, items.len()),
            },
        });
    }
    assert_eq!(
        seen,
        [
            "leaf1 512 true true",
            "leaf1 512 false true",
            "leaf1 276 false false",
            "leaf2 0 changes",
            "complete",
        ]
    );
}

#[test]
fn who_was_away_for_a_moment_is_told_what_it_missed() {
    let shared = fabric(&["leaf1"]);
    let mut agent = TestAgent::new("boot");
    agent.port(1, true);
    tell(&shared, "leaf1", &agent);
    let mut client = Client::default();
    client.drain(&mut watch(&shared));
    agent.port(1, false);
    agent.port(2, true);
    tell(&shared, "leaf1", &agent);
    let known = BTreeMap::from([("leaf1".to_owned(), client.position.clone())]);
    let mut watcher = Watcher::new(
        shared.clone(),
        Wishes {
            known,
            ..Wishes::default()
        },
    );
    client.drain(&mut watcher);
    assert!(client.is_equal(&shared, "leaf1"));
    assert_eq!(client.snapshots, 1, "the first one");
}

#[test]
fn who_comes_from_a_controller_that_is_ahead_is_not_taken_back() {
    let shared = fabric(&["leaf1"]);
    let mut agent = TestAgent::new("boot");
    agent.port(1, true);
    tell(&shared, "leaf1", &agent);
    let mut client = Client::default();
    client.drain(&mut watch(&shared));
    agent.port(1, false);
    client.take(Update::Device(super::watcher::DeviceUpdate {
        device: "leaf1".into(),
        device_id: 1,
        position: agent.since(None).position,
        freshness: shared.read(|fabric| fabric.devices()["leaf1"].view.freshness().clone()),
        news: News::Changes(agent.since(Some(&client.position)).changes),
    }));
    let known = BTreeMap::from([("leaf1".to_owned(), client.position.clone())]);
    let mut watcher = Watcher::new(
        shared.clone(),
        Wishes {
            known,
            ..Wishes::default()
        },
    );
    client.drain(&mut watcher);
    agent.port(2, true);
    tell(&shared, "leaf1", &agent);
    client.drain(&mut watcher);
    assert!(client.is_equal(&shared, "leaf1"));
    assert_eq!(client.snapshots, 1, "the first one");
}

#[test]
fn who_is_slow_is_told_everything_anew() {
    let shared = fabric(&["leaf1"]);
    let mut agent = TestAgent::new("boot");
    agent.port(1, true);
    tell(&shared, "leaf1", &agent);
    let (mut client, mut watcher) = (Client::default(), watch(&shared));
    client.drain(&mut watcher);
    for round in 0..=KEPT_CHANGES {
        agent.port(1, round % 2 == 1);
        tell(&shared, "leaf1", &agent);
    }
    client.drain(&mut watcher);
    assert!(client.is_equal(&shared, "leaf1"));
    assert_eq!(client.snapshots, 2);
}

#[test]
fn a_view_that_becomes_stale_is_told_without_changes() {
    let shared = fabric(&["leaf1"]);
    let mut agent = TestAgent::new("boot");
    agent.port(1, true);
    tell(&shared, "leaf1", &agent);
    let (mut client, mut watcher) = (Client::default(), watch(&shared));
    client.drain(&mut watcher);
    assert!(!client.is_stale);
    lose(&shared, "leaf1");
    client.drain(&mut watcher);
    assert!(client.is_stale && client.is_equal(&shared, "leaf1"));
    assert_eq!(watcher.poll(), None, "once");
}

#[test]
fn a_device_that_goes_and_comes_with_another_agent_is_told_as_two() {
    let shared = fabric(&["leaf1"]);
    let mut watcher = watch(&shared);
    Client::default().drain(&mut watcher);
    let moved = DeviceSpec {
        device_id: 2,
        ..spec("leaf1")
    };
    let wanted = Specs::from([("leaf1".to_owned(), moved)]);
    shared.change(|fabric| fabric.reconcile(&wanted, Instant::now()));
    let removed = Update::Removed {
        device: "leaf1".into(),
        device_id: 1,
    };
    assert_eq!(watcher.poll(), Some(removed));
    assert!(matches!(watcher.poll(), Some(Update::Device(update)) if update.device_id == 2));
    assert_eq!(watcher.poll(), None);
}

#[test]
fn a_busy_device_keeps_nobody_waiting() {
    let shared = fabric(&["leaf1", "leaf2"]);
    let mut agents = [TestAgent::new("boot"), TestAgent::new("boot")];
    let mut watcher = watch(&shared);
    Client::default().drain(&mut watcher);
    agents[1].port(1, true);
    tell(&shared, "leaf2", &agents[1]);
    let mut told = Vec::new();
    for round in 0..2 {
        agents[0].port(1, round % 2 == 0);
        tell(&shared, "leaf1", &agents[0]);
        let Some(Update::Device(update)) = watcher.poll() else {
            panic!("there is something to tell")
        };
        told.push(update.device);
    }
    told.sort_unstable();
    assert_eq!(told, ["leaf1", "leaf2"]);
}

proptest! {
    #[test]
    fn whoever_watches_now_and_then_knows_what_the_view_has(
        happenings in prop::collection::vec((0u32..5, 0u8..6), 0..150),
    ) {
        let shared = fabric(&["leaf1"]);
        let mut agent = TestAgent::new("boot-0");
        let (mut client, mut watcher) = (Client::default(), watch(&shared));
        let mut boots = 0;
        for (port, happening) in happenings {
            match happening {
                0 => agent.no_port(port),
                1 | 2 => agent.port(port, happening == 1),
                3 => {
                    lose(&shared, "leaf1");
                    boots += 1;
                    agent = TestAgent::new(&format!("boot-{boots}"));
                }
                4 => tell(&shared, "leaf1", &agent),
                _ => {
                    client.drain(&mut watcher);
                    prop_assert!(client.is_equal(&shared, "leaf1"));
                }
            }
        }
        tell(&shared, "leaf1", &agent);
        client.drain(&mut watcher);
        prop_assert!(client.is_equal(&shared, "leaf1") && !client.is_stale);
    }
}
