//! One session per device: started when a device appears, ended when it goes,
//! started anew when its address or id changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::sync::DeviceSync;
use super::{Device, Shared, session};
use crate::state::{Command, DeviceSpec, State};

/// How long to wait after the store refused a claim.
const CLAIM_RETRY: Duration = Duration::from_millis(500);

/// Runs until cancelled.
pub async fn run(shared: Arc<Shared>, tasks: TaskTracker, cancel: CancellationToken) {
    let mut changed = shared.store.watch();
    loop {
        changed.mark_unchanged();
        let is_settled = reconcile(&shared, &tasks, &cancel).await;
        tokio::select! {
            () = cancel.cancelled() => return,
            result = changed.changed(), if is_settled => if result.is_err() { return },
            () = tokio::time::sleep(CLAIM_RETRY), if !is_settled => {}
        }
    }
}

/// Brings the sessions to what the store says; false if it has to be tried again.
async fn reconcile(shared: &Arc<Shared>, tasks: &TaskTracker, cancel: &CancellationToken) -> bool {
    let wanted = shared.store.read(specs);
    let new = replace_stale(shared, &wanted);
    if new.is_empty() {
        return true;
    }
    let names = new.iter().map(|spec| spec.name.clone()).collect();
    let claim = Command::Claim {
        node: shared.store.node_id(),
        devices: names,
    };
    if let Err(error) = shared.store.submit(claim).await {
        tracing::warn!(%error, "cannot claim mastership yet");
        return false;
    }
    for spec in new {
        tracing::info!(
            device = spec.name,
            address = spec.address,
            "distributing to the device"
        );
        let device = Arc::new(Device {
            sync: Mutex::new(DeviceSync::default()),
            cancel: cancel.child_token(),
            spec,
        });
        shared
            .devices
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(device.spec.name.clone(), device.clone());
        tasks.spawn(session::run(shared.clone(), device));
    }
    shared.announce();
    true
}

fn specs(state: &State) -> BTreeMap<String, DeviceSpec> {
    state
        .devices()
        .iter()
        .map(|(name, device)| (name.clone(), device.spec().clone()))
        .collect()
}

/// Ends the sessions of devices that are gone or different; returns those that need one.
fn replace_stale(shared: &Shared, wanted: &BTreeMap<String, DeviceSpec>) -> Vec<DeviceSpec> {
    let mut devices = shared
        .devices
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    devices.retain(|name, device| {
        let is_current = wanted.get(name) == Some(&device.spec);
        if !is_current {
            tracing::info!(
                device = name,
                address = device.spec.address,
                "leaving the device"
            );
            device.cancel.cancel();
        }
        is_current
    });
    wanted
        .values()
        .filter(|spec| !devices.contains_key(&spec.name))
        .cloned()
        .collect()
}
