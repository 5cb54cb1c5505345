//! Who is where, when to ask, and when to forget.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::dhcp::{Dhcp4Message, Dhcp6Message};
use super::read::{Heard, Said, Unread, read};
use super::{Host, HostId, Mac, Settings, Source, reply};

/// Addresses of a host; another takes the place of the one that was seen longest ago.
const MAX_ADDRESSES: usize = 16;
/// Ports of a host.
const MAX_LOCATIONS: usize = 4;
/// DHCP exchanges under way.
const MAX_EXCHANGES: usize = 4096;
const EXCHANGE_TIME: Duration = Duration::from_secs(60);
/// A host that was seen for longer stays if others flood its port.
const FLEETING: Duration = Duration::from_secs(2);
/// A host that is seen at one of its ports is asked for at another after so much silence there.
const DOUBT: Duration = Duration::from_secs(30);
/// Questions to a host before its location is forgotten, and the time between them.
const QUESTIONS: u32 = 3;
const QUESTION_INTERVAL: Duration = Duration::from_secs(1);
/// Addresses that a host is asked for at a time.
const ASKED_ADDRESSES: usize = 4;

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A port can carry packets.
    PortUp {
        /// Its number.
        port: u32,
        /// What we send from.
        mac: Mac,
    },
    /// A port cannot.
    PortDown {
        /// Its number.
        port: u32,
    },
    /// A port leads to agents of the cluster, or no longer does.
    Infrastructure {
        /// Its number.
        port: u32,
        /// Whether it does.
        is_infrastructure: bool,
    },
    /// A copy of a frame came.
    Frame {
        /// The port that it came in by.
        port: u32,
        /// From its Ethernet header on.
        bytes: &'a [u8],
    },
    /// [`Hosts::deadline`] has come.
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
    /// A host is new, or something about it is.
    Changed(Host),
    /// A host is gone.
    Gone(HostId),
}

/// Frames, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Looked at.
    pub accepted: u64,
    /// Cut off, or contradict themselves.
    pub malformed: u64,
    /// The Ethernet header and what is in it name different senders, or none that can be.
    pub spoofed: u64,
    /// Nothing that hosts say of themselves.
    pub other: u64,
    /// Of new hosts where there is no room.
    pub full: u64,
    /// Grants that nobody has asked for.
    pub unasked: u64,
    /// Answered for gateways and known hosts.
    pub answered: u64,
}

/// The hosts that are known. Time is that since 1970 and does not go back.
#[derive(Debug)]
pub struct Hosts {
    settings: Settings,
    hosts: HashMap<HostId, Record>,
    /// The last to claim an address.
    owners: HashMap<(u16, IpAddr), HostId>,
    ports: BTreeMap<u32, Port>,
    /// When to look at a host again.
    due: BTreeSet<(Duration, HostId)>,
    /// Clients of DHCP under way: where they are, and since when.
    exchanges: HashMap<(u32, Mac), (u32, HostId, Duration)>,
    statistics: Statistics,
}

#[derive(Debug)]
struct Port {
    mac: Mac,
    is_infrastructure: bool,
    /// Hosts at this port.
    hosts: usize,
    /// Those of them that were seen for a moment only, by when.
    fleeting: BTreeSet<(Duration, HostId)>,
}

#[derive(Debug)]
struct Record {
    addresses: BTreeMap<IpAddr, (Source, Duration)>,
    /// The latest first; not empty.
    locations: Vec<Location>,
    first_seen: Duration,
    last_seen: Duration,
    moves: u32,
    due: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Location {
    port: u32,
    since: Duration,
    seen: Duration,
    /// Questions since it was seen, and when the next is due.
    asked: u32,
    ask_at: Duration,
}

impl Hosts {
    /// None are known.
    pub fn new(settings: Settings) -> Hosts {
        Hosts {
            settings,
            hosts: HashMap::new(),
            owners: HashMap::new(),
            ports: BTreeMap::new(),
            due: BTreeSet::new(),
            exchanges: HashMap::new(),
            statistics: Statistics::default(),
        }
    }

    /// What became of frames.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// All hosts, in no order.
    pub fn hosts(&self) -> impl Iterator<Item = Host> {
        self.hosts.iter().map(|(id, record)| record.host(*id))
    }

