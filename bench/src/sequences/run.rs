//! The sequence itself: draws a step, has it done, does it to the model, and compares.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pointsman_agent::entity::{Entity, TableAction, TableEntry, Update};
use pointsman_agent::pipeliner::Ports;
use pointsman_agent::schema::Schema;
use pointsman_agent::switch::{Pipeline, PipelineSource};
use pointsman_model::Change;
use pointsman_p4::dataplane::{Bits, Call, EntryKey, Match};
use pointsman_p4::ir::ActionId;
use pointsman_p4::p4info::parse_p4info;
use pointsman_p4::programs;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::controller_client::ControllerClient;
use pointsman_proto::pointsman::objective::v1 as objective_pb;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Channel;

use super::bed::{AGENT, Bed};
use super::clients::{Client, PATIENCE};
use super::draw::{self, PORTS, Step};
use super::expected;
use super::model::{Model, Objectives};
use super::shape::{shape, text};
use crate::fuzz::Random;

/// The policies of agents about drift.
const POLICIES: [&str; 3] = ["keep", "repair", "refuse"];
/// How long an entry that is put right by itself may take before somebody asks for it: pauses grow.
const REPAIR_PATIENCE: Duration = Duration::from_secs(3);

/// What to do to which agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// The agent's program.
    pub agent: PathBuf,
    /// `xdp` or `interpreter`.
    pub target: String,
    /// How long; at least one comparison is made.
    pub time: Duration,
    /// What everything is drawn from.
    pub seed: u64,
    /// Says each step as it is done.
    pub verbose: bool,
}

/// What happened. There is one only if all was as expected.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Steps,
    pub steps: u64,
    /// requests that changed objectives,
    pub changes: u64,
    /// and such as were refused,
    pub refused: u64,
    /// of these all that led back to a revision.
    pub rollbacks: u64,
    /// Times that a port went down or came up.
    pub flaps: u64,
    /// Agents that were killed.
    pub kills: u64,
    /// Agents and controllers that were restarted in good order.
    pub restarts: u64,
    /// Writes to entries that are no objective's.
    pub foreign: u64,
    /// Writes to entries that are some objective's,
    pub tampered: u64,
    /// of these such as were refused.
    pub owned: u64,
    /// Comparisons of all that is there.
    pub compared: u64,
    /// Most entries at one of them.
    pub entries: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            steps,
            changes,
            refused,
            rollbacks,
            flaps,
            kills,
            restarts,
            foreign,
            tampered,
            owned,
            compared,
            entries,
        } = self;
        writeln!(
            f,
            "{steps} steps: {changes} changes ({rollbacks} rollbacks), {refused} refused; {flaps} port flaps; \
             {kills} kills, {restarts} restarts; {foreign} foreign writes, {tampered} to entries of objectives \
             ({owned} refused)"
        )?;
        write!(
            f,
            "{compared} comparisons, of up to {entries} entries: no difference"
        )
    }
}

/// Runs a sequence.
///
/// # Errors
/// The first difference, with what was done before it.
pub async fn run(options: &Options) -> Result<Report> {
    let mut bed = Bed::new(&options.agent, &options.target)?;
    let outcome = sequence(options, &mut bed).await;
    match outcome {
        Ok(report) => {
            bed.end().await?;
            Ok(report)
        }
        Err(error) => Err(error.context(format!("the agent's log ends:\n{}", bed.log()))),
    }
}

async fn sequence(options: &Options, bed: &mut Bed) -> Result<Report> {
    let mut random = Random::named(options.seed, &options.target);
    let pipeline = leaf_spine()?;
    bed.start_agent(POLICIES[0])?;
    let controller = connect(&bed.start_controller().await?).await?;
    let mut run = Run {
        schema: pipeline.schema,
        ports: Ports::new((1..=PORTS).map(|number| (format!("swp{number}"), number))),
        client: Client::open().await?,
        controller,
        model: Model::default(),
        policy: POLICIES[0],
        report: Report::default(),
    };
    run.add_device().await?;
    let start = Instant::now();
    while start.elapsed() < options.time {
        let step = draw::step(&mut random, &run.model.objectives);
        if options.verbose {
            eprintln!("{:>5}: {}", run.report.steps, brief(&step));
        }
        run.report.steps += 1;
        let done = run.step(bed, &mut random, step.clone()).await;
        done.with_context(|| format!("step {}: {}", run.report.steps, brief(&step)))?;
    }
    run.compare().await.context("at the end")?;
    run.empty().await.context("when all is deleted")?;
    Ok(run.report)
}

