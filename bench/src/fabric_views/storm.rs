//! What happens to the switches, and when each change was sent.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pointsman_agent::hosts::{Host, HostId, Mac, Source};
use pointsman_agent::inventory::{Item, Key, Known, OperState, Since};
use pointsman_agent::lldp::{Direction, Id, Neighbor, NeighborId, NeighborKind};
use tokio::time::MissedTickBehavior;

use super::Options;
use crate::switches::Switch;

/// Hosts of each switch.
const HOSTS: u32 = 20;
/// The ports of a ring: each switch's first leads to the second of the next one.
const TO_NEXT: u32 = 1;
const TO_LAST: u32 = 2;
/// So often it is looked whether changes are due.
const TICK: Duration = Duration::from_millis(1);

/// When each change was sent, in nanoseconds since the beginning.
pub(super) struct Sent {
    began: Instant,
    /// By switch: the sequence before its first change, and a moment for each.
    switches: Vec<(u64, Vec<AtomicU64>)>,
    count: u64,
}

impl Sent {
    pub(super) fn new(switches: &[Switch], options: &Options) -> Sent {
        let count = u64::from(options.rate) * u64::from(options.seconds);
        let of_each = count.div_ceil(switches.len() as u64);
        let switches = switches.iter().map(|switch| {
            let (_, sequence, _) = position(switch);
            (sequence, (0..of_each).map(|_| AtomicU64::new(0)).collect())
        });
        Sent {
            began: Instant::now(),
            switches: switches.collect(),
            count,
        }
    }

    /// Of all changes.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn note(&self, switch: usize, number: u64) {
        let now = self.began.elapsed().as_nanos() as u64;
        self.switches[switch].1[number as usize].store(now, Ordering::Release);
    }

    /// How long ago a change was sent; nothing if it is none of the storm's.
    pub(super) fn age(&self, device_id: u64, sequence: u64) -> Option<Duration> {
        let (before, moments) = self
            .switches
            .get(usize::try_from(device_id).ok()?.checked_sub(1)?)?;
        let number = sequence.checked_sub(before + 1)?;
        let sent = moments
            .get(usize::try_from(number).ok()?)?
            .load(Ordering::Acquire);
        let sent = Duration::from_nanos(sent);
        (!sent.is_zero()).then(|| self.began.elapsed().saturating_sub(sent))
    }
}

/// Device id, last change and digest of a switch's inventory.
pub(super) fn position(switch: &Switch) -> (u64, u64, u64) {
    let device_id = switch.spec().device_id;
    let sequence = switch.inventory().changes().borrow().unwrap_or_default();
    let digest = match switch.inventory().since(Known::UpTo(sequence)) {
        Since::Changes { digest, .. } | Since::Snapshot { digest, .. } => digest,
    };
    (device_id, sequence, digest)
}

/// Gives switches links, as a ring, and hosts.
pub(super) fn furnish(switches: &[Switch], ports: u32) {
    let count = switches.len() as u64;
    for switch in switches {
        let id = switch.spec().device_id;
        let (next, last) = (id % count + 1, (id + count - 2) % count + 1);
        let inventory = switch.inventory();
        inventory.put(link(TO_NEXT, next, TO_LAST));
        inventory.put(link(TO_LAST, last, TO_NEXT));
        for number in 0..HOSTS {
            inventory.put(host(id, number, number % ports + 1, 0));
        }
    }
}

/// Changes ports, links and hosts of all switches in turn at a steady rate; returns how long that took.
pub(super) async fn run(switches: Arc<[Switch]>, sent: Arc<Sent>, options: Options) -> Duration {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    // Late is late: what was to be sent meanwhile is sent at once, and the rate stays what it is.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut done = 0;
    while done < sent.count() {
        ticks.tick().await;
        let due = began.elapsed().as_secs_f64() * f64::from(options.rate);
        while done < sent.count().min(due as u64) {
            let index = (done % switches.len() as u64) as usize;
            let number = done / switches.len() as u64;
            sent.note(index, number);
            change(&switches, index, number, options.ports);
            done += 1;
        }
    }
    began.elapsed()
}

/// The change of that number of a switch. Each is one, whatever was before.
fn change(switches: &[Switch], index: usize, number: u64, ports: u32) {
    let switch = &switches[index];
    let id = switch.spec().device_id;
    let round = number / 4;
    let port = (round % u64::from(ports)) as u32 + 1;
    match number % 4 {
        0 => switch.set_port(port, OperState::Down),
        1 => switch.set_port(port, OperState::Up),
        2 => {
            let number = (round % u64::from(HOSTS)) as u32;
            let moves = (round / u64::from(HOSTS)) as u32 + 1;
            let item = host(id, number, port, moves);
            switch.inventory().put(item);
        }
        _ => {
            let next = id % switches.len() as u64 + 1;
            let inventory = switch.inventory();
            match round % 2 {
                0 => {
                    let id = NeighborId::Cluster {
                        device_id: next,
                        port: TO_LAST,
                    };
                    inventory.remove(&Key::Link(TO_NEXT, id));
                }
                _ => inventory.put(link(TO_NEXT, next, TO_LAST)),
            }
        }
    }
}

fn link(local_port: u32, device_id: u64, port: u32) -> Item {
    let name = |text: String| Id {
        subtype: 7,
        bytes: text.into_bytes(),
    };
    Item::Link(Neighbor {
        local_port,
        id: NeighborId::Cluster { device_id, port },
        kind: NeighborKind::Cluster {
            is_authenticated: true,
            boot: 1,
            direction: Direction::TwoWay,
        },
        chassis: name(format!("pointsman:{device_id}")),
        port: name(format!("p{port}")),
        port_description: String::new(),
        system_name: format!("s{device_id}"),
        system_description: "a simulated switch".to_owned(),
        capabilities: None,
    })
}

fn host(device_id: u64, number: u32, port: u32, moves: u32) -> Item {
    let [.., high, low] = device_id.to_be_bytes();
    let number = number as u8;
    let since = Duration::from_secs(1_700_000_000 + u64::from(moves));
    Item::Host(Host {
        id: HostId {
            mac: Mac([2, 1, high, low, 0, number]),
            vlan: 10,
        },
        addresses: vec![(
            IpAddr::V4(Ipv4Addr::new(10, high, low, number)),
            Source::Arp,
        )],
        locations: vec![(port, since)],
        first_seen: Duration::from_secs(1_700_000_000),
        last_seen: since,
        moves,
    })
}
