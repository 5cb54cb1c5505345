//! The two wires of the switch: numbered frames are sent into one and come out of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};
use pointsman_ebpf::sys::monotonic_clock;

use super::PATIENCE;

const READ_TIMEOUT: Duration = Duration::from_millis(5);
/// Where all frames have their number, whose bytes are the last of an address as well: see [`Wires::send`].
const MAGIC: [u8; 6] = *b"p-io42";

/// Both ends.
pub(super) struct Wires {
    sender: Box<dyn DataLinkSender>,
    seen: Arc<Seen>,
    receiver: Option<JoinHandle<()>>,
}

/// What has come out.
struct Seen {
    /// How many different ones, in the order in which they were sent.
    count: AtomicU32,
    /// The number of the last one, and when it came.
    last: AtomicU64,
    at: AtomicU64,
    done: AtomicBool,
}

impl Wires {
    /// Sends by one interface, and listens at the other.
    pub(super) fn open(from: &str, to: &str) -> Result<Wires> {
        let (sender, _) = open(from)?;
        let (_, receiver) = open(to)?;
        let seen = Arc::new(Seen {
            count: AtomicU32::new(0),
            last: AtomicU64::new(u64::MAX),
            at: AtomicU64::new(0),
            done: AtomicBool::new(false),
        });
        let all = Arc::clone(&seen);
        Ok(Wires {
            sender,
            seen,
            receiver: Some(std::thread::spawn(move || listen(receiver, &all))),
        })
    }

    /// Sends a frame with a number. What is before it is the frame's own.
    pub(super) fn send(&mut self, headers: &[u8], number: u32) -> Result<()> {
        let mut frame = headers.to_vec();
        frame.resize(headers.len().max(50), 0);
        frame.extend(MAGIC);
        frame.extend(number.to_be_bytes());
        let sent = self.sender.send_to(&frame, None);
        Ok(sent.context("a frame has no room")??)
    }

    /// Frames that have come out.
    pub(super) fn count(&self) -> u32 {
        self.seen.count.load(Ordering::Acquire)
    }

    /// Sends a frame, and waits until it comes out. Says how long that took.
    pub(super) fn trip(&mut self, headers: &[u8], number: u32) -> Result<Duration> {
        let sent = monotonic_clock();
        self.send(headers, number)?;
        let deadline = Instant::now() + PATIENCE;
        while self.seen.last.load(Ordering::Acquire) != u64::from(number) {
            if Instant::now() > deadline {
                bail!("frame {number} does not come out");
            }
            std::thread::yield_now();
        }
        let at = Duration::from_nanos(self.seen.at.load(Ordering::Relaxed));
        Ok(at.saturating_sub(sent))
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.seen.done.store(true, Ordering::Relaxed);
        if let Some(receiver) = self.receiver.take() {
            drop(
                receiver
                    .join()
                    .map_err(|_| anyhow!("the receiver has failed")),
            );
        }
    }
}

fn listen(mut receiver: Box<dyn DataLinkReceiver>, seen: &Seen) {
    while !seen.done.load(Ordering::Relaxed) {
        if let Ok(frame) = receiver.next()
            && let Some((rest, number)) = frame.split_last_chunk()
            && rest.ends_with(&MAGIC)
        {
            let now = monotonic_clock().as_nanos() as u64;
            seen.at.store(now, Ordering::Relaxed);
            let number = u32::from_be_bytes(*number);
            seen.last.store(u64::from(number), Ordering::Release);
            seen.count.fetch_add(1, Ordering::Release);
        }
    }
}

fn open(name: &str) -> Result<(Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>)> {
    let interfaces = pnet_datalink::interfaces();
    let interface = interfaces.iter().find(|i| i.name == name);
    let interface = interface.with_context(|| format!("there is no interface {name}"))?;
    let config = Config {
        read_timeout: Some(READ_TIMEOUT),
        read_buffer_size: 65_536,
        ..Config::default()
    };
    let channel = pnet_datalink::channel(interface, config);
    match channel.with_context(|| format!("no packet socket on {name}"))? {
        Channel::Ethernet(sender, receiver) => Ok((sender, receiver)),
        _ => bail!("{name} is not an Ethernet interface"),
    }
}
