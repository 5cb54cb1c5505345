//! What the data plane notices, on its way to controllers: the shell around [`Digests`] and [`Aging`].
//!
//! It owns their clock and their one task ([`Agent::run_notices`]), which sleeps until the target has a digest
//! or something is due. Writes tell it what they changed, with their locks held; its own locks are held for
//! a moment only, and no other is taken under them. What is noticed is offered to the primary of each
//! role as news; what none of them takes is lost, as the specification allows, and counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pointsman_ebpf::sys::monotonic_clock;
use pointsman_p4::dataplane::EntryKey;
use pointsman_p4::ir::Program;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::{Agent, StreamNote, Subscribers};
use crate::aging::{self, Aging};
use crate::arbitration::StreamId;
use crate::digests::{self, Digests, List};
use crate::entity::{Entity, Operation, TableEntry, Update};
use crate::schema::Schema;
use crate::switch::{Access, Footprint, Part, Switch, View};
use crate::target::Learnt;
use crate::target::p4runtime::Listed;
use crate::target::relay::Relay;

/// What falls due within this time is told together.
const COALESCED: Duration = Duration::from_millis(5);

/// Entries of which nothing was heard for their timeout.
#[derive(Debug)]
pub struct Idle {
    /// Of which pipeline.
    pub schema: Arc<Schema>,
    /// As they were written.
    pub entries: Vec<TableEntry>,
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
}

/// What packets have learnt.
#[derive(Debug)]
pub struct LearntList {
    /// By which pipeline.
    pub schema: Arc<Schema>,
    /// What.
    pub list: List,
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
}

/// Why an acknowledgement of a digest list is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AckError {
    /// The stream is sent no lists.
    #[error("only the primary of a role may acknowledge digest lists")]
    NotPrimary,
    /// There is no such digest.
    #[error("digest {0:#010x} is not in p4info")]
    UnknownDigest(u32),
}

impl AckError {
    /// The canonical code of the refusal (specification, "Stream Error Reporting").
    pub fn code(&self) -> Code {
        match self {
            AckError::NotPrimary => Code::PermissionDenied,
            AckError::UnknownDigest(_) => Code::InvalidArgument,
        }
    }
}

/// What waits to be told.
#[derive(Default)]
pub struct Notices {
    learning: Mutex<Learning>,
    /// None where a switch in another process says itself which entries are idle.
    aging: Mutex<Option<Aging>>,
    /// Something may be due earlier than it was.
    changed: Notify,
}

/// Digests, and whom they are for.
#[derive(Default)]
struct Learning {
    digests: Digests,
    /// The switch in another process whose lists they are.
    relay: Option<Arc<dyn Relay>>,
    /// What runs; digests of another program mean nothing.
    running: Option<(Arc<Program>, Arc<Schema>)>,
    /// Who was told of digests last.
    primaries: Vec<StreamId>,
}

impl Notices {
    /// Takes note of the pipeline and the entries that a switch has now.
    pub fn follow(&self, switch: &Switch) {
        let mut learning = Learning {
            relay: switch.relay(),
            ..Learning::default()
        };
        let mut aging = Aging::default();
        let now = monotonic_clock();
        if let Some((pipeline, store)) = switch.contents() {
            learning.running = Some((pipeline.program.clone(), pipeline.schema.clone()));
            for (digest, config) in store.digests() {
                let configured = digests::Event::Configured(*digest, *config);
                learning.digests.step(configured, now);
            }
            let timed = pipeline.schema.tables.iter().filter(|t| t.idle_timeout);
            for table in timed {
                for (key, entry) in store.table(table.table).entries.iter() {
                    let timeout = Duration::from_nanos(entry.extra.idle_timeout_ns);
                    aging.step(aging::Event::Added(key.clone(), timeout), now);
                }
            }
        }
        *lock(&self.aging) = learning.relay.is_none().then_some(aging);
        *lock(&self.learning) = learning;
        self.changed.notify_one();
    }

    /// Takes note of what was written to the switch that forwards. Call it with the locks of the write
    /// held.
    pub fn written<'u>(
        &self,
        schema: &Schema,
        updates: impl IntoIterator<Item = &'u Update>,
        subscribers: &Subscribers,
    ) {
        let has_timeouts = schema.tables.iter().any(|table| table.idle_timeout);
        if !has_timeouts && schema.digests.is_empty() {
            return;
        }
        let now = monotonic_clock();
        for update in updates {
            match &update.entity {
                Entity::TableEntry(entry) if has_timeouts => {
                    let table = schema.table_of(entry.key.table);
                    if table.is_some_and(|table| table.idle_timeout) {
                        self.age(aged(update.operation, entry), now);
                    }
                }
                Entity::Digest(entry) => {
                    let event = match update.operation {
                        Operation::Delete => digests::Event::Removed(entry.digest),
                        _ => digests::Event::Configured(entry.digest, entry.config),
                    };
                    lock(&self.learning).step(event, now, subscribers);
                }
                _ => {}
            }
        }
        self.changed.notify_one();
    }

    /// Takes what happened to timers; nothing follows where they are not kept here.
    fn age(&self, event: aging::Event, now: Duration) -> Option<aging::Command> {
        let aging = &mut *lock(&self.aging);
        aging.as_mut()?.step(event, now)
    }

    /// Digest messages that nobody was told.
    pub fn lost(&self) -> u64 {
        lock(&self.learning).digests.lost()
    }

    /// When something is due.
    fn deadline(&self) -> Option<Duration> {
        let lists = lock(&self.learning).digests.deadline();
        let entries = lock(&self.aging).as_ref().and_then(Aging::deadline);
        lists.into_iter().chain(entries).min()
    }
}

