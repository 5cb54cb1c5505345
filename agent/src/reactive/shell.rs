//! The shell of the policies: one task that owns their core and its clock, hears of new stations and of ports, and has
//! objectives installed.
//!
//! ```text
//!   target ── new stations ──►┐                     ┌──► who is known ──► target
//!                             ├──► Reactive (pure) ─┤
//!   inventory ─ ports, hosts ►┤                     ├──► objectives ────► agent
//!   pipeline ─────── packets ─►┘                     └──► packets ───────► target
//! ```
//!
//! What waits is taken together, and its objectives are installed by one change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_ebpf::front::{LocalFrame, LocalKind, Wanted};
use pointsman_model::{Change, Objective, Operation};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::core::{Command, Event, Reactive};
use super::settings::Settings;
use super::watch::Watch;
use crate::agent::{Agent, Punted};
use crate::target::Local;

/// Frames that are taken together.
const FRAMES_A_TURN: usize = 256;

/// Packets that may wait.
const PACKETS: usize = 1024;

/// Runs the policies until it is cancelled. Ends at once where there are none, or the ports are elsewhere.
pub async fn run(settings: Settings, agent: Arc<Agent>, cancel: CancellationToken) {
    let local = agent.shared().switch.target().local();
    let Some(local) = local else { return };
    let started = Instant::now();
    let frames_per_second = settings.frames_per_second;
    let found = agent.shared().local_objectives();
    let mut task = Task {
        reactive: Reactive::new(settings, found, Duration::ZERO),
        started,
        local: Arc::clone(&local),
        agent: Arc::clone(&agent),
    };
    if task.reactive.is_idle() {
        // What an agent before this one asked for may go on.
        return local.want(LocalKind::NewStation, Wanted::No, 0);
    }
    let mut frames = local.listen_for_stations();
    local.want(LocalKind::NewStation, Wanted::Copy, frames_per_second);
    // Packets beside controllers: only if something is to be done about them.
    let (_none_come, none) = mpsc::channel(1);
    let mut packets = match task.reactive.wants_packets() {
        true => agent.packet_io.listen(PACKETS),
        false => none,
    };
    let mut watch = Watch::new(&agent.inventory);
    let mut punted = Vec::with_capacity(FRAMES_A_TURN);
    let mut taken = Vec::with_capacity(FRAMES_A_TURN);
    loop {
        let events = watch.take(&agent.inventory);
        task = match task.blocking(move |task| task.events(events)).await {
            Some(task) => task,
            None => return,
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            // The inventory ends when the agent does.
            is_open = watch.changed() => if !is_open { return },
            () = task.due() => {
                task = match task.blocking(|task| task.events(vec![Event::Timer])).await {
                    Some(task) => task,
                    None => return,
                };
            }
            count = frames.recv_many(&mut taken, FRAMES_A_TURN) => {
                if count == 0 {
                    return;
                }
                let frames = std::mem::take(&mut taken);
                task = match task.blocking(move |task| task.frames(&frames)).await {
                    Some(task) => task,
                    None => return,
                };
            }
            count = packets.recv_many(&mut punted, FRAMES_A_TURN) => {
                if count == 0 {
                    return;
                }
                let packets = std::mem::take(&mut punted);
                task = match task.blocking(move |task| task.packets(&packets)).await {
                    Some(task) => task,
                    None => return,
                };
            }
        }
    }
}

/// What is done at the end of a turn: changes first, then frames.
#[derive(Default)]
struct Turn {
    changes: Vec<Change>,
    frames: Vec<(u32, Vec<u8>)>,
}

/// What runs.
struct Task {
    reactive: Reactive,
    started: Instant,
    local: Arc<dyn Local>,
    agent: Arc<Agent>,
}

impl Task {
    /// Does something that may wait for writes under way.
    async fn blocking(mut self, work: impl FnOnce(&mut Task) + Send + 'static) -> Option<Task> {
        let done = tokio::task::spawn_blocking(move || {
            work(&mut self);
            self
        });
        match done.await {
            Ok(task) => Some(task),
            Err(error) => {
                tracing::error!(%error, "the local policies have ended; restart the agent");
                None
            }
        }
    }

    /// Waits until something is due, or for ever.
    async fn due(&self) {
        match self.reactive.deadline() {
            Some(at) => tokio::time::sleep_until((self.started + at).into()).await,
            None => std::future::pending().await,
        }
    }

    fn events(&mut self, events: Vec<Event<'_>>) {
        let mut turn = Turn::default();
        for event in events {
            self.step(event, &mut turn);
        }
        self.finish(turn);
    }

    fn packets(&mut self, packets: &[Punted]) {
        let mut turn = Turn::default();
        for packet in packets {
            let bytes = packet.payload();
            self.step(Event::Packet { bytes }, &mut turn);
        }
        self.finish(turn);
    }

    fn frames(&mut self, frames: &[LocalFrame]) {
        let mut turn = Turn::default();
        for LocalFrame { port, bytes, .. } in frames {
            let (port, bytes) = (*port, bytes.as_slice());
            self.step(Event::Frame { port, bytes }, &mut turn);
        }
        self.finish(turn);
    }

    fn finish(&mut self, turn: Turn) {
        if !turn.changes.is_empty() {
            self.agent.change_local_objectives(turn.changes);
        }
        for (port, frame) in turn.frames {
            self.local.send(port, &frame);
        }
        self.agent.reactive.set(self.reactive.statistics());
    }

    fn step(&mut self, event: Event<'_>, turn: &mut Turn) {
        let now = self.started.elapsed();
        for command in self.reactive.step(event, now) {
            match command {
                Command::Put(objective) => turn.changes.push(Change {
                    operation: Operation::Put,
                    objective: *objective,
                }),
                Command::Delete(id) => turn.changes.push(Change {
                    operation: Operation::Delete,
                    objective: Objective::empty(id.kind, id.name),
                }),
                Command::Learn(ports) => self.local.learn(&ports),
                Command::Know { station, port } => self.local.know(station, port),
                Command::LookAfter(stations) => {
                    let seen = stations.into_iter();
                    let seen = seen.map(|station| (station, self.local.take_seen(station)));
                    let seen = seen.collect();
                    self.step(Event::LookedAfter(seen), turn);
                }
                Command::Send { port, frame } => turn.frames.push((port, frame)),
            }
        }
    }
}
