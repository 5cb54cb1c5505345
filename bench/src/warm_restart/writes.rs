//! Random writes to an agent that may be gone at any moment, and a model of what has to be there.
//!
//! A write that is acknowledged changes the model. One that is cut short was done or not, for each entry; what
//! the next agent holds says which. Whenever an agent serves, everything that it holds is compared before anything
//! else is written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use pointsman_p4::programs;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::p4_runtime_client::P4RuntimeClient;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::update::Type;
use pointsman_proto::p4::v1::write_request::Atomicity;
use prost::Message;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Code;

use crate::fuzz::Random;
use crate::p4rt::client::Client;
use crate::p4rt::entry::Entry;
use crate::p4rt::program::Program;
use crate::p4rt::stream::Stream;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(10);
/// Entries of each table that come and go.
const ENTRIES: usize = 300;
const LARGEST_BATCH: usize = 12;

static LEAF_SPINE: LazyLock<Program> = LazyLock::new(|| {
    let program = programs::embedded("leaf_spine").expect("it is built in");
    Program::new(program.p4info, program.bmv2_json.as_bytes())
});

/// A filter that lets the entries of all tables through.
static EVERYTHING: LazyLock<p4::TableEntry> = LazyLock::new(p4::TableEntry::default);

/// What became of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Writes {
    /// Writes that were acknowledged,
    pub acknowledged: u64,
    /// and how many entries they wrote.
    pub updates: u64,
    /// Entries of writes that were cut short,
    pub cut_short: u64,
    /// and how many of those were written.
    pub done_unacknowledged: u64,
    /// How often an agent was found to hold what the model does.
    pub compared: u64,
    /// Entries that it held at last.
    pub entries: u64,
}

/// A client that writes.
pub(super) struct Writer {
    address: String,
    random: Random,
    tasks: TaskTracker,
    /// Counts agents that have answered.
    served: Arc<AtomicU64>,
    /// What was acknowledged, by key.
    model: BTreeMap<Vec<u8>, p4::TableEntry>,
    /// What an entry becomes if the write that was cut short was done.
    cut_short: BTreeMap<Vec<u8>, Option<p4::TableEntry>>,
    writes: Writes,
}

impl Writer {
    pub(super) fn new(address: String, seed: u64, served: Arc<AtomicU64>) -> Writer {
        Writer {
            address: format!("http://{address}"),
            random: Random::named(seed, "writes"),
            tasks: TaskTracker::new(),
            served,
            model: BTreeMap::new(),
            cut_short: BTreeMap::new(),
            writes: Writes::default(),
        }
    }

    /// Writes the way of the packets.
    pub(super) async fn prepare(&mut self) -> Result<()> {
        let mut client = self.connect().await?;
        for entry in way() {
            let written = client.insert(entry.clone()).await;
            let doing = written.doing;
            written.result.with_context(|| doing)?;
            self.model.insert(key(&entry.message), entry.message);
        }
        Ok(())
    }

    /// Writes until there is enough, and compares at last.
    pub(super) async fn run(&mut self, enough: CancellationToken) -> Result<Writes> {
        loop {
            let mut client = self.connect().await?;
            // Cut short by a kill, which says nothing.
            let Some(found) = held(&mut client, &EVERYTHING).await else {
                continue;
            };
            self.compare(found)?;
            while !enough.is_cancelled() && self.write(&mut client).await? {}
            if enough.is_cancelled() && self.cut_short.is_empty() {
                let found = held(&mut client, &EVERYTHING).await;
                self.compare(found.context("the last agent does not answer")?)?;
                self.writes.entries = self.model.len() as u64;
                return Ok(self.writes);
            }
        }
    }