/// What a write of an entry is to its timer.
fn aged(operation: Operation, entry: &TableEntry) -> aging::Event {
    let timeout = Duration::from_nanos(entry.extra.idle_timeout_ns);
    let key = entry.key.clone();
    match operation {
        Operation::Insert => aging::Event::Added(key, timeout),
        Operation::Modify => aging::Event::Changed(key, timeout),
        Operation::Delete => aging::Event::Removed(key),
    }
}

impl Learning {
    /// Takes what happened to digests, and does what follows from it.
    fn step(&mut self, event: digests::Event, now: Duration, subscribers: &Subscribers) {
        let mut commands = VecDeque::from(self.digests.step(event, now));
        while let Some(command) = commands.pop_front() {
            match command {
                digests::Command::Send(list) => {
                    let (digest, list_id) = (list.digest, list.list_id);
                    if !self.send(list, subscribers) {
                        let not_sent = digests::Event::NotSent(digest, list_id);
                        commands.extend(self.digests.step(not_sent, now));
                    }
                }
                digests::Command::Acknowledge { digest, list_id } => {
                    let digest = self.running.as_ref().and_then(|(_, s)| s.digest_of(digest));
                    if let (Some(relay), Some(digest)) = (&self.relay, digest) {
                        relay.acknowledge(digest.id, list_id);
                    }
                }
            }
        }
    }

    /// Offers a list to the primary of each role; `false` if none takes it.
    fn send(&self, list: List, subscribers: &Subscribers) -> bool {
        let Some((_, schema)) = &self.running else {
            return false;
        };
        let id = schema.digest_of(list.digest).map(|digest| digest.id);
        let note = StreamNote::Learnt(Arc::new(LearntList {
            schema: Arc::clone(schema),
            list,
            timestamp_ns: timestamp_ns(),
        }));
        offer(subscribers, &note, id)
    }

    /// A new primary has not seen what the one before was sent.
    fn meet(&mut self, now: Duration, subscribers: &Subscribers) {
        let primaries = subscribers.get();
        if !primaries
            .iter()
            .map(|p| p.stream)
            .eq(self.primaries.iter().copied())
        {
            self.primaries = primaries.iter().map(|p| p.stream).collect();
            self.step(digests::Event::NewPrimary, now, subscribers);
        }
    }
}

impl Agent {
    /// Tells controllers what the data plane notices, until it is cancelled.
    pub async fn run_notices(
        self: Arc<Self>,
        mut learnt: mpsc::Receiver<Learnt>,
        cancel: CancellationToken,
    ) {
        let mut told = Duration::ZERO;
        loop {
            let due = self.notices.deadline().map(|deadline| {
                let at = deadline.max(told + COALESCED);
                tokio::time::sleep(at.saturating_sub(monotonic_clock()))
            });
            tokio::select! {
                () = cancel.cancelled() => return,
                Some(learnt) = learnt.recv() => self.learn(&learnt),
                () = self.notices.changed.notified() => {}
                () = maybe(due) => {
                    told = monotonic_clock();
                    let agent = Arc::clone(&self);
                    let done = tokio::task::spawn_blocking(move || agent.tell_what_is_due());
                    if let Err(error) = done.await {
                        tracing::error!(%error, "idle entries were not reported");
                    }
                }
            }
        }
    }

    /// Takes digests from the data plane.
    fn learn(&self, learnt: &Learnt) {
        let now = monotonic_clock();
        let subscribers = &self.packet_io.subscribers;
        let mut learning = lock(&self.notices.learning);
        let runs = learning.running.as_ref();
        if !runs.is_some_and(|(program, _)| Arc::ptr_eq(program, &learnt.program)) {
            return;
        }
        learning.meet(now, subscribers);
        for digest in &learnt.digests {
            let message = digest.values.as_slice().into();
            let event = digests::Event::Learnt(digest.list, message);
            learning.step(event, now, subscribers);
        }
    }

