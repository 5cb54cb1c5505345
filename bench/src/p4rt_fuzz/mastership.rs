//! Clients that fight for being primary, with random disconnections, and what their history has to look like.
//!
//! Each contender writes under its election id, whether it has heard that it is primary or not: a new entry of
//! its own, and in the same batch one entry that all share. A reader looks at the shared entry all the
//! time. Afterwards
//! [`History::check`] looks for a trace of two primaries or of a lost write.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};
use pointsman_proto::p4::v1::stream_message_request::Update as ToServer;
use pointsman_proto::p4::v1::stream_message_response::Update as FromServer;
use pointsman_proto::p4::v1::update::Type;
use pointsman_proto::p4::v1::write_request::Atomicity;
use tokio::task::JoinSet;
use tonic::Code;

use super::client::{Client, Reply};
use super::history::{Crowned, History, Look, Number, Outcome, Write};
use crate::fuzz::Random;

/// Writes of a contender between two disconnections, at most.
const WRITES: usize = 60;

/// Who fights where, and for how long.
#[derive(Clone)]
pub struct Fight {
    /// `HOST:PORT`.
    pub address: String,
    /// P4Runtime's `device_id`; it has a pipeline.
    pub device_id: u64,
    /// How many fight.
    pub contenders: u64,
    /// For the random numbers.
    pub seed: u64,
    /// When they stop, unless the table is full before.
    pub duration: Duration,
    /// Election ids start above this.
    pub election_base: u64,
    /// What they write to.
    pub arena: Arena,
}

/// A table with an exact key, and an action for its entries.
#[derive(Debug, Clone)]
pub struct Arena {
    table: u32,
    field: u32,
    action: p4::Action,
    /// How many entries the table holds.
    size: u64,
}

impl Arena {
    /// Finds one in a p4info: one exact field of at least 48 bits, and an action.
    pub fn find(info: &P4Info) -> Option<Arena> {
        use pointsman_proto::p4::config::v1::action_ref::Scope;
        use pointsman_proto::p4::config::v1::match_field::{Match, MatchType};
        let id = |preamble: &Option<_>| {
            let preamble: &pointsman_proto::p4::config::v1::Preamble = preamble.as_ref()?;
            Some(preamble.id)
        };
        let mut tables = info.tables.iter();
        tables.find_map(|table| {
            let [field] = table.match_fields.as_slice() else {
                return None;
            };
            let exact = Some(Match::MatchType(MatchType::Exact.into()));
            let fits = field.r#match == exact && field.bitwidth >= 48;
            let mut actions = table.action_refs.iter();
            let action = actions.find(|a| a.scope() != Scope::DefaultOnly)?;
            let params = info
                .actions
                .iter()
                .find(|a| id(&a.preamble) == Some(action.id))?;
            let params = params.params.iter().map(|param| p4::action::Param {
                param_id: param.id,
                value: vec![1],
            });
            (fits && table.implementation_id == 0).then_some(())?;
            Some(Arena {
                table: id(&table.preamble)?,
                field: field.id,
                action: p4::Action {
                    action_id: action.id,
                    params: params.collect(),
                },
                size: u64::try_from(table.size).ok()?,
            })
        })
    }

    fn entry(&self, key: u64, metadata: Vec<u8>) -> Entity {
        let bytes = key.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Entity::TableEntry(p4::TableEntry {
            table_id: self.table,
            r#match: vec![p4::FieldMatch {
                field_id: self.field,
                field_match_type: Some(FieldMatchType::Exact(field_match::Exact {
                    value: bytes[zeros.min(7)..].to_vec(),
                })),
            }],
            action: Some(p4::TableAction {
                r#type: Some(p4::table_action::Type::Action(self.action.clone())),
            }),
            metadata,
            ..Default::default()
        })
    }
}

/// The key of the entry that all share.
const SHARED: u64 = 1;

/// Lets them fight, and says what was seen.
pub async fn fight(fight: &Fight) -> Result<History> {
    let shared = Arc::new(Shared {
        fight: fight.clone(),
        deadline: Instant::now() + fight.duration,
        election_id: AtomicU64::new(fight.election_base),
        // Numbers are keys, and the first is the shared entry's.
        number: AtomicU64::new(SHARED),
        history: Mutex::new(History::default()),
    });
    let mut first = Client::primary(&fight.address, fight.device_id, fight.election_base).await?;
    let entry = update(Type::Insert, fight.arena.entry(SHARED, mark(0, 0)));
    let made = first.write(vec![entry], Atomicity::ContinueOnError).await;
    anyhow::ensure!(made == Reply::Done, "the shared entry: {made:?}");
    drop(first);
    let mut tasks = JoinSet::new();
    for contender in 0..fight.contenders {
        tasks.spawn(contend(Arc::clone(&shared), contender));
    }
    tasks.spawn(look(Arc::clone(&shared)));
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let mut reader = Client::connect(&fight.address, fight.device_id, None).await?;
    let entries = read_marks(&mut reader, &fight.arena, None).await?;
    let mut history = shared.lock().clone();
    history.entries = entries.into_keys().filter(|key| *key != SHARED).collect();
    Ok(history)
}

struct Shared {
    fight: Fight,
    deadline: Instant,
    election_id: AtomicU64,
    number: AtomicU64,
    history: Mutex<History>,
}

