//! The objectives of policies: what they look like, and which of them are there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use pointsman_model::{
    Attributes, Bucket, Criterion, DEFAULT_PRIORITY, Field, Filter, FilterType, Forward,
    ForwardFlag, Instruction, Kind, MacAddr, Match, Name, Next, NextType, Objective, ObjectiveId,
    ObjectiveKind, PortRef, Selector, VlanId,
};

use super::core::Command;
use super::settings::Tagging;

/// The objectives that policies have asked for, and those of an earlier run that none has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Objects {
    there: BTreeMap<ObjectiveId, Objective>,
    unconfirmed: BTreeSet<ObjectiveId>,
}

impl Objects {
    /// With what an earlier run has left.
    pub(super) fn inherited(found: Vec<Objective>) -> Objects {
        let there: BTreeMap<_, _> = found.into_iter().map(|o| (o.id(), o)).collect();
        Objects {
            unconfirmed: there.keys().cloned().collect(),
            there,
        }
    }

    /// An objective is wanted.
    pub(super) fn put(&mut self, objective: Objective, commands: &mut Vec<Command>) {
        let id = objective.id();
        self.unconfirmed.remove(&id);
        if self.there.get(&id) != Some(&objective) {
            self.there.insert(id, objective.clone());
            commands.push(Command::Put(Box::new(objective)));
        }
    }

    /// An objective is not wanted any more.
    pub(super) fn delete(&mut self, id: ObjectiveId, commands: &mut Vec<Command>) {
        self.unconfirmed.remove(&id);
        if self.there.remove(&id).is_some() {
            commands.push(Command::Delete(id));
        }
    }

