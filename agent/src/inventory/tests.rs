//! What somebody knows who watches, in whatever way the changes came.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn port(number: u32, mtu: u32) -> Item {
    Item::Port(PortItem {
        number,
        name: format!("swp{number}"),
        interface: format!("eth{number}"),
        admin_up: true,
        state: OperState::Up,
        mac: vec![2, 0, 0, 0, 0, number as u8],
        mtu,
        xdp_mode: "native",
        message: String::new(),
    })
}

fn put(stock: &mut Stock, item: Item) -> bool {
    let hash = wire::hash(&item);
    stock.put(item, hash)
}

/// Somebody who watches.
#[derive(Default)]
struct Watcher {
    known: Option<u64>,
    items: BTreeMap<Key, Item>,
}

impl Watcher {
    fn look(&mut self, stock: &Stock) -> u64 {
        let known = self.known.map_or(Known::Nothing, Known::UpTo);
        match stock.since(known) {
            Since::Snapshot {
                sequence,
                items,
                digest,
            } => {
                let items = items.into_iter().map(|item| (item.key(), (*item).clone()));
                self.items = items.collect();
                self.known = Some(sequence);
                digest
            }
            Since::Changes { changes, digest } => {
                for (sequence, change) in changes {
                    assert_eq!(self.known, Some(sequence - 1), "none is left out");
                    self.known = Some(sequence);
                    match change {
                        Change::Put(item) => drop(self.items.insert(item.key(), (*item).clone())),
                        Change::Gone(key) => assert!(self.items.remove(&key).is_some()),
                    }
                }
                digest
            }
        }
    }
}

#[test]
fn what_is_the_same_is_no_change() {
    let mut stock = Stock::new(4);
    assert!(put(&mut stock, port(1, 1500)));
    assert!(!put(&mut stock, port(1, 1500)));
    assert!(put(&mut stock, port(1, 9000)));
    assert!(!stock.remove(&Key::Port(2)));
    assert_eq!(stock.sequence(), 2);
}

#[test]
fn who_knows_more_than_there_is_or_too_little_gets_everything() {
    let mut stock = Stock::new(4);
    for mtu in 1..=10 {
        put(&mut stock, port(1, mtu));
    }
    let is_snapshot = |known| matches!(stock.since(known), Since::Snapshot { .. });
    assert!(is_snapshot(Known::Nothing));
    assert!(is_snapshot(Known::UpTo(5)));
    assert!(!is_snapshot(Known::UpTo(6)));
    assert!(!is_snapshot(Known::UpTo(10)));
    assert!(is_snapshot(Known::UpTo(11)));
}

proptest! {
    #[test]
    fn whoever_looks_now_and_then_knows_what_there_is(
        changes in prop::collection::vec((0u32..6, 0u32..4, any::<bool>()), 0..200),
    ) {
        let mut stock = Stock::new(8);
        let mut watcher = Watcher::default();
        for (number, mtu, looks) in changes {
            match mtu {
                0 => stock.remove(&Key::Port(number)),
                mtu => put(&mut stock, port(number, mtu)),
            };
            if looks {
                let digest = watcher.look(&stock);
                let sum = watcher.items.values().map(wire::hash);
                prop_assert_eq!(sum.fold(0, u64::wrapping_add), digest);
            }
        }
        watcher.look(&stock);
        let mut fresh = Watcher::default();
        fresh.look(&stock);
        prop_assert_eq!(watcher.items, fresh.items);
    }
}
