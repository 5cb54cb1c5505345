//! Paths through small fabrics, and through random ones held to a slower search.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::graph::{End, FabricLink, LinkState};
use super::paths::{Found, Terminal, shortest};

fn end(device: &str, port: u32) -> End {
    End {
        device: Some(device.into()),
        device_id: 0,
        port,
        port_name: String::new(),
    }
}

/// `"leaf1:1 spine1:7"`, up.
fn link(text: &str) -> FabricLink {
    let mut ends = text.split(' ').map(|text| {
        let (device, port) = text.split_once(':').unwrap();
        end(device, port.parse().unwrap())
    });
    FabricLink {
        a: ends.next().unwrap(),
        b: ends.next().unwrap(),
        state: LinkState::Up,
        reason: String::new(),
        is_authenticated: true,
    }
}

/// Two spines and three leaves; leaf3 has two links to spine2.
fn leaf_spine() -> Vec<FabricLink> {
    let links = [
        "leaf1:1 spine1:1",
        "leaf1:2 spine2:1",
        "leaf2:1 spine1:2",
        "leaf2:2 spine2:2",
        "leaf3:2 spine2:3",
        "leaf3:3 spine2:4",
    ];
    links.map(link).to_vec()
}

/// `leaf1`, or `leaf1:9` for a host there.
fn terminal(text: &str) -> Terminal {
    match text.split_once(':') {
        None => Terminal {
            device: text.into(),
            port: None,
        },
        Some((device, port)) => Terminal {
            device: device.into(),
            port: Some(port.parse().unwrap()),
        },
    }
}

/// Each path as `in>device>out`, joined.
fn words(found: &Found) -> Vec<String> {
    let port = |port: Option<u32>| port.map(|port| port.to_string()).unwrap_or_default();
    let paths = found.paths.iter().map(|path| {
        let hops = path.iter().map(|hop| {
            format!(
                "{}>{}>{}",
                port(hop.in_port),
                hop.device,
                port(hop.out_port)
            )
        });
        hops.collect::<Vec<_>>().join(" ")
    });
    paths.collect()
}

fn check(links: &[FabricLink], from: &[&str], to: &[&str], expected: &[&str]) {
    let terminals = |texts: &[&str]| texts.iter().map(|text| terminal(text)).collect::<Vec<_>>();
    let found = shortest(links, &terminals(from), &terminals(to), 16);
    assert_eq!(words(&found), expected);
    assert!(!found.more);
}

#[test]
fn all_paths_of_the_least_length_are_found() {
    check(
        &leaf_spine(),
        &["leaf1"],
        &["leaf2"],
        &[
            ">leaf1>1 1>spine1>2 1>leaf2>",
            ">leaf1>2 1>spine2>2 2>leaf2>",
        ],
    );
}

#[test]
fn parallel_links_are_paths_of_their_own() {
    check(
        &leaf_spine(),
        &["leaf1:9"],
        &["leaf3:8"],
        &[
            "9>leaf1>2 1>spine2>3 2>leaf3>8",
            "9>leaf1>2 1>spine2>4 3>leaf3>8",
        ],
    );
}

#[test]
fn hosts_of_one_device_need_no_link() {
    check(&leaf_spine(), &["leaf1:8"], &["leaf1:9"], &["8>leaf1>9"]);
    check(&[], &["leaf1"], &["leaf1"], &[">leaf1>"]);
}

#[test]
fn of_several_places_of_a_host_the_nearest_counts() {
    check(
        &leaf_spine(),
        &["leaf3:7", "leaf1:9"],
        &["spine1"],
        &["9>leaf1>1 1>spine1>"],
    );
}

#[test]
fn links_that_are_not_up_lead_nowhere() {
    for state in [LinkState::Pending, LinkState::OneWay, LinkState::Stale] {
        let mut links = leaf_spine();
        links[0].state = state;
        check(
            &links,
            &["leaf1"],
            &["leaf2"],
            &[">leaf1>2 1>spine2>2 2>leaf2>"],
        );
        links[1].state = state;
        check(&links, &["leaf1"], &["leaf2"], &[]);
    }
}

#[test]
fn more_paths_than_are_wanted_are_told_of_and_not_made() {
    let found = shortest(&leaf_spine(), &[terminal("leaf1")], &[terminal("leaf2")], 1);
    assert_eq!((found.paths.len(), found.more), (1, true));
}

/// Shortest walks by trying all of them, as sets of links.
fn by_trying(links: &[FabricLink], from: &str, to: &str, most: usize) -> BTreeSet<Vec<usize>> {
    let mut walks = vec![(from.to_owned(), vec![])];
    for _ in 0..=most {
        let there = walks.iter().filter(|(device, _)| device == to);
        let found: BTreeSet<Vec<usize>> = there.map(|(_, walk)| walk.clone()).collect();
        if !found.is_empty() {
            return found;
        }
        let next = walks.iter().flat_map(|(device, walk)| {
            links.iter().enumerate().filter_map(move |(index, link)| {
                let (a, b) = (link.a.device.as_ref()?, link.b.device.as_ref()?);
                let other = if a == device {
                    b
                } else if b == device {
                    a
                } else {
                    return None;
                };
                let walk = walk.iter().copied().chain([index]).collect();
                Some((other.clone(), walk))
            })
        });
        walks = next.collect();
    }
    BTreeSet::new()
}

proptest! {
    #[test]
    fn as_many_paths_are_found_as_there_are(
        pairs in prop::collection::vec((0u32..5, 0u32..5), 0..8),
    ) {
        let pairs = pairs.into_iter().filter(|(a, b)| a != b).enumerate();
        let links: Vec<_> = pairs
            .map(|(port, (a, b))| link(&format!("d{a}:{port} d{b}:{port}")))
            .collect();
        let found = shortest(&links, &[terminal("d0")], &[terminal("d4")], 1000);
        let expected = by_trying(&links, "d0", "d4", 4);
        prop_assert_eq!(found.paths.len(), expected.len());
        let through = found.paths.iter().map(|path| {
            let ports = path.iter().filter_map(|hop| hop.out_port);
            ports.map(|port| port as usize).collect::<Vec<_>>()
        });
        prop_assert_eq!(through.collect::<BTreeSet<_>>(), expected);
    }
}
