//! An agent with XDP at the bridge of the controllers, through which packets run; and what its audit log says of who
//! wrote it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pointsman_model::Model;
use pointsman_proto::pointsman::agent::v1::GetStatusRequest;
use pointsman_proto::pointsman::agent::v1::agent_client::AgentClient;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::objective::v1::State;
use serde::Deserialize;

use crate::controllers::Cluster;

const DEVICE_ID: u64 = 1000;
const NAME: &str = "real";
const ADDRESS: &str = "10.77.0.200";
const PATIENCE: Duration = Duration::from_secs(30);

/// Where packets go that come by port 1.
const WAY: &str = "device: real
objectives:
  - filter: port1
    key: { in_port: 1 }
    conditions: { vlan_vid: untagged, eth_dst: 02:00:00:00:01:01 }
    treatment: { push_vlan: 10 }
  - forward: out
    flag: specific
    selector: { eth_type: ipv4, ipv4_dst: 10.0.0.0/24 }
    next: way
  - next: way
    type: simple
    buckets:
      - { set: { eth_src: 02:00:00:00:01:01, eth_dst: 02:00:00:00:01:02 }, output: 2 }
";

/// The running agent. Links and namespace go with it.
pub(super) struct Agent {
    running: Child,
    namespace: String,
    directory: PathBuf,
}

/// What is read of a line of the audit log.
#[derive(Debug, Deserialize)]
struct Record {
    election_id: Option<String>,
    rpc: String,
    code: String,
}

impl Agent {
    pub(super) async fn start(program: &Path) -> Result<Agent> {
        let id = std::process::id();
        let namespace = format!("pma{id}");
        let directory = std::env::temp_dir().join(format!("fail-over-agent-{id}"));
        std::fs::create_dir_all(&directory).context("a temporary directory")?;
        ip(&format!("netns add {namespace}"))?;
        let running = make_links(&namespace).and_then(|()| spawn(program, &namespace, &directory));
        let running = running.inspect_err(|_| drop(ip(&format!("netns del {namespace}"))))?;
        let agent = Agent {
            running,
            namespace,
            directory,
        };
        agent.wait_until_served().await?;
        Ok(agent)
    }

    async fn wait_until_served(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(mut client) = AgentClient::connect(format!("http://{ADDRESS}:9559")).await
                && client.get_status(GetStatusRequest {}).await.is_ok()
            {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "the agent: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// What a controller has to be told of it.
    pub(super) fn spec(&self) -> pb::DeviceSpec {
        pb::DeviceSpec {
            name: NAME.to_owned(),
            address: format!("{ADDRESS}:9559"),
            device_id: DEVICE_ID,
        }
    }

    /// The interfaces at the other ends of ports 1 and 2.
    pub(super) fn hosts(&self) -> [String; 2] {
        ["h1".to_owned(), "h2".to_owned()]
    }

    /// Has packets from port 1 go out at port 2.
    pub(super) async fn give_way(&self, cluster: &Cluster) -> Result<()> {
        let model = Model::parse("way", WAY).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let changes = model.objectives.iter().map(|located| pb::ObjectiveChange {
            device: NAME.to_owned(),
            change: Some((&located.value.change).into()),
        });
        let request = pb::ApplyRequest {
            objectives: changes.collect(),
            wait_milliseconds: 10_000,
            ..pb::ApplyRequest::default()
        };
        let answer = cluster.client(0)?.apply(request).await?.into_inner();
        ensure!(answer.errors.is_empty(), "{:?}", answer.errors);
        for status in answer.statuses {
            ensure!(status.state() == State::Applied, "{}", status.message);
        }
        Ok(())
    }

    /// How many batches it took of controllers. None may be of an older master than one before it.
    pub(super) fn expect_no_older_master(&self) -> Result<u64> {
        let log = std::fs::read_to_string(self.directory.join("audit.jsonl"))?;
        let mut newest = (0, 0);
        let mut batches = 0;
        for line in log.lines() {
            let record: Record = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let is_write = record.rpc == "SyncObjectives" && record.code == "OK";
            let Some(id) = record.election_id.filter(|_| is_write) else {
                continue;
            };
            let (high, low) = id.split_once(':').with_context(|| line.to_owned())?;
            let id: (u64, u64) = (high.parse()?, low.parse()?);
            ensure!(id >= newest, "{id:?} wrote after {newest:?}: {line}");
            newest = id;
            batches += 1;
        }
        Ok(batches)
    }
}

fn make_links(namespace: &str) -> Result<()> {
    ip("link add sw0 type veth peer name mgmt")?;
    ip("link set sw0 master br0 up")?;
    ip(&format!("link set mgmt netns {namespace}"))?;
    ip(&format!("-n {namespace} link set lo up"))?;
    ip(&format!("-n {namespace} address add {ADDRESS}/24 dev mgmt"))?;
    ip(&format!("-n {namespace} link set mgmt up"))?;
    for (ours, theirs) in [("h1", "p1"), ("h2", "p2")] {
        ip(&format!(
            "link add {ours} type veth peer name {theirs} netns {namespace}"
        ))?;
        // Nobody but the stream sends: without an address of its own it finds no neighbours.
        ip(&format!("link set {ours} addrgenmode none up"))?;
        ip(&format!(
            "-n {namespace} link set {theirs} addrgenmode none up"
        ))?;
        // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
        run(Command::new("ethtool").args(["-K", ours, "gro", "on"]))?;
    }
    Ok(())
}

fn spawn(program: &Path, namespace: &str, directory: &Path) -> Result<Child> {
    Command::new("nsenter")
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg(program)
        .args(["--insecure", "--pipeline", "leaf_spine", "--target", "xdp"])
        .args(["--port", "1=p1", "--port", "2=p2", "--pins", "none"])
        .args(["--device-id", &DEVICE_ID.to_string(), "--name", NAME])
        .args(["--listen", &format!("{ADDRESS}:9559")])
        .arg("--state-dir")
        .arg(directory.join("state"))
        .arg("--audit-log")
        .arg(directory.join("audit.jsonl"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(directory.join("log"))?)
        .spawn()
        .context("the agent does not start")
}

impl Drop for Agent {
    /// Each step is tried, whatever became of the one before.
    fn drop(&mut self) {
        drop(self.running.kill());
        drop(self.running.wait());
        drop(ip(&format!("netns del {}", self.namespace)));
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn ip(arguments: &str) -> Result<()> {
    run(Command::new("ip").args(arguments.split(' ')))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output();
    let output = output.with_context(|| format!("{command:?}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {error}");
    Ok(())
}
