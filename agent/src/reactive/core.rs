//! The pure core: what happened goes in, what is wanted comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use pointsman_ebpf::front::{NO_VLAN, Station};
use pointsman_model::{Objective, ObjectiveId};

use super::bridge::Bridge;
use super::objects::{Objects, bridge_name, routes_name};
use super::packet;
use super::routes::Routes;
use super::settings::Settings;
use crate::hosts::{Host, HostId};

/// A port of the switch, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name in objectives.
    pub name: String,
    /// Whether it can carry packets.
    pub is_up: bool,
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A port is there, new or changed.
    PortIs {
        /// Its number.
        number: u32,
        /// What it is.
        port: Port,
    },
    /// A port is there no more.
    PortGone {
        /// Its number.
        number: u32,
    },
    /// All ports were told of.
    PortsKnown,
    /// A frame of a station that is not known there came in.
    Frame {
        /// The port.
        port: u32,
        /// From its Ethernet header on, maybe cut.
        bytes: &'a [u8],
    },
    /// A host is known, new or changed.
    HostIs(Host),
    /// A host is known no more.
    HostGone(HostId),
    /// A packet was handed up by the pipeline.
    Packet {
        /// As it came in.
        bytes: &'a [u8],
    },
    /// Who of those that were [looked after](Command::LookAfter) has sent something.
    LookedAfter(Vec<(Station, bool)>),
    /// [`Reactive::deadline`] has come.
    Timer,
}

/// What must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Install an objective, or another version of it.
    Put(Box<Objective>),
    /// Take one away.
    Delete(ObjectiveId),
    /// New stations are looked for at these ports, and at no others. With each stands the VLAN of its frames without a
    /// tag, or [`NO_VLAN`](pointsman_ebpf::front::NO_VLAN).
    Learn(BTreeMap<u32, u16>),
    /// A station is at a port, so that its frames are not handed up; or it is not known any more.
    Know {
        /// Who.
        station: Station,
        /// Where.
        port: Option<u32>,
    },
    /// Say whether these have sent something since they were looked after last.
    LookAfter(Vec<Station>),
    /// Send a frame, once all that was wanted before is installed.
    Send {
        /// By this port.
        port: u32,
        /// From its Ethernet header on.
        frame: Vec<u8>,
    },
}

/// What became of frames and stations, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Stations that were learnt, or learnt anew at another port.
    pub learnt: u64,
    /// Those of them that had been at another port.
    pub moves: u64,
    /// Frames of new stations of ports that have as many as they may.
    pub full: u64,
    /// Frames of stations that had moved a moment before.
    pub flapping: u64,
    /// Frames of no VLAN that is bridged at their port, or that name no sender.
    pub other: u64,
    /// Packets that have waited for their host, and went out to it.
    pub sent: u64,
    /// Packets for hosts that have not answered.
    pub unanswered: u64,
    /// Packets for hosts that are looked for, beyond those that wait.
    pub not_held: u64,
    /// Hosts that were seen beyond those that may have a route.
    pub hosts_full: u64,
    /// Packets for gateways themselves, which answer to nothing but ARP and neighbour solicitations.
    pub for_gateway: u64,
}

/// Where policies do what they decide.
pub(super) struct Surroundings<'a> {
    pub(super) objects: &'a mut Objects,
    pub(super) commands: &'a mut Vec<Command>,
    pub(super) statistics: &'a mut Statistics,
    pub(super) now: Duration,
}

impl Surroundings<'_> {
    pub(super) fn put(&mut self, objective: Objective) {
        self.objects.put(objective, self.commands);
    }

    pub(super) fn delete(&mut self, id: ObjectiveId) {
        self.objects.delete(id, self.commands);
    }

    pub(super) fn know(&mut self, station: Station, port: Option<u32>) {
        self.commands.push(Command::Know { station, port });
    }
}

/// All policies. Time does not go back.
#[derive(Debug)]
pub struct Reactive {
    bridges: Vec<Bridge>,
    routes: Vec<Routes>,
    objects: Objects,
    learning: BTreeMap<u32, u16>,
    /// When what an earlier run has learnt must have been seen again.
    confirmed_by: Option<Duration>,
    statistics: Statistics,
}

impl Reactive {
    /// With the objectives that policies of an earlier run have left.
    pub fn new(settings: Settings, found: Vec<Objective>, now: Duration) -> Reactive {
        let bridges: Vec<_> = settings.bridges.into_iter().map(Bridge::new).collect();
        let routes: Vec<_> = settings.host_routes.into_iter().map(Routes::new).collect();
        let idle = bridges.iter().map(Bridge::idle);
        let idle = idle.chain(routes.iter().map(|routes| routes.settings().idle));
        let longest = idle.max().unwrap_or_default();
        Reactive {
            confirmed_by: (!found.is_empty()).then_some(now + longest),
            bridges,
            routes,
            objects: Objects::inherited(found),
            learning: BTreeMap::new(),
            statistics: Statistics::default(),
        }
    }

