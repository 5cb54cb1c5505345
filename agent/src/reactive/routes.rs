//! Routes to the hosts of one subnet: each is made when the host is known, and hosts that packets are for are looked for.
//!
//! The subnet as a whole is handed up. So the first packet for a host that nobody knows comes here, waits while the host is
//! asked for at all ports of its VLAN, and goes out once the host has answered and its route is installed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use pointsman_model::{Kind, MacAddr, Name, VlanId};

use super::core::{Command, Port, Surroundings};
use super::objects::{self, id, port_part, routes_name};
use super::packet;
use super::settings::{self, Tagging};
use crate::hosts::{self, Host, HostId};

/// Hosts that are looked for at a time.
const MOST_SOUGHT: usize = 256;
/// Packets that wait for one host.
const MOST_WAITING: usize = 4;
/// Questions for a host, and the time between them.
const QUESTIONS: u32 = 3;
const QUESTION_INTERVAL: Duration = Duration::from_secs(1);

/// A subnet.
#[derive(Debug)]
pub(super) struct Routes {
    settings: settings::HostRoutes,
    members: BTreeMap<u32, (String, Tagging)>,
    hosts: HashMap<HostId, Routed>,
    /// Who has an address.
    owners: HashMap<IpAddr, HostId>,
    sought: BTreeMap<IpAddr, Sought>,
}

/// A host with a route.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Routed {
    port: u32,
    addresses: BTreeSet<IpAddr>,
}

#[derive(Debug)]
struct Sought {
    waiting: Vec<Vec<u8>>,
    asked: u32,
    ask_at: Duration,
}

impl Routes {
    pub(super) fn new(settings: settings::HostRoutes) -> Routes {
        Routes {
            settings,
            members: BTreeMap::new(),
            hosts: HashMap::new(),
            owners: HashMap::new(),
            sought: BTreeMap::new(),
        }
    }

    /// The subnet.
    pub(super) fn settings(&self) -> &settings::HostRoutes {
        &self.settings
    }

