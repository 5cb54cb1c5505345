//! Rounds: requests and packets, each held to the model, until the time is over or something differs.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pointsman_p4::p4info::Pipeline;
use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::entity::Entity;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use pointsman_proto::p4::v1::write_request::Atomicity;
use tonic::Code;

use super::answer::{Read, all_reads, random_read};
use super::client::{Client, Reply};
use super::draw::{Draw, Feature};
use super::model::{Model, Verdict};
use super::spoil::{Spoil, pad, spoil};
use super::wires::Wires;
use crate::fuzz::Random;

/// Steps of a round.
const STEPS: usize = 400;
/// Updates of a batch.
const BATCH: usize = 12;

/// What to fuzz, and for how long.
pub struct Options {
    /// `HOST:PORT`.
    pub address: String,
    /// P4Runtime's `device_id`.
    pub device_id: u64,
    /// The first round's seed.
    pub seed: u64,
    /// When no further round starts.
    pub duration: Duration,
    /// The controller's port of the program.
    pub cpu_port: u32,
    /// The id of a counter that counts each packet by the port that it enters; it tells that a packet that goes
    /// nowhere has done so.
    pub port_counter: u32,
    /// What the server lacks.
    pub without: BTreeSet<Feature>,
    /// Ports that the server has, and that are up.
    pub ports: Vec<u32>,
    /// p4info of the program.
    pub p4info: P4Info,
    /// BMv2 JSON of the program.
    pub device_config: Vec<u8>,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rounds.
    pub rounds: u64,
    /// Write requests.
    pub writes: u64,
    /// Updates in them.
    pub updates: u64,
    /// Updates of which some code was expected.
    pub refused: u64,
    /// Reads.
    pub reads: u64,
    /// Entities in their answers.
    pub entities: u64,
    /// Packets into a port.
    pub packets: u64,
    /// Packets that came out.
    pub outputs: u64,
    /// Pipelines set, saved, committed or reconciled.
    pub pipelines: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds: {} writes with {} updates, {} of them refused as they had to be; {} reads of {} entities; \
             {} pipelines set; {} packets and {} that came of them",
            self.rounds,
            self.writes,
            self.updates,
            self.refused,
            self.reads,
            self.entities,
            self.pipelines,
            self.packets,
            self.outputs
        )
    }
}

/// Something that is not as the model says.
#[derive(Debug)]
pub struct Difference {
    /// The round's seed.
    pub seed: u64,
    /// The step of the round.
    pub step: usize,
    /// What was done, expected and seen.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { seed, step, what } = self;
        write!(f, "seed {seed}, step {step}: {what}")
    }
}

/// Fuzzes until the time is over or something differs.
pub async fn run(
    options: &Options,
    wires: &mut Option<Wires>,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let json = std::str::from_utf8(&options.device_config)?;
    let program = pointsman_p4::bmv2::read(json).context("the program")?;
    let pipeline = Arc::new(Pipeline::new(Arc::new(program), &options.p4info)?);
    let start = Instant::now();
    let mut election_id = Client::highest(&options.address, options.device_id).await?;
    let mut seed = options.seed;
    while start.elapsed() < options.duration {
        election_id += 2;
        let client = Client::primary(&options.address, options.device_id, election_id).await?;
        let mut random = Random::new(seed);
        let draw = Draw::new(
            &options.p4info,
            &pipeline,
            options.cpu_port,
            &options.without,
            &options.ports,
        );
        let mut round = Round {
            options,
            client,
            draw,
            packets: wires.is_some() && !random.one_in(3),
            random,
            committed: Model::new(Arc::clone(&pipeline)),
            saved: None,
            recent: VecDeque::new(),
            tally,
        };
        if let Err((step, what)) = round.play(wires).await? {
            return Ok(Some(Difference { seed, step, what }));
        }
        tally.rounds += 1;
        seed += 1;
    }
    Ok(None)
}

pub(super) type Found = Result<(), String>;

pub(super) struct Round<'a> {
    pub(super) options: &'a Options,
    pub(super) client: Client,
    pub(super) draw: Draw<'a>,
    pub(super) random: Random,
    /// What forwards.
    pub(super) committed: Model,
    /// What VERIFY_AND_SAVE saved; reads and writes are about this until it is committed.
    saved: Option<Model>,
    /// Whether this round has packets. They change counts and registers, which are only looked
    /// at in rounds without.
    packets: bool,
    /// The packets before the last one: what comes late is theirs.
    pub(super) recent: VecDeque<String>,
    pub(super) tally: &'a mut Tally,
}

