//! One bridge that learns: its ports, the stations behind them, and when each is looked after again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use pointsman_ebpf::front::{NO_VLAN, Station};
use pointsman_model::{Kind, MacAddr, Name, NextType, PortRef, VlanId};

use super::core::{Port, Surroundings};
use super::objects::{self, bridge_name, id, port_part};
use super::settings::{self, Tagging};

/// A station that moves is believed once in that time: of two that send in its name neither makes the other's work.
const MOVE_HOLD: Duration = Duration::from_secs(1);

/// A bridge.
#[derive(Debug)]
pub(super) struct Bridge {
    settings: settings::Bridge,
    members: BTreeMap<u32, Member>,
    stations: HashMap<[u8; 6], Learnt>,
    /// When each station is looked after.
    due: BTreeSet<(Duration, [u8; 6])>,
}

#[derive(Debug)]
struct Member {
    name: String,
    tagging: Tagging,
    is_up: bool,
    stations: usize,
}

#[derive(Debug, Clone, Copy)]
struct Learnt {
    port: u32,
    since: Duration,
    due: Duration,
}

impl Bridge {
    pub(super) fn new(settings: settings::Bridge) -> Bridge {
        Bridge {
            settings,
            members: BTreeMap::new(),
            stations: HashMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// The VLAN that it is for.
    pub(super) fn vlan(&self) -> VlanId {
        self.settings.vlan
    }

    /// How long a station may be silent.
    pub(super) fn idle(&self) -> Duration {
        self.settings.idle
    }

    /// Its ports, and the VLAN of their frames without a tag.
    pub(super) fn members(&self) -> impl Iterator<Item = (u32, u16)> {
        self.members.iter().map(|(number, member)| {
            let untagged = match member.tagging {
                Tagging::Untagged => self.vlan().get(),
                Tagging::Tagged => NO_VLAN,
            };
            (*number, untagged)
        })
    }

    /// How many stations it knows.
    pub(super) fn stations(&self) -> usize {
        self.stations.len()
    }

    /// When a station is to be looked after.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A port is there, or not any more. Says whether it is of this bridge, or was.
    pub(super) fn port(
        &mut self,
        number: u32,
        port: Option<&Port>,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let before = self.members.get(&number);
        let found = port.and_then(|port| {
            let tagging = self.settings.members.tagging(&port.name)?;
            Some((port, tagging))
        });
        let Some((port, tagging)) = found else {
            let Some(member) = self.members.remove(&number) else {
                return false;
            };
            self.flush(number, around);
            self.flood(around);
            let part = port_part(number, &member.name);
            for kind in [Kind::Filter, Kind::Next] {
                around.delete(id(kind, self.name(&part)));
            }
            return true;
        };
        if before.is_some_and(|before| before.name != port.name) {
            self.port(number, None, around);
        }
        let (vlan, part) = (self.vlan(), port_part(number, &port.name));
        let port_ref = objects::port_ref(number, &port.name);
        around.put(objects::admission(
            self.name(&part),
            port_ref.clone(),
            vlan,
            tagging,
            None,
        ));
        let to_port = objects::out(self.name(&part), NextType::Simple, vlan, vec![port_ref]);
        around.put(to_port);
        let member = self.members.entry(number).or_insert_with(|| Member {
            name: port.name.clone(),
            tagging,
            is_up: port.is_up,
            stations: 0,
        });
        let went_down = member.is_up && !port.is_up;
        member.is_up = port.is_up;
        if went_down {
            self.flush(number, around);
        }
        self.flood(around);
        true
    }

    /// A frame came in by a port, from a MAC address, with a tag or with 0. Says whether it is of this bridge.
    pub(super) fn seen(
        &mut self,
        port: u32,
        (mac, tag): ([u8; 6], u16),
        around: &mut Surroundings<'_>,
    ) -> bool {
        let (now, vlan) = (around.now, self.vlan());
        let Some(member) = self.members.get_mut(&port) else {
            return false;
        };
        let is_ours = match member.tagging {
            Tagging::Untagged => tag == 0,
            Tagging::Tagged => tag == vlan.get(),
        };
        if !is_ours {
            return false;
        }
        let known = self.stations.get(&mac).copied();
        if known.is_some_and(|known| known.port == port) {
            return true;
        }
        if known.is_some_and(|known| now < known.since + MOVE_HOLD) {
            around.statistics.flapping += 1;
            return true;
        }
        if member.stations >= self.settings.stations_per_port {
            around.statistics.full += 1;
            return true;
        }
        member.stations += 1;
        let next = port_part(port, &member.name);
        if let Some(known) = known {
            around.statistics.moves += 1;
            self.due.remove(&(known.due, mac));
            if let Some(left) = self.members.get_mut(&known.port) {
                left.stations -= 1;
            }
        }
        let learnt = Learnt {
            port,
            since: now,
            due: now + self.settings.idle,
        };
        self.due.insert((learnt.due, mac));
        self.stations.insert(mac, learnt);
        around.statistics.learnt += 1;
        around.know(self.station(mac), Some(port));
        let (name, next) = (self.station_name(mac), self.name(&next));
        around.put(objects::bridged(name, vlan, Some(mac), next));
        true
    }

    /// The stations that are to be looked after now.
    pub(super) fn due(&self, now: Duration) -> Vec<Station> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, mac)| self.station(*mac)).collect()
    }

    /// Whether a station that was looked after has sent something.
    pub(super) fn looked_after(
        &mut self,
        station: Station,
        was_seen: bool,
        around: &mut Surroundings<'_>,
    ) {
        if station.vlan != self.vlan().get() {
            return;
        }
        let Some(learnt) = self.stations.get_mut(&station.mac) else {
            return;
        };
        if learnt.due > around.now {
            return;
        }
        if was_seen {
            self.due.remove(&(learnt.due, station.mac));
            learnt.due = around.now + self.settings.idle;
            self.due.insert((learnt.due, station.mac));
        } else {
            self.forget(station.mac, around);
        }
    }

    fn forget(&mut self, mac: [u8; 6], around: &mut Surroundings<'_>) {
        if let Some(learnt) = self.stations.remove(&mac) {
            self.due.remove(&(learnt.due, mac));
            if let Some(member) = self.members.get_mut(&learnt.port) {
                member.stations -= 1;
            }
            around.know(self.station(mac), None);
            around.delete(id(Kind::Forward, self.station_name(mac)));
        }
    }

    fn flush(&mut self, port: u32, around: &mut Surroundings<'_>) {
        let here = self.stations.iter().filter(|(_, at)| at.port == port);
        for mac in here.map(|(mac, _)| *mac).collect::<Vec<_>>() {
            self.forget(mac, around);
        }
    }

    /// What is for nobody who is known goes to all ports.
    fn flood(&mut self, around: &mut Surroundings<'_>) {
        let name = self.name("flood");
        if self.members.is_empty() {
            around.delete(id(Kind::Forward, name.clone()));
            return around.delete(id(Kind::Next, name));
        }
        let ports: Vec<PortRef> = self
            .members
            .iter()
            .map(|(number, member)| objects::port_ref(*number, &member.name))
            .collect();
        let vlan = self.vlan();
        around.put(objects::out(name.clone(), NextType::Broadcast, vlan, ports));
        around.put(objects::bridged(name.clone(), vlan, None, name));
    }

    fn station(&self, mac: [u8; 6]) -> Station {
        let vlan = self.settings.vlan.get();
        Station { mac, vlan }
    }

    fn name(&self, what: &str) -> Name {
        bridge_name(self.settings.vlan, what)
    }

    fn station_name(&self, mac: [u8; 6]) -> Name {
        self.name(&format!("station/{}", MacAddr(mac)))
    }

    /// Whether indices and counts are those of the stations that there are.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        let at = |port: u32| self.stations.values().filter(|s| s.port == port).count();
        let dues = self.stations.iter().map(|(mac, s)| (s.due, *mac));
        self.due == dues.collect()
            && self.members.iter().all(|(port, m)| m.stations == at(*port))
            && self
                .stations
                .values()
                .all(|s| self.members.contains_key(&s.port))
    }
}
