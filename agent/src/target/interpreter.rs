//! The reference interpreter as a target: slow, exact, and without privileges when its ports
//! are in memory. On Linux interfaces it uses packet sockets.
//!
//! Packets are run by [`Engine::receive`], on the thread that received them, under a lock of
//! the interpreter alone, so that a long Write does not wait for traffic longer than a packet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pointsman_ebpf::front::{LocalFrame, LocalKind, Station, Wanted};
use pointsman_ebpf::sys::monotonic_clock;
use pointsman_p4::dataplane::DataPlane;
use pointsman_p4::interpreter::{Interpreter, Output, Packet, Trace};
use tokio::sync::mpsc;

use super::learnt::Learner;
use super::local::LocalTap;
use super::packet_socket::PacketSocket;
use super::{
    Attachment, Fill, Interface, Learnt, Local, Loss, PacketOut, PortLiveness, Target, TargetError,
};
use crate::switch::Pipeline;

/// The interpreter with its ports.
pub struct InterpreterTarget {
    engine: Arc<Engine>,
    plane: Option<Arc<Interpreter>>,
}

/// What runs packets; shared with the threads that receive them.
pub struct Engine {
    cpu_port: u32,
    interpreter: Mutex<Option<Arc<Interpreter>>>,
    /// Ports that cannot carry packets; a new program has to be told.
    down: Mutex<BTreeSet<u32>>,
    sockets: Mutex<HashMap<u32, PacketSocket>>,
    packet_in: mpsc::Sender<Vec<u8>>,
    learner: Learner,
    local: LocalTap,
    packets: AtomicU64,
    lost_packet_ins: AtomicU64,
}

impl InterpreterTarget {
    /// A target without ports or program. What leaves at the CPU port goes to `packet_in`, what
    /// packets learn to `learnt`, and is dropped when that is full.
    pub fn new(
        cpu_port: u32,
        packet_in: mpsc::Sender<Vec<u8>>,
        learnt: mpsc::Sender<Learnt>,
    ) -> InterpreterTarget {
        InterpreterTarget {
            engine: Arc::new(Engine {
                cpu_port,
                interpreter: Mutex::new(None),
                down: Mutex::default(),
                sockets: Mutex::new(HashMap::new()),
                packet_in,
                learner: Learner::new(learnt),
                local: LocalTap::default(),
                packets: AtomicU64::new(0),
                lost_packet_ins: AtomicU64::new(0),
            }),
            plane: None,
        }
    }

    /// To run packets in memory.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.clone()
    }
}

impl Engine {
    /// Runs a packet. What leaves at a port with an interface is sent there; all of it is
    /// returned.
    pub fn receive(&self, port: u32, bytes: Vec<u8>) -> Vec<Output> {
        if port != self.cpu_port && self.local.takes(port, &bytes) {
            return Vec::new();
        }
        let plane = lock(&self.interpreter).clone();
        let Some(plane) = plane else {
            return Vec::new();
        };
        self.packets.fetch_add(1, Ordering::Relaxed);
        let packet = Packet { port, bytes };
        let outputs = plane.process(&packet, monotonic_clock());
        self.learner.learn(plane.program(), plane.take_digests());
        let sockets = lock(&self.sockets);
        for output in &outputs {
            if output.port == self.cpu_port {
                if self.packet_in.try_send(output.bytes.clone()).is_err() {
                    self.lost_packet_ins.fetch_add(1, Ordering::Relaxed);
                }
            } else if let Some(socket) = sockets.get(&output.port) {
                socket.send(&output.bytes);
            }
        }
        outputs
    }
}

impl Local for Engine {
    fn want(&self, kind: LocalKind, wanted: Wanted, _per_second: u32) {
        self.local.want(kind, wanted);
    }

    fn listen(&self) -> mpsc::Receiver<LocalFrame> {
        self.local.queue.listen()
    }

    fn listen_for_stations(&self) -> mpsc::Receiver<LocalFrame> {
        self.local.listen_for_stations()
    }

    fn learn(&self, ports: &BTreeMap<u32, u16>) {
        self.local.learn(ports);
    }

