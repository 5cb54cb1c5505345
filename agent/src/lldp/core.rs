//! When to send, whom to believe, and when a neighbour is gone.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use super::claim::MAX_HEARD;
use super::pdu::{self, Received};
use super::{
    Capabilities, Claim, ClusterKeys, Direction, Heard, Id, Neighbor, NeighborId, NeighborKind, Pdu,
};

/// Neighbours of each sort that a port has at most. A wire has one; a hub or an attacker has more.
pub const PORT_NEIGHBORS: usize = 8;
/// Ports of other agents whose sequence numbers are remembered.
const PEERS: usize = 8192;
/// Our own frames that an answer may be about; an older one says that our frames are lost.
const RECENT_FRAMES: usize = 4;
/// Frames that may be sent without waiting for their time (IEEE 802.1AB, `txCreditMax`). One a second comes back.
const MAX_CREDIT: u32 = 5;
const CREDIT_INTERVAL: Duration = Duration::from_secs(1);
/// Intervals for which a frame is true, and those after which a neighbour should have said that it hears us.
const HOLD_INTERVALS: u32 = 4;
const CONFIRM_INTERVALS: u32 = 2;

/// What we say of ourselves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// P4Runtime's `device_id`.
    pub device_id: u64,
    /// For people.
    pub name: String,
    /// What this is.
    pub description: String,
    /// Rises with every start.
    pub boot: u64,
    /// How often a frame is sent.
    pub interval: Duration,
    /// Who is believed.
    pub keys: ClusterKeys,
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A port can carry packets, or another interface is that port.
    PortUp {
        /// Its number.
        port: u32,
        /// Its name.
        name: String,
        /// What its frames come from.
        mac: [u8; 6],
    },
    /// A port cannot, or is gone.
    PortDown {
        /// Its number.
        port: u32,
    },
    /// A frame came in.
    Frame {
        /// By this port.
        port: u32,
        /// From its Ethernet header on.
        bytes: &'a [u8],
    },
    /// [`Lldp::deadline`] has come.
    Timer,
}

/// What must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send a frame.
    Send {
        /// By this port.
        port: u32,
        /// From its Ethernet header on.
        frame: Vec<u8>,
    },
    /// A neighbour is new, or something about it is.
    Changed(Neighbor),
    /// A neighbour is gone.
    Gone {
        /// Our port.
        port: u32,
        /// Who.
        id: NeighborId,
    },
}

/// Frames, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Sent.
    pub sent: u64,
    /// Believed.
    pub accepted: u64,
    /// Not LLDP.
    pub malformed: u64,
    /// Signed wrongly, or unsigned in the name of a neighbour that signs.
    pub forged: u64,
    /// Seen before.
    pub replayed: u64,
    /// Our own.
    pub reflected: u64,
    /// Of more neighbours than a port may have.
    pub too_many: u64,
}

/// The state of LLDP. Time is that since any moment that stays the same.
#[derive(Debug)]
pub struct Lldp {
    settings: Settings,
    /// Of the last frame sent.
    sequence: u64,
    ports: BTreeMap<u32, Port>,
    peers: HashMap<(u64, u32), Peer>,
    statistics: Statistics,
}

/// The last that was believed of another agent's port. Outlives the neighbour, so that what it once sent
/// cannot bring it back.
#[derive(Debug, Clone, Copy)]
struct Peer {
    boot: u64,
    sequence: u64,
    local_port: u32,
    heard_at: Duration,
}

#[derive(Debug)]
struct Port {
    name: String,
    mac: [u8; 6],
    next_send: Duration,
    credit: u32,
    credited_at: Duration,
    /// Numbers of the last frames, oldest first.
    sent: VecDeque<u64>,
    neighbors: BTreeMap<NeighborId, Known>,
}

#[derive(Debug)]
struct Known {
    neighbor: Neighbor,
    expires: Duration,
    /// Until when a pending link may be confirmed.
    confirm_by: Duration,
}

impl Lldp {
    /// No ports yet.
    pub fn new(settings: Settings) -> Lldp {
        Lldp {
            settings,
            sequence: 0,
            ports: BTreeMap::new(),
            peers: HashMap::new(),
            statistics: Statistics::default(),
        }
    }

