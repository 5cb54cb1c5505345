//! Clients that want one lock, each with a lease of its own that it keeps for a while, and what they have to see.
//!
//! A lease lasts at least as long as it says from the moment at which it was last kept, whatever clocks say; so a lock that
//! was held at that moment is held until then. Tokens of a lock rise each time that it changes hands.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::kv_client::KvClient;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::{Answer, Clock, ask};
use crate::controllers::Cluster;
use crate::fuzz::Random;

const CLIENTS: usize = 3;
const TTL: Duration = Duration::from_secs(3);
const NAMESPACE: &str = "linearizable";
const LOCK: &str = "lock";
const PAUSE: Duration = Duration::from_millis(50);

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    /// How often the lock was taken.
    pub taken: usize,
    /// How often a lease was kept while it was held, and the lock looked at after that.
    pub kept: usize,
    /// What is not as promised.
    pub violations: Vec<String>,
}

impl fmt::Display for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Locks {
            taken,
            kept,
            violations,
        } = self;
        write!(
            f,
            "taken {taken} times, kept {kept} times: {} times not as promised",
            violations.len()
        )
    }
}

/// What a client saw.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// It took the lock.
    Taken {
        asked: Duration,
        answered: Duration,
        token: u64,
    },
    /// It looked at its lock, after it had kept its lease.
    Looked {
        kept: Duration,
        answered: Duration,
        token: u64,
        is_held: bool,
    },
}

struct Client {
    nodes: Vec<KvClient<Channel>>,
    random: Random,
    clock: Clock,
    seen: Vec<Seen>,
}

pub(super) fn start(
    cluster: &Cluster,
    seed: u64,
    clock: Clock,
    enough: &CancellationToken,
) -> Result<JoinSet<Vec<Seen>>> {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let nodes = (0..cluster.len()).map(|index| Ok(KvClient::new(cluster.channel(index)?)));
        let client = Client {
            nodes: nodes.collect::<Result<_>>()?,
            random: Random::named(seed, &format!("holder {number}")),
            clock,
            seen: Vec::new(),
        };
        clients.spawn(client.run(enough.clone()));
    }
    Ok(clients)
}

impl Client {
    async fn run(mut self, enough: CancellationToken) -> Vec<Seen> {
        while !enough.is_cancelled() {
            if let Answer::Given(lease) = ask(self.node().grant_lease(pb::GrantLeaseRequest {
                ttl_milliseconds: TTL.as_millis() as u64,
                name: "holder".to_owned(),
            }))
            .await
            {
                self.hold(lease.lease, &enough).await;
                // Or it ends by itself, and the lock with it.
                if self.random.one_in(2) {
                    let lease = lease.lease;
                    ask(self.node().revoke_lease(pb::RevokeLeaseRequest { lease })).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.seen
    }

    fn node(&mut self) -> KvClient<Channel> {
        let node = self.random.below(self.nodes.len());
        self.nodes[node].clone()
    }

    /// Takes the lock, and keeps the lease some times.
    async fn hold(&mut self, lease: u64, enough: &CancellationToken) {
        let asked = self.clock.now();
        let request = pb::LockRequest {
            namespace: NAMESPACE.to_owned(),
            name: LOCK.to_owned(),
            lease,
            wait_milliseconds: 1000,
        };
        let Answer::Given(lock) = ask(self.node().lock(request)).await else {
            return;
        };
        let token = lock.token;
        self.seen.push(Seen::Taken {
            asked,
            answered: self.clock.now(),
            token,
        });
        for _ in 0..self.random.below(8) {
            let kept = self.clock.now();
            let request = pb::KeepLeaseRequest { lease };
            if !matches!(ask(self.node().keep_lease(request)).await, Answer::Given(_)) {
                return;
            }
            let pause = Duration::from_millis(self.random.below(1500) as u64);
            tokio::time::sleep(pause).await;
            if let Answer::Given(answer) = ask(self.node().transact(is_held(token))).await {
                self.seen.push(Seen::Looked {
                    kept,
                    answered: self.clock.now(),
                    token,
                    is_held: answer.succeeded,
                });
            }
            if enough.is_cancelled() {
                return;
            }
        }
    }
}

fn is_held(token: u64) -> pb::KvTransactRequest {
    let condition = pb::KvCondition {
        namespace: NAMESPACE.to_owned(),
        key: LOCK.to_owned(),
        holds: Some(pb::kv_condition::Holds::LockToken(token)),
    };
    pb::KvTransactRequest {
        conditions: vec![condition],
        ..pb::KvTransactRequest::default()
    }
}

pub(super) fn judge(seen: Vec<Seen>) -> Locks {
    let mut found = Locks::default();
    let mut taken = Vec::new();
    for seen in seen {
        match seen {
            Seen::Taken {
                asked,
                answered,
                token,
            } => taken.push((asked, answered, token)),
            Seen::Looked {
                kept,
                answered,
                token,
                is_held,
            } => {
                found.kept += 1;
                // An answer within the time of the lease, which begins when it was asked for.
                if !is_held && answered < kept + TTL {
                    found.violations.push(format!(
                        "the lock with token {token} was lost at {answered:?}, although its lease was kept at {kept:?}"
                    ));
                }
            }
        }
    }
    found.taken = taken.len();
    for (_, answered, earlier) in &taken {
        for (asked, _, later) in taken.iter().filter(|(asked, ..)| asked > answered) {
            if later <= earlier {
                found.violations.push(format!(
                    "a lock that was asked for at {asked:?} has token {later}; one that was taken at {answered:?} has {earlier}"
                ));
            }
        }
    }
    found
}
