//! Which sessions there are: one with each device that this process is master of, and none with any other. A session
//! begins when the replicated state makes this node the master and ends the moment it does not any more, when the device
//! gets another address or goes, or when no majority of the controllers is heard: others may have gone on by then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Device, Shared, session};
use crate::state::{Acknowledged, BootId, DeviceSpec, NodeId, State};

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
    let (ended, new) = compare(shared, has_quorum);
    // Who looks into the store looks at sessions, too: the store is not waited for while these are locked.
    let mut devices = shared
        .devices
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    for name in &ended {
        end(&mut devices, name);
    }
    let has_changed = !(ended.is_empty() && new.is_empty());
    for (spec, known) in new {
        let device = Arc::new(Device {
            acknowledged: Mutex::new(known),
            cancel: cancel.child_token(),
            spec,
        });
        tracing::info!(
            device = device.spec.name,
            address = device.spec.address,
            "distributing to the device"
        );
        devices.insert(device.spec.name.clone(), device.clone());
        tasks.spawn(session::run(shared.clone(), device));
    }
    drop(devices);
    if has_changed {
        shared.announce();
    }
}

/// The devices whose sessions have to end, and those that need one, with what is known of what they hold.
fn compare(shared: &Shared, has_quorum: bool) -> (Vec<String>, Vec<(DeviceSpec, Acknowledged)>) {
    let (node, boot) = (shared.store.node_id(), shared.standing.boot);
    let served: BTreeMap<String, Arc<Device>> = shared
        .devices
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    shared.store.read(|state| {
        let wanted = |name: &str| wanted(state, node, boot, has_quorum, name);
        let has_ended =
            |(name, device): &(&String, &Arc<Device>)| wanted(name) != Some(&device.spec);
        let ended = served.iter().filter(has_ended);
        let ended = ended.map(|(name, _)| name.clone()).collect();
        let new = state.devices().iter().filter_map(|(name, device)| {
            let spec = wanted(name)?;
            let is_served = served.get(name).is_some_and(|served| served.spec == *spec);
            (!is_served).then(|| (spec.clone(), device.acknowledged().clone()))
        });
        (ended, new.collect())
    })
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