    /// What an earlier run has left is not wanted, unless a policy asked for it since or `but_for` says that one may yet.
    pub(super) fn drop_unconfirmed(
        &mut self,
        but_for: impl Fn(&ObjectiveId) -> bool,
        commands: &mut Vec<Command>,
    ) {
        let unwanted = self.unconfirmed.iter().filter(|id| !but_for(id));
        for id in unwanted.cloned().collect::<Vec<_>>() {
            self.delete(id, commands);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.there.len()
    }
}

/// The name of something of a bridge.
pub(super) fn bridge_name(vlan: VlanId, what: &str) -> Name {
    let name = Name::new(&format!("{}bridge{vlan}/{what}", Name::LOCAL));
    name.expect("names of ports and addresses are made of what names are made of")
}

/// The name of something of the routes to hosts of a gateway's subnet.
pub(super) fn routes_name(gateway: IpAddr, what: &str) -> Name {
    let name = Name::new(&format!("{}routes/{gateway}/{what}", Name::LOCAL));
    name.expect("names of ports and addresses are made of what names are made of")
}

/// What stands for a port in names.
pub(super) fn port_part(number: u32, name: &str) -> String {
    match Name::new(name) {
        Some(name) => format!("port/{name}"),
        None => format!("port/{number}"),
    }
}

/// A port as objectives name it: by its name, if that is one.
pub(super) fn port_ref(number: u32, name: &str) -> PortRef {
    match name.parse() {
        Ok(PortRef::Name(name)) => PortRef::Name(name),
        _ => PortRef::Number(number),
    }
}

/// Frames of a VLAN come in by a port; those for the MAC address of a router, if there is one, to be routed.
pub(super) fn admission(
    name: Name,
    port: PortRef,
    vlan: VlanId,
    tagging: Tagging,
    router: Option<MacAddr>,
) -> Objective {
    let vid = Match::Exact(vlan.get().into());
    let router = router.map(|mac| (Field::EthDst, Match::Exact(mac.into())));
    let (seen, treatment) = match tagging {
        Tagging::Untagged => (Match::Untagged, vec![Instruction::PushVlan(vlan)]),
        Tagging::Tagged => (vid, Vec::new()),
    };
    objective(
        name,
        ObjectiveKind::Filter(Filter {
            filter_type: FilterType::Permit,
            key: selector([(Field::InPort, Match::Port(port))]),
            conditions: selector([(Field::VlanVid, seen)].into_iter().chain(router)),
            treatment,
        }),
    )
}

/// Out by one port, or by all of these.
pub(super) fn out(name: Name, next_type: NextType, vlan: VlanId, ports: Vec<PortRef>) -> Objective {
    let buckets = ports.into_iter().map(|port| Bucket {
        weight: 1,
        treatment: vec![Instruction::Output(port)],
        next: None,
    });
    objective(
        name,
        ObjectiveKind::Next(Next {
            next_type,
            buckets: buckets.collect(),
            meta: selector([(Field::VlanVid, Match::Exact(vlan.get().into()))]),
        }),
    )
}

/// Frames of a VLAN, all or those for one station, go to a next.
pub(super) fn bridged(name: Name, vlan: VlanId, to: Option<[u8; 6]>, next: Name) -> Objective {
    let vlan = (Field::VlanVid, Match::Exact(vlan.get().into()));
    let to = to.map(|mac| (Field::EthDst, Match::Exact(MacAddr(mac).into())));
    objective(
        name,
        ObjectiveKind::Forward(Forward {
            flag: ForwardFlag::Specific,
            selector: selector([vlan].into_iter().chain(to)),
            next: Some(next),
            treatment: Vec::new(),
        }),
    )
}

/// What is for a subnet, and for no host of it that has a route, is handed up.
pub(super) fn punted(name: Name, subnet: (Field, Match)) -> Objective {
    objective(
        name,
        ObjectiveKind::Forward(Forward {
            flag: ForwardFlag::Specific,
            selector: selector([subnet]),
            next: None,
            treatment: vec![Instruction::Punt],
        }),
    )
}

/// Out by a port as a router sends it on, from its own MAC address to another.
pub(super) fn rewritten(
    name: Name,
    vlan: VlanId,
    (from, to): (MacAddr, MacAddr),
    port: PortRef,
) -> Objective {
    let set = |field, mac: MacAddr| Instruction::Set {
        field,
        value: mac.into(),
    };
    objective(
        name,
        ObjectiveKind::Next(Next {
            next_type: NextType::Simple,
            buckets: vec![Bucket {
                weight: 1,
                treatment: vec![
                    set(Field::EthSrc, from),
                    set(Field::EthDst, to),
                    Instruction::Output(port),
                ],
                next: None,
            }],
            meta: selector([(Field::VlanVid, Match::Exact(vlan.get().into()))]),
        }),
    )
}

/// Packets for one address go to a next.
pub(super) fn route(name: Name, ip: IpAddr, next: Name) -> Objective {
    objective(
        name,
        ObjectiveKind::Forward(Forward {
            flag: ForwardFlag::Specific,
            selector: selector([address(ip)]),
            next: Some(next),
            treatment: Vec::new(),
        }),
    )
}

/// A destination as objectives match it.
pub(super) fn address(ip: IpAddr) -> (Field, Match) {
    match ip {
        IpAddr::V4(ip) => (Field::Ipv4Dst, Match::Exact(u32::from(ip).into())),
        IpAddr::V6(ip) => (Field::Ipv6Dst, Match::Exact(ip.into())),
    }
}

/// What identifies an objective.
pub(super) fn id(kind: Kind, name: Name) -> ObjectiveId {
    ObjectiveId { kind, name }
}

fn objective(name: Name, kind: ObjectiveKind) -> Objective {
    Objective {
        name,
        priority: DEFAULT_PRIORITY,
        attributes: Attributes::default(),
        kind,
    }
}

fn selector(criteria: impl IntoIterator<Item = (Field, Match)>) -> Selector {
    let criteria = criteria.into_iter();
    let criteria = criteria.map(|(field, matching)| Criterion { field, matching });
    Selector::new(criteria.collect()).expect("each field is named once")
}
