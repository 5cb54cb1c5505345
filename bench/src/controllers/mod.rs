//! A cluster of controllers as an operator runs it: processes of `pointsman-controller`, which can be killed, stopped,
//! cut off, started again, and have their clocks set.
//!
//! It runs in the network namespace that this process is in, and wants that for itself: addresses and ports are fixed. On
//! [`Network::Loopback`] each node has an address of 127.0.0.0/8; on [`Network::Bridge`] each has a network namespace of
//! its own at a bridge, and can be cut off from everybody there. Everything goes with the [`Cluster`].

mod clock;
mod network;
mod node;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::cluster_client::ClusterClient;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use tonic::transport::{Channel, Endpoint};

pub use clock::library as clock_library;
pub use network::{BRIDGE_ADDRESS, Network};
use node::Node;

/// How long a cluster may take until every node serves.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests and answers may hold whole fabrics.
const MAX_MESSAGE_BYTES: usize = 1 << 30;

/// Running controllers of one cluster. Nodes are told apart by an index from 0.
pub struct Cluster {
    nodes: Vec<Node>,
    network: Network,
    directory: PathBuf,
}

impl Cluster {
    /// Starts a new cluster and waits until each node serves.
    ///
    /// # Errors
    /// If a node does not start, with the end of its log.
    pub async fn start(program: &Path, count: usize, network: Network) -> Result<Cluster> {
        let name = format!("pointsman-cluster-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        network.prepare()?;
        let mut cluster = Cluster {
            nodes: Vec::new(),
            network,
            directory,
        };
        for index in 0..count {
            cluster.add(program, index).await?;
        }
        Ok(cluster)
    }

    /// The first node makes the cluster; each other one joins it.
    async fn add(&mut self, program: &Path, index: usize) -> Result<()> {
        let place = self.network.place(index)?;
        let directory = self.directory.join(format!("c{}", index + 1));
        std::fs::create_dir_all(&directory).with_context(|| format!("{}", directory.display()))?;
        let mut node = Node::new(program, index, place, directory);
        match self.nodes.first() {
            None => node.initialize()?,
            Some(_) => {
                let mut cluster = self.cluster_client(0)?;
                let token = cluster.add_node(pb::AddNodeRequest::default()).await?;
                node.join(&token.into_inner().token)?;
            }
        }
        node.start()?;
        self.nodes.push(node);
        self.wait_until_served(index).await
    }

    /// How many nodes there are, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A cluster has nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What a node is called.
    pub fn name(&self, index: usize) -> &str {
        self.nodes[index].name()
    }

    /// `host:port` of a node's API.
    pub fn address(&self, index: usize) -> String {
        self.nodes[index].api()
    }

    /// The process of a node, if it runs.
    pub fn pid(&self, index: usize) -> Option<u32> {
        self.nodes[index].pid()
    }

    /// Kills a node as `kill -9` does.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        self.nodes[index].kill()
    }