    /// What the entry on the way of the packets that only they hit has counted.
    pub(super) async fn packets_on_the_way(&mut self) -> Result<u64> {
        let mut client = self.connect().await?;
        let entry = acl_of_the_way().with(|entry| {
            entry.action = None;
            entry.counter_data = Some(p4::CounterData::default());
        });
        let found = held(&mut client, &entry.message).await;
        let found = found.context("the agent does not answer")?;
        let counter = found.first().and_then(|entry| entry.counter_data);
        let counter = counter.context("the entry on the way has no counter")?;
        Ok(counter.packet_count as u64)
    }

    /// Becomes primary of whatever agent comes to serve.
    async fn connect(&mut self) -> Result<Client> {
        let deadline = Instant::now() + super::PATIENCE;
        while Instant::now() < deadline {
            if let Some(client) = self.try_connect().await {
                self.served.fetch_add(1, Relaxed);
                return Ok(client);
            }
            tokio::time::sleep(RETRY).await;
        }
        bail!("no agent serves at {}", self.address)
    }

    async fn try_connect(&self) -> Option<Client> {
        let rpc = P4RuntimeClient::connect(self.address.clone()).await.ok()?;
        let mut client = Client {
            stream: Stream::open(rpc.clone(), &self.tasks, PATIENCE),
            rpc,
            device_id: 1,
            role: String::new(),
            election_id: Some(p4::Uint128 { high: 0, low: 1 }),
            program: &LEAF_SPINE,
        };
        let hello = Request::Arbitration(client.hello());
        client.stream.send(hello).await.ok()?;
        client.arbitrated(Code::Ok).await.ok()?;
        Some(client)
    }

    /// What an agent holds is the model, with each write that was cut short done or not.
    fn compare(&mut self, held: Vec<p4::TableEntry>) -> Result<()> {
        let held = held.into_iter().map(|entry| (key(&entry), entry));
        let held: BTreeMap<_, _> = held.collect();
        for (key, new) in std::mem::take(&mut self.cut_short) {
            let found = held.get(&key);
            if found == new.as_ref() && found != self.model.get(&key) {
                self.writes.done_unacknowledged += 1;
                match new {
                    Some(new) => drop(self.model.insert(key, new)),
                    None => drop(self.model.remove(&key)),
                }
            }
        }
        let wrong = held
            .keys()
            .chain(self.model.keys())
            .find(|key| held.get(*key) != self.model.get(*key));
        if let Some(key) = wrong {
            bail!(
                "an agent that was started again holds {:?} instead of {:?}",
                held.get(key),
                self.model.get(key)
            );
        }
        self.writes.compared += 1;
        Ok(())
    }

    /// Writes some entries; says whether that was acknowledged.
    async fn write(&mut self, client: &mut Client) -> Result<bool> {
        let mut batch = BTreeMap::new();
        let mut updates = Vec::new();
        for _ in 0..=self.random.below(LARGEST_BATCH) {
            let entry = self.entry();
            let key = key(&entry);
            if batch.contains_key(&key) {
                continue;
            }
            let is_there = self.model.contains_key(&key);
            let kind = match (is_there, self.random.below(3)) {
                (false, _) => Type::Insert,
                (true, 0) => Type::Modify,
                (true, _) => Type::Delete,
            };
            batch.insert(key, (kind != Type::Delete).then(|| entry.clone()));
            updates.push(p4::Update {
                r#type: kind.into(),
                entity: Some(p4::Entity {
                    entity: Some(Entity::TableEntry(entry)),
                }),
            });
        }
        let atomicity = match self.random.below(4) {
            0 => Atomicity::DataplaneAtomic,
            1 => Atomicity::RollbackOnError,
            _ => Atomicity::ContinueOnError,
        };
        let entries = updates.len() as u64;
        let written = tokio::time::timeout(PATIENCE, client.write_as(atomicity, updates)).await;
        let written = written.map_err(|_| anyhow!("a write was not answered"))?;
        match written.result {
            Ok(()) => {
                self.writes.acknowledged += 1;
                self.writes.updates += entries;
                for (key, new) in batch {
                    match new {
                        Some(new) => drop(self.model.insert(key, new)),
                        None => drop(self.model.remove(&key)),
                    }
                }
                Ok(true)
            }
            Err(status) => {
                // What the agent itself says is another thing than that it is gone.
                let gone = [
                    Code::Unavailable,
                    Code::Unknown,
                    Code::Internal,
                    Code::Cancelled,
                ];
                ensure!(gone.contains(&status.code()), "{}: {status}", written.doing);
                self.writes.cut_short += entries;
                self.cut_short = batch;
                Ok(false)
            }
        }
    }

