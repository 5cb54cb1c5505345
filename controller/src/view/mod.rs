//! What the switches see of themselves and around them, as this controller knows it.
//!
//! ```text
//!   store ── devices ──► supervisor ── one task per device ──► session ◄── WatchInventory ── agent
//!                                                                │  ▲
//!                                                        Event   ▼  │  Command
//!                                                          device::step ──► Fabric ──► graph, paths, hosts
//!                                                                             │
//!                                                                   Watcher ◄─┘  one per client, with positions alone
//! ```
//!
//! Soft state: every controller reads it from every agent itself, whoever is master, and none asks another. Changes have
//! the agent's own order, (boot id, sequence), so views that are at the same position are the same everywhere, and
//! whoever watched one controller goes on at another. What an agent does not confirm any more is kept and marked.
//!
//! [`device`] decides and is pure, so are [`graph`] and [`paths`]; `session` owns the stream and timers of one device,
//! `supervisor` has one for each device of the store. Nothing is replicated or written to disk here, and nothing here
//! writes to a switch. Called by [`service`](crate::service).

pub mod device;
#[cfg(test)]
mod device_tests;
pub mod fabric;
pub mod graph;
#[cfg(test)]
mod graph_tests;
pub mod inventory;
pub mod item;
pub mod paths;
#[cfg(test)]
mod paths_tests;
mod session;
mod supervisor;
#[cfg(test)]
mod test_agent;
pub mod watcher;
#[cfg(test)]
mod watcher_tests;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dial::Dialer;
use crate::raft::Store;
use fabric::{Attachment, Device, Fabric, FabricHost, Survey, merge_hosts};
use item::Host;
use watcher::{Watcher, Wishes};

/// There is no such device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no device {name:?}; known devices: {}", if known.is_empty() { "none" } else { known })]
pub struct UnknownDevice {
    /// What was asked for.
    pub name: String,
    /// What there is, with commas between.
    pub known: String,
}

/// What the tasks and everyone who asks share.
#[derive(Debug)]
pub struct Shared {
    fabric: RwLock<Fabric>,
    /// Counts changes of the fabric; nothing once watching is over.
    changes: watch::Sender<Option<u64>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            fabric: RwLock::default(),
            changes: watch::Sender::new(Some(0)),
        }
    }
}

impl Shared {
    /// Looks at the fabric; nothing changes meanwhile, so not for long.
    fn read<T>(&self, look: impl FnOnce(&Fabric) -> T) -> T {
        look(&self.fabric.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the fabric, and tells those who watch.
    fn change<T>(&self, change: impl FnOnce(&mut Fabric) -> T) -> T {
        let mut fabric = self.fabric.write().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut fabric);
        drop(fabric);
        self.changes.send_if_modified(|changes| {
            if let Some(changes) = changes {
                *changes += 1;
            }
            changes.is_some()
        });
        answer
    }
}

/// The views of all devices.
#[derive(Clone)]
pub struct Views {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Views {
    /// Begins to read what the agents of the store's devices see.
    pub fn start(store: Store, dialer: Dialer) -> Self {
        let shared = Arc::<Shared>::default();
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(supervisor::run(
            shared.clone(),
            store,
            dialer,
            tasks.clone(),
            cancel.clone(),
        ));
        Self {
            shared,
            tasks,
            cancel,
        }
    }

    /// Ends the streams of all clients who watch. They go on at another controller.
    pub fn end_watching(&self) {
        self.shared.changes.send_replace(None);
    }

    /// Ends every stream and waits for the tasks.
    pub async fn stop(&self) {
        self.end_watching();
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Something of each of these devices, or of all if none is named.
    ///
    /// # Errors
    /// If there is no device of one of the names.
    pub fn of_devices<T>(
        &self,
        names: &[String],
        take: impl Fn(&Device) -> T,
    ) -> Result<Vec<T>, UnknownDevice> {
        self.shared.read(|fabric| {
            if names.is_empty() {
                return Ok(fabric.devices().values().map(take).collect());
            }
            let devices = names.iter().map(|name| {
                let device = fabric.devices().get(name).map(&take);
                device.ok_or_else(|| unknown(name, fabric))
            });
            devices.collect()
        })
    }

    /// What each device says of its ports and neighbours.
    pub fn surveys(&self) -> Vec<Survey> {
        self.shared
            .read(|fabric| fabric.devices().values().map(Device::survey).collect())
    }

    /// What all devices together say of some hosts, which are chosen from each device for itself.
    pub fn hosts<I>(&self, choose: impl Fn(&Device) -> I) -> Vec<FabricHost>
    where
        I: IntoIterator<Item = Arc<Host>>,
    {
        let names = self
            .shared
            .read(|fabric| fabric.devices().keys().cloned().collect::<Vec<_>>());
        let mut seen: Vec<(Arc<Host>, Vec<Attachment>)> = Vec::new();
        for name in names {
            // One device at a time: a fabric has tens of thousands of hosts, and agents wait for the lock.
            self.shared.read(|fabric| {
                if let Some(device) = fabric.devices().get(&name) {
                    let hosts = choose(device).into_iter();
                    seen.extend(hosts.map(|host| {
                        let places = device.locate(&host);
                        (host, places)
                    }));
                }
            });
        }
        merge_hosts(seen)
    }

    /// Watches from now, or from where an earlier watcher was.
    ///
    /// # Errors
    /// If there is no device of one of the names.
    pub fn watch(&self, wishes: Wishes) -> Result<Watcher, UnknownDevice> {
        let names: Vec<_> = wishes.devices.iter().cloned().collect();
        self.of_devices(&names, |_| ())?;
        Ok(Watcher::new(self.shared.clone(), wishes))
    }
}

fn unknown(name: &str, fabric: &Fabric) -> UnknownDevice {
    let known: Vec<_> = fabric
        .devices()
        .keys()
        .take(10)
        .map(String::as_str)
        .collect();
    UnknownDevice {
        name: name.to_owned(),
        known: known.join(", "),
    }
}

/// The devices of a store, by name.
type Specs = BTreeMap<String, crate::state::DeviceSpec>;
