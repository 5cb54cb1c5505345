//! Packets for the agent off the ring buffer: all the way to a consumer in the agent, beside an empty loop that throws
//! away what comes. Both in turns, while the kernel runs packets through the agent's program as fast as it can; and both
//! on a ring buffer that is full, while none come.

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
use pointsman_agent::target::xdp::{XdpEvents, XdpTarget};
use pointsman_ebpf::sys::Program;
use pointsman_model::{
    Attributes, Change, DEFAULT_PRIORITY, Forward, ForwardFlag, Instruction, Name, Objective,
    ObjectiveKind, Operation, Selector,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The interface that the kernel runs packets in by: loopback's.
const LOOPBACK: u32 = 1;
const CPU_PORT: u32 = 255;
/// A frame from a station to nobody.
const FRAME: [u8; 64] = {
    let mut frame = [0; 64];
    frame[11] = 2;
    frame
};
/// Packets that the kernel runs at a time. Each time it waits for all CPUs first, some 50 ms.
const BURST: u32 = 1 << 18;
/// More than the ring buffer holds.
const TOO_MANY: u32 = 1 << 15;
/// Packets that wait for the consumer.
const WAITING: usize = 4096;
/// Packets between two looks at the clock.
const STRIDE: usize = 256;
/// How long the empty loop leaves the ring buffer alone after it has found it empty: whoever looks at it all the time
/// slows down those who write. It holds a hundred times what comes meanwhile.
const PAUSE: Duration = Duration::from_micros(20);
/// How long a packet may take that has to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Packets a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// That an empty loop throws away while they come as fast as they can.
    pub empty: f64,
    /// That a consumer in the agent gets then.
    pub consumer: f64,
    /// That an empty loop throws away of a full ring buffer, while none come.
    pub full_empty: f64,
    /// That a consumer in the agent gets then.
    pub full_consumer: f64,
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
    let rates = Local::new(&directory).and_then(|mut local| {
        let rates = (0..rounds).map(|_| local.round(phase)).collect();
        local.end()?;
        rates
    });
    drop(std::fs::remove_dir_all(&directory));
    rates
}

/// An agent whose program punts all packets, and a consumer of them.
struct Local {
    runtime: Runtime,
    root: Arc<Program>,
    agent: Arc<Agent>,
    /// There unless it is being run.
    events: Option<XdpEvents>,
    /// Packets that the consumer got.
    consumed: Arc<AtomicU64>,
    cancel: CancellationToken,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Local {
    fn new(directory: &Path) -> Result<Local> {
        let runtime = Runtime::new()?;
        // The target polls its ring buffer in this runtime.
        let entered = runtime.enter();
        let (learner, _learnt) = mpsc::channel(LEARNT_QUEUE);
        let (target, events, packet_in) = XdpTarget::new(CPU_PORT, None, learner)?;
        drop(entered);
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
        let consumed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&consumed);
        let consume = async move {
            let mut taken = Vec::with_capacity(STRIDE);
            while consumer.recv_many(&mut taken, STRIDE).await > 0 {
                for punted in &taken {
                    assert!(!punted.payload().is_empty(), "packets have bytes");
                }
                count.fetch_add(taken.len() as u64, Relaxed);
                taken.clear();
            }
        };
        let tasks = [runtime.spawn(forward), runtime.spawn(consume)];
        Ok(Local {
            runtime,
            root,
            agent,
            events: Some(events),
            consumed,
            cancel,
            tasks,
        })
    }

    fn round(&mut self, phase: Duration) -> Result<Rates> {
        let producer = Producer::start(Arc::clone(&self.root));
        let (empty, _) = self.throw_away(phase)?;
        let consumer = self.consume_for(phase)?;
        producer.stop()?;
        self.throw_away(Duration::ZERO)?;
        self.root.run_live(&FRAME, TOO_MANY)?;
        let (full_empty, held) = self.throw_away(Duration::ZERO)?;
        self.root.run_live(&FRAME, TOO_MANY)?;
        let full_consumer = self.consume(held)?;
        let detours = self.agent.shared().switch.target().slow_path_packets();
        ensure!(
            detours == 0,
            "{detours} packets have taken the slow path, which is not what is measured"
        );
        Ok(Rates {
            empty,
            consumer,
            full_empty,
            full_consumer,
        })
    }

    /// Packets a second that an empty loop throws away until the phase is over and none are left, and how many those
    /// were.
    fn throw_away(&mut self, phase: Duration) -> Result<(f64, u64)> {
        let events = self.events.as_mut().context("nobody reads the events")?;
        let (started, mut thrown_away) = (Instant::now(), 0);
        loop {
            let found = events.discard(STRIDE);
            thrown_away += found as u64;
            let elapsed = started.elapsed();
            if found == STRIDE {
                continue;
            }
            if elapsed >= phase {
                return Ok((thrown_away as f64 / elapsed.as_secs_f64(), thrown_away));
            }
            while started.elapsed() < elapsed + PAUSE {
                std::hint::spin_loop();
            }
        }
    }

    /// Packets a second that the consumer gets while they come.
    fn consume_for(&mut self, phase: Duration) -> Result<f64> {
        let (started, before) = (Instant::now(), self.consumed.load(Relaxed));
        self.read_until(async move { tokio::time::sleep(phase).await })?;
        let consumed = self.consumed.load(Relaxed) - before;
        Ok(consumed as f64 / started.elapsed().as_secs_f64())
    }

    /// Packets a second of which the consumer gets that many.
    fn consume(&mut self, packets: u64) -> Result<f64> {
        let (started, consumed) = (Instant::now(), Arc::clone(&self.consumed));
        let all = consumed.load(Relaxed) + packets;
        let taken = async move {
            while consumed.load(Relaxed) < all {
                tokio::task::yield_now().await;
            }
        };
        let in_time = self.read_until(async { tokio::time::timeout(PATIENCE, taken).await })?;
        in_time.context("packets of a full ring buffer were lost to the consumer")?;
        Ok(packets as f64 / started.elapsed().as_secs_f64())
    }

    /// Has the agent read events until something is so.
    fn read_until<T: Send + 'static>(
        &mut self,
        done: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let mut events = self.events.take().context("nobody reads the events")?;
        // As in the agent, on a thread that runs other tasks, too.
        let reader = self.runtime.spawn(async move {
            let done = tokio::select! {
                ended = events.run() => {
                    ended?;
                    Err(anyhow!("the agent has stopped reading events"))
                }
                done = done => Ok(done),
            };
            anyhow::Ok((events, done?))
        });
        let (events, done) = self.runtime.block_on(reader)??;
        self.events = Some(events);
        Ok(done)
    }

    fn end(self) -> Result<()> {
        self.cancel.cancel();
        let [forward, consume] = self.tasks;
        self.runtime.block_on(forward)?;
        let agent = Arc::into_inner(self.agent).context("somebody else has the agent")?;
        drop(agent);
        // It ends with the agent that it listens to.
        Ok(self.runtime.block_on(consume)?)
    }
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
            while !is_done.load(Relaxed) {
                root.run_live(&FRAME, BURST)?;
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
