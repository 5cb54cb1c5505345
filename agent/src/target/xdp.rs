//! The `xdp` target: programs in the kernel, on Linux interfaces.
//!
//! The kernel forwards what it can by itself. What it hands up (packets for the controller,
//! what it cannot do) arrives at [`XdpEvents`], which runs the slow path and sends the results through
//! packet sockets. This file owns those sockets; tables and programs are `pointsman-ebpf`'s.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pnet_datalink::{Channel, Config, DataLinkSender};
use pointsman_ebpf::compile::Options;
use pointsman_ebpf::compile::event::EventKind;
use pointsman_ebpf::compile::handoff::{Cause, Point};
use pointsman_ebpf::front::{Frames, LocalFrame, LocalKind, Station, Wanted};
use pointsman_ebpf::pipeline::{PipelineError, TableDifference};
use pointsman_ebpf::plane::SlowPath;
use pointsman_ebpf::switch::events::{Event, Events};
use pointsman_ebpf::switch::pins::PinDirectory;
use pointsman_ebpf::switch::ports::MAX_PORTS;
use pointsman_ebpf::switch::takeover::Unwanted;
use pointsman_ebpf::switch::{Shared, Switch, SwitchError};
use pointsman_ebpf::sys::{AttachMode, Program, interface_index, monotonic_clock};
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::{Output, Packet, Trace};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::learnt::Learner;
use super::local::LocalQueue;
use super::offloads::Offloads;
use super::ring::drain;
use super::{
    Attachment, Fill, Interface, Learnt, Local, Loss, PacketOut, PortLiveness, SlowPathUse, Target,
    TargetError,
};
use crate::switch::Pipeline;

/// Packets for the controller that wait for the agent. More are dropped and counted.
const PACKET_IN_QUEUE: usize = 1024;

/// XDP programs on Linux interfaces.
pub struct XdpTarget {
    switch: Switch,
    slow: Arc<Slow>,
    offloads: Offloads,
}

/// Packets that each port may send up to the agent in a second.
#[derive(Debug, Clone, Copy)]
pub struct PuntLimits {
    /// For controllers.
    pub packet_ins: u32,
    /// For the slow path.
    pub slow_path: u32,
}

/// What the kernel hands up. One task runs it.
pub struct XdpEvents {
    events: AsyncFd<Events>,
    frames: AsyncFd<Frames>,
    slow: Arc<Slow>,
}

/// What the target and the reader of events share.
struct Slow {
    cpu_port: u32,
    shared: Arc<Shared>,
    state: Mutex<SlowState>,
    packet_ins: mpsc::Sender<Vec<u8>>,
    learner: Learner,
    /// Frames that never were the pipeline's, or are the agent's as well.
    local: LocalQueue,
    packets: AtomicU64,
    packet_ins_dropped: AtomicU64,
}

#[derive(Default)]
struct SlowState {
    path: Option<SlowPath>,
    sockets: HashMap<u32, Box<dyn DataLinkSender>>,
    /// Ports that cannot carry packets; the slow path of a new pipeline has to be told.
    down: BTreeSet<u32>,
}

impl XdpTarget {
    /// A target without ports and without a program; or, if what it has is pinned, one that begins with what
    /// another process has left there. The receiver gets the packets that leave by the CPU port, `learnt` gets
    /// what packets learn.
    pub fn new(
        cpu_port: u32,
        pins: Option<PinDirectory>,
        learnt: mpsc::Sender<Learnt>,
    ) -> Result<(XdpTarget, XdpEvents, mpsc::Receiver<Vec<u8>>), TargetError> {
        let options = Options::new(cpu_port);
        let switch = match pins {
            Some(pins) => Switch::pinned(options, pins),
            None => Switch::new(options),
        };
        let switch = switch.map_err(|e| system("starting the xdp target", &e))?;
        let found = switch.found();
        let is_down = |port: &&u32| !switch.shared().ports.is_live(**port);
        let down = found.ports.keys().filter(is_down).copied().collect();
        if found.forwards || !found.ports.is_empty() {
            tracing::info!(
                ports = found.ports.len(),
                forwards = found.forwards,
                "taking over what another process has left running"
            );
        }
        let events = switch
            .events()
            .map_err(|e| system("starting the xdp target", &e))?;
        let events = pollable(events).map_err(|e| system("polling the ring buffer", &e))?;
        let frames = switch.shared().front.frames();
        let frames = frames.map_err(|e| system("starting the xdp target", &e))?;
        let frames = pollable(frames).map_err(|e| system("polling the ring buffer", &e))?;
        let (packet_ins, receiver) = mpsc::channel(PACKET_IN_QUEUE);
        let slow = Arc::new(Slow {
            cpu_port,
            shared: Arc::clone(switch.shared()),
            state: Mutex::new(SlowState {
                down,
                ..SlowState::default()
            }),
            packet_ins,
            learner: Learner::new(learnt),
            local: LocalQueue::default(),
            packets: AtomicU64::new(0),
            packet_ins_dropped: AtomicU64::new(0),
        });
        Ok((
            XdpTarget {
                switch,
                slow: Arc::clone(&slow),
                offloads: Offloads::default(),
            },
            XdpEvents {
                events,
                frames,
                slow,
            },
            receiver,
        ))
    }