fn brief(step: &Step) -> String {
    match step {
        Step::Apply { changes, prune } => {
            let changes = changes.iter().map(|change| {
                let sign = match change.operation {
                    pointsman_model::Operation::Delete => '-',
                    _ => '+',
                };
                format!("{sign}{}", change.objective.id())
            });
            let changes: Vec<_> = changes.collect();
            let prune = if *prune { " and nothing else" } else { "" };
            format!("apply {}{prune}", changes.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn leaf_spine() -> Result<Pipeline> {
    let program = programs::embedded("leaf_spine").context("it is embedded")?;
    Ok(Pipeline::read(PipelineSource {
        p4info: parse_p4info(program.p4info)?,
        device_config: program.bmv2_json.as_bytes().to_vec(),
        cookie: None,
        manifest: None,
        configured: true,
    })?)
}

async fn connect(address: &str) -> Result<ControllerClient<Channel>> {
    Ok(ControllerClient::connect(format!("http://{address}")).await?)
}

/// A sequence that is under way.
struct Run {
    schema: Arc<Schema>,
    ports: Ports,
    client: Client,
    controller: ControllerClient<Channel>,
    model: Model,
    policy: &'static str,
    report: Report,
}

impl Run {
    async fn add_device(&mut self) -> Result<()> {
        let device = pb::DeviceChange {
            remove: false,
            device: Some(pb::DeviceSpec {
                name: "leaf1".to_owned(),
                address: AGENT.to_owned(),
                device_id: 1,
            }),
        };
        let request = pb::ApplyRequest {
            devices: vec![device],
            ..Default::default()
        };
        let answer = self.controller.apply(request).await?.into_inner();
        ensure!(answer.errors.is_empty(), "{:?}", answer.errors);
        self.model.change(Objectives::new(), answer.revision);
        Ok(())
    }

    async fn step(&mut self, bed: &mut Bed, random: &mut Random, step: Step) -> Result<()> {
        match step {
            Step::Apply { changes, prune } => self.apply(&changes, prune).await,
            Step::Rollback(number) => self.roll_back(number).await,
            Step::Port { number, up } => {
                self.report.flaps += 1;
                bed.set_port(number, up)
            }
            Step::Agent { kill } => {
                bed.end_agent(kill)?;
                self.report.kills += u64::from(kill);
                self.report.restarts += u64::from(!kill);
                let policy = POLICIES[random.below(POLICIES.len())];
                if policy != "keep" || self.policy != "keep" {
                    self.model.tampered.clear();
                }
                self.policy = policy;
                bed.start_agent(policy)?;
                if random.one_in(2) {
                    // Something is asked for while it is away, or just back.
                    let step = draw::step(random, &self.model.objectives);
                    if let Step::Apply { changes, prune } = step {
                        self.apply(&changes, prune).await?;
                    }
                }
                self.client = Client::open().await?;
                Ok(())
            }
            Step::Controller => {
                self.report.restarts += 1;
                self.controller = connect(&bed.start_controller().await?).await?;
                Ok(())
            }
            Step::Foreign { number } => self.write_foreign(random, number).await,
            Step::Tamper { delete } => self.tamper(random, delete).await,
            Step::Compare => self.compare().await,
        }
    }

    async fn apply(&mut self, changes: &[Change], prune: bool) -> Result<()> {
        let after = draw::applied(&self.model.objectives, changes, prune);
        // What no switch could hold is not asked for: while it is away, nobody would refuse it.
        if expected::entities(&self.schema, &self.ports, &after).is_err() {
            self.report.refused += 1;
            return Ok(());
        }
        let objectives = changes.iter().map(|change| pb::ObjectiveChange {
            device: "leaf1".to_owned(),
            change: Some(change.into()),
        });
        let request = pb::ApplyRequest {
            objectives: objectives.collect(),
            prune: match prune {
                true => vec![pb::Prune {
                    device: "leaf1".to_owned(),
                    owner: String::new(),
                }],
                false => Vec::new(),
            },
            ..Default::default()
        };
        match self.controller.apply(request).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                match answer.errors.is_empty() {
                    true => {
                        self.report.changes += 1;
                        self.model.change(after, answer.revision);
                    }
                    false => self.report.refused += 1,
                }
                Ok(())
            }
            Err(status) if status.code() == Code::Unavailable => {
                self.report.refused += 1;
                Ok(())
            }
            Err(status) => bail!("the controller: {status}"),
        }
    }

    async fn roll_back(&mut self, number: usize) -> Result<()> {
        let revisions = self.model.revisions();
        let revision = revisions[revisions.len() - 1 - number % revisions.len().min(20)];
        let request = pb::RollbackRequest {
            revision,
            ..Default::default()
        };
        let answer = match self.controller.rollback(request).await {
            Ok(answer) => answer.into_inner().answer.unwrap_or_default(),
            // It is forgotten, or was taken back itself.
            Err(_) => {
                self.report.refused += 1;
                return Ok(());
            }
        };
        if !answer.errors.is_empty() {
            self.report.refused += 1;
            return Ok(());
        }
        let before = self.model.at(revision).cloned().unwrap_or_default();
        self.report.changes += 1;
        self.report.rollbacks += 1;
        self.model.change(before, answer.revision);
        Ok(())
    }

    /// A route of a client's own, which no objective wants.
    async fn write_foreign(&mut self, random: &mut Random, number: usize) -> Result<()> {
        let entry = self.foreign_route(number, 1 + random.below(40) as u64)?;
        let key = self.schema.describe_key(&entry.key);
        let entity = Entity::TableEntry(entry);
        let line = text(&self.schema, &entity);
        let (update, after) = match self.model.foreign.get(&key) {
            None => (Update::insert(entity), Some(line)),
            Some(_) if random.one_in(2) => (Update::delete(entity), None),
            Some(_) => (Update::modify(entity), Some(line)),
        };
        let written = self.client.write(&self.schema, &update).await;
        written.context("a client's own entry is refused")?;
        self.report.foreign += 1;
        match after {
            Some(line) => drop(self.model.foreign.insert(key, line)),
            None => drop(self.model.foreign.remove(&key)),
        }
        Ok(())
    }

    fn foreign_route(&self, number: usize, next: u64) -> Result<TableEntry> {
        let table = self.schema.table_named("routing_v4");
        let table = table.context("leaf_spine routes")?;
        let is_it = |action: &ActionId| {
            let action = self.schema.action_of(*action);
            action.is_some_and(|action| action.alias == "set_next_id_routing_v4")
        };
        // The schema has those of p4info, the program has more.
        let mut actions = (0..u16::MAX).map(|id| ActionId(id.into()));
        let action = actions.find(is_it).context("leaf_spine has nexts")?;
        let prefix = 0x0ac8_0000 + (number as u64) * 256;
        let key = EntryKey {
            table: table.table,
            matches: vec![Match::Lpm {
                value: Bits::from(prefix),
                prefix_len: 24,
            }]
            .into(),
            priority: 0,
        };
        let call = Call {
            action,
            args: vec![Bits::from(next)].into(),
        };
        Ok(TableEntry::new(key, TableAction::Call(call)))
    }

    /// Changes or deletes an entry that is there for an objective.
    async fn tamper(&mut self, random: &mut Random, delete: bool) -> Result<()> {
        // What is under way would be written over it.
        self.settle().await?;
        let found = self.client.read(&self.schema).await?;
        let own = found.iter().filter(|entity| !self.is_foreign(entity));
        let own: Vec<&Entity> = own.collect();
        let Some(entity) = random.pick(&own) else {
            return Ok(());
        };
        let key = self.key(entity);
        let update = match changed(entity, random) {
            Some(other) if !delete => Update::modify(other),
            _ => Update::delete((*entity).clone()),
        };
        let written = self.client.write(&self.schema, &update).await;
        self.report.tampered += 1;
        match (written, self.policy) {
            (Ok(()), "refuse") => bail!("a client has written to {key}, and was not refused"),
            (Err(_), "refuse") => self.report.owned += 1,
            // Others refer to it, say.
            (Err(_), _) => self.report.refused += 1,
            (Ok(()), _) => {
                let there = match update.operation {
                    pointsman_agent::entity::Operation::Delete => None,
                    _ => Some(text(&self.schema, &update.entity)),
                };
                self.model.tampered.insert(key, there);
            }
        }
        Ok(())
    }

    fn key(&self, entity: &Entity) -> String {
        match entity {
            Entity::TableEntry(entry) => self.schema.describe_key(&entry.key),
            other => {
                let text = self.schema.describe(other);
                text.split(" -> ").next().unwrap_or_default().to_owned()
            }
        }
    }

    fn is_foreign(&self, entity: &Entity) -> bool {
        self.model.foreign.contains_key(&self.key(entity))
    }

    /// Waits until the switch has acknowledged all that is wanted.
    async fn settle(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let unapplied = self.unapplied().await?;
            if unapplied.is_empty() {
                return Ok(());
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "not applied: {}",
                unapplied.join("; ")
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What is not applied, or is not wanted and there.
    async fn unapplied(&mut self) -> Result<Vec<String>> {
        let request = pb::GetObjectivesRequest {
            device: "leaf1".to_owned(),
            entries: false,
            ..Default::default()
        };
        let answer = self.controller.get_objectives(request).await?.into_inner();
        let objectives = answer.devices.into_iter().flat_map(|d| d.objectives);
        let mut names = 0;
        let mut unapplied = Vec::new();
        for found in objectives {
            names += 1;
            let status = found.status.unwrap_or_default();
            let name = found.objective.unwrap_or_default().name;
            if status.state() != objective_pb::State::Applied {
                unapplied.push(format!("{name}: {:?} {}", status.reason(), status.message));
            } else if status.applied_revision != status.revision {
                let (applied, revision) = (status.applied_revision, status.revision);
                bail!("{name} is applied at {revision}, and {applied} is in force");
            }
        }
        let wanted = self.model.objectives.len();
        ensure!(
            names == wanted,
            "{names} objectives, and {wanted} are wanted"
        );
        // Deletions are acknowledged by what the agent is at.
        let request = pointsman_proto::pointsman::agent::v1::ListObjectivesRequest::default();
        let held = self.client.service.list_objectives(request).await;
        if let Ok(held) = held {
            let held = held.into_inner().objectives.len();
            if held != wanted {
                unapplied.push(format!("the agent has {held} objectives of {wanted}"));
            }
        }
        Ok(unapplied)
    }

    async fn compare(&mut self) -> Result<()> {
        self.settle().await?;
        self.put_right().await?;
        let wanted = expected::entities(&self.schema, &self.ports, &self.model.objectives)?;
        let found = self.client.read(&self.schema).await?;
        let (foreign, own): (Vec<_>, Vec<_>) =
            found.iter().partition(|entity| self.is_foreign(entity));
        let foreign = foreign.into_iter();
        let foreign = foreign.map(|entity| (self.key(entity), text(&self.schema, entity)));
        let foreign: BTreeMap<_, _> = foreign.collect();
        ensure!(
            foreign == self.model.foreign,
            "foreign entries are {foreign:#?}, and were {:#?}",
            self.model.foreign
        );
        let there = shape(&self.schema, own);
        let wanted = shape(&self.schema, &wanted);
        ensure!(there == wanted, "{}", difference(&there, &wanted));
        self.report.compared += 1;
        self.report.entries = self.report.entries.max(found.len());
        Ok(())
    }

    /// Checks what has become of entries that a client has written to, and has them put right.
    async fn put_right(&mut self) -> Result<()> {
        if self.policy == "keep" {
            let found = self.client.read(&self.schema).await?;
            let there: BTreeMap<_, _> = found
                .iter()
                .map(|entity| (self.key(entity), text(&self.schema, entity)))
                .collect();
            for (key, left) in &self.model.tampered {
                let now = there.get(key);
                ensure!(
                    now == left.as_ref(),
                    "a client has left {key} as {left:?}, and it is {now:?}"
                );
            }
        }
        let start = Instant::now();
        while self.policy == "repair" && start.elapsed() < REPAIR_PATIENCE {
            if self.client.drift().await?.drift.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let drift = self.client.drift().await?.drift;
        if self.policy == "refuse" {
            ensure!(drift.is_empty(), "{drift:?}");
        }
        self.client.repair().await?;
        let left = self.client.drift().await?.drift;
        ensure!(left.is_empty(), "not put right: {left:?}");
        self.model.tampered.clear();
        Ok(())
    }

    /// Deletes all objectives: nothing of them may be left, and the next one gets the first id again.
    async fn empty(&mut self) -> Result<()> {
        let wanted = self.model.objectives.keys();
        let deletions: Vec<Change> = wanted
            .map(|id| Change {
                operation: pointsman_model::Operation::Delete,
                objective: pointsman_model::Objective::empty(id.kind, id.name.clone()),
            })
            .collect();
        if !deletions.is_empty() {
            self.apply(&deletions, false).await?;
        }
        ensure!(self.model.objectives.is_empty(), "they are not deleted");
        self.compare().await?;
        let first = "next: first\n    type: broadcast\n    meta: { vlan_vid: 10 }\n    buckets: [ { output: swp1 } ]";
        let first = Change {
            operation: pointsman_model::Operation::Put,
            objective: draw::parse(first),
        };
        self.apply(&[first], false).await?;
        self.compare().await?;
        let found = self.client.read(&self.schema).await?;
        let own = found.iter().filter(|entity| !self.is_foreign(entity));
        let own: Vec<_> = own.map(|entity| text(&self.schema, entity)).collect();
        let is_first = |entry: &String| {
            entry.contains("next_id=0x1 ") || entry.starts_with("multicast group 1 ")
        };
        ensure!(own.iter().all(is_first), "ids are not free again: {own:#?}");
        Ok(())
    }
}

/// An entity of that key that does something else, if there is something else to do.
fn changed(entity: &Entity, random: &mut Random) -> Option<Entity> {
    match entity {
        Entity::TableEntry(entry) => {
            let Some(TableAction::Call(call)) = &entry.action else {
                return None;
            };
            let mut args: Vec<Bits> = call.args.iter().collect();
            *args.last_mut()? = Bits::from(1 + random.below(60) as u64);
            let call = Call {
                action: call.action,
                args: args.into(),
            };
            let entry = TableEntry {
                action: Some(TableAction::Call(call)),
                ..entry.clone()
            };
            Some(Entity::TableEntry(entry))
        }
        Entity::MulticastGroup(group) => {
            let mut group = group.clone();
            group.replicas.truncate(1);
            Some(Entity::MulticastGroup(group))
        }
        _ => None,
    }
}

fn difference(there: &[String], wanted: &[String]) -> String {
    let mut text = "the switch does not hold what its objectives want\n".to_owned();
    for line in there.iter().filter(|line| !wanted.contains(line)) {
        text += &format!("there, and not wanted: {line}\n");
    }
    for line in wanted.iter().filter(|line| !there.contains(line)) {
        text += &format!("wanted, and not there: {line}\n");
    }
    text + &format!("{} lines there, {} wanted", there.len(), wanted.len())
}