impl Shared {
    /// Whether the time is over, or the table might not hold what each would write next.
    fn is_over(&self) -> bool {
        let entries = self.number.load(Ordering::SeqCst) + self.fight.contenders;
        Instant::now() >= self.deadline || entries >= self.fight.arena.size
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn update(kind: Type, entity: Entity) -> p4::Update {
    p4::Update {
        r#type: kind.into(),
        entity: Some(p4::Entity {
            entity: Some(entity),
        }),
    }
}

fn mark(election_id: u64, number: Number) -> Vec<u8> {
    [election_id.to_be_bytes(), number.to_be_bytes()].concat()
}

/// One contender, until it is over.
async fn contend(shared: Arc<Shared>, contender: u64) -> Result<()> {
    let fight = &shared.fight;
    let mut random = Random::new(fight.seed ^ (contender + 1).wrapping_mul(0x9e37_79b9));
    while !shared.is_over() {
        let step = 1 + random.below(3) as u64;
        let election_id = shared.election_id.fetch_add(step, Ordering::SeqCst) + step;
        let mut client =
            Client::connect(&fight.address, fight.device_id, Some(election_id)).await?;
        // Half of them do not wait to hear that they are primary.
        if random.one_in(2) {
            hear(&shared, contender, client.message().await, election_id);
        }
        for _ in 0..1 + random.below(WRITES) {
            while let Some(message) = client.try_message() {
                hear(&shared, contender, Some(message), election_id);
            }
            if shared.is_over() {
                break;
            }
            let number = shared.number.fetch_add(1, Ordering::SeqCst) + 1;
            let updates = vec![
                update(
                    Type::Insert,
                    fight.arena.entry(number, mark(election_id, number)),
                ),
                update(
                    Type::Modify,
                    fight.arena.entry(SHARED, mark(election_id, number)),
                ),
            ];
            let sent = Instant::now();
            let write = client.write(updates, Atomicity::RollbackOnError);
            // Some connections are cut while a write is on its way.
            let answer = match random.one_in(WRITES) {
                true => {
                    let cut = Duration::from_micros(random.below(2000) as u64);
                    tokio::time::timeout(cut, write).await.ok()
                }
                false => Some(write.await),
            };
            let outcome = match &answer {
                Some(Reply::Done) => Outcome::Acknowledged,
                Some(Reply::Refused(Code::PermissionDenied, _)) => Outcome::Refused,
                Some(Reply::Refused(Code::Unavailable | Code::Cancelled, _)) | None => {
                    Outcome::Unknown
                }
                Some(reply) => anyhow::bail!("a write of contender {contender}: {reply:?}"),
            };
            shared.lock().writes.push(Write {
                contender,
                election_id,
                number,
                sent,
                outcome,
            });
            if answer.is_none() {
                break;
            }
            if outcome == Outcome::Refused && random.one_in(4) {
                break;
            }
            if random.one_in(WRITES) {
                // It gives up being primary without leaving.
                let lower = p4::MasterArbitrationUpdate {
                    device_id: fight.device_id,
                    election_id: None,
                    ..Default::default()
                };
                if client.send(ToServer::Arbitration(lower)).await.is_err() {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn hear(shared: &Shared, contender: u64, message: Option<FromServer>, election_id: u64) {
    let Some(FromServer::Arbitration(update)) = message else {
        return;
    };
    if update
        .status
        .is_some_and(|status| status.code == Code::Ok as i32)
    {
        shared.lock().crowned.push(Crowned {
            contender,
            election_id,
            heard: Instant::now(),
        });
    }
}

/// Reads the shared entry until it is over.
async fn look(shared: Arc<Shared>) -> Result<()> {
    let fight = &shared.fight;
    let mut client = Client::connect(&fight.address, fight.device_id, None).await?;
    while !shared.is_over() {
        let sent = Instant::now();
        let marks = read_marks(&mut client, &fight.arena, Some(SHARED)).await?;
        let (election_id, number) = *marks.get(&SHARED).context("the shared entry is gone")?;
        shared.lock().looks.push(Look {
            sent,
            answered: Instant::now(),
            election_id,
            number,
        });
    }
    Ok(())
}

/// The marks on entries, by key.
async fn read_marks(
    client: &mut Client,
    arena: &Arena,
    key: Option<u64>,
) -> Result<BTreeMap<u64, (u64, Number)>> {
    let filter = match key.map(|key| arena.entry(key, Vec::new())) {
        Some(Entity::TableEntry(entry)) => super::model::key_message(&entry),
        _ => p4::TableEntry {
            table_id: arena.table,
            ..Default::default()
        },
    };
    let filter = p4::Entity {
        entity: Some(Entity::TableEntry(filter)),
    };
    let entities = client.read(vec![filter]).await?;
    let mut marks = BTreeMap::new();
    for entity in entities {
        let Some(Entity::TableEntry(entry)) = entity.entity else {
            continue;
        };
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let key = entry
            .r#match
            .iter()
            .find_map(|m| match &m.field_match_type {
                Some(FieldMatchType::Exact(exact)) => Some(number(&exact.value)),
                _ => None,
            });
        let (election_id, written) = entry.metadata.split_at(entry.metadata.len().min(8));
        marks.insert(
            key.context("an entry without a key")?,
            (number(election_id), number(written)),
        );
    }
    Ok(marks)
}