    /// The program of the ports, and what it shares with pipelines: for tests that run packets without interfaces.
    pub fn root(&self) -> (&Arc<Program>, &Arc<Shared>) {
        (self.switch.root(), self.switch.shared())
    }

    /// Sets how many packets each port may send up to the agent.
    pub fn limit(&self, punts: PuntLimits) {
        let ports = &self.switch.shared().ports;
        ports.limit(EventKind::PacketIn, Some(punts.packet_ins));
        for kind in [EventKind::Handoff, EventKind::Copies] {
            ports.limit(kind, Some(punts.slow_path));
        }
    }
}

impl XdpEvents {
    /// Throws away what is there for the agent, at most so many packets, unread. All that handling them costs is on top
    /// of this.
    pub fn discard(&mut self, most: usize) -> usize {
        let events = self.events.get_mut();
        events.wake();
        (0..most).take_while(|_| events.discard()).count()
    }

    /// Handles events until it is dropped.
    pub async fn run(&mut self) -> std::io::Result<()> {
        let XdpEvents {
            events,
            frames,
            slow,
        } = self;
        let events = drain(events, |event| slow.handle(event));
        let frames = drain(frames, |frame| slow.local.offer(frame));
        tokio::try_join!(events, frames).map(drop)
    }
}

impl Slow {
    fn handle(&self, event: Event) {
        if event.kind == EventKind::PacketIn {
            return self.packet_in(event.packet);
        }
        self.packets.fetch_add(1, Relaxed);
        let path = self.lock().path.clone();
        if let Some(path) = path {
            self.send_all(path.handle(&event, monotonic_clock()));
            self.learner.learn(path.program(), path.take_digests());
        }
    }

    /// Sends what the slow path makes of a packet.
    fn send_all(&self, outputs: Vec<Output>) {
        for output in outputs {
            if output.port == self.cpu_port {
                self.packet_in(output.bytes);
                continue;
            }
            let mut state = self.lock();
            let Some(socket) = state.sockets.get_mut(&output.port) else {
                continue;
            };
            if let Some(Err(error)) = socket.send_to(&output.bytes, None) {
                tracing::debug!(port = output.port, %error, "a packet was not sent");
            }
        }
    }

