//! Which nodes of the cluster are there, and whether this one hears a majority of them.
//!
//! ```text
//!   beats of the others, refused connections ──►┐              ┌──► NodeCommand, Balance (to the store)
//!   the store: voters, leader, nodes ──────────►│ core::step ──┤
//!   ticks ─────────────────────────────────────►┘              └──► quorum (to the distribution)
//! ```
//!
//! `core` decides and is pure; `peers` beats and hears beats; here are the clock, the timer and the store. It assigns no
//! device: it says what happened to nodes, and the replicated state does the rest.

pub mod core;
#[cfg(test)]
mod core_tests;
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::core::{BEAT_INTERVAL, Cluster, Command, Event};
pub use self::peers::BeatService;
use self::peers::Beats;
use crate::raft::{Store, StoreError};
use crate::random::{self, NoRandom};
use crate::state::settings::definitions::{AUTO_BALANCE, BALANCE_DELAY};
use crate::state::{
    BootId, Command as StoreCommand, MastershipCommand, NodeCommand, NodeId, NodeSpec,
};

/// How often it is looked whether devices are spread evenly, which takes a look at each.
const BALANCE_CHECK: Duration = Duration::from_millis(250);
/// How long to wait after the store refused what it was told.
const RETRY: Duration = Duration::from_millis(50);

/// Beats that wait to be looked at. A listener waits while there is no room.
const QUEUE: usize = 64;

/// What others need to know of this process' standing in the cluster.
#[derive(Debug, Clone)]
pub struct Standing {
    /// This process.
    pub boot: BootId,
    /// It hears a majority.
    pub quorum: watch::Receiver<bool>,
}

/// The running liveness.
pub struct Liveness {
    store: Store,
    standing: Standing,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Liveness {
    /// Starts to listen, and to say that this process is there.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn start(store: Store, spec: NodeSpec) -> Result<Self, NoRandom> {
        // A name for this process that no other one has had.
        let boot = BootId(u64::from_le_bytes(random::bytes()?));
        let (quorum, has_quorum) = watch::channel(false);
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        let core = core::Liveness::new(store.node_id(), boot, spec, Instant::now());
        let (heard, events) = mpsc::channel(QUEUE);
        let shell = Shell {
            store: store.clone(),
            boot,
            core,
            heard,
            events,
            listeners: BTreeMap::new(),
            listening: JoinSet::new(),
            quorum,
            tellings: JoinSet::new(),
            is_balanced: true,
            balance_checked_at: None,
        };
        let stop = cancel.clone();
        tasks.spawn(async move { stop.run_until_cancelled_owned(shell.run()).await });
        Ok(Self {
            store,
            standing: Standing {
                boot,
                quorum: has_quorum,
            },
            tasks,
            cancel,
        })
    }

    /// The standing of this process.
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// What the other nodes listen to, for the peer port.
    pub fn beat_service(&self) -> BeatService {
        let beats = Beats {
            node: self.store.node_id(),
            boot: self.standing.boot,
            cancel: self.cancel.clone(),
        };
        beats.service(self.store.members_only())
    }

    /// Hands everything that this process is master of over, for good. Its sessions end once that is known here.
    ///
    /// # Errors
    /// When it could not be committed.
    pub async fn leave(&self) -> Result<(), StoreError> {
        let leave = NodeCommand::Leave {
            node: self.store.node_id(),
            boot: self.standing.boot,
        };
        self.store.submit(StoreCommand::Node(leave)).await.map(drop)
    }

