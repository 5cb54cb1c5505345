//! Where the nodes are: on loopback, or each in a network namespace of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The address of this process on the bridge, where switches and clients are.
pub const BRIDGE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// How nodes reach each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// By loopback.
    Loopback,
    /// By a bridge, at which each node's network namespace is.
    Bridge {
        /// What their names begin with.
        prefix: String,
        /// How many were made.
        namespaces: usize,
    },
}

/// Where one node is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    pub(super) namespace: Option<String>,
}

impl Network {
    /// A bridge, whose namespaces are told from others by the id of this process.
    pub fn bridge() -> Network {
        Network::Bridge {
            prefix: format!("pmc{}", std::process::id()),
            namespaces: 0,
        }
    }

    pub(super) fn prepare(&self) -> Result<()> {
        ip("link set lo up")?;
        if let Network::Bridge { .. } = self {
            // Without an address of its own it has that of a port, and another one when ports come: neighbours then send to nobody.
            ip("link add br0 address 02:00:00:00:77:fe type bridge forward_delay 0")?;
            ip(&format!("address add {BRIDGE_ADDRESS}/24 dev br0"))?;
            ip("link set br0 up")?;
        }
        Ok(())
    }

    /// Makes a place for a node.
    pub(super) fn place(&mut self, index: usize) -> Result<Place> {
        let host = u8::try_from(index + 1).context("there are not so many addresses")?;
        let Network::Bridge { prefix, namespaces } = self else {
            return Ok(Place {
                address: Ipv4Addr::new(127, 0, 77, host).into(),
                namespace: None,
            });
        };
        let namespace = format!("{prefix}-{host}");
        let address = Ipv4Addr::new(10, 77, 0, host);
        ip(&format!("netns add {namespace}"))?;
        *namespaces = index + 1;
        ip(&format!(
            "link add c{host} type veth peer name eth0 netns {namespace}"
        ))?;
        ip(&format!("link set c{host} master br0 up"))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {namespace} address add {address}/24 dev eth0"))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        Ok(Place {
            address: address.into(),
            namespace: Some(namespace),
        })
    }

    pub(super) fn set_reachable(&self, index: usize, is_reachable: bool) -> Result<()> {
        ensure!(
            matches!(self, Network::Bridge { .. }),
            "nodes on loopback cannot be cut off"
        );
        let state = if is_reachable { "up" } else { "down" };
        // The end at the bridge: the node's own interface stays up, and so do its connections.
        ip(&format!("link set c{} {state}", index + 1))
    }

    pub(super) fn remove(&self) {
        if let Network::Bridge { prefix, namespaces } = self {
            for host in 1..=*namespaces {
                drop(ip(&format!("netns del {prefix}-{host}")));
            }
        }
    }
}

fn ip(arguments: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments.split(' '));
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {error}");
    Ok(())
}