    fn packet_in(&self, packet: Vec<u8>) {
        if self.packet_ins.try_send(packet).is_err() {
            self.packet_ins_dropped.fetch_add(1, Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, SlowState> {
        // Each use leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Local for Slow {
    fn want(&self, kind: LocalKind, wanted: Wanted, per_second: u32) {
        self.shared.front.want(kind, wanted, per_second);
    }

    fn listen(&self) -> mpsc::Receiver<LocalFrame> {
        self.local.listen()
    }

    fn listen_for_stations(&self) -> mpsc::Receiver<LocalFrame> {
        self.shared.front.stations.clear();
        self.local.listen_for_stations()
    }

    fn learn(&self, ports: &BTreeMap<u32, u16>) {
        let stations = &self.shared.front.stations;
        for port in 0..MAX_PORTS {
            stations.learn(port, ports.get(&port).copied());
        }
    }

    fn know(&self, station: Station, port: Option<u32>) {
        let stations = &self.shared.front.stations;
        match port {
            Some(port) if !stations.put(station, port) => {
                tracing::debug!(?station, "no room for a station");
            }
            Some(_) => {}
            None => stations.remove(station),
        }
    }

    fn take_seen(&self, station: Station) -> bool {
        self.shared.front.stations.take_seen(station)
    }

    fn send(&self, port: u32, frame: &[u8]) {
        if let Some(socket) = self.lock().sockets.get_mut(&port)
            && let Some(Err(error)) = socket.send_to(frame, None)
        {
            tracing::debug!(port, %error, "a frame was not sent");
        }
    }

    fn takes(&self, frame: &[u8]) -> bool {
        LocalKind::of(frame).is_some_and(|kind| self.shared.front.takes(kind, frame))
    }

    fn lost(&self, kind: LocalKind) -> u64 {
        let lost = self.shared.front.lost(kind);
        lost.full + lost.limited + self.local.lost(kind)
    }
}

impl PortLiveness for Slow {
    fn set_port_up(&self, port: u32, up: bool) {
        // What programs read, first.
        self.shared.ports.set_live(port, up);
        let mut state = self.lock();
        match up {
            true => state.down.remove(&port),
            false => state.down.insert(port),
        };
        if let Some(path) = &state.path {
            path.set_port_up(port, up);
        }
    }
}

impl PacketOut for Slow {
    fn send(&self, packet: &[u8]) -> Result<(), TargetError> {
        let path = self.lock().path.clone().ok_or(TargetError::NoPipeline)?;
        let packet = Packet {
            port: self.cpu_port,
            bytes: packet.to_vec(),
        };
        self.send_all(path.process(&packet, monotonic_clock()));
        self.learner.learn(path.program(), path.take_digests());
        Ok(())
    }
}

impl Target for XdpTarget {
    fn kind(&self) -> &'static str {
        "xdp"
    }

    fn verify(&self, pipeline: &Pipeline) -> Result<(), TargetError> {
        self.switch
            .prepare(pipeline.program.clone())
            .map(drop)
            .map_err(load_error)
    }

    fn load(&mut self, pipeline: &Pipeline, fill: &mut Fill<'_>) -> Result<(), TargetError> {
        let program = pipeline.program.clone();
        let plane = self.switch.prepare_next(program).map_err(load_error)?;
        let goes_on = plane.fast().inherits();
        fill(&plane)?;
        let path = plane.slow_path().clone();
        let stats = plane.fast().stats();
        for construct in plane.fast().slow_constructs() {
            tracing::info!("{}", construct.slow_path_notice());
        }
        let another_ran = self.switch.found().forwards && !goes_on;
        let differences = self
            .switch
            .activate(plane)
            .map_err(|e| system("switching to the new pipeline", &e))?;
        if another_ran {
            tracing::warn!(
                "the pipeline that ran is not the one of the state directory: it is replaced, and counts begin anew"
            );
        }
        for TableDifference { table, difference } in differences {
            tracing::warn!(
                table,
                unwanted = difference.unwanted,
                missing = difference.missing,
                other = difference.other,
                "a table held other entries than the state directory; it is repaired"
            );
        }
        let mut slow = self.slow.lock();
        for port in &slow.down {
            path.set_port_up(*port, false);
        }
        slow.path = Some(path);
        drop(slow);
        tracing::info!(
            instructions = stats.instructions,
            programs = stats.programs,
            table_bytes = stats.table_bytes,
            compile_ms = stats.compile.as_secs_f64() * 1e3,
            load_ms = stats.load.as_secs_f64() * 1e3,
            counts_go_on = goes_on,
            "a pipeline runs in the kernel"
        );
        Ok(())
    }

    fn unload(&mut self) -> Result<(), TargetError> {
        self.switch
            .deactivate()
            .map_err(|e| system("taking the pipeline away", &e))?;
        self.slow.lock().path = None;
        Ok(())
    }

    fn plane(&self) -> Option<&dyn DataPlane> {
        self.switch.plane().map(|plane| plane as &dyn DataPlane)
    }

    fn found_ports(&self) -> BTreeSet<u32> {
        self.switch.found().ports.into_keys().collect()
    }

    fn settle(&mut self, ports: &[(u32, String)]) -> Result<(), TargetError> {
        let wanted = ports.iter().filter_map(|(port, interface)| {
            // One that is not there is attached when it comes.
            Some((*port, interface_index(interface).ok()?))
        });
        let unwanted = self.switch.settle(&wanted.collect());
        for unwanted in unwanted.map_err(|e| system("taking over what runs", &e))? {
            match unwanted {
                Unwanted::Port { port, interface } => tracing::warn!(
                    port,
                    interface,
                    "a port was attached that is not one any more, or not to this interface; it is taken down"
                ),
                Unwanted::Pipeline => tracing::warn!(
                    "a pipeline was forwarding, but none is configured or in the state directory; it is taken down"
                ),
            }
        }
        Ok(())
    }

    fn attach(&mut self, port: u32, interface: &Interface) -> Result<Attachment, TargetError> {
        let refused = |reason: String| TargetError::Attach {
            port,
            interface: interface.name.clone(),
            reason,
        };
        let mode = self
            .switch
            .attach(port, &interface.name)
            .map_err(|error| match error {
                SwitchError::Kernel(error) => refused(error.to_string()),
                other => refused(other.to_string()),
            })?;
        match socket(&interface.name) {
            Ok(socket) => self.slow.lock().sockets.insert(port, socket),
            Err(reason) => {
                self.detach(port);
                return Err(refused(reason));
            }
        };
        self.offloads.settle(port, &interface.name);
        Ok(match mode {
            AttachMode::Native => Attachment::Native,
            AttachMode::Generic => Attachment::Generic,
        })
    }

    fn detach(&mut self, port: u32) {
        self.slow.lock().sockets.remove(&port);
        self.offloads.give_back(port);
        if let Err(error) = self.switch.detach(port) {
            tracing::warn!(port, %error, "a port was not detached cleanly");
        }
    }

    fn liveness(&self) -> Arc<dyn PortLiveness> {
        self.slow.clone()
    }

    fn local(&self) -> Option<Arc<dyn Local>> {
        Some(self.slow.clone())
    }

    fn packet_out(&self) -> Arc<dyn PacketOut> {
        self.slow.clone()
    }

    fn trace(&self, packet: &Packet) -> Result<Trace, TargetError> {
        let path = self.slow.lock().path.clone();
        let path = path.ok_or(TargetError::NoPipeline)?;
        Ok(path.trace(packet, monotonic_clock()))
    }

    fn slow_path_packets(&self) -> u64 {
        self.slow.packets.load(Relaxed)
    }

    fn losses(&self) -> Vec<Loss> {
        let ports = &self.switch.shared().ports;
        let loss = |reason, what, packets| Loss {
            reason,
            what,
            packets,
        };
        vec![
            loss(
                "packet-in-limit",
                "packets for controllers beyond what their port may send up (limits.packet_ins_per_port)",
                ports.limited(EventKind::PacketIn),
            ),
            loss(
                "slow-path-limit",
                "packets for the slow path beyond what their port may send up (limits.slow_path_per_port)",
                ports.limited(EventKind::Handoff),
            ),
            loss(
                "copy-limit",
                "packets whose copies and digests were not made, as their port had sent up as many as it may \
                 (limits.slow_path_per_port); the packets themselves went on",
                ports.limited(EventKind::Copies),
            ),
            loss(
                "ring-full",
                "packets for the agent, which has not read those before them",
                ports.lost_events(),
            ),
            loss(
                "queue-full",
                "packets for controllers, behind more than the agent keeps waiting",
                self.slow.packet_ins_dropped.load(Relaxed),
            ),
            loss(
                "digest-queue-full",
                "digests, behind more than the agent keeps waiting",
                self.slow.learner.lost(),
            ),
        ]
    }

    fn slow_path(&self) -> Vec<SlowPathUse> {
        let path = self.slow.lock().path.clone();
        let Some(path) = path else {
            return Vec::new();
        };
        let taken = path.taken();
        taken.flat_map(|(p, n)| uses(p, n)).collect()
    }
}

/// The replacement of the deprecated call is unsafe: its caller promises that the descriptor stays
/// the same and open. [`Events`] and [`Frames`] own their descriptors for as long as they live.
#[expect(
    deprecated,
    reason = "the replacement is unsafe, and its promise holds"
)]
fn pollable<R: AsRawFd>(ring: R) -> std::io::Result<AsyncFd<R>> {
    AsyncFd::new(ring)
}

/// A packet socket to send by. What arrives there is not read: the pipeline has it already.
fn socket(interface: &str) -> Result<Box<dyn DataLinkSender>, String> {
    let interface = pnet_datalink::interfaces()
        .into_iter()
        .find(|i| i.name == interface);
    let interface = interface.ok_or("the interface is gone")?;
    match pnet_datalink::channel(&interface, Config::default()) {
        Ok(Channel::Ethernet(sender, _)) => Ok(sender),
        Ok(_) => Err("it is not an Ethernet interface".to_owned()),
        Err(error) => Err(format!("no packet socket: {error}")),
    }
}

/// What a point of the program says to operators. A limit that no packet has exceeded is no news.
fn uses(point: &Point, packets: u64) -> Vec<SlowPathUse> {
    match &point.cause {
        Cause::Constructs(constructs) => constructs
            .iter()
            .map(|construct| SlowPathUse {
                what: construct.construct.clone(),
                source: construct.source.to_string(),
                fast: construct.accepted.clone(),
                packets,
            })
            .collect(),
        Cause::Limit(_) if packets == 0 => Vec::new(),
        Cause::Limit(what) => vec![limit(what, packets)],
    }
}

fn limit(what: &str, packets: u64) -> SlowPathUse {
    SlowPathUse {
        what: what.to_owned(),
        source: String::new(),
        fast: String::new(),
        packets,
    }
}

fn load_error(error: PipelineError) -> TargetError {
    match error {
        PipelineError::Refused(_) => TargetError::Unsupported(error.to_string()),
        other => system("loading the pipeline", &other),
    }
}

fn system(what: &str, error: &dyn std::fmt::Display) -> TargetError {
    TargetError::System {
        what: what.to_owned(),
        error: error.to_string(),
    }
}