    /// Ends all tasks.
    pub async fn stop(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

struct Shell {
    store: Store,
    boot: BootId,
    core: core::Liveness,
    heard: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    /// To whom it listens.
    listeners: BTreeMap<NodeId, AbortHandle>,
    listening: JoinSet<()>,
    quorum: watch::Sender<bool>,
    /// What is being committed; each ends with what it is reported as.
    tellings: JoinSet<Event>,
    is_balanced: bool,
    balance_checked_at: Option<Instant>,
}

impl Shell {
    async fn run(mut self) {
        let mut changed = self.store.watch();
        let mut ticks = tokio::time::interval(BEAT_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                biased;
                // Before a tick, so that what was heard while this process was kept from running counts.
                Some(event) = self.events.recv() => event,
                _ = ticks.tick() => {
                    self.handle(Event::Tick);
                    // Who leads and who votes is not announced.
                    Event::Cluster(self.cluster())
                }
                Some(told) = self.tellings.join_next() => match told {
                    Ok(event) => event,
                    Err(error) => {
                        tracing::error!(%error, "a task that tells of nodes died");
                        return;
                    }
                },
                result = changed.changed() => match result {
                    Ok(()) => Event::Cluster(self.cluster()),
                    // The store is gone: the process is shutting down.
                    Err(_) => return,
                },
            };
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        for command in core::step(&mut self.core, event, Instant::now()) {
            match command {
                Command::Tell(command) => self.tell(command),
                Command::Quorum(has_quorum) => {
                    report_quorum(has_quorum);
                    self.quorum.send_replace(has_quorum);
                }
                Command::Balance => self.balance(),
            }
        }
    }

    fn tell(&mut self, command: NodeCommand) {
        let (store, node) = (self.store.clone(), core::subject(&command));
        report(&store, &command);
        self.tellings.spawn(async move {
            if let Err(error) = store.submit(StoreCommand::Node(command)).await {
                tracing::warn!(node, %error, "what became of a node is not committed yet");
                tokio::time::sleep(RETRY).await;
            }
            Event::Told { node }
        });
    }

    fn balance(&mut self) {
        let store = self.store.clone();
        tracing::info!("moving devices, so that every controller is master of as many");
        self.tellings.spawn(async move {
            let balance = MastershipCommand::Balance { anew: false };
            if let Err(error) = store.submit(StoreCommand::Mastership(balance)).await {
                tracing::warn!(%error, "devices are not balanced yet");
            }
            Event::Balanced
        });
    }

    /// Listens to every other member, and to nobody else.
    fn listen_to(&mut self, members: impl Iterator<Item = NodeId>) {
        let me = self.store.node_id();
        let others: BTreeSet<_> = members.filter(|node| *node != me).collect();
        self.listeners.retain(|node, listener| {
            let stays = others.contains(node);
            if !stays {
                listener.abort();
            }
            stays
        });
        while self.listening.try_join_next().is_some() {}
        for node in others {
            self.listeners.entry(node).or_insert_with(|| {
                let listen = peers::listen(self.store.clone(), node, self.boot, self.heard.clone());
                self.listening.spawn(listen)
            });
        }
    }

    fn cluster(&mut self) -> Cluster {
        let membership = self.store.membership();
        self.listen_to(membership.addresses.keys().copied());
        let leads = membership.leader == Some(self.store.node_id());
        let now = Instant::now();
        let is_due = |at: Instant| now.duration_since(at) >= BALANCE_CHECK;
        if leads && self.balance_checked_at.is_none_or(is_due) {
            self.balance_checked_at = Some(now);
            self.is_balanced = self.store.read(|state| state.is_balanced());
        }
        let (nodes, balance_delay) = self.store.read(|state| {
            let nodes = state.nodes().iter();
            let nodes = nodes.map(|(id, node)| (*id, (node.boot, node.presence)));
            let settings = state.settings();
            let delay = settings
                .get(&AUTO_BALANCE)
                .then(|| settings.get(&BALANCE_DELAY));
            (nodes.collect(), delay)
        });
        Cluster {
            voters: membership.voters.into_iter().collect(),
            leader: membership.leader,
            nodes,
            is_balanced: self.is_balanced,
            balance_delay,
        }
    }
}

fn report(store: &Store, command: &NodeCommand) {
    let name = store.read(|state| state.name_of_node(core::subject(command)));
    match command {
        NodeCommand::Lost { node, .. } => {
            tracing::warn!(node, name, "a controller is not heard any more");
        }
        NodeCommand::Heard { node, .. } => {
            tracing::info!(node, name, "a controller is heard again");
        }
        _ => {}
    }
}

fn report_quorum(has_quorum: bool) {
    match has_quorum {
        true => tracing::info!("a majority of the controllers is heard"),
        false => tracing::warn!(
            "no majority of the controllers is heard; sessions with switches end, and they forward on as they are"
        ),
    }
}