    /// When something is to be done although nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Decides what follows from an event.
    pub fn step(&mut self, event: Event<'_>, now: Duration) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::PortUp { port, mac } => {
                let port = self.ports.entry(port).or_insert(Port {
                    mac,
                    is_infrastructure: false,
                    hosts: 0,
                    fleeting: BTreeSet::new(),
                });
                port.mac = mac;
            }
            Event::PortDown { port } => {
                self.clear(port, &mut commands);
                self.ports.remove(&port);
            }
            Event::Infrastructure {
                port,
                is_infrastructure,
            } => {
                if let Some(known) = self.ports.get_mut(&port) {
                    known.is_infrastructure = is_infrastructure;
                    if is_infrastructure {
                        self.clear(port, &mut commands);
                    }
                }
            }
            Event::Frame { port, bytes } => self.frame(port, bytes, now, &mut commands),
            Event::Timer => {}
        }
        self.ask_due(now, &mut commands);
        commands
    }

    fn frame(&mut self, port: u32, bytes: &[u8], now: Duration, commands: &mut Vec<Command>) {
        let Some(at) = self.ports.get(&port) else {
            return;
        };
        let is_edge = !at.is_infrastructure;
        let heard = match read(bytes) {
            Ok(heard) => heard,
            Err(Unread::Malformed) => return self.statistics.malformed += 1,
            Err(Unread::Other) => return self.statistics.other += 1,
        };
        match &heard.said {
            // Servers may be anywhere; the client's place is known since it asked.
            Said::Dhcp4(dhcp) if !matches!(dhcp.message, Dhcp4Message::FromClient) => {
                if let Dhcp4Message::Grant(ip) = dhcp.message {
                    self.granted(dhcp.transaction, dhcp.client, &[ip.into()], now, commands);
                }
            }
            Said::Dhcp6(dhcp) if let Dhcp6Message::Grant(granted) = &dhcp.message => {
                let granted: Vec<_> = granted.iter().map(|ip| IpAddr::V6(*ip)).collect();
                self.granted(dhcp.transaction, heard.destination, &granted, now, commands);
            }
            _ if is_edge => self.from_host(port, &heard, now, commands),
            _ => self.statistics.other += 1,
        }
    }

    #[expect(
        clippy::wrong_self_convention,
        reason = "what comes from a host, not what is made of one"
    )]
    fn from_host(&mut self, port: u32, heard: &Heard, now: Duration, commands: &mut Vec<Command>) {
        let source = heard.source;
        let is_ours = self.ports.values().any(|port| port.mac == source)
            || self.settings.gateways.iter().any(|g| g.mac == source);
        let claimed = match &heard.said {
            Said::Arp { sender, .. } => Some(*sender),
            Said::Dhcp4(dhcp) => Some(dhcp.client),
            Said::Solicitation { link, .. }
            | Said::Advertisement { link, .. }
            | Said::Router { link, .. } => *link,
            Said::Dhcp6(_) => None,
        };
        if is_ours || !source.is_station() || claimed.is_some_and(|claimed| claimed != source) {
            self.statistics.spoofed += 1;
            return;
        }
        self.statistics.accepted += 1;
        let id = HostId {
            mac: source,
            vlan: heard.vlan,
        };
        let address: Option<(IpAddr, Source)> = match &heard.said {
            Said::Arp { sender_ip, .. } => Some(((*sender_ip).into(), Source::Arp)),
            Said::Solicitation { source, .. } | Said::Router { source, .. } => {
                Some(((*source).into(), Source::NeighborDiscovery))
            }
            Said::Advertisement { target, .. } => {
                Some(((*target).into(), Source::NeighborDiscovery))
            }
            Said::Dhcp4(_) | Said::Dhcp6(_) => None,
        };
        let address = address.filter(|(ip, _)| is_of_a_host(*ip));
        // A gateway's address is ours, whoever claims it.
        let address = address.filter(|(ip, _)| self.gateway(*ip, heard.vlan).is_none());
        if !self.sight(port, id, address, now, commands) {
            return;
        }
        match &heard.said {
            Said::Dhcp4(dhcp) => self.asks(dhcp.transaction, port, id, now),
            Said::Dhcp6(dhcp) => self.asks(dhcp.transaction, port, id, now),
            _ => self.answer(port, id, &heard.said, commands),
        }
    }

    /// A host was seen at a port. Says whether there is room for it.
    fn sight(
        &mut self,
        port: u32,
        id: HostId,
        address: Option<(IpAddr, Source)>,
        now: Duration,
        commands: &mut Vec<Command>,
    ) -> bool {
        let mut is_news = false;
        if !self.hosts.contains_key(&id) {
            if !self.make_room(port, commands) {
                self.statistics.full += 1;
                return false;
            }
            let record = Record {
                addresses: BTreeMap::new(),
                locations: Vec::new(),
                first_seen: now,
                last_seen: now,
                moves: 0,
                due: now,
            };
            self.hosts.insert(id, record);
            self.due.insert((now, id));
            if let Some(port) = self.ports.get_mut(&port) {
                port.fleeting.insert((now, id));
            }
        }
        let record = self.hosts.get_mut(&id).expect("it was just put there");
        record.last_seen = now;
        if now >= record.first_seen + FLEETING {
            let fleeting = (record.first_seen, id);
            for location in &record.locations {
                if let Some(port) = self.ports.get_mut(&location.port) {
                    port.fleeting.remove(&fleeting);
                }
            }
        }
        let idle = self.settings.idle;
        let known = record.locations.iter_mut().find(|l| l.port == port);
        if let Some(location) = known {
            location.seen = now;
            (location.asked, location.ask_at) = (0, now + idle);
            // Where it was silent for some time meanwhile, it may have left.
            let others = record.locations.iter_mut().filter(|l| l.port != port);
            for other in others.filter(|other| now >= other.seen + DOUBT) {
                other.ask_at = other.ask_at.min(now + QUESTION_INTERVAL);
            }
        } else {
            is_news = true;
            // Is it still at the other ports?
            for location in &mut record.locations {
                location.ask_at = now;
            }
            let location = Location {
                port,
                since: now,
                seen: now,
                asked: 0,
                ask_at: now + idle,
            };
            record.locations.insert(0, location);
            if let Some(port) = self.ports.get_mut(&port) {
                port.hosts += 1;
            }
            if record.locations.len() > MAX_LOCATIONS {
                let last = record.locations.pop();
                if let Some(port) = last.and_then(|last| self.ports.get_mut(&last.port)) {
                    port.hosts -= 1;
                    port.fleeting.remove(&(record.first_seen, id));
                }
            }
        }
        if let Some((ip, source)) = address {
            is_news |= self.claim(id, ip, source, now, commands);
        }
        self.reschedule(id);
        if is_news {
            commands.extend(self.changed(id));
        }
        true
    }

    /// Lets a host have an address. Says whether that is new.
    fn claim(
        &mut self,
        id: HostId,
        ip: IpAddr,
        source: Source,
        now: Duration,
        commands: &mut Vec<Command>,
    ) -> bool {
        let Some(record) = self.hosts.get_mut(&id) else {
            return false;
        };
        if let Some((_, seen)) = record.addresses.get_mut(&ip) {
            *seen = now;
            return false;
        }
        if record.addresses.len() >= MAX_ADDRESSES {
            let oldest = record.addresses.iter().min_by_key(|(_, (_, seen))| *seen);
            if let Some(oldest) = oldest.map(|(ip, _)| *ip) {
                record.addresses.remove(&oldest);
                self.owners.remove(&(id.vlan, oldest));
            }
        }
        record.addresses.insert(ip, (source, now));
        let before = self.owners.insert((id.vlan, ip), id);
        if let Some(before) = before.filter(|before| *before != id)
            && let Some(record) = self.hosts.get_mut(&before)
        {
            record.addresses.remove(&ip);
            commands.extend(self.changed(before));
        }
        true
    }

    /// Makes room for one more host at a port, if need be of one that was seen for a moment only.
    fn make_room(&mut self, number: u32, commands: &mut Vec<Command>) -> bool {
        let Some(port) = self.ports.get_mut(&number) else {
            return false;
        };
        if port.hosts < self.settings.per_port {
            return true;
        }
        let Some((_, oldest)) = port.fleeting.pop_first() else {
            return false;
        };
        self.leave(oldest, number, commands);
        true
    }

    /// Forgets that a host is at a port, and the host if it is nowhere else.
    fn leave(&mut self, id: HostId, number: u32, commands: &mut Vec<Command>) {
        let Some(record) = self.hosts.get_mut(&id) else {
            return;
        };
        let before = record.locations.len();
        record.locations.retain(|location| location.port != number);
        if record.locations.len() == before {
            return;
        }
        if let Some(port) = self.ports.get_mut(&number) {
            port.hosts -= 1;
            port.fleeting.remove(&(record.first_seen, id));
        }
        if !record.locations.is_empty() {
            self.reschedule(id);
            commands.extend(self.changed(id));
            return;
        }
        self.due.remove(&(record.due, id));
        for ip in record.addresses.keys() {
            self.owners.remove(&(id.vlan, *ip));
        }
        self.hosts.remove(&id);
        commands.push(Command::Gone(id));
    }

    fn clear(&mut self, port: u32, commands: &mut Vec<Command>) {
        let at = |record: &Record| record.locations.iter().any(|l| l.port == port);
        let hosts = self.hosts.iter().filter(|(_, record)| at(record));
        let hosts: Vec<_> = hosts.map(|(id, _)| *id).collect();
        for id in hosts {
            self.leave(id, port, commands);
        }
    }

    /// Asks hosts that were silent for long, and forgets those that do not answer.
    fn ask_due(&mut self, now: Duration, commands: &mut Vec<Command>) {
        while let Some((at, id)) = self.due.first().copied()
            && at <= now
        {
            let mut lost = Vec::new();
            let Some(record) = self.hosts.get_mut(&id) else {
                self.due.pop_first();
                continue;
            };
            let addresses = record.addresses.keys().take(ASKED_ADDRESSES);
            let addresses: Vec<_> = addresses.copied().collect();
            let latest = record.locations.first().map(|location| location.since);
            for location in &mut record.locations {
                if location.ask_at > now {
                    continue;
                }
                if location.asked == QUESTIONS || addresses.is_empty() {
                    let is_left = latest.is_some_and(|latest| latest > location.since);
                    lost.push((location.port, is_left));
                    continue;
                }
                location.asked += 1;
                location.ask_at = now + QUESTION_INTERVAL;
                if let Some(port) = self.ports.get(&location.port) {
                    commands.extend(addresses.iter().map(|ip| Command::Send {
                        port: location.port,
                        frame: reply::question(id, *ip, port.mac),
                    }));
                }
            }
            record.moves += lost.iter().filter(|(_, is_left)| *is_left).count() as u32;
            self.reschedule(id);
            for (port, _) in lost {
                self.leave(id, port, commands);
            }
        }
    }

    fn reschedule(&mut self, id: HostId) {
        let Some(record) = self.hosts.get_mut(&id) else {
            return;
        };
        self.due.remove(&(record.due, id));
        let next = record.locations.iter().map(|location| location.ask_at);
        record.due = next.min().unwrap_or(record.last_seen);
        self.due.insert((record.due, id));
    }

    fn changed(&self, id: HostId) -> Option<Command> {
        let record = self.hosts.get(&id)?;
        Some(Command::Changed(record.host(id)))
    }

    /// A client of DHCP has asked.
    fn asks(&mut self, transaction: u32, port: u32, id: HostId, now: Duration) {
        if self.exchanges.len() >= MAX_EXCHANGES {
            self.exchanges
                .retain(|_, (_, _, since)| now < *since + EXCHANGE_TIME);
        }
        if self.exchanges.len() < MAX_EXCHANGES {
            let exchange = (port, id, now);
            self.exchanges.insert((transaction, id.mac), exchange);
        }
    }

    /// A server of DHCP has granted addresses.
    fn granted(
        &mut self,
        transaction: u32,
        client: Mac,
        addresses: &[IpAddr],
        now: Duration,
        commands: &mut Vec<Command>,
    ) {
        let exchange = self.exchanges.remove(&(transaction, client));
        let exchange = exchange.filter(|(_, _, since)| now < *since + EXCHANGE_TIME);
        let Some((_, id, _)) = exchange else {
            self.statistics.unasked += 1;
            return;
        };
        self.statistics.accepted += 1;
        let mut is_news = false;
        for ip in addresses.iter().filter(|ip| is_of_a_host(**ip)) {
            is_news |= self.claim(id, *ip, Source::Dhcp, now, commands);
        }
        if is_news {
            commands.extend(self.changed(id));
        }
    }

    /// Answers for a gateway, or for a host at another port.
    fn answer(&mut self, port: u32, id: HostId, said: &Said, commands: &mut Vec<Command>) {
        let frame = match *said {
            Said::Arp {
                sender_ip,
                target_ip,
                is_request: true,
                ..
            } if sender_ip != target_ip => {
                let is_anonymous = sender_ip.is_unspecified();
                let found = self.answer_for(port, id, target_ip.into(), is_anonymous);
                found.map(|(mac, _)| reply::arp_reply(id, sender_ip, target_ip, mac))
            }
            Said::Solicitation { source, target, .. } => {
                let found = self.answer_for(port, id, target.into(), source.is_unspecified());
                found.map(|(mac, is_router)| {
                    reply::advertisement(id, source, target, mac, is_router)
                })
            }
            _ => None,
        };
        if let Some(frame) = frame {
            self.statistics.answered += 1;
            commands.push(Command::Send { port, frame });
        }
    }

    /// Who has an address that somebody asks for, and whether that is a gateway. Who has no address itself asks
    /// whether it may have that one: hosts speak for themselves then.
    fn answer_for(
        &self,
        port: u32,
        asker: HostId,
        ip: IpAddr,
        is_anonymous: bool,
    ) -> Option<(Mac, bool)> {
        if let Some(mac) = self.gateway(ip, asker.vlan) {
            return Some((mac, true));
        }
        let owner = *self.owners.get(&(asker.vlan, ip))?;
        let record = self.hosts.get(&owner)?;
        let is_here = record.locations.iter().any(|l| l.port == port);
        let is_answered = self.settings.proxy && !is_anonymous && !is_here && owner != asker;
        is_answered.then_some((owner.mac, false))
    }

    fn gateway(&self, ip: IpAddr, vlan: u16) -> Option<Mac> {
        let mut gateways = self.settings.gateways.iter();
        let found = gateways.find(|g| g.ip == ip && g.vlan.is_none_or(|only| only == vlan));
        found.map(|gateway| gateway.mac)
    }
}

