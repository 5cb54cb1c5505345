//! What is known of one device, and how far it can be believed: the pure core of a view.
//!
//! ```text
//!            Start            Opened          a batch that fits
//!   (new) ──────────► Opening ──────► Open ──────────────────────► fresh
//!                        ▲              │
//!                RetryDue│              │ Lost, or a batch that does not fit
//!                        └── Waiting ◄──┘                          stale, or still loading
//! ```
//!
//! Changes are taken in the order of (boot id, sequence), each exactly once, and after each batch the digest of what is
//! here has to be the agent's. On any doubt everything is asked for anew; what was known stays, marked as stale, until
//! all of it is there. `session` owns the stream and the timers.

use std::time::{Duration, Instant};

use super::inventory::Inventory;
use super::item::Change;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// A stream that lived so long was not the cause of its end.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// A point in what an agent has told. Of different boots nothing can be said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Position {
    /// The agent's start; empty if nothing is known.
    pub boot_id: String,
    /// The number of a change within it.
    pub sequence: u64,
}

/// What an agent sends at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where things stand after it.
    pub position: Position,
    /// It begins a snapshot.
    pub is_snapshot: bool,
    /// More of the snapshot follows.
    pub more: bool,
    /// Changes, each with its number; those of a snapshot have none.
    pub changes: Vec<(u64, Change)>,
    /// Of everything after it; says nothing while `more` follows.
    pub digest: u64,
}

/// How far what is known can be believed, since when, and why no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// It was never all there.
    Loading {
        /// When it was asked for first.
        since: Instant,
        /// Why it is not there.
        reason: String,
    },
    /// It is as the agent has told it a moment ago.
    Fresh {
        /// Since when.
        since: Instant,
    },
    /// It may be otherwise by now.
    Stale {
        /// Since when.
        since: Instant,
        /// Why it is not heard of.
        reason: String,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device is to be watched.
    Start,
    /// The agent has taken the request.
    Opened,
    /// It has sent something.
    Batch(Batch),
    /// There is no stream, or what came over it makes no sense.
    Lost(String),
    /// It is time to try again.
    RetryDue,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask for what followed a position, or for everything.
    Open(Option<Position>),
    /// End the stream.
    Close,
    /// Say when so much time is over; a little more or less does no harm.
    Wait(Duration),
}

/// The view of a device.
#[derive(Debug)]
pub struct DeviceView {
    inventory: Inventory,
    /// A snapshot that is not whole yet.
    loading: Option<Inventory>,
    freshness: Freshness,
    /// The stream, if it is open, and since when.
    open_since: Option<Instant>,
    /// Ends in a row.
    attempts: u32,
    /// What is here cannot be continued.
    is_doubtful: bool,
    /// The agent says things that have no name here, so its digest says nothing.
    is_unverified: bool,
    /// Counts changes of `freshness`, for those who watch.
    generation: u64,
    /// Counts the inventories that there were: what followed a position in one need not follow it in another.
    edition: u64,
}

impl DeviceView {
    /// Of a device that nothing is known of.
    pub fn new(now: Instant) -> Self {
        Self {
            inventory: Inventory::default(),
            loading: None,
            freshness: Freshness::Loading {
                since: now,
                reason: "its agent has not answered yet".to_owned(),
            },
            open_since: None,
            attempts: 0,
            is_doubtful: false,
            is_unverified: false,
            generation: 0,
            edition: 0,
        }
    }

    /// What is known.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// How far it can be believed.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// Rises whenever that changes.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Rises whenever what is known was replaced by a snapshot.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// The agent's digest cannot be compared, because it says things that this version does not know.
    pub fn is_unverified(&self) -> bool {
        self.is_unverified
    }

    fn set(&mut self, freshness: Freshness) {
        self.freshness = freshness;
        self.generation += 1;
    }
}

