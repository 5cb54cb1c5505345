//! What netlink says of links, with the time at which it could be read.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pointsman_ebpf::sys::{be_urgent, monotonic_clock};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

/// Events that nobody has asked for yet.
const QUEUE: usize = 1024;

/// A link that has changed.
struct Event {
    name: String,
    up: bool,
    seen: Duration,
}

/// A thread that listens.
pub(super) struct Links {
    events: mpsc::Receiver<Event>,
}

impl Links {
    /// Listens from now on, on a thread of its own, which ends with this.
    pub(super) fn listen() -> Result<Links> {
        let (sender, events) = mpsc::channel(QUEUE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (started, is_listening) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            if let Err(error) = be_urgent() {
                eprintln!("what netlink says may be seen late: {error}");
            }
            runtime.block_on(async {
                let connection = new_multicast_connection(&[MulticastGroup::Link]);
                let (connection, _handle, mut messages) = match connection {
                    Ok(all) => all,
                    Err(error) => return drop(started.send(Err(error))),
                };
                let driver = tokio::spawn(connection);
                drop(started.send(Ok(())));
                while let Some((message, _)) = messages.next().await {
                    let seen = monotonic_clock();
                    if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) =
                        message.payload
                        && let Some(event) = event(&link, seen)
                        && sender.send(event).await.is_err()
                    {
                        break;
                    }
                }
                driver.abort();
            });
        });
        let started = is_listening.recv().context("the thread of netlink")?;
        started.context("a netlink socket")?;
        Ok(Links { events })
    }

    /// When it could be seen that a link has come to be up or down. What was seen before is passed over.
    pub(super) async fn next(
        &mut self,
        name: &str,
        up: bool,
        patience: Duration,
    ) -> Result<Duration> {
        let found = async {
            while let Some(event) = self.events.recv().await {
                if event.name == name && event.up == up {
                    return Some(event.seen);
                }
            }
            None
        };
        let found = tokio::time::timeout(patience, found).await;
        let found = found.map_err(|_| anyhow!("netlink says nothing of {name}"))?;
        found.context("the thread of netlink has ended")
    }
}

fn event(message: &LinkMessage, seen: Duration) -> Option<Event> {
    let flags = message.header.flags;
    let name = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        });
    Some(Event {
        name: name?,
        up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::LowerUp),
        seen,
    })
}
