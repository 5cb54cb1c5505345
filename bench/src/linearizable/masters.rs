//! Observers of mastership, who also set it, and what they have to see.
//!
//! Who is master of a device, and in which term, is a register whose writes are ordered by term. It is linearizable if a
//! term has one master, and if whoever asks after another was answered sees no lower term; that is what is checked, of
//! reads and of what `SetMaster` answers, and that switches were written in the order of terms.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::cluster_client::ClusterClient;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{Answer, Clock, ask};
use crate::controllers::Cluster;
use crate::fuzz::Random;
use crate::switches::Switch;

const OBSERVERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Masters {
    /// How often the master of a device was read or set.
    pub looks: usize,
    /// How many terms were seen.
    pub terms: usize,
    /// What is not as promised.
    pub violations: Vec<String>,
}

impl fmt::Display for Masters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Masters {
            looks,
            terms,
            violations,
        } = self;
        write!(
            f,
            "seen {looks} times, {terms} terms: {} times not as promised",
            violations.len()
        )
    }
}

/// Who is master of a device, as somebody was answered.
#[derive(Debug, Clone)]
pub(super) struct Look {
    asked: Duration,
    answered: Duration,
    device: String,
    master: String,
    term: u64,
}

struct Observer {
    nodes: Vec<ControllerClient<Channel>>,
    clusters: Vec<ClusterClient<Channel>>,
    /// Of nodes and devices.
    names: Vec<String>,
    devices: Vec<String>,
    random: Random,
    clock: Clock,
}

pub(super) fn start(
    cluster: &Cluster,
    switches: &[Switch],
    seed: u64,
    clock: Clock,
    enough: &CancellationToken,
) -> Result<JoinSet<Vec<Look>>> {
    let mut observers = JoinSet::new();
    for number in 0..OBSERVERS {
        let all = 0..cluster.len();
        let observer = Observer {
            nodes: all
                .clone()
                .map(|i| cluster.client(i))
                .collect::<Result<_>>()?,
            clusters: all
                .clone()
                .map(|i| cluster.cluster_client(i))
                .collect::<Result<_>>()?,
            names: all.map(|i| cluster.name(i).to_owned()).collect(),
            devices: switches.iter().map(Switch::name).collect(),
            random: Random::named(seed, &format!("observer {number}")),
            clock,
        };
        observers.spawn(observer.run(enough.clone()));
    }
    Ok(observers)
}

impl Observer {
    async fn run(mut self, enough: CancellationToken) -> Vec<Look> {
        let mut looks = Vec::new();
        while !enough.is_cancelled() {
            let node = self.random.below(self.nodes.len());
            match self.random.below(40) {
                0 => looks.extend(self.set(node).await),
                1 => {
                    let mut cluster = self.clusters[node].clone();
                    ask(cluster.balance(pb::BalanceRequest {})).await;
                }
                _ => looks.extend(self.look(node).await),
            }
            tokio::time::sleep(PAUSE).await;
        }
        looks
    }

    async fn look(&mut self, node: usize) -> Vec<Look> {
        let asked = self.clock.now();
        let request = pb::GetDevicesRequest {
            consistency: pb::Consistency::Linearizable.into(),
        };
        let Answer::Given(answer) = ask(self.nodes[node].get_devices(request)).await else {
            return Vec::new();
        };
        let answered = self.clock.now();
        let looks = answer.devices.into_iter().filter_map(|device| {
            Some(Look {
                asked,
                answered,
                device: device.spec?.name,
                master: device.master,
                term: device.term,
            })
        });
        looks.collect()
    }

    async fn set(&mut self, node: usize) -> Option<Look> {
        let device = self.random.pick(&self.devices)?.clone();
        let master = self.random.pick(&self.names)?.clone();
        let asked = self.clock.now();
        let request = pb::SetMasterRequest {
            device: device.clone(),
            node: master,
        };
        match ask(self.clusters[node].set_master(request)).await {
            Answer::Given(answer) => Some(Look {
                asked,
                answered: self.clock.now(),
                device,
                master: answer.master,
                term: answer.term,
            }),
            _ => None,
        }
    }
}

pub(super) fn judge(looks: Vec<Look>, switches: &[Switch]) -> Masters {
    let mut found = Masters {
        looks: looks.len(),
        ..Masters::default()
    };
    let mut masters: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let mut by_device: BTreeMap<String, Vec<Look>> = BTreeMap::new();
    for look in looks {
        // Without a master there is no term to hold to one.
        if !look.master.is_empty() {
            let this = (look.device.clone(), look.master.clone());
            let known = masters.entry(look.term).or_insert_with(|| this.clone());
            if *known != this {
                found.violations.push(format!(
                    "term {} has the master {} of {} and the master {} of {}",
                    look.term, known.1, known.0, this.1, this.0
                ));
            }
        }
        by_device.entry(look.device.clone()).or_default().push(look);
    }
    found.terms = masters.len();
    for (device, looks) in by_device {
        found.violations.extend(falling_terms(&device, looks));
    }
    for switch in switches {
        let memory = switch.memory();
        let pairs = memory.written().windows(2);
        let falling = pairs.filter(|pair| pair[1].election_id < pair[0].election_id);
        found.violations.extend(
            falling.map(|pair| format!("{} took {:?} after {:?}", switch.name(), pair[1], pair[0])),
        );
    }
    found
}

/// Whoever asks after an answer sees no lower term.
fn falling_terms(device: &str, looks: Vec<Look>) -> Vec<String> {
    let mut by_answer: Vec<_> = looks.iter().collect();
    by_answer.sort_by_key(|look| look.answered);
    let mut by_question: Vec<_> = looks.iter().collect();
    by_question.sort_by_key(|look| look.asked);
    let mut answered = by_answer.into_iter().peekable();
    let mut newest: Option<&Look> = None;
    let mut violations = Vec::new();
    for look in by_question {
        while let Some(earlier) = answered.next_if(|earlier| earlier.answered < look.asked) {
            if newest.is_none_or(|newest| newest.term < earlier.term) {
                newest = Some(earlier);
            }
        }
        if let Some(newest) = newest.filter(|newest| newest.term > look.term) {
            violations.push(format!("{device}: {look:?} came after {newest:?}"));
        }
    }
    violations
}