    /// When a host is asked for again.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.sought.values().map(|sought| sought.ask_at).min()
    }

    /// Everything that is for the subnet and for no host that is known comes here.
    pub(super) fn start(&self, around: &mut Surroundings<'_>) {
        let subnet = &self.settings.subnet;
        let name = self.name("subnet");
        around.put(objects::punted(name, subnet.criterion()));
    }

    /// A port is there, or not any more.
    pub(super) fn port(&mut self, number: u32, port: Option<&Port>, around: &mut Surroundings<'_>) {
        let found = port.and_then(|port| {
            let tagging = self.settings.members.tagging(&port.name)?;
            Some((port.name.clone(), tagging))
        });
        if let Some((name, _)) = self.members.get(&number)
            && found.as_ref().is_none_or(|(new, _)| new != name)
        {
            around.delete(id(Kind::Filter, self.name(&port_part(number, name))));
            self.members.remove(&number);
            let here = self.hosts.iter().filter(|(_, host)| host.port == number);
            for host in here.map(|(id, _)| *id).collect::<Vec<_>>() {
                self.host_gone(host, around);
            }
        }
        if let Some((name, tagging)) = found {
            let admission = objects::admission(
                self.name(&port_part(number, &name)),
                objects::port_ref(number, &name),
                self.settings.vlan,
                tagging,
                Some(self.settings.mac),
            );
            around.put(admission);
            self.members.insert(number, (name, tagging));
        }
    }

    /// A host is known, new or changed.
    pub(super) fn host(&mut self, host: &Host, around: &mut Surroundings<'_>) {
        let place = host.locations.first().and_then(|(port, _)| {
            let (_, tagging) = self.members.get(port)?;
            (tagging.tag(self.settings.vlan) == host.id.vlan).then_some(*port)
        });
        let addresses = host.addresses.iter().map(|(ip, _)| *ip);
        let addresses = addresses.filter(|ip| self.settings.subnet.has(*ip));
        let addresses: BTreeSet<_> = addresses.collect();
        let Some(port) = place.filter(|_| !addresses.is_empty()) else {
            return self.host_gone(host.id, around);
        };
        let before = self.hosts.get(&host.id).cloned();
        if before.is_none() && self.hosts.len() >= self.settings.most {
            around.statistics.hosts_full += 1;
            return;
        }
        let routed = Routed { port, addresses };
        if before.as_ref() == Some(&routed) {
            return;
        }
        self.hosts.insert(host.id, routed.clone());
        let next = self.host_name(host.id);
        let (name, _) = &self.members[&port];
        around.put(objects::rewritten(
            next.clone(),
            self.settings.vlan,
            (self.settings.mac, MacAddr(host.id.mac.0)),
            objects::port_ref(port, name),
        ));
        let lost = before.map(|before| before.addresses).unwrap_or_default();
        for ip in lost.difference(&routed.addresses) {
            self.withdraw(*ip, host.id, around);
        }
        for ip in &routed.addresses {
            let old = self.owners.insert(*ip, host.id);
            if let Some(old) = old.filter(|old| *old != host.id)
                && let Some(old) = self.hosts.get_mut(&old)
            {
                old.addresses.remove(ip);
            }
            around.put(objects::route(self.route_name(*ip), *ip, next.clone()));
            if let Some(sought) = self.sought.remove(ip) {
                self.release(sought, *ip, around);
            }
        }
    }

    /// A host is not known any more.
    pub(super) fn host_gone(&mut self, host: HostId, around: &mut Surroundings<'_>) {
        if let Some(routed) = self.hosts.remove(&host) {
            for ip in routed.addresses {
                self.withdraw(ip, host, around);
            }
            around.delete(id(Kind::Next, self.host_name(host)));
        }
    }

    /// A packet for somebody without a route came. Says whether it is for this subnet.
    pub(super) fn packet(
        &mut self,
        frame: &[u8],
        ip: IpAddr,
        around: &mut Surroundings<'_>,
    ) -> bool {
        if !self.settings.subnet.has(ip) {
            return false;
        }
        if ip == self.settings.subnet.gateway {
            around.statistics.for_gateway += 1;
            return true;
        }
        if self.owners.contains_key(&ip) {
            // Its route was made while this one was under way.
            self.send(frame, ip, around);
            return true;
        }
        if let Some(sought) = self.sought.get_mut(&ip) {
            match sought.waiting.len() < MOST_WAITING {
                true => sought.waiting.push(frame.to_vec()),
                false => around.statistics.not_held += 1,
            }
            return true;
        }
        if self.sought.len() >= MOST_SOUGHT {
            around.statistics.not_held += 1;
            return true;
        }
        let sought = Sought {
            waiting: vec![frame.to_vec()],
            asked: 0,
            ask_at: around.now,
        };
        self.sought.insert(ip, sought);
        self.ask_due(around);
        true
    }

    /// Asks again for hosts that have not answered, or gives them up.
    pub(super) fn ask_due(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        let mut questions = Vec::new();
        self.sought.retain(|ip, sought| {
            if sought.ask_at > now {
                return true;
            }
            if sought.asked == QUESTIONS {
                around.statistics.unanswered += sought.waiting.len() as u64;
                return false;
            }
            sought.asked += 1;
            sought.ask_at = now + QUESTION_INTERVAL;
            questions.push(*ip);
            true
        });
        for ip in questions {
            for (port, (_, tagging)) in &self.members {
                let vlan = tagging.tag(self.settings.vlan);
                let from = hosts::Mac(self.settings.mac.0);
                around.commands.push(Command::Send {
                    port: *port,
                    frame: hosts::search(ip, vlan, from),
                });
            }
        }
    }

    fn release(&self, sought: Sought, ip: IpAddr, around: &mut Surroundings<'_>) {
        for frame in &sought.waiting {
            self.send(frame, ip, around);
        }
    }

    fn send(&self, frame: &[u8], ip: IpAddr, around: &mut Surroundings<'_>) {
        let found = self.owners.get(&ip).and_then(|id| {
            let host = self.hosts.get(id)?;
            let (_, tagging) = self.members.get(&host.port)?;
            let vlan = match tagging {
                Tagging::Untagged => None,
                Tagging::Tagged => Some(self.settings.vlan.get()),
            };
            let frame = packet::routed(frame, self.settings.mac.0, id.mac.0, vlan)?;
            Some((host.port, frame))
        });
        if let Some((port, frame)) = found {
            around.statistics.sent += 1;
            around.commands.push(Command::Send { port, frame });
        }
    }

    /// A host does not have an address any more.
    fn withdraw(&mut self, ip: IpAddr, host: HostId, around: &mut Surroundings<'_>) {
        if self.owners.get(&ip) == Some(&host) {
            self.owners.remove(&ip);
            around.delete(id(Kind::Forward, self.route_name(ip)));
        }
    }

    fn name(&self, what: &str) -> Name {
        routes_name(self.settings.subnet.gateway, what)
    }

    fn host_name(&self, host: HostId) -> Name {
        self.name(&format!("host/{}", host.mac))
    }

    fn route_name(&self, ip: IpAddr) -> Name {
        self.name(&format!("host/{ip}"))
    }

    /// Whether indices fit the hosts that there are.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        self.owners.iter().all(|(ip, id)| {
            let host = self.hosts.get(id);
            host.is_some_and(|host| host.addresses.contains(ip))
        }) && self.hosts.len() <= self.settings.most
            && self.sought.len() <= MOST_SOUGHT
    }
}

impl Tagging {
    /// The VLAN that frames name; 0 is none.
    fn tag(self, vlan: VlanId) -> u16 {
        match self {
            Tagging::Untagged => 0,
            Tagging::Tagged => vlan.get(),
        }
    }
}