    /// What became of frames.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// All neighbours, by port.
    pub fn neighbors(&self) -> impl Iterator<Item = &Neighbor> {
        let ports = self.ports.values();
        ports.flat_map(|port| port.neighbors.values().map(|known| &known.neighbor))
    }

    /// When something is to be done although nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let of_port = |port: &Port| {
            let known = port.neighbors.values().map(Known::deadline);
            known.fold(port.next_send, Duration::min)
        };
        self.ports.values().map(of_port).min()
    }

    /// Decides what follows from an event.
    pub fn step(&mut self, event: Event<'_>, now: Duration) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::PortUp { port, name, mac } => self.port_up(port, name, mac, now),
            Event::PortDown { port } => {
                if let Some(gone) = self.ports.remove(&port) {
                    let ids = gone.neighbors.into_keys();
                    commands.extend(ids.map(|id| Command::Gone { port, id }));
                }
            }
            Event::Frame { port, bytes } => self.frame(port, bytes, now, &mut commands),
            Event::Timer => {}
        }
        self.expire(now, &mut commands);
        self.send_due(now, &mut commands);
        commands
    }

    fn port_up(&mut self, number: u32, name: String, mac: [u8; 6], now: Duration) {
        let port = self.ports.entry(number).or_insert_with(|| Port {
            name: String::new(),
            mac,
            next_send: now,
            credit: MAX_CREDIT,
            credited_at: now,
            sent: VecDeque::new(),
            neighbors: BTreeMap::new(),
        });
        if port.name != name || port.mac != mac {
            port.next_send = now;
        }
        (port.name, port.mac) = (name, mac);
    }

    fn frame(&mut self, port: u32, bytes: &[u8], now: Duration, commands: &mut Vec<Command>) {
        if !self.ports.contains_key(&port) {
            return;
        }
        let Ok(Received { pdu, signature }) = pdu::read(bytes) else {
            self.statistics.malformed += 1;
            return;
        };
        match (pdu.claim.clone(), signature) {
            (Some(claim), Some((data, signature))) if self.settings.keys.has(claim.fingerprint) => {
                let fingerprint = claim.fingerprint;
                match self.settings.keys.verify(fingerprint, data, signature) {
                    true => self.hear_cluster(port, pdu, &claim, now, commands),
                    false => self.statistics.forged += 1,
                }
            }
            _ => self.hear_stranger(port, pdu, now, commands),
        }
    }

    fn hear_cluster(
        &mut self,
        local_port: u32,
        pdu: Pdu,
        claim: &Claim,
        now: Duration,
        commands: &mut Vec<Command>,
    ) {
        let us = (self.settings.device_id, self.settings.boot);
        if (claim.device_id, claim.boot) == us {
            if claim.port == local_port {
                self.statistics.reflected += 1;
                return;
            }
            // From another port of ours, if it has just left there.
            let sender = self.ports.get(&claim.port);
            if sender.and_then(|port| port.sent.back()) != Some(&claim.sequence) {
                self.statistics.replayed += 1;
                return;
            }
        }
        let peer = (claim.device_id, claim.port);
        let known = self.peers.get(&peer);
        let last = known.map(|peer| (peer.boot, peer.sequence));
        if last.is_some_and(|last| (claim.boot, claim.sequence) <= last) {
            self.statistics.replayed += 1;
            return;
        }
        let id = NeighborId::Cluster {
            device_id: claim.device_id,
            port: claim.port,
        };
        // A wire has one end: what is heard here now is no longer there.
        if let Some(moved) = known
            .map(|peer| peer.local_port)
            .filter(|p| *p != local_port)
        {
            self.remove(moved, &id, commands);
        }
        self.remember(peer, claim, local_port, now);
        self.statistics.accepted += 1;
        if pdu.ttl == 0 {
            return self.remove(local_port, &id, commands);
        }
        let alias = NeighborId::Foreign {
            chassis: pdu.chassis.clone(),
            port: pdu.port.clone(),
        };
        self.remove(local_port, &alias, commands);

        let interval = self.settings.interval;
        let Some(port) = self.ports.get_mut(&local_port) else {
            return;
        };
        let before = port.neighbors.get(&id);
        let confirm_by = match before {
            Some(known) => known.confirm_by,
            None => now + CONFIRM_INTERVALS * interval,
        };
        let hears_us = claim.heard.iter().any(|heard| {
            (heard.device_id, heard.boot) == us
                && heard.port == local_port
                // Not one that we have not sent, nor one that is long ago.
                && port.sent.contains(&heard.sequence)
        });
        let was = before.and_then(|known| known.neighbor.direction());
        let direction = match was {
            _ if hears_us => Direction::TwoWay,
            None | Some(Direction::Pending) if now < confirm_by => Direction::Pending,
            _ => Direction::OneWay,
        };
        let kind = NeighborKind::Cluster {
            is_authenticated: self.settings.keys.are_secret(),
            boot: claim.boot,
            direction,
        };
        // It should learn as soon as it can that we hear it.
        if before.is_none() || direction != Direction::TwoWay {
            port.hurry(now);
        }
        self.put(local_port, id, kind, pdu, confirm_by, now, commands);
    }

    fn hear_stranger(
        &mut self,
        local_port: u32,
        pdu: Pdu,
        now: Duration,
        commands: &mut Vec<Command>,
    ) {
        let Some(port) = self.ports.get_mut(&local_port) else {
            return;
        };
        let signs = |known: &Known| {
            let neighbor = &known.neighbor;
            matches!(neighbor.kind, NeighborKind::Cluster { .. })
                && (&neighbor.chassis, &neighbor.port) == (&pdu.chassis, &pdu.port)
        };
        if port.neighbors.values().any(signs) {
            self.statistics.forged += 1;
            return;
        }
        let id = NeighborId::Foreign {
            chassis: pdu.chassis.clone(),
            port: pdu.port.clone(),
        };
        self.statistics.accepted += 1;
        if pdu.ttl == 0 {
            return self.remove(local_port, &id, commands);
        }
        if !port.neighbors.contains_key(&id) {
            // A new neighbour should not wait for our next turn to know us.
            port.hurry(now);
        }
        let cluster = pdu.claim.as_ref().map(|claim| claim.fingerprint);
        let kind = NeighborKind::Foreign { cluster };
        self.put(local_port, id, kind, pdu, now, now, commands);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all that is known of a neighbour"
    )]
    fn put(
        &mut self,
        local_port: u32,
        id: NeighborId,
        kind: NeighborKind,
        pdu: Pdu,
        confirm_by: Duration,
        now: Duration,
        commands: &mut Vec<Command>,
    ) {
        let Some(port) = self.ports.get_mut(&local_port) else {
            return;
        };
        let is_foreign = |id: &NeighborId| matches!(id, NeighborId::Foreign { .. });
        let alike = port.neighbors.keys();
        let alike = alike.filter(|other| is_foreign(other) == is_foreign(&id));
        if alike.count() >= PORT_NEIGHBORS && !port.neighbors.contains_key(&id) {
            self.statistics.too_many += 1;
            return;
        }
        let known = Known {
            expires: now + Duration::from_secs(pdu.ttl.into()),
            confirm_by,
            neighbor: Neighbor {
                local_port,
                id: id.clone(),
                kind,
                chassis: pdu.chassis,
                port: pdu.port,
                port_description: pdu.port_description,
                system_name: pdu.system_name,
                system_description: pdu.system_description,
                capabilities: pdu.capabilities,
            },
        };
        let is_news = port
            .neighbors
            .get(&id)
            .is_none_or(|before| before.neighbor != known.neighbor);
        if is_news {
            commands.push(Command::Changed(known.neighbor.clone()));
        }
        port.neighbors.insert(id, known);
    }

    fn remove(&mut self, port: u32, id: &NeighborId, commands: &mut Vec<Command>) {
        let neighbors = self.ports.get_mut(&port).map(|port| &mut port.neighbors);
        if neighbors
            .and_then(|neighbors| neighbors.remove(id))
            .is_some()
        {
            let id = id.clone();
            commands.push(Command::Gone { port, id });
        }
    }

    fn remember(&mut self, peer: (u64, u32), claim: &Claim, local_port: u32, now: Duration) {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, peer)| peer.heard_at);
            if let Some(oldest) = oldest.map(|(oldest, _)| *oldest) {
                self.peers.remove(&oldest);
            }
        }
        let known = Peer {
            boot: claim.boot,
            sequence: claim.sequence,
            local_port,
            heard_at: now,
        };
        self.peers.insert(peer, known);
    }

    fn expire(&mut self, now: Duration, commands: &mut Vec<Command>) {
        for (number, port) in &mut self.ports {
            port.neighbors.retain(|id, known| {
                let is_there = now < known.expires;
                if !is_there {
                    let (port, id) = (*number, id.clone());
                    commands.push(Command::Gone { port, id });
                } else if known.neighbor.give_up(now >= known.confirm_by) {
                    commands.push(Command::Changed(known.neighbor.clone()));
                }
                is_there
            });
        }
    }

    fn send_due(&mut self, now: Duration, commands: &mut Vec<Command>) {
        let Lldp {
            settings,
            sequence,
            ports,
            peers,
            statistics,
        } = self;
        for (number, port) in ports {
            if now < port.next_send {
                continue;
            }
            port.earn(now);
            port.credit = port.credit.saturating_sub(1);
            port.next_send = now + settings.interval;
            *sequence += 1;
            port.sent.push_back(*sequence);
            if port.sent.len() > RECENT_FRAMES {
                port.sent.pop_front();
            }
            let heard = port.neighbors.keys().filter_map(|id| match id {
                NeighborId::Foreign { .. } => None,
                NeighborId::Cluster { device_id, port } => {
                    let peer = peers.get(&(*device_id, *port))?;
                    Some(Heard {
                        device_id: *device_id,
                        port: *port,
                        boot: peer.boot,
                        sequence: peer.sequence,
                    })
                }
            });
            let pdu = Pdu {
                chassis: Id::local_chassis(&format!("pointsman:{}", settings.device_id)),
                port: Id::interface(&port.name),
                ttl: ttl(settings.interval),
                port_description: format!("P4 port {number}"),
                system_name: settings.name.clone(),
                system_description: settings.description.clone(),
                capabilities: Some(Capabilities::SWITCH),
                claim: Some(Claim {
                    fingerprint: settings.keys.fingerprint(),
                    device_id: settings.device_id,
                    port: *number,
                    boot: settings.boot,
                    sequence: *sequence,
                    heard: heard.take(MAX_HEARD).collect(),
                }),
            };
            statistics.sent += 1;
            commands.push(Command::Send {
                port: *number,
                frame: pdu.frame(port.mac, |data| settings.keys.sign(data)),
            });
        }
    }
}

