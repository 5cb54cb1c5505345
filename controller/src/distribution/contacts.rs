//! The shell around [`Contact`]: looks at all devices now and then, asks the agents of those that are offline whether
//! they answer, and tells the store. It has no part in sessions, but for the connections that it keeps for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::contact::{Action, Contact, Session, session_of};
use crate::raft::StoreError;
use crate::state::settings::definitions::HAND_ON_DELAY;
use crate::state::{Command, DeviceState, Mastership, MastershipCommand, Role};

/// How often devices are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Something to do about a device.
struct Task {
    device: String,
    address: String,
    action: Action,
}

/// Runs until cancelled.
pub async fn run(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut contacts = BTreeMap::new();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Of each device one at a time.
    let mut under_way = BTreeSet::new();
    let mut running: JoinSet<String> = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
            Some(done) = running.join_next() => {
                match done {
                    Ok(device) => drop(under_way.remove(&device)),
                    Err(error) => tracing::error!(%error, "a look at an agent failed"),
                }
                continue;
            }
        }
        if !*shared.standing.quorum.borrow() {
            // What was seen before says nothing of how it is afterwards.
            contacts.clear();
            continue;
        }
        for task in look(&shared, &mut contacts) {
            if under_way.insert(task.device.clone()) {
                running.spawn(act(shared.clone(), task));
            }
        }
    }
}

fn look(shared: &Shared, contacts: &mut BTreeMap<String, Contact>) -> Vec<Task> {
    let now = Instant::now();
    shared.store.read(|state| {
        contacts.retain(|name, _| state.device(name).is_some());
        let delay = state.settings().get(&HAND_ON_DELAY);
        let devices = state.devices().iter().filter_map(|(name, device)| {
            let held = device.mastership()?;
            let contact = contacts.entry(name.clone()).or_default();
            let me = shared.store.node_id();
            let action = match device.role_of(me) {
                Role::Master => contact.of_master(held, session(shared, device, held), delay, now),
                Role::Standby => contact.of_standby(held, me, now),
                Role::None => None,
            };
            action.map(|action| Task {
                device: name.clone(),
                address: device.spec().address.clone(),
                action,
            })
        });
        devices.collect()
    })
}

fn session(shared: &Shared, device: &DeviceState, held: &Mastership) -> Session {
    let session = shared.device(&device.spec().name);
    let session = session.filter(|session| session.spec == *device.spec());
    session.map_or(Session::Opening, |session| {
        session.with_acknowledged(|reported| session_of(reported, held.term))
    })
}

async fn act(shared: Arc<Shared>, task: Task) -> String {
    let node = shared.store.node_id();
    let device = task.device.clone();
    let command = match task.action {
        Action::HandOn(term) => {
            tracing::warn!(
                device,
                address = task.address,
                "the agent is not reached from here; handing the device on"
            );
            MastershipCommand::Unreachable { device, node, term }
        }
        Action::SayReached => MastershipCommand::Reached { device, node },
        Action::KeepWarm => {
            // One that does not answer is its master's to deal with.
            if shared.agents.status(&task.address).await.is_err() {
                shared.agents.forget(&task.address);
            }
            return task.device;
        }
        Action::Probe => {
            if shared.agents.status(&task.address).await.is_err() {
                shared.agents.forget(&task.address);
                return task.device;
            }
            tracing::info!(
                device,
                address = task.address,
                "the agent is reached from here; taking the device over"
            );
            MastershipCommand::Reached { device, node }
        }
    };
    let told: Result<_, StoreError> = shared.store.submit(Command::Mastership(command)).await;
    if let Err(error) = told {
        tracing::warn!(device = task.device, %error, "cannot tell how the device is reached");
    }
    task.device
}
