//! The other ends of a switch's ports: packet sockets on interfaces.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pnet_datalink::{Channel, Config, DataLinkSender};
use tokio::sync::mpsc;

/// Frames that may wait to be looked at.
const QUEUE: usize = 4096;

/// How frames begin that a switch sends on its own to what is next to it: LLDP, to the address that no bridge forwards.
fn is_of_the_switch(frame: &[u8]) -> bool {
    frame.starts_with(&[0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e])
        && frame.get(12..14) == Some(&[0x88, 0xcc])
}

/// The interfaces that are wired to ports.
pub struct Wires {
    senders: BTreeMap<u32, Box<dyn DataLinkSender>>,
    frames: mpsc::Receiver<(u32, Vec<u8>)>,
}

impl Wires {
    /// Listens on interfaces, each at the other end of a port.
    pub fn open(ports: &[(u32, String)]) -> Result<Wires> {
        let (sender, frames) = mpsc::channel(QUEUE);
        let mut senders = BTreeMap::new();
        let interfaces = pnet_datalink::interfaces();
        for (port, name) in ports {
            let interface = interfaces.iter().find(|i| i.name == *name);
            let interface = interface.with_context(|| format!("there is no interface {name}"))?;
            let channel = pnet_datalink::channel(interface, Config::default());
            let channel = channel.with_context(|| format!("no packet socket on {name}"))?;
            let Channel::Ethernet(tx, mut rx) = channel else {
                bail!("{name} is not an Ethernet interface");
            };
            senders.insert(*port, tx);
            let (port, sender) = (*port, sender.clone());
            // It ends with the process, or with the first frame after `Wires` is gone.
            std::thread::spawn(move || {
                while let Ok(frame) = rx.next() {
                    if is_of_the_switch(frame) {
                        continue;
                    }
                    if sender.blocking_send((port, frame.to_vec())).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Wires { senders, frames })
    }

    /// The ports.
    pub fn ports(&self) -> Vec<u32> {
        self.senders.keys().copied().collect()
    }

    /// Sends a frame into a port.
    pub fn send(&mut self, port: u32, frame: &[u8]) -> Result<()> {
        let sender = self
            .senders
            .get_mut(&port)
            .context("there is no such port")?;
        let sent = sender
            .send_to(frame, None)
            .context("the frame has no room")?;
        sent.with_context(|| format!("a frame of {} bytes into port {port}", frame.len()))
    }

    /// The next frame that the pipeline sends out of a port, if one comes in time.
    pub async fn next(&mut self, timeout: Duration) -> Option<(u32, Vec<u8>)> {
        let next = tokio::time::timeout(timeout, self.frames.recv());
        next.await.ok().flatten()
    }
}