    /// Asks a node to stop, as an operator does, and waits until it has.
    ///
    /// # Errors
    /// If it does not run, or ends with an error.
    pub async fn shut_down(&mut self, index: usize) -> Result<()> {
        self.nodes[index].terminate()?;
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.nodes[index].has_ended()? {
            ensure!(
                Instant::now() < deadline,
                "{} does not stop",
                self.name(index)
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Asks a node to stop, and does not wait.
    ///
    /// # Errors
    /// If it does not run.
    pub fn ask_to_stop(&mut self, index: usize) -> Result<()> {
        self.nodes[index].terminate()
    }

    /// Starts a node that does not run, on what it has on disk, and waits until it serves.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn restart(&mut self, index: usize) -> Result<()> {
        self.nodes[index].start()?;
        self.wait_until_served(index).await
    }

    /// Starts all nodes at the same time, none of which runs, on what they have on disk, and waits until each serves.
    ///
    /// # Errors
    /// If one does not start.
    pub async fn start_all(&mut self) -> Result<()> {
        self.nodes.iter_mut().try_for_each(Node::start)?;
        for index in 0..self.len() {
            self.wait_until_served(index).await?;
        }
        Ok(())
    }

    /// Cuts a node off from all others, from switches and clients. Packets are lost; nobody is told.
    ///
    /// # Errors
    /// If nodes have no network namespaces.
    pub fn cut(&self, index: usize) -> Result<()> {
        self.network.set_reachable(index, false)
    }

    /// Ends that.
    ///
    /// # Errors
    /// If nodes have no network namespaces.
    pub fn mend(&self, index: usize) -> Result<()> {
        self.network.set_reachable(index, true)
    }

    /// Sets the clock of a node so many seconds before or after the true one, while it runs.
    ///
    /// # Errors
    /// If its clock cannot be set.
    pub fn set_clock(&self, index: usize, seconds: i64) -> Result<()> {
        self.nodes[index].set_clock(seconds)
    }

    /// A connection to a node's API that is made when it is first used, and again whenever it breaks.
    ///
    /// # Errors
    /// If its address is none.
    pub fn channel(&self, index: usize) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address(index)))?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_millis(500));
        Ok(endpoint.connect_lazy())
    }

    /// A client of a node's API.
    ///
    /// # Errors
    /// If its address is none.
    pub fn client(&self, index: usize) -> Result<ControllerClient<Channel>> {
        let client = ControllerClient::new(self.channel(index)?);
        Ok(client.max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// A client of a node's service for the cluster itself.
    ///
    /// # Errors
    /// If its address is none.
    pub fn cluster_client(&self, index: usize) -> Result<ClusterClient<Channel>> {
        Ok(ClusterClient::new(self.channel(index)?))
    }

    /// Adds devices, and waits until each has a master.
    ///
    /// # Errors
    /// If they are refused, or have none in time.
    pub async fn add_devices(&self, specs: impl IntoIterator<Item = pb::DeviceSpec>) -> Result<()> {
        let devices = specs.into_iter().map(|spec| pb::DeviceChange {
            remove: false,
            device: Some(spec),
        });
        let request = pb::ApplyRequest {
            devices: devices.collect(),
            ..pb::ApplyRequest::default()
        };
        let answer = self.client(0)?.apply(request).await?.into_inner();
        ensure!(answer.errors.is_empty(), "{:?}", answer.errors);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let devices = self.devices(0).await?;
            let missing = devices.iter().filter(|device| !device.reachable);
            let missing: Vec<_> = missing.map(|device| &device.message).collect();
            if missing.is_empty() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "no session with switches: {missing:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The devices, as a node says.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn devices(&self, index: usize) -> Result<Vec<pb::Device>> {
        let mut client = self.client(index)?;
        let devices = client.get_devices(pb::GetDevicesRequest::default());
        Ok(devices.await?.into_inner().devices)
    }

    /// The index of the node of that name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name() == name)
    }

    /// The node that leads, as any that answers says.
    ///
    /// # Errors
    /// If nobody knows in time.
    pub async fn leader(&self) -> Result<usize> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            for index in 0..self.len() {
                let mut client = self.client(index)?;
                let status = client.get_status(pb::GetStatusRequest::default());
                let status = tokio::time::timeout(Duration::from_secs(1), status).await;
                if let Ok(Ok(status)) = status
                    && let Some(leader) = self.index_of(&status.into_inner().leader)
                {
                    return Ok(leader);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("no node knows a leader");
    }

    async fn wait_until_served(&mut self, index: usize) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let mut client = self.client(index)?;
            let status = client.get_status(pb::GetStatusRequest::default());
            let status = tokio::time::timeout(Duration::from_secs(1), status).await;
            if matches!(status, Ok(Ok(_))) {
                return Ok(());
            }
            let node = &mut self.nodes[index];
            if node.has_ended()? || Instant::now() > deadline {
                bail!("{} does not serve:\n{}", node.name(), node.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The end of each node's log.
    pub fn logs(&self) -> String {
        let logs = self.nodes.iter();
        let logs = logs.map(|node| format!("--- {}\n{}", node.name(), node.log()));
        logs.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Cluster {
    /// Each step is tried, whatever became of the one before.
    fn drop(&mut self) {
        self.nodes.clear();
        self.network.remove();
        drop(std::fs::remove_dir_all(&self.directory));
    }
}