/// What happens next. The only place where a view of a device changes.
pub fn step(view: &mut DeviceView, event: Event, now: Instant) -> Vec<Command> {
    match event {
        Event::Start | Event::RetryDue => vec![Command::Open(known(view))],
        Event::Opened => {
            view.open_since = Some(now);
            vec![]
        }
        Event::Batch(batch) => match take(view, batch) {
            Ok(false) => vec![],
            Ok(true) => {
                if !matches!(view.freshness, Freshness::Fresh { .. }) {
                    view.set(Freshness::Fresh { since: now });
                }
                vec![]
            }
            Err(doubt) => {
                view.is_doubtful = true;
                lost(view, doubt, now)
            }
        },
        Event::Lost(reason) => lost(view, reason, now),
    }
}

fn known(view: &DeviceView) -> Option<Position> {
    let position = view.inventory.position();
    let is_known = !position.boot_id.is_empty() && !view.is_doubtful;
    is_known.then(|| position.clone())
}

/// Takes a batch; says whether all is there that the agent knows, or what does not fit.
fn take(view: &mut DeviceView, batch: Batch) -> Result<bool, String> {
    if batch.is_snapshot {
        view.loading = Some(Inventory::of_boot(batch.position.boot_id.clone()));
    }
    match view.loading.take() {
        Some(loading) => take_part(view, loading, batch),
        None => take_changes(view, batch),
    }
}

fn take_part(view: &mut DeviceView, mut loading: Inventory, batch: Batch) -> Result<bool, String> {
    let mut has_unknown = false;
    for (_, change) in batch.changes {
        has_unknown |= change == Change::Unknown;
        loading.load(change);
    }
    if batch.more {
        view.loading = Some(loading);
        return Ok(false);
    }
    loading.loaded(batch.position.sequence);
    let is_equal = loading.digest() == batch.digest;
    // Twice in a row it is no accident: an agent of a later version has fields that are not read here.
    if !is_equal && !has_unknown && !view.is_doubtful {
        return Err("what its agent sent is not what it has".to_owned());
    }
    view.is_unverified = !is_equal;
    view.is_doubtful = false;
    view.inventory = loading;
    view.edition += 1;
    Ok(true)
}

fn take_changes(view: &mut DeviceView, batch: Batch) -> Result<bool, String> {
    let position = view.inventory.position();
    if batch.position.boot_id != position.boot_id {
        return Err(format!(
            "changes came of boot {:?}, and what is known is of {:?}",
            batch.position.boot_id, position.boot_id
        ));
    }
    for (sequence, change) in batch.changes {
        view.is_unverified |= change == Change::Unknown;
        if !view.inventory.apply(sequence, change) {
            let known = view.inventory.position().sequence;
            return Err(format!("change {sequence} came after {known}"));
        }
    }
    let sequence = view.inventory.position().sequence;
    if batch.position.sequence != sequence {
        let told = batch.position.sequence;
        return Err(format!("{sequence} is known, and its agent is at {told}"));
    }
    if !view.is_unverified && batch.digest != view.inventory.digest() {
        return Err("what is known is not what its agent has".to_owned());
    }
    Ok(true)
}

fn lost(view: &mut DeviceView, reason: String, now: Instant) -> Vec<Command> {
    let was_stable = view
        .open_since
        .is_some_and(|since| now.duration_since(since) >= STABLE_AFTER);
    view.attempts = match was_stable {
        true => 1,
        false => view.attempts.saturating_add(1),
    };
    view.open_since = None;
    view.loading = None;
    let freshness = match &view.freshness {
        Freshness::Fresh { .. } => Freshness::Stale { since: now, reason },
        Freshness::Stale { since, .. } => Freshness::Stale {
            since: *since,
            reason,
        },
        Freshness::Loading { since, .. } => Freshness::Loading {
            since: *since,
            reason,
        },
    };
    if freshness != view.freshness {
        view.set(freshness);
    }
    let doublings = (view.attempts - 1).min(10);
    let delay = (FIRST_RETRY * 2u32.pow(doublings)).min(LAST_RETRY);
    vec![Command::Close, Command::Wait(delay)]
}