impl Port {
    /// Sends now if there is credit for it, and within a second if not.
    fn hurry(&mut self, now: Duration) {
        self.earn(now);
        let soon = match self.credit {
            0 => self.credited_at + CREDIT_INTERVAL,
            _ => now,
        };
        self.next_send = self.next_send.min(soon);
    }

    fn earn(&mut self, now: Duration) {
        while self.credit < MAX_CREDIT && self.credited_at + CREDIT_INTERVAL <= now {
            self.credit += 1;
            self.credited_at += CREDIT_INTERVAL;
        }
        if self.credit == MAX_CREDIT {
            self.credited_at = now;
        }
    }
}

impl Known {
    fn deadline(&self) -> Duration {
        match self.neighbor.direction() {
            Some(Direction::Pending) => self.expires.min(self.confirm_by),
            _ => self.expires,
        }
    }
}

impl Neighbor {
    fn direction(&self) -> Option<Direction> {
        match self.kind {
            NeighborKind::Cluster { direction, .. } => Some(direction),
            NeighborKind::Foreign { .. } => None,
        }
    }

    /// Makes a pending link one-way if its time is over. Says whether it did.
    fn give_up(&mut self, is_over: bool) -> bool {
        match &mut self.kind {
            NeighborKind::Cluster { direction, .. }
                if is_over && *direction == Direction::Pending =>
            {
                *direction = Direction::OneWay;
                true
            }
            _ => false,
        }
    }
}

fn ttl(interval: Duration) -> u16 {
    let seconds = interval.as_secs() * u64::from(HOLD_INTERVALS) + 1;
    u16::try_from(seconds).unwrap_or(u16::MAX)
}
