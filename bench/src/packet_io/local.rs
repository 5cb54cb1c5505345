//! Packets for the agent off the ring buffer: all the way to a consumer in the agent, beside an empty loop that throws
//! away what comes. Both in turns, while the kernel runs packets through the agent's program as fast as it can.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use pointsman_agent::agent::Agent;
use pointsman_agent::config::{Config, ConfigFile};
use pointsman_agent::start::{forward_packet_ins, start_with};
use pointsman_agent::target::LEARNT_QUEUE;
use pointsman_agent::target::xdp::XdpTarget;
use pointsman_ebpf::sys::Program;
use pointsman_model::{
    Attributes, Change, DEFAULT_PRIORITY, Forward, ForwardFlag, Instruction, Name, Objective,
    ObjectiveKind, Operation, Selector,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The interface that the kernel runs packets in by: loopback's.
const LOOPBACK: u32 = 1;
const CPU_PORT: u32 = 255;
/// Packets that the kernel runs at a time.
const BURST: u32 = 1 << 19;
/// Packets that wait for the consumer.
const WAITING: usize = 4096;
/// Packets between two looks at the clock.
const STRIDE: usize = 256;

/// Packets a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// That an empty loop throws away.
    pub empty: f64,
    /// That a consumer in the agent gets.
    pub consumer: f64,
}

impl Rates {
    /// What the consumer gets of what the empty loop drains.
    pub fn share(&self) -> f64 {
        self.consumer / self.empty
    }
}

/// Measures both in turns.
pub(super) fn rates(rounds: u32, phase: Duration) -> Result<Vec<Rates>> {
    let directory = std::env::temp_dir().join(format!("packet-io-{}", std::process::id()));
    let rates = rates_in(&directory, rounds, phase);
    drop(std::fs::remove_dir_all(&directory));
    rates
}

fn rates_in(directory: &Path, rounds: u32, phase: Duration) -> Result<Vec<Rates>> {
    let runtime = tokio::runtime::Runtime::new()?;
    // The target polls its ring buffer in this runtime.
    let _entered = runtime.enter();
    let (learner, _learnt) = mpsc::channel(LEARNT_QUEUE);
    let (target, mut events, packet_in) = XdpTarget::new(CPU_PORT, None, learner)?;
    let (root, shared) = target.root();
    let (root, shared) = (Arc::clone(root), Arc::clone(shared));
    let config = Config::try_from(ConfigFile {
        insecure: Some(true),
        state_dir: Some(directory.to_owned()),
        ..ConfigFile::default()
    })?;
    let agent = Arc::new(start_with(&config, Box::new(target))?);
    agent.change_local_objectives(vec![punt_everything()]);
    shared.ports.set_interface(LOOPBACK, Some(1));

    let mut consumer = agent.packet_io.listen(WAITING);
    let cancel = CancellationToken::new();
    let forward = forward_packet_ins(Arc::clone(&agent), packet_in, cancel.clone());
    let forward = runtime.spawn(forward);
    let consumed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&consumed);
    let consume = runtime.spawn(async move {
        while let Some(punted) = consumer.recv().await {
            assert!(!punted.payload().is_empty(), "packets have bytes");
            count.fetch_add(1, Relaxed);
        }
    });
    let producer = Producer::start(root);
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let (started, mut thrown_away) = (Instant::now(), 0u64);
        while started.elapsed() < phase {
            thrown_away += events.discard(STRIDE) as u64;
        }
        let empty = thrown_away as f64 / started.elapsed().as_secs_f64();
        let (started, before) = (Instant::now(), consumed.load(Relaxed));
        let ended = runtime.block_on(async { tokio::time::timeout(phase, events.run()).await });
        ensure!(ended.is_err(), "the agent has stopped reading events");
        let consumer = consumed.load(Relaxed) - before;
        let consumer = consumer as f64 / started.elapsed().as_secs_f64();
        rates.push(Rates { empty, consumer });
    }
    producer.stop()?;
    cancel.cancel();
    runtime.block_on(forward)?;
    // It ends with the agent that it listens to.
    end(agent)?;
    runtime.block_on(consume)?;
    Ok(rates)
}

fn end(agent: Arc<Agent>) -> Result<()> {
    let agent = Arc::into_inner(agent).context("somebody else has the agent")?;
    drop(agent);
    Ok(())
}

/// All packets go to whoever consumes packet-ins.
fn punt_everything() -> Change {
    let name = Name::new("local/punt").expect("it is a name");
    Change {
        operation: Operation::Put,
        objective: Objective {
            name,
            priority: DEFAULT_PRIORITY,
            attributes: Attributes::default(),
            kind: ObjectiveKind::Forward(Forward {
                flag: ForwardFlag::Versatile,
                selector: Selector::default(),
                next: None,
                treatment: vec![Instruction::Punt],
            }),
        },
    }
}

/// A thread that has the kernel run packets.
struct Producer {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Producer {
    fn start(root: Arc<Program>) -> Producer {
        let done = Arc::new(AtomicBool::new(false));
        let is_done = Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            let mut frame = [0; 64];
            frame[11] = 2;
            while !is_done.load(Relaxed) {
                root.test_run(&frame, BURST)?;
            }
            Ok(())
        });
        Producer { done, thread }
    }

    fn stop(self) -> Result<()> {
        self.done.store(true, Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the thread of the packets has failed"))?
    }
}
