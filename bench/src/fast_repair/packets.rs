//! Numbered packets at a steady rate, and where each of them arrives.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use pointsman_ebpf::sys::monotonic_clock;

/// Between two packets, but for what the kernel adds to a sleep.
const INTERVAL: Duration = Duration::from_micros(50);
/// Packets at most; more than an hour of them.
const MOST: usize = 1 << 25;
const READ_TIMEOUT: Duration = Duration::from_millis(20);

/// From port 1 to 10.0.0.5, to be routed; the checksum of the IP header is right, UDP has none. The number takes
/// the place of the last four bytes.
const PACKET: [u8; 60] = {
    let head = [
        0x02, 0x00, 0x00, 0x00, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x08, 0x00, 0x45,
        0x00, 0x00, 0x2e, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x65, 0xb8, 0x0a, 0x01, 0x01, 0x01,
        0x0a, 0x00, 0x00, 0x05, 0x03, 0xe8, 0x07, 0xd0, 0x00, 0x1a, 0x00, 0x00,
    ];
    let mut packet = [0; 60];
    let mut at = 0;
    while at < head.len() {
        packet[at] = head[at];
        at += 1;
    }
    packet
};
const NUMBER_AT: usize = PACKET.len() - 4;
/// From the destination address on, nothing changes on the way.
const DESTINATION_AT: usize = 30;

/// What is known of all packets, by number.
struct Packets {
    /// When each was sent, in nanoseconds.
    sent_at: Vec<AtomicU64>,
    /// The port by which each came out; 0 for none yet.
    port: Vec<AtomicU8>,
    sent: AtomicUsize,
    done: AtomicBool,
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
        });
        let mut threads = Vec::new();
        for (port, interface) in to {
            let (_, receiver) = open(interface)?;
            let (packets, port) = (Arc::clone(&packets), u8::try_from(*port)?);
            threads.push(std::thread::spawn(move || {
                receive(&packets, receiver, port)
            }));
        }
        let (sender, _) = open(from)?;
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
    pub(super) fn stop(self) -> Result<(Vec<Duration>, u64)> {
        self.packets.done.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let ended = thread.join();
            ended.map_err(|_| anyhow!("a thread of the packets has failed"))??;
        }
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
    for number in 0..MOST {
        if packets.done.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut packet = PACKET;
        packet[NUMBER_AT..].copy_from_slice(&(number as u32).to_be_bytes());
        let now = monotonic_clock().as_nanos() as u64;
        packets.sent_at[number].store(now, Ordering::Relaxed);
        sender
            .send_to(&packet, None)
            .context("a packet has no room")??;
        packets.sent.store(number + 1, Ordering::Release);
        std::thread::sleep(INTERVAL);
    }
    bail!("it takes too long")
}

fn receive(packets: &Packets, mut receiver: Box<dyn DataLinkReceiver>, port: u8) -> Result<()> {
    while !packets.done.load(Ordering::Relaxed) {
        // An interface that is down says so, once.
        if let Ok(frame) = receiver.next()
            && let Some(number) = number(frame)
        {
            packets.port[number as usize].store(port, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// The number of a packet that arrives, if it is one of ours. It may have a VLAN tag now.
fn number(frame: &[u8]) -> Option<u32> {
    let (rest, number) = frame.split_last_chunk()?;
    let is_ours = rest.ends_with(&PACKET[DESTINATION_AT..NUMBER_AT]);
    is_ours.then_some(u32::from_be_bytes(*number))
}

fn open(name: &str) -> Result<(Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>)> {
    let interfaces = pnet_datalink::interfaces();
    let interface = interfaces.iter().find(|i| i.name == name);
    let interface = interface.with_context(|| format!("there is no interface {name}"))?;
    let config = Config {
        read_timeout: Some(READ_TIMEOUT),
        ..Config::default()
    };
    let channel = pnet_datalink::channel(interface, config);
    match channel.with_context(|| format!("no packet socket on {name}"))? {
        Channel::Ethernet(sender, receiver) => Ok((sender, receiver)),
        _ => bail!("{name} is not an Ethernet interface"),
    }
}
