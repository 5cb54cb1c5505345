//! Clients of the key-value store, each with any node, and what their history has to be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::kv_client::KvClient;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::checker::{Verdict, check};
use super::history::{Action, Operation, Value};
use super::{Answer, Clock, ask};
use crate::controllers::Cluster;
use crate::fuzz::Random;

const CLIENTS: usize = 6;
/// Keys that are in use at a time.
const SLOTS: usize = 3;
/// Operations on a key before another takes its place: long histories with many unknown outcomes are hard to check.
const OPERATIONS_PER_KEY: u64 = 60;
const NAMESPACE: &str = "linearizable";
/// After an operation whose outcome is not known; nobody may answer for a while.
const PAUSE: Duration = Duration::from_millis(10);

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// Operations that were answered,
    pub answered: usize,
    /// and writes of which nobody knows.
    pub unknown: usize,
    /// How many keys there were.
    pub keys: usize,
    /// Histories that took too long to check.
    pub too_hard: usize,
    /// What is not linearizable.
    pub violations: Vec<String>,
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keys {
            answered,
            unknown,
            keys,
            too_hard,
            violations,
        } = self;
        write!(
            f,
            "{answered} operations on {keys} keys, {unknown} more writes of unknown outcome: {} histories not \
             linearizable, {too_hard} too hard to check",
            violations.len()
        )
    }
}

/// One operation, and on which key.
pub(super) type OnKey = (String, Operation);

struct Client {
    number: usize,
    nodes: Vec<KvClient<Channel>>,
    random: Random,
    clock: Clock,
    /// Of all clients: the next value to write, and operations begun.
    values: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
    /// What it saw last of each slot, for swaps that may succeed.
    seen: [Value; SLOTS],
}

pub(super) fn start(
    cluster: &Cluster,
    seed: u64,
    clock: Clock,
    enough: &CancellationToken,
) -> Result<JoinSet<Vec<OnKey>>> {
    let mut clients = JoinSet::new();
    let values = Arc::new(AtomicU64::new(1));
    let begun = Arc::new(AtomicU64::new(0));
    for number in 0..CLIENTS {
        let nodes = (0..cluster.len()).map(|index| Ok(KvClient::new(cluster.channel(index)?)));
        let client = Client {
            number,
            nodes: nodes.collect::<Result<_>>()?,
            random: Random::named(seed, &format!("client {number}")),
            clock,
            values: Arc::clone(&values),
            begun: Arc::clone(&begun),
            seen: [None; SLOTS],
        };
        clients.spawn(client.run(enough.clone()));
    }
    Ok(clients)
}

impl Client {
    async fn run(mut self, enough: CancellationToken) -> Vec<OnKey> {
        let mut history = Vec::new();
        while !enough.is_cancelled() {
            let slot = self.random.below(SLOTS);
            let generation = self.begun.fetch_add(1, Relaxed) / (OPERATIONS_PER_KEY * SLOTS as u64);
            let key = format!("{slot}-{generation}");
            let asked = self.clock.now();
            let (action, is_known) = match self.operation(slot, &key).await {
                None => continue,
                Some(done) => done,
            };
            let answered = is_known.then(|| self.clock.now());
            history.push((
                key,
                Operation {
                    client: self.number,
                    action,
                    asked,
                    answered,
                },
            ));
            if !is_known {
                tokio::time::sleep(PAUSE).await;
            }
        }
        history
    }