    /// Whether there is nothing to do, ever.
    pub fn is_idle(&self) -> bool {
        self.bridges.is_empty() && self.routes.is_empty() && self.objects.count() == 0
    }

    /// Whether packets that the pipeline hands up are of use.
    pub fn wants_packets(&self) -> bool {
        !self.routes.is_empty()
    }

    /// What became of frames and stations.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Stations that are known.
    pub fn stations(&self) -> usize {
        self.bridges.iter().map(Bridge::stations).sum()
    }

    /// When something is to be done although nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let bridges = self.bridges.iter().filter_map(Bridge::deadline);
        let routes = self.routes.iter().filter_map(Routes::deadline);
        bridges.chain(routes).chain(self.confirmed_by).min()
    }

    /// Decides what follows from an event.
    pub fn step(&mut self, event: Event<'_>, now: Duration) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut around = Surroundings {
            objects: &mut self.objects,
            commands: &mut commands,
            statistics: &mut self.statistics,
            now,
        };
        match event {
            Event::PortIs { number, port } => {
                for bridge in &mut self.bridges {
                    bridge.port(number, Some(&port), &mut around);
                }
                for routes in &mut self.routes {
                    routes.port(number, Some(&port), &mut around);
                }
                self.learn(&mut commands);
            }
            Event::PortGone { number } => {
                for bridge in &mut self.bridges {
                    bridge.port(number, None, &mut around);
                }
                for routes in &mut self.routes {
                    routes.port(number, None, &mut around);
                }
                self.learn(&mut commands);
            }
            Event::PortsKnown => {
                for routes in &self.routes {
                    routes.start(&mut around);
                }
                // What was learnt may be confirmed yet.
                let bridges = self.bridges.iter();
                let stations = bridges.map(|bridge| bridge_name(bridge.vlan(), "station/"));
                let gateways = self.routes.iter().map(|r| r.settings().subnet.gateway);
                let hosts = gateways.map(|gateway| routes_name(gateway, "host/"));
                let prefixes = stations.chain(hosts).map(|name| name.to_string());
                let prefixes: Vec<_> = prefixes.collect();
                let is_learnt = |id: &ObjectiveId| {
                    let name = id.name.as_str();
                    prefixes.iter().any(|prefix| name.starts_with(prefix))
                };
                self.objects.drop_unconfirmed(is_learnt, &mut commands);
            }
            Event::Frame { port, bytes } => {
                let sender = Station::of(bytes, 0);
                let is_taken = sender.is_some_and(|Station { mac, vlan: tag }| {
                    let mut bridges = self.bridges.iter_mut();
                    bridges.any(|bridge| bridge.seen(port, (mac, tag), &mut around))
                });
                if !is_taken {
                    self.statistics.other += 1;
                }
            }
            Event::HostIs(host) => {
                for routes in &mut self.routes {
                    routes.host(&host, &mut around);
                }
            }
            Event::HostGone(host) => {
                for routes in &mut self.routes {
                    routes.host_gone(host, &mut around);
                }
            }
            Event::Packet { bytes } => {
                if let Some((ip, _)) = packet::destination(bytes) {
                    let mut routes = self.routes.iter_mut();
                    routes.any(|routes| routes.packet(bytes, ip, &mut around));
                }
            }
            Event::LookedAfter(stations) => {
                for (station, was_seen) in stations {
                    for bridge in &mut self.bridges {
                        bridge.looked_after(station, was_seen, &mut around);
                    }
                }
            }
            Event::Timer => {
                for routes in &mut self.routes {
                    routes.ask_due(&mut around);
                }
                let due = self.bridges.iter().flat_map(|bridge| bridge.due(now));
                let due: Vec<_> = due.collect();
                if !due.is_empty() {
                    commands.push(Command::LookAfter(due));
                }
                if self.confirmed_by.is_some_and(|at| at <= now) {
                    self.confirmed_by = None;
                    self.objects.drop_unconfirmed(|_| false, &mut commands);
                }
            }
        }
        commands
    }

    fn learn(&mut self, commands: &mut Vec<Command>) {
        let mut ports = BTreeMap::new();
        for (port, untagged) in self.bridges.iter().flat_map(Bridge::members) {
            // A port may be of one VLAN untagged, and of others tagged.
            let known = ports.entry(port).or_insert(NO_VLAN);
            *known = untagged.min(*known);
        }
        if self.learning != ports {
            self.learning = ports;
            commands.push(Command::Learn(self.learning.clone()));
        }
    }

    /// Whether indices and counts fit what there is.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        self.bridges.iter().all(Bridge::is_whole) && self.routes.iter().all(Routes::is_whole)
    }
}
