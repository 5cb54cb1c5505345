//! Link facts from the kernel, over rtnetlink.

use futures::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::{MulticastGroup, new_connection, new_multicast_connection};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// What is known of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// It was taken up by whoever administers it.
    pub admin_up: bool,
    /// It is up and has a carrier.
    pub up: bool,
    /// It carries Ethernet frames, to somewhere else.
    pub is_ethernet: bool,
    /// Its MAC address; empty if it has none.
    pub mac: Vec<u8>,
    /// Bytes.
    pub mtu: u32,
    /// Its counters as of the fact.
    pub counters: LinkCounters,
}

impl Link {
    /// Whether nothing but the counters differs.
    pub fn is_same(&self, other: &Link) -> bool {
        let counters = other.counters;
        let counted = Link {
            counters,
            ..self.clone()
        };
        counted == *other
    }
}

/// What an interface has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct LinkCounters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// Why links are not known.
#[derive(Debug, Error)]
pub enum WatchError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The kernel refuses to list links.
    #[error("cannot list interfaces: {0}")]
    List(#[from] rtnetlink::Error),
}

/// A change of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// It is there, or has changed.
    Changed(Link),
    /// It is gone.
    Gone {
        /// The kernel's number of it.
        index: u32,
    },
}

impl LinkEvent {
    /// The kernel's number of the interface.
    pub fn index(&self) -> u32 {
        match self {
            LinkEvent::Changed(link) => link.index,
            LinkEvent::Gone { index } => *index,
        }
    }
}

/// All links there are now.
pub async fn links() -> Result<Vec<Link>, WatchError> {
    let (connection, handle, _) = new_connection()?;
    let driver = tokio::spawn(connection);
    let links = handle.link().get().execute();
    let links: Result<Vec<_>, _> = links
        .try_filter_map(async |m| Ok(link(&m)))
        .try_collect()
        .await;
    driver.abort();
    Ok(links?)
}

/// Reports all links there are and then every change, until it is cancelled.
pub async fn watch(
    cancel: CancellationToken,
    mut report: impl FnMut(LinkEvent),
) -> Result<(), WatchError> {
    // Listening starts before listing, so that no change falls between the two.
    let (connection, _handle, mut messages) = new_multicast_connection(&[MulticastGroup::Link])?;
    let driver = tokio::spawn(connection);
    for link in links().await? {
        report(LinkEvent::Changed(link));
    }
    loop {
        let message = tokio::select! {
            () = cancel.cancelled() => break,
            message = messages.next() => message,
        };
        let Some((message, _)) = message else { break };
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => {
                if let Some(link) = link(&message) {
                    report(LinkEvent::Changed(link));
                }
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message)) => {
                report(LinkEvent::Gone {
                    index: message.header.index,
                });
            }
            // Changes came faster than they were read: look at everything again.
            NetlinkPayload::Overrun(_) => {
                for link in links().await? {
                    report(LinkEvent::Changed(link));
                }
            }
            _ => {}
        }
    }
    driver.abort();
    Ok(())
}

fn link(message: &LinkMessage) -> Option<Link> {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        admin_up: flags.contains(LinkFlags::Up),
        up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::LowerUp),
        is_ethernet: message.header.link_layer_type == LinkLayerType::Ether
            && !flags.contains(LinkFlags::Loopback),
        mac: Vec::new(),
        mtu: 0,
        counters: LinkCounters::default(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(mac) => link.mac.clone_from(mac),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Stats64(stats) => {
                link.counters = LinkCounters {
                    rx_packets: stats.rx_packets,
                    rx_bytes: stats.rx_bytes,
                    rx_errors: stats.rx_errors,
                    rx_dropped: stats.rx_dropped,
                    tx_packets: stats.tx_packets,
                    tx_bytes: stats.tx_bytes,
                    tx_errors: stats.tx_errors,
                    tx_dropped: stats.tx_dropped,
                };
            }
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}