    fn know(&self, station: Station, port: Option<u32>) {
        self.local.know(station, port);
    }

    fn take_seen(&self, station: Station) -> bool {
        self.local.take_seen(station)
    }

    fn send(&self, port: u32, frame: &[u8]) {
        if let Some(socket) = lock(&self.sockets).get(&port) {
            socket.send(frame);
        }
    }

    fn takes(&self, frame: &[u8]) -> bool {
        self.local.would_take(frame)
    }

    fn lost(&self, kind: LocalKind) -> u64 {
        self.local.queue.lost(kind)
    }
}

impl PortLiveness for Engine {
    fn set_port_up(&self, port: u32, up: bool) {
        let mut down = lock(&self.down);
        match up {
            true => down.remove(&port),
            false => down.insert(port),
        };
        if let Some(interpreter) = &*lock(&self.interpreter) {
            interpreter.set_port_up(port, up);
        }
    }
}

impl PacketOut for Engine {
    fn send(&self, packet: &[u8]) -> Result<(), TargetError> {
        if lock(&self.interpreter).is_none() {
            return Err(TargetError::NoPipeline);
        }
        self.receive(self.cpu_port, packet.to_vec());
        Ok(())
    }
}

impl Target for InterpreterTarget {
    fn kind(&self) -> &'static str {
        "interpreter"
    }

    fn verify(&self, _pipeline: &Pipeline) -> Result<(), TargetError> {
        // It runs whatever can be read.
        Ok(())
    }

    fn load(&mut self, pipeline: &Pipeline, fill: &mut Fill<'_>) -> Result<(), TargetError> {
        let interpreter = Interpreter::new(pipeline.program.clone());
        interpreter.advance(monotonic_clock());
        fill(&interpreter)?;
        let plane = Arc::new(interpreter);
        self.plane = Some(plane.clone());
        let down = lock(&self.engine.down);
        for port in down.iter() {
            plane.set_port_up(*port, false);
        }
        *lock(&self.engine.interpreter) = Some(plane);
        Ok(())
    }

    fn unload(&mut self) -> Result<(), TargetError> {
        self.plane = None;
        *lock(&self.engine.interpreter) = None;
        Ok(())
    }

    fn plane(&self) -> Option<&dyn DataPlane> {
        let plane: &Interpreter = self.plane.as_ref()?;
        // What is written counts as written now, however long ago the last packet came.
        plane.advance(monotonic_clock());
        Some(plane)
    }

    fn attach(&mut self, port: u32, interface: &Interface) -> Result<Attachment, TargetError> {
        let engine = Arc::downgrade(&self.engine);
        let receive = move |frame: &[u8]| {
            if let Some(engine) = engine.upgrade() {
                engine.receive(port, frame.to_vec());
            }
        };
        let socket = PacketSocket::open(port, interface, receive)?;
        lock(&self.engine.sockets).insert(port, socket);
        Ok(Attachment::None)
    }

    fn detach(&mut self, port: u32) {
        lock(&self.engine.sockets).remove(&port);
    }

    fn liveness(&self) -> Arc<dyn PortLiveness> {
        self.engine.clone()
    }

    fn local(&self) -> Option<Arc<dyn Local>> {
        Some(self.engine.clone())
    }

    fn packet_out(&self) -> Arc<dyn PacketOut> {
        self.engine.clone()
    }

    fn trace(&self, packet: &Packet) -> Result<Trace, TargetError> {
        let plane = self.plane.as_ref().ok_or(TargetError::NoPipeline)?;
        Ok(plane.trace(packet, monotonic_clock()))
    }

    fn slow_path_packets(&self) -> u64 {
        self.engine.packets.load(Ordering::Relaxed)
    }

    fn losses(&self) -> Vec<Loss> {
        vec![
            Loss {
                reason: "queue-full",
                what: "packets for controllers, behind more than the agent keeps waiting",
                packets: self.engine.lost_packet_ins.load(Ordering::Relaxed),
            },
            Loss {
                reason: "digest-queue-full",
                what: "digests, behind more than the agent keeps waiting",
                packets: self.engine.learner.lost(),
            },
        ]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
