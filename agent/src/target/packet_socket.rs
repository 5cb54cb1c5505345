//! A packet socket on an interface: frames in on a thread of its own, frames out directly.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pnet_datalink::{Channel, Config, DataLinkSender};
use pointsman_ebpf::sys::PacketReceiver;

use super::{Interface, TargetError};

/// How soon the receiving thread sees that it should end.
const READ_TIMEOUT: Duration = Duration::from_millis(200);

/// Large enough for what a veth pair with segmentation offload passes on.
const BUFFER: usize = 65_536 + 64;

/// A packet socket. Dropping it ends its thread soon after.
pub(super) struct PacketSocket {
    sender: Mutex<Box<dyn DataLinkSender>>,
    stop: Arc<AtomicBool>,
}

impl PacketSocket {
    /// Opens a socket and gives every frame that arrives to `receive`.
    pub fn open(
        port: u32,
        interface: &Interface,
        receive: impl Fn(&[u8]) + Send + 'static,
    ) -> Result<PacketSocket, TargetError> {
        let refused = |reason: String| TargetError::Attach {
            port,
            interface: interface.name.clone(),
            reason,
        };
        let all = pnet_datalink::interfaces();
        let found = all.iter().find(|found| found.index == interface.index);
        let found = found.ok_or_else(|| refused("it has just gone".to_owned()))?;
        let no_socket = |error: std::io::Error| {
            refused(format!(
                "no packet socket: {error}; it takes CAP_NET_RAW, and the interface up"
            ))
        };
        let config = Config {
            write_buffer_size: BUFFER,
            ..Config::default()
        };
        let sender = match pnet_datalink::channel(found, config) {
            Ok(Channel::Ethernet(sender, _)) => sender,
            Ok(_) => return Err(refused("it is not an Ethernet interface".to_owned())),
            Err(error) => return Err(no_socket(error)),
        };
        let receiver = PacketReceiver::open(interface.index, READ_TIMEOUT).map_err(no_socket)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name(format!("port-{port}"))
            .spawn(move || run(receiver, &stopped, receive))
            .map_err(|error| refused(format!("no thread: {error}")))?;
        Ok(PacketSocket {
            sender: Mutex::new(sender),
            stop,
        })
    }

    /// Sends a frame; one that the interface does not take is lost, as on any wire.
    pub fn send(&self, frame: &[u8]) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = sender.send_to(frame, None) {
            tracing::debug!(%error, length = frame.len(), "a frame is not sent");
        }
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run(mut receiver: PacketReceiver, stop: &AtomicBool, receive: impl Fn(&[u8])) {
    while !stop.load(Ordering::Relaxed) {
        match receiver.receive() {
            Ok(frame) => receive(frame),
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The interface is down or gone; netlink tells when it is back.
            Err(_) => std::thread::sleep(READ_TIMEOUT),
        }
    }
}
