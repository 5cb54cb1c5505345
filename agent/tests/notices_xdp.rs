//! Digests, idle entries and last hits of programs in the kernel: an agent with XDP in a network namespace
//! of its own, and packets on a link to it. Needs root; see [`skipped`].

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::Controller;
use pnet_datalink::{Channel, Config, DataLinkSender};
use pointsman_p4::p4info::parse_write_request;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::p4_data::Data;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_response::Update as FromAgent;

/// How long something may take to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the test cannot run here; a failure where `REQUIRE_NETNS` says that it has to.
fn skipped(reason: &str) {
    assert!(
        std::env::var_os("REQUIRE_NETNS").is_none(),
        "REQUIRE_NETNS is set, but {reason}"
    );
    eprintln!("skipped: {reason}");
}

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{command}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
}

/// An agent in a namespace, a link to manage it by, and one to its port 1.
struct Switch {
    namespace: String,
    management: String,
    port: String,
    address: String,
    agent: Option<Child>,
    state: tempfile::TempDir,
}

impl Switch {
    fn start() -> Switch {
        let id = std::process::id();
        // Of a network for benchmarks, and another one in each run.
        let network = format!("198.18.{}", id / 64 % 256);
        let host = |n: u32| format!("{network}.{}", id % 64 * 4 + n);
        let mut switch = Switch {
            namespace: format!("notices-{id}"),
            management: format!("nm{id}"),
            port: format!("np{id}"),
            address: format!("{}:9559", host(2)),
            agent: None,
            state: tempfile::tempdir().expect("a directory"),
        };
        let ns = switch.namespace.clone();
        run(&format!("ip netns add {ns}"));
        for (ours, theirs) in [(&switch.management, "mgmt"), (&switch.port, "p1")] {
            run(&format!(
                "ip link add {ours} type veth peer name {theirs} netns {ns}"
            ));
            // Nobody but the test sends: without an address of its own it finds no neighbours.
            run(&format!("ip link set {ours} addrgenmode none up"));
            run(&format!("ip -n {ns} link set {theirs} up"));
        }
        run(&format!(
            "ip addr add {}/30 dev {}",
            host(1),
            switch.management
        ));
        run(&format!("ip -n {ns} addr add {}/30 dev mgmt", host(2)));
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../p4/tests/programs/learning");
        let log = std::fs::File::create(switch.log()).expect("a log file");
        let agent = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{ns}"))
            .arg(env!("CARGO_BIN_EXE_pointsman-agent"))
            .args(["--insecure", "--listen", &switch.address, "--port", "1=p1"])
            .arg("--pipeline")
            .arg(program)
            .arg("--state-dir")
            .arg(switch.state.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        switch.agent = Some(agent.expect("the agent starts"));
        switch
    }

    fn log(&self) -> PathBuf {
        self.state.path().join("log")
    }

    /// The primary.
    async fn controller(&self) -> Controller {
        let address = format!("http://{}", self.address);
        let connecting = async {
            loop {
                if let Ok(client) = P4RuntimeClient::connect(address.clone()).await {
                    return client;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let client = tokio::time::timeout(PATIENCE, connecting).await;
        let client = client.unwrap_or_else(|_| {
            let log = std::fs::read_to_string(self.log());
            panic!("the agent does not listen: {log:?}")
        });
        let mut controller = Controller::open(client, common::hello("", Some(1))).await;
        controller.arbitration().await;
        controller
    }

    /// The other end of port 1.
    fn wire(&self) -> Box<dyn DataLinkSender> {
        let interfaces = pnet_datalink::interfaces();
        let port = interfaces.into_iter().find(|i| i.name == self.port);
        match pnet_datalink::channel(&port.expect("the link is there"), Config::default()) {
            Ok(Channel::Ethernet(sender, _)) => sender,
            Ok(_) => panic!("a veth is Ethernet"),
            Err(error) => panic!("no packet socket: {error}"),
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            // It may have ended by itself.
            drop(agent.kill());
            drop(agent.wait());
        }
        let leftovers = [
            ["netns", "del", &self.namespace],
            ["link", "del", &self.management],
            ["link", "del", &self.port],
        ];
        for leftover in leftovers {
            // Links go with their peers in the namespace.
            drop(Command::new("ip").args(leftover).output());
        }
    }
}

fn frame(source: u8) -> Vec<u8> {
    let mut frame = vec![0; 64];
    frame[..6].copy_from_slice(&[0x02, 0, 0, 0, 0, 0x99]);
    frame[11] = source;
    frame
}

fn update(entity: &str) -> p4::Update {
    let text = format!("updates {{ type: INSERT entity {{ {entity} }} }}");
    let request = parse_write_request(&text).expect("it is a request");
    request.updates[0].clone()
}

fn source(fields: &str) -> String {
    format!(
        "table_entry {{ table_id: 39666910 \
         match {{ field_id: 1 exact {{ value: \"\\001\" }} }} \
         match {{ field_id: 2 exact {{ value: \"\\001\" }} }} \
         action {{ action {{ action_id: 21257015 }} }} {fields} }}"
    )
}

/// What the agent says of its own accord, while a frame of a source is sent again and again.
async fn said(
    controller: &mut Controller,
    wire: &mut dyn DataLinkSender,
    source: u8,
) -> Option<FromAgent> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        let sent = wire.send_to(&frame(source), None).expect("there is room");
        sent.expect("the link is up");
        let next = tokio::time::timeout(Duration::from_millis(50), controller.next()).await;
        if let Ok(message) = next {
            return Some(message.expect("no error"));
        }
    }
    None
}

async fn idle_for(controller: &mut Controller) -> Duration {
    let filter = update(&source("time_since_last_hit { }")).entity;
    let filter = filter.and_then(|e| e.entity).expect("an entity");
    let found = controller.read(filter).await.expect("it is there");
    match found.as_slice() {
        [
            p4::Entity {
                entity: Some(Entity::TableEntry(entry)),
            },
        ] => {
            let hit = entry.time_since_last_hit.expect("it was asked for");
            Duration::from_nanos(hit.elapsed_ns.unsigned_abs())
        }
        other => panic!("not one entry: {other:?}"),
    }
}

#[tokio::test]
async fn the_kernel_s_digests_and_hits_reach_the_controller() {
    let id = Command::new("id").arg("-u").output().expect("`id` runs");
    if !id.stdout.starts_with(b"0\n") {
        return skipped("network namespaces need root");
    }
    let switch = Switch::start();
    let mut controller = switch.controller().await;
    let mut wire = switch.wire();
    let an_hour = 3_600_000_000_000_u64;
    let entry = format!(
        "digest_entry {{ digest_id: 400350661 \
         config {{ max_list_size: 1 ack_timeout_ns: {an_hour} }} }}"
    );
    let written = controller.write(vec![update(&entry)]).await;
    written.expect("it is taken");
    let list = match said(&mut controller, wire.as_mut(), 1).await {
        Some(FromAgent::Digest(list)) => list,
        other => panic!("not a digest list: {other:?}"),
    };
    let learnt = match list.data.as_slice() {
        [
            p4::P4Data {
                data: Some(Data::Struct(learnt)),
            },
        ] => learnt,
        other => panic!("not one struct: {other:?}"),
    };
    let first = learnt.members[0].data.clone();
    assert_eq!(first, Some(Data::Bitstring(vec![1])));

    // Known, it is hit by packets that the agent never sees.
    let timeout = Duration::from_millis(300);
    let entry = source(&format!("idle_timeout_ns: {}", timeout.as_nanos()));
    let written = controller.write(vec![update(&entry)]).await;
    written.expect("it is taken");
    let until = tokio::time::Instant::now() + 3 * timeout;
    while tokio::time::Instant::now() < until {
        let sent = wire.send_to(&frame(1), None).expect("there is room");
        sent.expect("the link is up");
        let next = tokio::time::timeout(Duration::from_millis(20), controller.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
    assert!(idle_for(&mut controller).await < timeout);
    let next = tokio::time::timeout(PATIENCE, controller.next()).await;
    match next.expect("it falls idle").expect("no error") {
        FromAgent::IdleTimeoutNotification(notification) => {
            assert_eq!(notification.table_entry.len(), 1);
        }
        other => panic!("not an idle timeout: {other:?}"),
    }
    assert!(idle_for(&mut controller).await >= timeout - Duration::from_millis(20));
}
