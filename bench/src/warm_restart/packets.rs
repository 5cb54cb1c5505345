//! Numbered packets from one port to another, in a closed loop: never more than a few are under way, so that one
//! that does not arrive was lost by the switch and not by a full queue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};

/// Packets under way at most.
const WINDOW: usize = 32;
/// One that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often one that is missing is looked for.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// From port 1 to 10.0.0.5, to be routed; the checksum of the IP header is right, UDP has none. The number takes
/// the place of the last four bytes.
const PACKET: [u8; 46] = [
    0x02, 0x00, 0x00, 0x00, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x08, 0x00, 0x45, 0x00,
    0x00, 0x20, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x65, 0xc6, 0x0a, 0x01, 0x01, 0x01, 0x0a, 0x00,
    0x00, 0x05, 0x03, 0xe8, 0x07, 0xd0, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];
const NUMBER_AT: usize = PACKET.len() - 4;
/// From the destination address on, nothing changes on the way.
const DESTINATION_AT: usize = 30;

/// What became of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packets {
    /// How many were sent.
    pub sent: u64,
    /// How many did not arrive.
    pub lost: u64,
    /// The longest time in which none arrived.
    pub longest_pause: Duration,
}

/// A thread that sends and receives.
pub(super) struct Stream {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Result<Packets>>,
}

impl Stream {
    /// Sends from the first host to the second one from now on.
    pub(super) fn start(hosts: &[String; 2]) -> Result<Stream> {
        let [from, to] = hosts;
        let (sender, _) = open(from)?;
        let (_, receiver) = open(to)?;
        let done = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let done = Arc::clone(&done);
            move || exchange(sender, receiver, &done)
        });
        Ok(Stream { done, thread })
    }

    /// Waits for those under way.
    pub(super) fn stop(self) -> Result<Packets> {
        self.done.store(true, Relaxed);
        let packets = self.thread.join();
        packets.map_err(|_| anyhow!("the thread of the packets has failed"))?
    }
}

fn exchange(
    mut sender: Box<dyn DataLinkSender>,
    mut receiver: Box<dyn DataLinkReceiver>,
    done: &AtomicBool,
) -> Result<Packets> {
    let mut packets = Packets::default();
    let mut under_way = BTreeMap::new();
    let mut last = Instant::now();
    loop {
        while under_way.len() < WINDOW && !done.load(Relaxed) {
            let number = packets.sent as u32;
            let mut packet = PACKET;
            packet[NUMBER_AT..].copy_from_slice(&number.to_be_bytes());
            let sent = sender.send_to(&packet, None);
            sent.context("a packet has no room")??;
            under_way.insert(number, Instant::now());
            packets.sent += 1;
        }
        if under_way.is_empty() {
            return Ok(packets);
        }
        let received = match receiver.next() {
            Ok(frame) => number(frame),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => None,
            Err(error) => return Err(error.into()),
        };
        let now = Instant::now();
        if received.is_some_and(|number| under_way.remove(&number).is_some()) {
            packets.longest_pause = packets.longest_pause.max(now - last);
            last = now;
        }
        let before = under_way.len();
        under_way.retain(|_, sent| now - *sent < PATIENCE);
        packets.lost += (before - under_way.len()) as u64;
    }
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
