//! The agent: one switch, who may write it, what is wanted of it, and its journal.
//!
//! Everything here is synchronous. The gRPC services call it from blocking threads, so that no lock
//! is held across an await. Who needs several locks takes them in this order:
//!
//! 1. a [`Permit`] of [`Mastership`]: requests of a primary, until they are applied and in the journal;
//!    whoever becomes primary waits for them;
//! 2. [`State`]: *shared* by P4Runtime's Write and Read, and by whoever looks; *exclusive* for pipelines,
//!    objectives and ports;
//! 3. the parts of the switch's store that a batch touches, in the order of
//!    [`Part`](crate::switch::Part), all before its first update and until it is in the journal; so writes
//!    without a common part go on side by side, and all are strictly serialisable;
//! 4. a lock inside the data plane;
//! 5. mastership's own, for a moment, or while an election id goes to the disk;
//! 6. those of [`Notices`], for a moment;
//! 7. [`Streams`], [`PacketIo`] and [`Inventory`], for a moment.
//!
//! Packets to and from controllers, and links that die (`live_ports`), need none of the first five. Nobody waits for the disk
//! with a lock, but as 5 says, so that concurrent writes share one `fsync`; and nobody waits for a client.

mod drift;
mod kept_drift;
mod live_ports;
mod lives;
mod mastership;
mod notices;
mod objective;
mod packet;
mod port;
mod relay;
mod restore;
mod snapshot;
mod stream;
mod tables;

pub use drift::{DriftPolicy, Drifting, Touched};
pub use kept_drift::{milliseconds, writer_message};
pub use live_ports::LivePorts;
pub use mastership::{Mastership, Permit};
pub use notices::{AckError, Idle, LearntList, Notices};
pub use objective::{PipelinerState, Reach, SyncError};
pub use packet::{PacketError, PacketIn, PacketIo, Punted};
pub use restore::{RestoreError, Start, restore};
pub use snapshot::snapshot;
pub use stream::{Inbox, StreamNote, Streams, Subscriber, Subscribers};

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use pointsman_proto::pointsman::agent::v1::Ack;
use tokio::sync::Notify;

use crate::arbitration::Arbitration;
use crate::discovery::Counters;
use crate::inventory::{Inventory, Item};
use crate::journal::Journal;
use crate::limits::Limits;
use crate::objectives::Objectives;
use crate::ports::Ports;
use crate::reactive;
use crate::schema::Presentation;
use crate::switch::Switch;

/// Who this agent is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// P4Runtime's `device_id`; not 0.
    pub device_id: u64,
    /// For people.
    pub name: String,
    /// New at every start.
    pub boot_id: String,
    /// When it started.
    pub started: Instant,
    /// How it shows itself to controllers.
    pub presentation: Presentation,
}

impl Identity {
    /// The boot id as a number that rises with every start: the nanoseconds since 1970 that it begins with.
    pub fn boot(&self) -> u64 {
        let time = self.boot_id.split('-').next().unwrap_or_default();
        u64::from_str_radix(time, 16).unwrap_or(0)
    }
}

/// The switch and what is wanted of it.
pub struct State {
    /// Pipeline, entries and target.
    pub switch: Switch,
    /// What VERIFY_AND_SAVE saved, with what was written since; clients read and write this
    /// until they commit it. It forwards nothing.
    pub draft: Option<Switch>,
    /// What is wanted, and what of it is done.
    pub objectives: Objectives,
    /// How objectives become entries of the pipeline.
    pub pipeliner: PipelinerState,
    /// What becomes of what clients write to entries of objectives.
    pub drifting: Drifting,
    /// What they have written to, and nobody has looked at yet.
    pub touched: Mutex<Vec<Touched>>,
    /// News of objectives that no controller has been given yet.
    pub acks: Vec<Ack>,
    /// The ports there are.
    pub ports: Ports,
    /// Which of them can carry packets, as the data plane knows it.
    pub live_ports: Arc<LivePorts>,
    /// What packets need of the pipeline.
    pub packet_io: Arc<PacketIo>,
    /// What the data plane notices.
    pub notices: Arc<Notices>,
}

/// One switch and everything that is known about it.
pub struct Agent {
    /// Who it is.
    pub identity: Identity,
    /// What it takes from clients at most.
    pub limits: Limits,
    /// Who may write.
    pub mastership: Mastership,
    /// Where to tell streams what they must know.
    pub streams: Streams,
    /// Packets to and from controllers.
    pub packet_io: Arc<PacketIo>,
    /// Tells the data plane of dead links, without any of the locks.
    pub live_ports: Arc<LivePorts>,
    /// What the data plane notices, on its way to controllers.
    pub notices: Arc<Notices>,
    /// The next timeout of an objective may be over earlier than it was.
    lives: Notify,
    /// What the switch sees around it.
    pub inventory: Arc<Inventory>,
    /// What became of frames of the agent's own protocols.
    pub discovery: Arc<Counters>,
    /// What became of those that its own policies were shown.
    pub reactive: reactive::Counters,
    state: RwLock<State>,
    journal: Journal,
}

impl Agent {
    /// An agent over a state that was restored or is new.
    pub fn new(
        identity: Identity,
        limits: Limits,
        state: State,
        arbitration: Arbitration,
        journal: Journal,
    ) -> Agent {
        let inventory = Arc::new(Inventory::default());
        state
            .ports
            .iter()
            .for_each(|port| inventory.put(Item::Port(port.into())));
        Agent {
            identity,
            mastership: Mastership::new(arbitration),
            streams: Streams::new(&limits),
            limits,
            packet_io: Arc::clone(&state.packet_io),
            live_ports: Arc::clone(&state.live_ports),
            notices: Arc::clone(&state.notices),
            lives: Notify::new(),
            inventory,
            discovery: Arc::default(),
            reactive: reactive::Counters::default(),
            state: RwLock::new(state),
            journal,
        }
    }

    /// The state, with others who read it or write parts of the switch.
    pub fn shared(&self) -> RwLockReadGuard<'_, State> {
        // A panic of another request leaves the state as consistent as an error would:
        // an update is applied to the data plane before the store.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, when nobody else has it. Do not wait for anything slow with it.
    pub fn exclusive(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where changes are kept. Append with the locks of a change held, wait without them.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Replaces the journal by a snapshot if it has grown too long. Call without locks.
    pub fn compact(&self) {
        if !self.journal.wants_compaction() {
            return;
        }
        let state = self.exclusive();
        // Another may have done it meanwhile.
        if self.journal.wants_compaction() {
            tracing::info!("compacting the state file");
            self.mastership.with(|arbitration| {
                self.journal.compact(snapshot(&state, arbitration));
            });
        }
    }
}
