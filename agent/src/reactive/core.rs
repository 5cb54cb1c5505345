//! The pure core: what happened goes in, what is wanted comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use pointsman_ebpf::front::{NO_VLAN, Station};
use pointsman_model::{Objective, ObjectiveId};

use super::bridge::{Bridge, Surroundings};
use super::objects::{Objects, bridge_name};
use super::settings::Settings;

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
}

/// All policies. Time does not go back.
#[derive(Debug)]
pub struct Reactive {
    bridges: Vec<Bridge>,
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
        let longest = bridges.iter().map(Bridge::idle).max().unwrap_or_default();
        Reactive {
            confirmed_by: (!found.is_empty()).then_some(now + longest),
            bridges,
            objects: Objects::inherited(found),
            learning: BTreeMap::new(),
            statistics: Statistics::default(),
        }
    }

    /// Whether there is nothing to do, ever.
    pub fn is_idle(&self) -> bool {
        self.bridges.is_empty() && self.objects.count() == 0
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
        bridges.chain(self.confirmed_by).min()
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
                self.learn(&mut commands);
            }
            Event::PortGone { number } => {
                for bridge in &mut self.bridges {
                    bridge.port(number, None, &mut around);
                }
                self.learn(&mut commands);
            }
            Event::PortsKnown => {
                // What was learnt may be confirmed yet.
                let prefixes = self.bridges.iter();
                let prefixes: Vec<_> = prefixes
                    .map(|bridge| bridge_name(bridge.vlan(), "station/").to_string())
                    .collect();
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
            Event::LookedAfter(stations) => {
                for (station, was_seen) in stations {
                    for bridge in &mut self.bridges {
                        bridge.looked_after(station, was_seen, &mut around);
                    }
                }
            }
            Event::Timer => {
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
        self.bridges.iter().all(Bridge::is_whole)
    }
}
