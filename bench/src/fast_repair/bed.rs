//! An agent with three ports in the network namespace that this process is in, and the group that its
//! packets go to. All of it goes with the [`Bed`], but for the links, which go with the namespace.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pointsman_p4::programs;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::action_profile_action::WatchKind;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use tokio_util::task::TaskTracker;
use tonic::Code;

use super::MEMBERS;
use crate::p4rt::client::Client;
use crate::p4rt::entry::Entry;
use crate::p4rt::program::Program;
use crate::p4rt::stream::Stream;

/// Where the agent serves, in a namespace that has no other.
const ADDRESS: &str = "127.0.0.1:9559";
/// How long it may take to serve, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(20);

static LEAF_SPINE: LazyLock<Program> = LazyLock::new(|| {
    let program = programs::embedded("leaf_spine").expect("it is built in");
    Program::new(program.p4info, program.bmv2_json.as_bytes())
});

/// See above.
pub(super) struct Bed {
    agent: Child,
    directory: PathBuf,
}

impl Bed {
    pub(super) fn new(agent: &Path) -> Result<Bed> {
        let directory = std::env::temp_dir().join(format!("fast-repair-{}", std::process::id()));
        std::fs::create_dir_all(&directory).context("a temporary directory")?;
        ip("link set lo up")?;
        for number in [1, 2, 3] {
            let (port, host) = (name("p", number), name("host", number));
            ip(&format!("link add {port} type veth peer name {host}"))?;
            for interface in [&port, &host] {
                // Nobody but the stream sends: without an address of its own it finds no neighbours.
                ip(&format!("link set {interface} addrgenmode none up"))?;
            }
            // A veth receives what XDP redirects to its peer only with GRO (or XDP) on.
            run(Command::new("ethtool").args(["-K", &host, "gro", "on"]))?;
        }
        let log = std::fs::File::create(directory.join("log"))?;
        let agent = Command::new(agent)
            .args(["--insecure", "--pipeline", "leaf_spine", "--target", "xdp"])
            .args(["--port", "1=p1", "--port", "2=p2", "--port", "3=p3"])
            .args(["--listen", ADDRESS, "--pins", "none", "--state-dir"])
            .arg(directory.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the agent does not start")?;
        Ok(Bed { agent, directory })
    }

    /// The switch's interface of a port.
    pub(super) fn port(&self, number: u32) -> String {
        name("p", number)
    }

    /// The other end of it.
    pub(super) fn host(&self, number: u32) -> String {
        name("host", number)
    }

    /// What the agent has logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Cuts the link of a port at its other end, or mends it.
    pub(super) fn set_host(&self, number: u32, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        ip(&format!("link set {} {state}", self.host(number)))
    }

    /// Writes the way of the packets, as a client that is gone afterwards.
    pub(super) async fn write_group(&self) -> Result<()> {
        let tasks = TaskTracker::new();
        let mut client = connect(&tasks).await?;
        for entry in way() {
            let written = client.insert(entry).await;
            let doing = written.doing;
            written.result.with_context(|| doing)?;
        }
        drop(client);
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Each step is tried, whatever became of the one before.
        drop(self.agent.kill());
        drop(self.agent.wait());
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

async fn connect(tasks: &TaskTracker) -> Result<Client> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let Ok(rpc) = P4RuntimeClient::connect(format!("http://{ADDRESS}")).await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let mut client = Client {
            stream: Stream::open(rpc.clone(), tasks, PATIENCE),
            rpc,
            device_id: 1,
            role: String::new(),
            election_id: Some(p4::Uint128 { high: 0, low: 1 }),
            program: &LEAF_SPINE,
        };
        let hello = Request::Arbitration(client.hello());
        let is_open = client.stream.send(hello).await.is_ok();
        if is_open && client.arbitrated(Code::Ok).await.is_ok() {
            return Ok(client);
        }
    }
    bail!("no agent serves at {ADDRESS}")
}

/// From port 1 to a group of which each member watches its own port.
fn way() -> Vec<Entry> {
    let of = |table| Entry::of(&LEAF_SPINE, table);
    let actions = MEMBERS.map(|port| p4::ActionProfileAction {
        action: Some(of("hashed").call(
            "routing_hashed",
            &[
                ("port", u128::from(port)),
                ("src_mac", 0x0200_0000_0101),
                ("dst_mac", 0x0200_0000_0100 + u128::from(port)),
            ],
        )),
        weight: 1,
        watch_kind: Some(WatchKind::WatchPort(vec![port as u8])),
    });
    vec![
        of("ingress_port_vlan")
            .exact("ingress_port", 1)
            .exact("vlan_id", 0)
            .action("permit_with_internal_vlan", &[("vlan_id", 10)]),
        of("router_mac")
            .exact("ingress_port", 1)
            .exact("eth_dst", 0x0200_0000_0101_u128)
            .action::<u32>("route", &[]),
        of("routing_v4")
            .lpm("ipv4_dst", 0x0a00_0000, 24)
            .action("set_next_id_routing_v4", &[("next_id", 20)]),
        of("hashed")
            .exact("next_id", 20)
            .one_shot(p4::ActionProfileActionSet {
                action_profile_actions: actions.to_vec(),
                ..Default::default()
            }),
    ]
}

fn name(kind: &str, number: u32) -> String {
    format!("{kind}{number}")
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
