//! One session per device of the store: started when it appears, ended when it goes, started anew when its address or
//! id changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Shared, Specs, session};
use crate::dial::Dialer;
use crate::raft::Store;
use crate::state::{DeviceSpec, State};

/// A device that has a session.
struct Watched {
    spec: DeviceSpec,
    cancel: CancellationToken,
}

/// Runs until cancelled.
pub(super) async fn run(
    shared: Arc<Shared>,
    store: Store,
    dialer: Dialer,
    tasks: TaskTracker,
    cancel: CancellationToken,
) {
    let mut changed = store.watch();
    let mut watched: BTreeMap<String, Watched> = BTreeMap::new();
    loop {
        changed.mark_unchanged();
        // Most of what changes in the store is no device; that is seen without a copy.
        if !store.read(|state| is_current(state, &watched)) {
            let wanted = store.read(specs);
            watched.retain(|name, device| {
                let is_current = wanted.get(name) == Some(&device.spec);
                if !is_current {
                    device.cancel.cancel();
                }
                is_current
            });
            shared.change(|fabric| fabric.reconcile(&wanted, Instant::now()));
            for (name, spec) in wanted {
                let (shared, dialer) = (shared.clone(), dialer.clone());
                watched.entry(name).or_insert_with(|| {
                    let cancel = cancel.child_token();
                    let session = session::run(shared, dialer, spec.clone());
                    tasks.spawn(cancel.clone().run_until_cancelled_owned(session));
                    Watched { spec, cancel }
                });
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            // The store is gone: the process is shutting down.
            result = changed.changed() => if result.is_err() { return },
        }
    }
}

fn is_current(state: &State, watched: &BTreeMap<String, Watched>) -> bool {
    let devices = state.devices();
    devices.len() == watched.len()
        && devices
            .values()
            .zip(watched.values())
            .all(|(device, watched)| *device.spec() == watched.spec)
}

fn specs(state: &State) -> Specs {
    let devices = state.devices().iter();
    devices
        .map(|(name, device)| (name.clone(), device.spec().clone()))
        .collect()
}
