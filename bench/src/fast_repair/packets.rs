//! Numbered packets at a steady rate, and where each of them arrives.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use pnet_datalink::DataLinkSender;
use pointsman_ebpf::sys::{PacketReceiver, be_urgent, monotonic_clock};

use crate::numbered;

/// Between two packets, but for what the kernel adds to a sleep.
const INTERVAL: Duration = Duration::from_micros(50);
/// Packets at most; more than ten minutes of them.
const MOST: usize = 1 << 23;
const READ_TIMEOUT: Duration = Duration::from_millis(20);

/// What is known of all packets, by number.
struct Packets {
    /// When each was sent, in nanoseconds.
    sent_at: Vec<AtomicU64>,
    /// The port by which each came out; 0 for none yet.
    port: Vec<AtomicU8>,
    sent: AtomicUsize,
    done: AtomicBool,
    /// Packets that came out and for which a receiver had no room.
    dropped: AtomicU64,
}

/// Threads that send and receive.
pub(super) struct Stream {
    packets: Arc<Packets>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Stream {
    /// Sends from an interface from now on, to whichever port the switch chooses.
    pub(super) fn start(from: &str, to: &[(u32, String)]) -> Result<Stream> {
        let packets = Arc::new(Packets {
            sent_at: std::iter::repeat_with(AtomicU64::default)
                .take(MOST)
                .collect(),
            port: std::iter::repeat_with(AtomicU8::default)
                .take(MOST)
                .collect(),
            sent: AtomicUsize::new(0),
            done: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        });
        let mut threads = Vec::new();
        for (port, interface) in to {
            let receiver = numbered::receiver(interface, READ_TIMEOUT)?;
            let (packets, port) = (Arc::clone(&packets), u8::try_from(*port)?);
            threads.push(std::thread::spawn(move || {
                receive(&packets, receiver, port)
            }));
        }
        let sender = numbered::sender(from)?;
        let all = Arc::clone(&packets);
        threads.push(std::thread::spawn(move || send(&all, sender)));
        Ok(Stream { packets, threads })
    }

    /// How many were sent so far.
    pub(super) fn sent(&self) -> usize {
        self.packets.sent.load(Ordering::Acquire)
    }

    /// The port by which the last packet before this one came out that has.
    pub(super) fn port_of(&self, before: usize) -> Option<u32> {
        let ports = self.packets.port[..before].iter().rev();
        let mut ports = ports.map(|port| port.load(Ordering::Relaxed));
        ports.find(|port| *port != 0).map(u32::from)
    }

    /// When those of these packets were sent that have not come out.
    pub(super) fn lost(&self, numbers: Range<usize>) -> Vec<Duration> {
        let is_lost = |number: &usize| self.packets.port[*number].load(Ordering::Relaxed) == 0;
        numbers
            .filter(is_lost)
            .map(|n| self.packets.sent_at(n))
            .collect()
    }

    /// Ends; says when each was sent, and how many came out.
    ///
    /// # Errors
    /// A packet came out that had to be dropped here, so that what was measured is no good.
    pub(super) fn stop(self) -> Result<(Vec<Duration>, u64)> {
        self.packets.done.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let ended = thread.join();
            ended.map_err(|_| anyhow!("a thread of the packets has failed"))??;
        }
        let dropped = self.packets.dropped.load(Ordering::Relaxed);
        ensure!(
            dropped == 0,
            "{dropped} packets came out and were dropped here"
        );
        let sent = self.packets.sent.load(Ordering::Acquire);
        let ports = self.packets.port[..sent].iter();
        let received = ports.filter(|port| port.load(Ordering::Relaxed) != 0);
        let received = received.count() as u64;
        let times = (0..sent).map(|number| self.packets.sent_at(number));
        Ok((times.collect(), received))
    }
}

impl Packets {
    fn sent_at(&self, number: usize) -> Duration {
        Duration::from_nanos(self.sent_at[number].load(Ordering::Relaxed))
    }
}

fn send(packets: &Packets, mut sender: Box<dyn DataLinkSender>) -> Result<()> {
    // While nothing is sent, nothing can be lost: a pause would make the repair look fast.
    be_urgent().context("the stream has to run on time")?;
    for number in 0..MOST {
        if packets.done.load(Ordering::Relaxed) {
            return Ok(());
        }
        let now = monotonic_clock().as_nanos() as u64;
        packets.sent_at[number].store(now, Ordering::Relaxed);
        sender
            .send_to(&numbered::packet(number as u32), None)
            .context("a packet has no room")??;
        packets.sent.store(number + 1, Ordering::Release);
        std::thread::sleep(INTERVAL);
    }
    bail!("it takes too long")
}

fn receive(packets: &Packets, mut receiver: PacketReceiver, port: u8) -> Result<()> {
    while !packets.done.load(Ordering::Relaxed) {
        // An interface that is down says so, once.
        if let Ok(frame) = receiver.receive()
            && let Some(number) = numbered::number(frame)
        {
            packets.port[number as usize].store(port, Ordering::Relaxed);
        }
    }
    let dropped = receiver.dropped()?;
    packets
        .dropped
        .fetch_add(u64::from(dropped), Ordering::Relaxed);
    Ok(())
}