    /// Does something to a key. None if it had no effect; else what, and whether that is known.
    async fn operation(&mut self, slot: usize, key: &str) -> Option<(Action, bool)> {
        let node = self.random.below(self.nodes.len());
        let mut node = self.nodes[node].clone();
        match self.random.below(10) {
            0..4 => {
                let value = read(&mut node, key).await?;
                self.seen[slot] = value;
                Some((Action::Read(value), true))
            }
            4..7 => {
                let value = self.values.fetch_add(1, Relaxed);
                let done = ask(node.put(put(key, value))).await;
                self.written(slot, Some(value), Action::Write(Some(value)), &done)
            }
            7 => {
                let request = pb::KvDeleteRequest {
                    namespace: NAMESPACE.to_owned(),
                    key: key.to_owned(),
                    ..pb::KvDeleteRequest::default()
                };
                let done = ask(node.delete(request)).await;
                self.written(slot, None, Action::Write(None), &done)
            }
            _ => {
                let (from, to) = (self.seen[slot], self.values.fetch_add(1, Relaxed));
                let done = ask(node.transact(swap(key, from, to))).await;
                let swapped = Action::Swap(from, Some(to));
                match done {
                    Answer::Given(answer) if answer.succeeded => {
                        self.seen[slot] = Some(to);
                        Some((swapped, true))
                    }
                    Answer::Given(_) => Some((Action::NotSwapped(from), true)),
                    Answer::Refused => None,
                    Answer::Unknown => Some((swapped, false)),
                }
            }
        }
    }

    fn written<T>(
        &mut self,
        slot: usize,
        value: Value,
        action: Action,
        done: &Answer<T>,
    ) -> Option<(Action, bool)> {
        match done {
            Answer::Given(_) => {
                self.seen[slot] = value;
                Some((action, true))
            }
            Answer::Refused => None,
            Answer::Unknown => Some((action, false)),
        }
    }
}

/// What a key has; none if that is not answered.
async fn read(node: &mut KvClient<Channel>, key: &str) -> Option<Value> {
    let request = pb::KvGetRequest {
        namespace: NAMESPACE.to_owned(),
        key: key.to_owned(),
        consistency: pb::Consistency::Linearizable.into(),
    };
    match ask(node.get(request)).await {
        Answer::Given(answer) => Some(answer.entry.as_ref().and_then(number)),
        // The only refusal of a read: there is no such key.
        Answer::Refused => Some(None),
        Answer::Unknown => None,
    }
}

fn number(entry: &pb::KvEntry) -> Value {
    entry
        .value
        .first_chunk()
        .map(|bytes| u64::from_be_bytes(*bytes))
}

fn put(key: &str, value: u64) -> pb::KvPutRequest {
    pb::KvPutRequest {
        namespace: NAMESPACE.to_owned(),
        key: key.to_owned(),
        value: value.to_be_bytes().to_vec(),
        ..pb::KvPutRequest::default()
    }
}

fn swap(key: &str, from: Value, to: u64) -> pb::KvTransactRequest {
    use pb::kv_condition::Holds;
    use pb::kv_operation::Operation;
    let (namespace, key) = (NAMESPACE.to_owned(), key.to_owned());
    let holds = match from {
        None => Holds::Exists(false),
        Some(value) => Holds::Value(value.to_be_bytes().to_vec()),
    };
    let condition = pb::KvCondition {
        namespace: namespace.clone(),
        key: key.clone(),
        holds: Some(holds),
    };
    let put = pb::KvPutOperation {
        value: to.to_be_bytes().to_vec(),
        lease: 0,
    };
    let operation = pb::KvOperation {
        namespace,
        key,
        operation: Some(Operation::Put(put)),
    };
    pb::KvTransactRequest {
        conditions: vec![condition],
        then: vec![operation],
        otherwise: Vec::new(),
    }
}

pub(super) fn judge(operations: Vec<OnKey>) -> Keys {
    let mut by_key: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for (key, operation) in operations {
        by_key.entry(key).or_default().push(operation);
    }
    let mut found = Keys {
        keys: by_key.len(),
        ..Keys::default()
    };
    for (key, history) in by_key {
        let answered = history.iter().filter(|op| op.answered.is_some()).count();
        found.answered += answered;
        found.unknown += history.len() - answered;
        match check(&history, None) {
            Verdict::Linearizable => {}
            Verdict::TooHard => found.too_hard += 1,
            Verdict::Violated { value, stuck } => found.violations.push(format!(
                "key {key}, with {value:?}: none of these can come next: {stuck:?}"
            )),
        }
    }
    found
}
