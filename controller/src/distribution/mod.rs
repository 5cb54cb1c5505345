//! Brings every switch to what is wanted of it, and knows how far each is.
//!
//! ```text
//!   store ── changed ──► supervisor ── one task per device ──► session ── SyncObjectives ──► agent
//!                                                                 │  ▲
//!                                                         Event   ▼  │  Command
//!                                                              sync::step
//! ```
//!
//! `sync` decides and is pure; `session` owns the connection and timers of
//! one device; [`Distribution`] starts and stops sessions as devices come, go
//! and move, or are another controller's, and answers what is known of them. It reads
//! the store; it never changes an objective.

mod session;
mod statuses;
mod supervisor;
mod sync;
#[cfg(test)]
mod sync_tests;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dial::Dialer;
use crate::liveness::Standing;
use crate::raft::Store;
use crate::state::{DeviceSpec, DeviceState};
use crate::status::Status;
pub use statuses::Wish;
use sync::DeviceSync;

/// One device's session, as seen from outside its task.
struct Device {
    spec: DeviceSpec,
    sync: Mutex<DeviceSync>,
    cancel: CancellationToken,
}

/// What the tasks and everyone who asks about them share.
struct Shared {
    store: Store,
    standing: Standing,
    dialer: Dialer,
    /// How this node calls itself to agents.
    node_name: String,
    devices: RwLock<BTreeMap<String, Arc<Device>>>,
    /// Counts changes to anything that `Distribution` answers.
    progress: watch::Sender<u64>,
}

impl Shared {
    fn device(&self, name: &str) -> Option<Arc<Device>> {
        self.devices
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    fn announce(&self) {
        self.progress.send_modify(|count| *count += 1);
    }
}

impl Device {
    fn with_sync<T>(&self, look: impl FnOnce(&mut DeviceSync) -> T) -> T {
        look(&mut self.sync.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The running distribution.
#[derive(Clone)]
pub struct Distribution {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Distribution {
    /// Starts to distribute what `store` holds.
    pub fn start(store: Store, standing: Standing, dialer: Dialer, node_name: String) -> Self {
        let shared = Arc::new(Shared {
            store,
            standing,
            dialer,
            node_name,
            devices: RwLock::default(),
            progress: watch::channel(0).0,
        });
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(supervisor::run(
            shared.clone(),
            tasks.clone(),
            cancel.clone(),
        ));
        Self {
            shared,
            tasks,
            cancel,
        }
    }

    /// Ends every session and waits for the tasks. Switches go on forwarding.
    pub async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Rises whenever a status or a connection has changed.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.progress.subscribe()
    }

    /// How wishes about objectives of one device fare, in their order.
    pub fn statuses<'a>(
        &self,
        spec: &DeviceSpec,
        wishes: impl Iterator<Item = Wish<'a>>,
    ) -> Vec<Status> {
        match self.session_of(spec) {
            Some(device) => {
                device.with_sync(|sync| wishes.map(|wish| sync.status(&wish)).collect())
            }
            None => wishes
                .map(|wish| statuses::not_started(wish.revision))
                .collect(),
        }
    }

    /// The statuses of everything that is wanted of a device, in the order of its objectives.
    pub fn statuses_of(&self, device: &DeviceState) -> Vec<Status> {
        let wishes = device.objectives().iter().map(|(key, stored)| Wish {
            key,
            revision: stored.revision,
            is_present: true,
        });
        self.statuses(device.spec(), wishes)
    }

    /// How many of these wishes, from the first, the device has applied or refused.
    pub fn count_settled<'a>(
        &self,
        spec: &DeviceSpec,
        mut wishes: impl Iterator<Item = Wish<'a>>,
    ) -> usize {
        let Some(device) = self.session_of(spec) else {
            return 0;
        };
        device.with_sync(|sync| {
            let mut count = 0;
            while wishes.next().is_some_and(|wish| sync.is_settled(&wish)) {
                count += 1;
            }
            count
        })
    }

    /// Why there is no session with this switch; `None` if there is one, or is about to be.
    pub fn fault(&self, spec: &DeviceSpec) -> Option<String> {
        self.session_of(spec)?
            .with_sync(|sync| sync.fault().map(|fault| fault.message().to_owned()))
    }

    /// The session with exactly this switch. What one with an earlier address has learned is
    /// about another.
    fn session_of(&self, spec: &DeviceSpec) -> Option<Arc<Device>> {
        self.shared
            .device(&spec.name)
            .filter(|device| device.spec == *spec)
    }
}