    /// An entry of one of four tables, each with another structure.
    fn entry(&mut self) -> p4::TableEntry {
        let number = self.random.below(ENTRIES) as u32;
        let value = self.random.below(8) as u32 + 1;
        let entry = match self.random.below(4) {
            0 => Entry::of(&LEAF_SPINE, "routing_v4")
                .lpm("ipv4_dst", 0x0b00_0000 + number, 32)
                .action("set_next_id_routing_v4", &[("next_id", value)]),
            1 => Entry::of(&LEAF_SPINE, "bridging")
                .exact("vlan_id", 20)
                .exact("eth_dst", 0x0200_0000_0000_u128 + u128::from(number))
                .action("set_next_id_bridging", &[("next_id", value)]),
            2 => Entry::of(&LEAF_SPINE, "acl")
                .priority(1 + number as i32)
                .ternary("ipv4_dst", 0x0c00_0000 + number, u32::MAX)
                .action("redirect_to_next", &[("next_id", value)]),
            _ => Entry::of(&LEAF_SPINE, "simple")
                .exact("next_id", 100 + number)
                .action("output_simple", &[("port", value)]),
        };
        entry.message
    }
}

/// From port 1 to port 2 through each kind of table. Nothing of it changes.
fn way() -> Vec<Entry> {
    vec![
        Entry::of(&LEAF_SPINE, "ingress_port_vlan")
            .exact("ingress_port", 1)
            .exact("vlan_id", 0)
            .action("permit_with_internal_vlan", &[("vlan_id", 10)]),
        Entry::of(&LEAF_SPINE, "router_mac")
            .exact("ingress_port", 1)
            .exact("eth_dst", 0x0200_0000_0101_u128)
            .action::<u32>("route", &[]),
        Entry::of(&LEAF_SPINE, "routing_v4")
            .lpm("ipv4_dst", 0x0a00_0000, 24)
            .action("set_next_id_routing_v4", &[("next_id", 20)]),
        acl_of_the_way(),
        Entry::of(&LEAF_SPINE, "simple")
            .exact("next_id", 20)
            .action(
                "routing_simple",
                &[
                    ("port", 2_u128),
                    ("src_mac", 0x0200_0000_0101),
                    ("dst_mac", 0x0200_0000_0102),
                ],
            ),
    ]
}

fn acl_of_the_way() -> Entry {
    Entry::of(&LEAF_SPINE, "acl")
        .priority(500)
        .ternary("ipv4_dst", 0x0a00_0005, u32::MAX)
        .action::<u32>("permit", &[])
}

/// What makes an entry another one than others.
fn key(entry: &p4::TableEntry) -> Vec<u8> {
    let key = p4::TableEntry {
        table_id: entry.table_id,
        r#match: entry.r#match.clone(),
        priority: entry.priority,
        ..Default::default()
    };
    key.encode_to_vec()
}

/// The entries that a filter lets through, or nothing if the agent is gone.
async fn held(client: &mut Client, filter: &p4::TableEntry) -> Option<Vec<p4::TableEntry>> {
    let answered = client.read(Entity::TableEntry(filter.clone())).await;
    answered.end.ok()?;
    let entries = answered.entities.into_iter().map(|entity| match entity {
        Entity::TableEntry(entry) => entry,
        other => unreachable!("an entry was asked for, not {other:?}"),
    });
    Some(entries.collect())
}
