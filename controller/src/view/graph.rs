//! The links of the fabric: what the devices at both ends say of each, put together. Pure.
//!
//! An agent says of a neighbour that it hears it, and whether the neighbour says the same. A link is up if both ends say
//! so and both can be believed; of any other it is said why it is not. Who speaks LLDP and is no device of this cluster
//! makes no link.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fabric::Survey;
use super::item::{Direction, Link, Neighbor, OperState};

/// A port of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The device; nothing if the cluster has none of that id.
    pub device: Option<String>,
    /// Its P4Runtime device id.
    pub device_id: u64,
    /// Its P4 port.
    pub port: u32,
    /// The port's name; empty if it is not known.
    pub port_name: String,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Both ends hear each other, and both are fresh.
    Up,
    /// Only one end says so yet.
    Pending,
    /// One end does not hear the other.
    OneWay,
    /// An end is not fresh.
    Stale,
}

/// A link between two devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FabricLink {
    /// The end with the lower device id, then port.
    pub a: End,
    /// The other one.
    pub b: End,
    /// How it is.
    pub state: LinkState,
    /// Why it is not up; empty if it is.
    pub reason: String,
    /// Each end that says anything has checked the signature of the other.
    pub is_authenticated: bool,
}

/// Somebody at a port who is no agent of this cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The device.
    pub device: String,
    /// The device is not fresh.
    pub is_stale: bool,
    /// Who it is.
    pub link: Arc<Link>,
}

/// A port by numbers: device id, port.
type Place = (u64, u32);

/// What the ends of a link say: the lower one, and the higher one.
#[derive(Default)]
struct Reports<'a> {
    of_a: Option<&'a Link>,
    of_b: Option<&'a Link>,
}

/// All links between devices, in the order of their lower ends.
pub fn links(surveys: &[Survey]) -> Vec<FabricLink> {
    let by_id: BTreeMap<u64, &Survey> = surveys.iter().map(|s| (s.device_id, s)).collect();
    let mut reports: BTreeMap<(Place, Place), Reports<'_>> = BTreeMap::new();
    for survey in surveys {
        for link in &survey.links {
            let Neighbor::Cluster { device_id, port } = link.neighbor else {
                continue;
            };
            let (here, there) = ((survey.device_id, link.local_port), (device_id, port));
            if here <= there {
                reports.entry((here, there)).or_default().of_a = Some(link);
            } else {
                reports.entry((there, here)).or_default().of_b = Some(link);
            }
        }
    }
    let links = reports.into_iter().map(|((a, b), reports)| {
        let (survey_a, survey_b) = (by_id.get(&a.0).copied(), by_id.get(&b.0).copied());
        let (a, b) = (end(survey_a, a), end(survey_b, b));
        let fault = fault(&a, &b, [survey_a, survey_b], &reports);
        let (state, reason) = fault.unwrap_or((LinkState::Up, String::new()));
        let mut said = reports.of_a.iter().chain(&reports.of_b);
        FabricLink {
            is_authenticated: said.all(|link| link.is_authenticated),
            a,
            b,
            state,
            reason,
        }
    });
    links.collect()
}

/// Everybody else who speaks LLDP.
pub fn edges(surveys: &[Survey]) -> Vec<Edge> {
    let edges = surveys.iter().flat_map(|survey| {
        let foreign = survey
            .links
            .iter()
            .filter(|link| matches!(link.neighbor, Neighbor::Foreign { .. }));
        foreign.map(|link| Edge {
            device: survey.device.clone(),
            is_stale: survey.doubt.is_some(),
            link: Arc::clone(link),
        })
    });
    edges.collect()
}

fn end(survey: Option<&Survey>, (device_id, port): Place) -> End {
    let name = survey.and_then(|survey| survey.ports.get(&port));
    End {
        device: survey.map(|survey| survey.device.clone()),
        device_id,
        port,
        port_name: name.map(|(name, _)| name.clone()).unwrap_or_default(),
    }
}

/// Why a link is not up, if it is not.
fn fault(
    a: &End,
    b: &End,
    surveys: [Option<&Survey>; 2],
    reports: &Reports<'_>,
) -> Option<(LinkState, String)> {
    let ends = [(a, surveys[0]), (b, surveys[1])];
    for (end, survey) in ends {
        let Some(survey) = survey else {
            let reason = format!("no device of the cluster has the id {}", end.device_id);
            return Some((LinkState::Pending, reason));
        };
        if let Some(doubt) = &survey.doubt {
            let reason = format!("{} is not heard of: {doubt}", survey.device);
            return Some((LinkState::Stale, reason));
        }
    }
    for (end, survey) in ends {
        let port = survey.and_then(|survey| survey.ports.get(&end.port));
        if let Some((name, OperState::Down | OperState::Unavailable)) = port {
            let reason = format!("port {name} of {} is down", end.words());
            return Some((LinkState::Pending, reason));
        }
    }
    let said = [(a, b, reports.of_a), (b, a, reports.of_b)];
    for (here, there, report) in said {
        if report.is_some_and(|link| link.direction == Direction::OneWay) {
            let reason = format!("{} hears {}, and is not heard", here.words(), there.words());
            return Some((LinkState::OneWay, reason));
        }
    }
    for (here, there, report) in said {
        let reason = match report.map(|link| link.direction) {
            Some(Direction::TwoWay) => continue,
            Some(_) => format!(
                "{} does not know yet whether {} hears it",
                here.words(),
                there.words()
            ),
            None => format!(
                "{} does not say that it hears {}",
                here.words(),
                there.words()
            ),
        };
        return Some((LinkState::Pending, reason));
    }
    None
}

impl End {
    fn words(&self) -> String {
        match &self.device {
            Some(device) => device.clone(),
            None => format!("device {}", self.device_id),
        }
    }
}