    /// Takes a list of digests from a switch in another process.
    pub fn pass_on(&self, listed: Listed) {
        let now = monotonic_clock();
        let subscribers = &self.packet_io.subscribers;
        let mut learning = lock(&self.notices.learning);
        let runs = learning.running.as_ref();
        if !runs.is_some_and(|(_, schema)| Arc::ptr_eq(schema, &listed.schema)) {
            return;
        }
        learning.meet(now, subscribers);
        let event = digests::Event::Listed {
            digest: listed.digest,
            list_id: listed.list_id,
            messages: listed.messages,
        };
        learning.step(event, now, subscribers);
    }

    /// A client has dealt with a list of digests.
    pub fn acknowledge(
        &self,
        stream: StreamId,
        digest_id: u32,
        list_id: u64,
    ) -> Result<(), AckError> {
        let subscribers = &self.packet_io.subscribers;
        if !subscribers.get().iter().any(|p| p.stream == stream) {
            return Err(AckError::NotPrimary);
        }
        let mut learning = lock(&self.notices.learning);
        let schema = learning.running.as_ref().map(|(_, schema)| schema);
        let digest = schema.and_then(|schema| schema.digest(digest_id));
        let digest = digest.ok_or(AckError::UnknownDigest(digest_id))?.list;
        let event = digests::Event::Acknowledged(digest, list_id);
        learning.step(event, monotonic_clock(), subscribers);
        Ok(())
    }

    /// Sends the lists that are due, and reports the entries that are idle.
    fn tell_what_is_due(&self) {
        let subscribers = &self.packet_io.subscribers;
        let now = monotonic_clock();
        lock(&self.notices.learning).step(digests::Event::Timer, now, subscribers);
        while self.report_idle() {}
    }

    /// Looks at some of the entries whose deadline has come; `false` if there were none.
    fn report_idle(&self) -> bool {
        // No pipeline comes or goes meanwhile, so that the keys mean what they meant.
        let state = self.shared();
        let now = monotonic_clock();
        let due = self.notices.age(aging::Event::Timer, now);
        let Some(aging::Command::LookAt(keys)) = due else {
            return false;
        };
        let Some(view) = state.switch.view(&tables_of(keys.iter().map(|k| &**k))) else {
            return false;
        };
        let seen = keys.into_iter().map(|key| {
            let stored = view.store.entry(&key);
            let last_hit = stored.and_then(|_| view.plane.last_hit(&key).ok());
            (key, last_hit)
        });
        let seen = aging::Event::Seen(seen.collect());
        if let Some(aging::Command::Report(keys)) = self.notices.age(seen, now) {
            self.report(view, keys.iter().map(|k| &**k));
        }
        true
    }

    /// Passes on which entries a switch in another process says are idle. Waits for writes of their tables.
    pub fn report_idle_elsewhere(&self, schema: &Arc<Schema>, keys: &[EntryKey]) {
        let state = self.shared();
        let runs = state.switch.pipeline().map(|pipeline| &pipeline.schema);
        if !runs.is_some_and(|runs| Arc::ptr_eq(runs, schema)) {
            return;
        }
        if let Some(view) = state.switch.view(&tables_of(keys.iter())) {
            self.report(view, keys.iter());
        }
    }

    /// Tells of idle entries, as they are stored.
    fn report<'k>(&self, view: View<'_>, keys: impl Iterator<Item = &'k EntryKey>) {
        let schema = Arc::clone(&view.pipeline.schema);
        // Not every role is told of every table.
        let mut tables: BTreeMap<Option<u32>, Vec<TableEntry>> = BTreeMap::new();
        for key in keys {
            let stored = view.store.entry(key);
            if let Some(entry) = stored.filter(|entry| entry.extra.idle_timeout_ns != 0) {
                let id = schema.table_of(key.table).map(|table| table.id);
                tables.entry(id).or_default().push(entry.to_entity(key));
            }
        }
        drop(view);
        for (id, entries) in tables {
            let note = StreamNote::Idle(Arc::new(Idle {
                schema: Arc::clone(&schema),
                entries,
                timestamp_ns: timestamp_ns(),
            }));
            if !offer(&self.packet_io.subscribers, &note, id) {
                tracing::debug!("nobody was told of idle entries");
            }
        }
    }
}

/// The tables of these entries, to be read.
fn tables_of<'k>(keys: impl Iterator<Item = &'k EntryKey>) -> Footprint {
    let mut tables = Footprint::default();
    for key in keys {
        tables.add(Part::Table(key.table), Access::Read);
    }
    tables
}

/// Offers news of what has this p4info id to the primary of each role that has it; `false` if none
/// takes it.
fn offer(subscribers: &Subscribers, note: &StreamNote, id: Option<u32>) -> bool {
    let subscribers = subscribers.get();
    let told = subscribers.iter().filter(|s| id.is_none_or(|id| s.has(id)));
    let taken = told.filter(|s| s.offer(note.clone()));
    taken.count() > 0
}

/// Sleeps, or for ever.
async fn maybe(sleep: Option<tokio::time::Sleep>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

/// Nanoseconds since the epoch.
fn timestamp_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves what is locked whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
