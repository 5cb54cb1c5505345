//! Which sessions there are: one with each device that this process is master of, and none with any other. A session
//! begins when the replicated state makes this node the master and ends the moment it does not any more, when the device
//! gets another address or goes, or when no majority of the controllers is heard: others may have gone on by then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Device, Shared, session};
use crate::state::{BootId, DeviceSpec, NodeId, State};

/// Runs until cancelled.
pub async fn run(shared: Arc<Shared>, tasks: TaskTracker, cancel: CancellationToken) {
    let mut changed = shared.store.watch();
    let mut quorum = shared.standing.quorum.clone();
    loop {
        changed.mark_unchanged();
        let has_quorum = *quorum.borrow_and_update();
        reconcile(&shared, has_quorum, &tasks, &cancel);
        let result = tokio::select! {
            () = cancel.cancelled() => return,
            result = changed.changed() => result,
            result = quorum.changed() => result,
        };
        if result.is_err() {
            // The store or the liveness is gone: the process is shutting down.
            return;
        }
    }
}

/// Brings the sessions to what the store says.
fn reconcile(
    shared: &Arc<Shared>,
    has_quorum: bool,
    tasks: &TaskTracker,
    cancel: &CancellationToken,
) {
    let mut devices = shared
        .devices
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    let (ended, new) = shared.store.read(|state| {
        let (node, boot) = (shared.store.node_id(), shared.standing.boot);
        let wanted = |name: &str| wanted(state, node, boot, has_quorum, name);
        let ended: Vec<_> = devices
            .iter()
            .filter(|(name, device)| wanted(name) != Some(&device.spec))
            .map(|(name, _)| name.clone())
            .collect();
        let is_served = |spec: &DeviceSpec| {
            let served = devices.get(&spec.name);
            served.is_some_and(|device| device.spec == *spec)
        };
        let wanted = state.devices().keys().filter_map(|name| wanted(name));
        let new: Vec<_> = wanted.filter(|spec| !is_served(spec)).cloned().collect();
        (ended, new)
    });
    for name in &ended {
        end(&mut devices, name);
    }
    for spec in &new {
        let known = shared.store.read(|state| {
            let device = state.device(&spec.name);
            device.map(|device| device.acknowledged().clone())
        });
        let device = Arc::new(Device {
            acknowledged: Mutex::new(known.unwrap_or_default()),
            cancel: cancel.child_token(),
            spec: spec.clone(),
        });
        tracing::info!(
            device = spec.name,
            address = spec.address,
            "distributing to the device"
        );
        devices.insert(spec.name.clone(), device.clone());
        tasks.spawn(session::run(shared.clone(), device));
    }
    drop(devices);
    if !(ended.is_empty() && new.is_empty()) {
        shared.announce();
    }
}

/// The device, if this process shall have a session with it.
pub fn wanted<'s>(
    state: &'s State,
    node: NodeId,
    boot: BootId,
    has_quorum: bool,
    name: &str,
) -> Option<&'s DeviceSpec> {
    let is_ours = state.is_mastered_by(name, node, boot);
    let device = state.device(name).filter(|_| has_quorum && is_ours);
    device.map(|device| device.spec())
}

fn end(devices: &mut BTreeMap<String, Arc<Device>>, name: &str) {
    if let Some(device) = devices.remove(name) {
        tracing::info!(
            device = name,
            address = device.spec.address,
            "leaving the device"
        );
        device.cancel.cancel();
    }
}
