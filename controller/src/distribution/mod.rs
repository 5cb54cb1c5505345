//! Brings every switch to what is wanted of it, and knows how far each is.
//!
//! ```text
//!   store ── changed ──► supervisor ── one task per device ──► session ── SyncObjectives ──► agent
//!     ▲                                                           │  ▲
//!     │                                                   Event   ▼  │  Command
//!     │                                                        sync::step, walk
//!     └──── bulk ◄──── Report: what the agent has acknowledged ◄────┘
//! ```
//!
//! `sync` decides and is pure, as is `walk`, which finds where an agent and the store differ; `session` owns the
//! connection and timers of one device; [`Distribution`] starts and stops sessions as devices come, go
//! and move, or are another controller's, and answers how objectives fare: as the replicated state has it on any node, and a commit earlier on the
//! node that is the device's master. `contact` decides when a device that is not reached is handed on, `contacts` is the
//! shell of that. All of it reads the store and puts acknowledgements there; it never changes an
//! objective.

mod bulk;
mod contact;
mod contacts;
mod session;
mod statuses;
mod supervisor;
mod sync;
#[cfg(test)]
mod sync_tests;
mod walk;
#[cfg(test)]
mod walk_tests;
mod wire;

/// What simulations of whole clusters need of this.
#[cfg(test)]
pub(crate) mod simulated {
    pub(crate) use super::bulk::Gathered;
    pub(crate) use super::contact::{Action, Contact, session_of};
    pub(crate) use super::supervisor::wanted;
    pub(crate) use super::sync::{
        Beginning, Command as SyncCommand, DeviceSync, Event, Fault, MAX_BATCH_CHANGES, step,
    };
    pub(crate) use super::walk::{Difference, Held, Remedy, add_wanted, differences};
}

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agents::Agents;
use crate::dial::Dialer;
use crate::liveness::Standing;
use crate::raft::Store;
use crate::state::{Acknowledged, DeviceSpec, DeviceState, Mastership, Report, State, Wish};
use crate::status::{Reason, Status};
use bulk::Reports;

/// One device's session, as seen from outside its task.
struct Device {
    spec: DeviceSpec,
    /// What the session has reported. The replicated state has it a commit later.
    acknowledged: Mutex<Acknowledged>,
    cancel: CancellationToken,
}

/// What the tasks and everyone who asks about them share.
struct Shared {
    store: Store,
    standing: Standing,
    dialer: Dialer,
    /// Connections to agents beside those of the sessions.
    agents: Agents,
    /// How this node calls itself to agents.
    node_name: String,
    devices: RwLock<BTreeMap<String, Arc<Device>>>,
    reports: Reports,
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

    /// What is known of a device: what this node's own session has learnt, if it is the master's, else what is replicated.
    fn known<T>(&self, device: &DeviceState, look: impl FnOnce(&Acknowledged) -> T) -> T {
        let is_ours = |held: &Mastership| held.node == self.store.node_id();
        let session = match device.mastership().is_some_and(is_ours) {
            true => self.device(&device.spec().name),
            false => None,
        };
        match session.filter(|session| session.spec == *device.spec()) {
            Some(session) => session.with_acknowledged(|ours| match ours.is_of(device.term()) {
                true => look(ours),
                false => look(device.acknowledged()),
            }),
            None => look(device.acknowledged()),
        }
    }
}

impl Device {
    fn with_acknowledged<T>(&self, look: impl FnOnce(&mut Acknowledged) -> T) -> T {
        look(
            &mut self
                .acknowledged
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn record(&self, report: Report) {
        self.with_acknowledged(|acknowledged| drop(acknowledged.record(report)));
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
            agents: Agents::new(dialer.clone()),
            dialer,
            node_name,
            devices: RwLock::default(),
            reports: Reports::default(),
            progress: watch::channel(0).0,
        });
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(supervisor::run(
            shared.clone(),
            tasks.clone(),
            cancel.clone(),
        ));
        tasks.spawn(contacts::run(shared.clone(), cancel.clone()));
        let (reporting, until) = (shared.clone(), cancel.clone());
        tasks.spawn(async move { reporting.reports.run(&reporting.store, &until).await });
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

    /// Rises whenever a session of this node has learnt something. What others learn changes the store.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.progress.subscribe()
    }

    /// How wishes about objectives of one device fare, in their order; `None` if there is no such device any more.
    pub fn statuses<'a>(
        &self,
        name: &str,
        wishes: impl Iterator<Item = Wish<'a>>,
    ) -> Option<Vec<Status>> {
        self.look(name, |device| {
            let term = device.term();
            self.shared.known(device, |known| {
                wishes.map(|wish| known.status(&wish, term)).collect()
            })
        })
    }

    /// The statuses of everything that is wanted of a device, in the order of its objectives.
    pub fn statuses_of(&self, device: &DeviceState) -> Vec<Status> {
        let wishes = device.objectives().iter().map(|(key, stored)| Wish {
            key,
            revision: stored.revision,
        });
        let term = device.term();
        self.shared.known(device, |known| {
            wishes.map(|wish| known.status(&wish, term)).collect()
        })
    }

    /// How many of these wishes, from the first, need no more waiting: the device has applied or refused them, or cannot
    /// be reached, or is gone. That it obeys another controller counts if `conflicts_count`.
    pub fn count_settled<'a>(
        &self,
        name: &str,
        wishes: impl ExactSizeIterator<Item = Wish<'a>>,
        conflicts_count: bool,
    ) -> usize {
        let all = wishes.len();
        let settled = self.look(name, |device| {
            let term = device.term();
            self.shared.known(device, |known| {
                let fault = known.fault(term);
                match fault.is_some_and(|fault| conflicts_count || fault.reason != Reason::Conflict)
                {
                    true => all,
                    false => wishes.take_while(|wish| known.is_settled(wish)).count(),
                }
            })
        });
        settled.unwrap_or(all)
    }

    /// Why there is no session with a device; `None` if there is one, or is about to be.
    pub fn fault(&self, name: &str) -> Option<String> {
        self.look(name, |device| {
            let term = device.term();
            self.shared.known(device, |known| {
                known.fault(term).map(|fault| fault.message.clone())
            })
        })?
    }

    /// How many sessions this node has, and how many of them cannot write to their switches.
    pub fn sessions(&self) -> (u64, u64) {
        let devices = self.shared.devices.read();
        let devices = devices.unwrap_or_else(PoisonError::into_inner);
        let names: Vec<String> = devices.keys().cloned().collect();
        drop(devices);
        let faulty = names.iter().filter(|name| self.fault(name).is_some());
        (names.len() as u64, faulty.count() as u64)
    }

    fn look<T>(&self, name: &str, look: impl FnOnce(&DeviceState) -> T) -> Option<T> {
        let read = |state: &State| state.device(name).map(look);
        self.shared.store.read(read)
    }
}
