//! Numbered packets from one port to another, in a closed loop: never more than a few are under way, so that one
//! that does not arrive was lost by the switch and not by a full queue.
//!
//! Called by those who disturb something that must not disturb packets: [`warm_restart`](crate::warm_restart) and
//! [`fail_over`](crate::fail_over).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use pnet_datalink::DataLinkSender;
use pointsman_ebpf::sys::PacketReceiver;

use crate::numbered;

/// Packets under way at most.
const WINDOW: usize = 32;
/// One that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often one that is missing is looked for.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

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
pub(crate) struct Stream {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Result<Packets>>,
}

impl Stream {
    /// Sends from the first host to the second one from now on.
    pub(crate) fn start(hosts: &[String; 2]) -> Result<Stream> {
        let [from, to] = hosts;
        let sender = numbered::sender(from)?;
        let receiver = numbered::receiver(to, READ_TIMEOUT)?;
        let done = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let done = Arc::clone(&done);
            move || exchange(sender, receiver, &done)
        });
        Ok(Stream { done, thread })
    }

    /// Waits for those under way.
    pub(crate) fn stop(self) -> Result<Packets> {
        self.done.store(true, Relaxed);
        let packets = self.thread.join();
        packets.map_err(|_| anyhow!("the thread of the packets has failed"))?
    }
}

fn exchange(
    mut sender: Box<dyn DataLinkSender>,
    mut receiver: PacketReceiver,
    done: &AtomicBool,
) -> Result<Packets> {
    let mut packets = Packets::default();
    let mut under_way = BTreeMap::new();
    let mut last = Instant::now();
    loop {
        while under_way.len() < WINDOW && !done.load(Relaxed) {
            let number = packets.sent as u32;
            let sent = sender.send_to(&numbered::packet(number), None);
            sent.context("a packet has no room")??;
            under_way.insert(number, Instant::now());
            packets.sent += 1;
        }
        if under_way.is_empty() {
            return Ok(packets);
        }
        let received = match receiver.receive() {
            Ok(frame) => numbered::number(frame),
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