/// An update as it is sent, and what has to come of it.
struct Sent {
    wire: p4::Update,
    canonical: p4::Update,
    spoil: Option<Spoil>,
}

impl Sent {
    fn is_register(&self) -> bool {
        let entity = self
            .canonical
            .entity
            .as_ref()
            .and_then(|e| e.entity.as_ref());
        matches!(entity, Some(Entity::RegisterEntry(_)))
    }
}

impl Round<'_> {
    fn has_atomic_batches(&self) -> bool {
        !self.options.without.contains(&Feature::DataplaneAtomic)
    }

    async fn play(&mut self, wires: &mut Option<Wires>) -> Result<Result<(), (usize, String)>> {
        let config = self.config();
        let set = self
            .client
            .set_pipeline(Action::VerifyAndCommit, Some(config));
        set.await.context("setting the pipeline")?;
        for step in 0..STEPS {
            let found = match self.random.below(100) {
                0..=54 => self.write().await,
                55 => self.stale_write().await,
                56..=69 => {
                    let model = self.saved.as_ref().unwrap_or(&self.committed);
                    let read = random_read(&mut self.random, &self.draw, model);
                    self.read(vec![read]).await
                }
                70..=74 => self.read_all().await,
                75 | 76 => self.pipeline().await,
                _ => match wires {
                    // The counter of a saved pipeline counts nothing.
                    Some(wires) if self.packets && self.saved.is_none() => {
                        self.packet(wires).await?
                    }
                    _ => self.write().await,
                },
            };
            if let Err(what) = found {
                return Ok(Err((step, what)));
            }
        }
        let last = self.read_all().await;
        Ok(last.map_err(|what| (STEPS, what)))
    }

    fn config(&self) -> p4::ForwardingPipelineConfig {
        p4::ForwardingPipelineConfig {
            p4info: Some(self.options.p4info.clone()),
            p4_device_config: self.options.device_config.clone(),
            cookie: None,
        }
    }

    /// What reads and writes are about.
    fn model(&mut self) -> &mut Model {
        self.saved.as_mut().unwrap_or(&mut self.committed)
    }

    fn draw_batch(&mut self) -> Vec<Sent> {
        let mut ahead = self.model().clone();
        let count = 1 + self.random.below(BATCH);
        let mut batch = Vec::with_capacity(count);
        for _ in 0..count {
            let canonical = self.draw.update(&mut self.random, &ahead);
            let mut wire = canonical.clone();
            let spoil = match self.random.below(8) {
                0 => {
                    let before = wire.clone();
                    let spoil = spoil(&mut wire, &mut self.random);
                    if spoil.is_none() {
                        wire = before;
                    }
                    spoil
                }
                1 => {
                    pad(&mut wire, &mut self.random);
                    None
                }
                _ => None,
            };
            if spoil.is_none() && ahead.judge(&canonical) == Verdict::Done {
                ahead.apply(&canonical);
            }
            batch.push(Sent {
                wire,
                canonical,
                spoil,
            });
        }
        batch
    }

    async fn write(&mut self) -> Found {
        let batch = self.draw_batch();
        let atomicity = match self.random.below(4) {
            0 => Atomicity::RollbackOnError,
            // Packets write registers as well; a batch with one need not be atomic for them.
            1 if self.has_atomic_batches() && !batch.iter().any(Sent::is_register) => {
                Atomicity::DataplaneAtomic
            }
            _ => Atomicity::ContinueOnError,
        };
        let updates: Vec<_> = batch.iter().map(|sent| sent.wire.clone()).collect();
        let reply = self.client.write(updates, atomicity).await;
        self.tally.writes += 1;
        self.tally.updates += batch.len() as u64;
        let errors = match reply {
            Reply::Done => vec![(Code::Ok, String::new()); batch.len()],
            Reply::Each(errors) if errors.len() == batch.len() => errors,
            reply => {
                let count = batch.len();
                return Err(format!("a Write of {count} updates is answered {reply:?}"));
            }
        };
        let mut after = self.model().clone();
        let failed = errors.iter().any(|(code, _)| *code != Code::Ok);
        let whole = atomicity != Atomicity::ContinueOnError && failed;
        let mut refused = 0;
        for (position, (sent, (code, message))) in batch.iter().zip(&errors).enumerate() {
            let verdict = match &sent.spoil {
                Some(spoil) => fails(&after, sent, spoil),
                None => after.judge(&sent.canonical),
            };
            let expected = verdict != Verdict::Done && *code != Code::Aborted;
            if whole && *code == Code::Aborted && !matches!(verdict, Verdict::Fails(_)) {
                // Taken back, or never tried, because of another one.
                after.apply(&sent.canonical);
                continue;
            }
            let fits = match &verdict {
                Verdict::Done => *code == Code::Ok,
                Verdict::DoneOrFull => [Code::Ok, Code::ResourceExhausted].contains(code),
                Verdict::Fails(codes) => codes.contains(code),
            };
            if !fits {
                return Err(format!(
                    "update {position} of {atomicity:?}, {:?}:\n{:#?}\nexpected {verdict:?}, and seen {code:?}: {message}",
                    sent.spoil.as_ref().map(|spoil| spoil.what),
                    sent.wire
                ));
            }
            refused += u64::from(expected && *code != Code::Ok);
            match code {
                Code::Ok if sent.spoil.is_none() => after.apply(&sent.canonical),
                Code::Ok => {}
                // What comes after the one that failed has not been tried.
                _ if whole => break,
                _ => {}
            }
        }
        self.tally.refused += refused;
        if !whole {
            if self.packets {
                after.forget_counts();
            }
            *self.model() = after;
        }
        Ok(())
    }

    /// A write with an election id that is not the primary's.
    async fn stale_write(&mut self) -> Found {
        let batch = self.draw_batch();
        let ours = self.client.election_id;
        self.client.election_id = match self.random.below(3) {
            0 => None,
            1 => ours.map(|id| id - 1),
            _ => ours.map(|id| id + 1),
        };
        let updates = batch.into_iter().map(|sent| sent.wire).collect();
        let reply = self.client.write(updates, Atomicity::ContinueOnError).await;
        let given = std::mem::replace(&mut self.client.election_id, ours);
        self.tally.writes += 1;
        match reply {
            Reply::Refused(Code::PermissionDenied, _) => Ok(()),
            reply => Err(format!(
                "a Write with election id {given:?} and not {ours:?} is answered {reply:?}"
            )),
        }
    }

    async fn read_all(&mut self) -> Found {
        let model = self.saved.as_ref().unwrap_or(&self.committed);
        let reads = all_reads(model);
        self.read(reads).await
    }

    async fn read(&mut self, reads: Vec<Read>) -> Found {
        let filters: Vec<_> = reads.iter().map(|read| read.filter.clone()).collect();
        let answer = self.client.read(filters.clone()).await;
        self.tally.reads += 1;
        let found = answer.map_err(|status| format!("a Read of {filters:#?}:\n{status:?}"))?;
        self.tally.entities += found.len() as u64;
        super::answer::compare(&reads, found)
    }

    async fn pipeline(&mut self) -> Found {
        let fresh = || Model::new(Arc::clone(&self.committed.pipeline));
        let (action, after) = match (self.random.below(5), self.saved.take()) {
            // A saved pipeline does not last long: packets and atomic batches are more interesting.
            (_, Some(saved)) => (Action::Commit, (saved, None)),
            (0, None) => (Action::Verify, (self.committed.clone(), None)),
            (1 | 2, None) => (
                Action::VerifyAndSave,
                (self.committed.clone(), Some(fresh())),
            ),
            (3, None) => (Action::ReconcileAndCommit, (self.committed.clone(), None)),
            (_, None) => (Action::VerifyAndCommit, (fresh(), None)),
        };
        let config = (action != Action::Commit).then(|| self.config());
        let set = self.client.set_pipeline(action, config).await;
        self.tally.pipelines += 1;
        set.map_err(|status| format!("{action:?}: {status:?}"))?;
        (self.committed, self.saved) = after;
        self.committed.forget_counts();
        Ok(())
    }
}

/// The codes that a spoiled update may fail with: of what spoils it, or of what else stands against it.
fn fails(model: &Model, sent: &Sent, spoil: &Spoil) -> Verdict {
    let mut codes = spoil.codes.clone();
    match model.judge(&sent.canonical) {
        Verdict::Fails(more) => codes.extend(more),
        Verdict::DoneOrFull => codes.push(Code::ResourceExhausted),
        Verdict::Done => {}
    }
    // A key that is spoiled is another one, which may be there or not.
    codes.extend([Code::NotFound, Code::AlreadyExists]);
    Verdict::Fails(codes)
}