impl Record {
    fn host(&self, id: HostId) -> Host {
        let addresses = self.addresses.iter();
        let locations = self.locations.iter();
        Host {
            id,
            addresses: addresses.map(|(ip, (source, _))| (*ip, *source)).collect(),
            locations: locations.map(|l| (l.port, l.since)).collect(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            moves: self.moves,
        }
    }
}

#[cfg(test)]
impl Hosts {
    /// Whether indices, counts and timers are those of the hosts that there are.
    pub(super) fn is_whole(&self) -> bool {
        let owned = self.owners.iter().all(|((vlan, ip), id)| {
            let record = self.hosts.get(id);
            id.vlan == *vlan && record.is_some_and(|record| record.addresses.contains_key(ip))
        });
        let addresses = self.hosts.values().map(|record| record.addresses.len());
        let counted = self.ports.iter().all(|(number, port)| {
            let here = self.hosts.values().flat_map(|record| &record.locations);
            here.filter(|location| location.port == *number).count() == port.hosts
                && port
                    .fleeting
                    .iter()
                    .all(|(_, id)| self.hosts.contains_key(id))
        });
        owned
            && counted
            && addresses.sum::<usize>() == self.owners.len()
            && self.due.len() == self.hosts.len()
    }
}

/// Whether a host can have this address.
fn is_of_a_host(ip: IpAddr) -> bool {
    let is_special = ip.is_unspecified() || ip.is_multicast() || ip.is_loopback();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let is_mapped = matches!(ip, IpAddr::V6(ip) if Ipv6Addr::to_ipv4_mapped(&ip).is_some());
    !is_special && !is_broadcast && !is_mapped
}
