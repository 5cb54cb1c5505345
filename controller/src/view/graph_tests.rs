//! What two ends say of a link, and what that makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fabric::{Attachment, Survey, merge_hosts};
use super::graph::{LinkState, edges, links};
use super::item::{Direction, Host, HostId, Link, LinkTexts, MacAddr, Neighbor, OperState};

/// A device with one port, 1, that is up.
pub fn survey(device_id: u64) -> Survey {
    Survey {
        device: format!("d{device_id}"),
        device_id,
        doubt: None,
        ports: BTreeMap::from([(1, ("p1".to_owned(), OperState::Up))]),
        links: vec![],
    }
}

/// What an agent says of the neighbour at a port.
pub fn hears(port: u32, (device_id, its_port): (u64, u32), direction: Direction) -> Arc<Link> {
    let neighbor = Neighbor::Cluster {
        device_id,
        port: its_port,
    };
    Arc::new(link_to(port, neighbor, direction))
}

fn link_to(local_port: u32, neighbor: Neighbor, direction: Direction) -> Link {
    Link {
        local_port,
        neighbor,
        direction,
        is_authenticated: true,
        boot: 1,
        foreign_cluster: String::new(),
        about: LinkTexts::default(),
    }
}

/// Two devices, and what each says of the other.
fn pair(of_a: Option<Direction>, of_b: Option<Direction>) -> Vec<Survey> {
    let (mut a, mut b) = (survey(1), survey(2));
    a.links
        .extend(of_a.map(|direction| hears(1, (2, 1), direction)));
    b.links
        .extend(of_b.map(|direction| hears(1, (1, 1), direction)));
    vec![a, b]
}

fn check(surveys: &[Survey], state: LinkState, reason: &str) {
    let links = links(surveys);
    let [link] = &links[..] else {
        panic!("{links:?}")
    };
    assert_eq!((link.state, link.reason.as_str()), (state, reason));
    assert_eq!((link.a.device_id, link.b.device_id), (1, 2));
}

#[test]
fn a_link_is_up_when_both_ends_say_that_they_hear_each_other() {
    use Direction::{OneWay, Pending, TwoWay};
    check(&pair(Some(TwoWay), Some(TwoWay)), LinkState::Up, "");
    check(
        &pair(Some(TwoWay), None),
        LinkState::Pending,
        "d2 does not say that it hears d1",
    );
    check(
        &pair(None, Some(TwoWay)),
        LinkState::Pending,
        "d1 does not say that it hears d2",
    );
    check(
        &pair(Some(TwoWay), Some(Pending)),
        LinkState::Pending,
        "d2 does not know yet whether d1 hears it",
    );
    check(
        &pair(Some(OneWay), Some(TwoWay)),
        LinkState::OneWay,
        "d1 hears d2, and is not heard",
    );
    check(
        &pair(None, Some(OneWay)),
        LinkState::OneWay,
        "d2 hears d1, and is not heard",
    );
}

#[test]
fn a_link_with_an_end_that_cannot_be_believed_is_stale() {
    let mut surveys = pair(Some(Direction::TwoWay), Some(Direction::TwoWay));
    surveys[1].doubt = Some("connection refused".into());
    let reason = "d2 is not heard of: connection refused";
    check(&surveys, LinkState::Stale, reason);
}

#[test]
fn a_link_over_a_port_that_is_down_is_not_up_whatever_was_said_of_it() {
    let mut surveys = pair(Some(Direction::TwoWay), Some(Direction::TwoWay));
    surveys[0].ports.insert(1, ("p1".into(), OperState::Down));
    check(&surveys, LinkState::Pending, "port p1 of d1 is down");
}

#[test]
fn a_link_to_a_device_of_nobody_is_shown_and_not_used() {
    let mut surveys = pair(Some(Direction::TwoWay), None);
    surveys.pop();
    let reason = "no device of the cluster has the id 2";
    check(&surveys, LinkState::Pending, reason);
}

#[test]
fn whoever_is_no_agent_of_the_cluster_makes_no_link() {
    let mut surveys = vec![survey(1)];
    let server = Neighbor::Foreign {
        chassis: (4, vec![2, 0, 0, 0, 0, 1]),
        port: (5, b"eth0".to_vec()),
    };
    surveys[0].links = vec![Arc::new(link_to(1, server, Direction::Edge))];
    assert_eq!(links(&surveys), []);
    let edges = edges(&surveys);
    assert_eq!(edges.len(), 1);
    assert_eq!((edges[0].device.as_str(), edges[0].is_stale), ("d1", false));
}

#[test]
fn a_host_is_where_it_was_seen_last_and_places_that_are_stale_come_behind() {
    let host = |ip: u8| {
        Arc::new(Host {
            id: HostId {
                mac: MacAddr([2, 0, 0, 0, 0, 1]),
                vlan: 10,
            },
            addresses: vec![(vec![10, 0, 0, ip], "arp".into())],
            locations: vec![],
            first_seen: u64::from(ip),
            last_seen: u64::from(ip),
            moves: 1,
        })
    };
    let at = |device: &str, since, is_stale| {
        vec![Attachment {
            device: device.into(),
            port: 1,
            port_name: "p1".into(),
            since,
            is_stale,
        }]
    };
    let merged = merge_hosts([
        (host(1), at("leaf1", 5, false)),
        (host(1), at("leaf2", 7, false)),
        (host(2), at("leaf3", 9, true)),
    ]);
    let [host] = &merged[..] else {
        panic!("{merged:?}")
    };
    let places: Vec<_> = host
        .attachments
        .iter()
        .map(|at| at.device.as_str())
        .collect();
    assert_eq!(places, ["leaf2", "leaf1", "leaf3"]);
    assert_eq!((host.addresses.len(), host.moves), (2, 3));
    assert_eq!((host.first_seen, host.last_seen), (1, 2));
}
