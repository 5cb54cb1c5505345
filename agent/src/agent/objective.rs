//! Objectives on the switch: the pipeliner of the loaded pipeline, and the one way in which
//! changes of objectives reach the data plane.

use std::collections::BTreeSet;

use pointsman_model::{Change, Objective};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::{StateObjectives, StateRecord};
use pointsman_proto::pointsman::objective::v1::Reason;
use thiserror::Error;

use super::lives::now;
use super::stream::StreamNote;
use super::{Agent, State};
use crate::arbitration::{RoleName, StreamId};
use crate::entity::Update;
use crate::journal::JournalError;
use crate::objectives::{
    Batch, Context, DrySink, Inquiry, Objectives, RecordingSink, Sink, Status, SwitchSink, Wanted,
};
use crate::pipeliner::{self, Pipeliner, Refusal};
use crate::ports::Port;
use crate::switch::Pipeline;
use crate::target::TargetError;

/// Objectives that are looked at without letting others in.
const LOOKED_AT: usize = 1024;

/// How objectives become entries of the loaded pipeline.
pub enum PipelinerState {
    /// There is no pipeline.
    None,
    /// Its manifest was read.
    Ready(Box<Pipeliner>),
    /// It has no manifest, or not one that fits.
    Missing(Refusal),
}

impl PipelinerState {
    /// Reads the manifest of a pipeline.
    pub fn read(pipeline: &Pipeline) -> PipelinerState {
        let missing = |message: String| {
            PipelinerState::Missing(Refusal::new(Reason::UnsupportedByPipeline, message))
        };
        let name = &pipeline.schema.name;
        let Some(manifest) = &pipeline.source.manifest else {
            return match Pipeliner::find(&pipeline.schema) {
                Some(pipeliner) => PipelinerState::Ready(Box::new(pipeliner)),
                None => missing(format!(
                    "pipeline {name} has no manifest (pipeline.yaml), so that it takes no objectives"
                )),
            };
        };
        match Pipeliner::new("pipeline.yaml", manifest, &pipeline.schema) {
            Ok(pipeliner) => PipelinerState::Ready(Box::new(pipeliner)),
            Err(problems) => {
                tracing::error!(pipeline = %name, %problems, "the manifest does not fit the pipeline");
                missing(format!("the manifest of pipeline {name}: {problems}"))
            }
        }
    }

    /// Whether objectives can be carried out.
    pub fn is_ready(&self) -> bool {
        matches!(self, PipelinerState::Ready(_))
    }

    /// For a [`Context`].
    pub fn get(&self) -> Option<Result<&Pipeliner, Refusal>> {
        match self {
            PipelinerState::None => None,
            PipelinerState::Ready(pipeliner) => Some(Ok(pipeliner)),
            PipelinerState::Missing(refusal) => Some(Err(refusal.clone())),
        }
    }
}

impl State {
    /// The ports as objectives name them.
    pub fn pipeliner_ports(&self) -> pipeliner::Ports {
        let ports = self.ports.iter();
        let ports = pipeliner::Ports::new(ports.map(|port| (port.name.clone(), port.number)));
        ports.with_down(self.ports_down())
    }

    /// The ports that cannot carry packets. Of those that another process has, all are taken to be up whose
    /// interface is not on this machine.
    pub fn ports_down(&self) -> BTreeSet<u32> {
        let is_here = self.switch.relay().is_none();
        let is_down = |port: &&Port| match is_here {
            true => !port.is_up(),
            false => port.link.as_ref().is_some_and(|link| !link.up),
        };
        let down = self.ports.iter().filter(is_down);
        down.map(|port| port.number).collect()
    }

    /// Changes objectives on the switch. Returns what has to be kept; `None` if nothing changed.
    pub fn change_objectives(
        &mut self,
        change: impl FnOnce(&mut Objectives, &Context<'_>, &mut dyn Sink),
    ) -> Option<StateObjectives> {
        self.look_at_touched();
        let ports = self.pipeliner_ports();
        let context = Context {
            pipeliner: self.pipeliner.get(),
            ports: &ports,
            now: now(),
        };
        match self.switch.begin_all() {
            Some(transaction) => {
                let mut sink = SwitchSink(transaction);
                change(&mut self.objectives, &context, &mut sink);
            }
            // Without a pipeline nothing is written.
            None => change(
                &mut self.objectives,
                &context,
                &mut RecordingSink::default(),
            ),
        }
        self.objectives_record()
    }

    /// Loads a pipeline with what clients wrote, and with what objectives need: `prepare`
    /// realises them. Packets find both from the first on. If the target refuses, all stays
    /// as it was.
    pub fn load_pipeline(
        &mut self,
        pipeline: Pipeline,
        mut updates: Vec<Update>,
        prepare: impl FnOnce(&mut Objectives, &Context<'_>, &mut dyn Sink),
    ) -> Result<(), TargetError> {
        self.look_at_touched();
        let pipeliner = PipelinerState::read(&pipeline);
        let ports = self.pipeliner_ports();
        let context = Context {
            pipeliner: pipeliner.get(),
            ports: &ports,
            now: now(),
        };
        let mut objectives = self.objectives.clone();
        let mut sink = RecordingSink::default();
        prepare(&mut objectives, &context, &mut sink);
        let written = updates.len();
        updates.append(&mut sink.0);
        match self.load(pipeline.clone(), &updates) {
            Ok(()) => {
                self.objectives = objectives;
                self.pipeliner = pipeliner;
                Ok(())
            }
            Err(TargetError::Entry(error)) if updates.len() > written => {
                // What one objective needs must not keep the others from working.
                tracing::warn!(%error, "realising the objectives one by one");
                updates.truncate(written);
                self.load(pipeline, &updates)?;
                self.pipeliner = pipeliner;
                self.change_objectives(Objectives::restart);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn load(&mut self, pipeline: Pipeline, updates: &[Update]) -> Result<(), TargetError> {
        self.switch.load(pipeline, updates)?;
        self.packet_io.follow(&self.switch);
        self.notices.follow(&self.switch);
        Ok(())
    }

    /// There are other ports: objectives that named one that was not there may be possible.
    pub fn ports_changed(&mut self) -> Option<StateObjectives> {
        self.change_objectives(|objectives, context, sink| {
            let unknown = |wanted: &Wanted| wanted.status.reason == Reason::UnknownPort;
            objectives.retry(unknown, context, sink);
            objectives.ports_turned(context.ports);
        })
    }

    /// Ports have come up or gone down: objectives that use them fare otherwise.
    pub fn ports_turned(&mut self) -> Option<StateObjectives> {
        let ports = self.pipeliner_ports();
        self.objectives.ports_turned(&ports);
        if self.switch.relay().is_some() {
            let held = self.objectives.failovers();
            if let Err(error) = self.switch.ports_turned(self.ports_down(), &held) {
                // It is compared with what is stored when it is back.
                tracing::warn!(%error, "the switch was not told which ports are down");
            }
        }
        self.objectives_record()
    }

    /// The objectives that are the switch's own.
    pub fn local_objectives(&self) -> Vec<Objective> {
        let all = self.objectives.iter();
        let local = all.filter(|wanted| wanted.objective.name.is_local());
        local.map(|wanted| wanted.objective.clone()).collect()
    }

    /// Whether an objective waits until other entries are gone.
    pub fn lacks_room(&self) -> bool {
        self.objectives.iter().any(Wanted::lacks_room)
    }

    /// Entries are gone: objectives that needed their place may be possible.
    pub fn entries_freed(&mut self) -> Option<StateObjectives> {
        if !self.lacks_room() {
            return None;
        }
        self.change_objectives(|objectives, context, sink| {
            objectives.retry(Wanted::lacks_room, context, sink);
        })
    }

    /// What of the objectives has changed, to be kept. The controller is told, too.
    pub fn objectives_record(&mut self) -> Option<StateObjectives> {
        let changed = self.objectives.take_changed();
        let drifts = self.turned_drifts();
        if changed.is_empty() && drifts.is_empty() {
            return None;
        }
        // What is the switch's own is no controller's.
        let told = changed.iter().filter(|id| !id.name.is_local());
        let acks: Vec<_> = told.map(|id| self.objectives.ack(id)).collect();
        self.acks.extend(acks);
        Some(StateObjectives {
            drifts,
            ..self.objectives.to_record(&changed)
        })
    }
}

impl Agent {
    /// Keeps what has changed of objectives outside a batch, and tells the controller.
    pub fn objectives_changed(&self, state: &mut State, record: Option<StateObjectives>) {
        // Nobody is told of more than what follows from what is kept already.
        let _ticket = self.keep_objectives(state, record);
    }

    /// Tells the controller how objectives fare that it has not been told of.
    pub(super) fn tell_controller(&self, state: &mut State) {
        self.lives.notify_one();
        let acks = std::mem::take(&mut state.acks);
        let master = self.mastership.primary(&RoleName::default());
        match master.filter(|stream| self.streams.controller(*stream).is_some()) {
            Some(stream) if !acks.is_empty() => {
                let revision = state.objectives.revision;
                let note = StreamNote::Acks { acks, revision };
                self.streams.tell(stream, note);
            }
            // The next controller is told in its hello.
            _ => {}
        }
    }

    /// Takes a batch of the controller whose stream this is. When it returns, what it reports
    /// survives a restart.
    pub fn take_batch(
        &self,
        stream: StreamId,
        cluster_id: &str,
        batch: Batch,
        reach: Reach,
    ) -> Result<pb::AckBatch, SyncError> {
        let permit = self.mastership.admit_controller(stream);
        let permit = permit.ok_or(SyncError::NotMaster)?;
        let mut state = self.exclusive();
        let is_of_another = state.objectives.cluster_id != cluster_id;
        if is_of_another && !batch.snapshot && !reach.is_difference {
            return Err(SyncError::SnapshotNeeded);
        }
        let revision = reach.revision;
        cluster_id.clone_into(&mut state.objectives.cluster_id);
        state.objectives.revision = revision;
        let size = batch.changes.len();
        let record = state.change_objectives(|objectives, context, sink| {
            objectives.take(batch, context, sink);
        });
        let record = record.unwrap_or_else(|| state.objectives.to_record(&[]));
        self.lives.notify_one();
        let acks = std::mem::take(&mut state.acks);
        let ticket = self.journal.append(StateRecord {
            objectives: Some(record),
            ..StateRecord::default()
        });
        drop(state);
        drop(permit);
        self.compact();
        ticket.wait()?;
        tracing::debug!(revision, changes = size, "objectives taken");
        Ok(pb::AckBatch {
            acks,
            revision,
            ..pb::AckBatch::default()
        })
    }

    /// What is held of what the controller has asked for, and the revision that it is at. Only a batch changes that, and
    /// the controller's stream takes none meanwhile; so the state is not locked for longer than for some objectives.
    pub fn inquire(&self, inquiry: &mut Inquiry) -> u64 {
        let mut last = None;
        loop {
            let state = self.shared();
            let next = state.objectives.inquire(inquiry, last.as_ref(), LOOKED_AT);
            match next {
                Some(next) => last = Some(next),
                None => return state.objectives.revision,
            }
        }
    }

    /// Changes objectives that are the switch's own. How they fare is in their status; nobody waits for the disk.
    pub fn change_local_objectives(&self, changes: Vec<Change>) {
        let changes = changes.into_iter().map(|change| (change, 0));
        let batch = Batch {
            changes: changes.collect(),
            ..Batch::default()
        };
        let mut state = self.exclusive();
        let record = state.change_objectives(|objectives, context, sink| {
            objectives.take(batch, context, sink);
        });
        self.objectives_changed(&mut state, record);
        drop(state);
        self.compact();
    }

    /// Would these changes, one after the other, be accepted? Changes nothing.
    pub fn check_objectives(&self, changes: Vec<Change>) -> Vec<Status> {
        let state = self.shared();
        let ports = state.pipeliner_ports();
        let context = Context {
            pipeliner: state.pipeliner.get(),
            ports: &ports,
            now: now(),
        };
        let mut objectives = state.objectives.clone();
        let ids: Vec<_> = changes.iter().map(|change| change.objective.id()).collect();
        let batch = Batch {
            changes: changes.into_iter().map(|change| (change, 0)).collect(),
            ..Batch::default()
        };
        match DrySink::new(&state.switch) {
            Some(mut sink) => objectives.take(batch, &context, &mut sink),
            None => objectives.take(batch, &context, &mut RecordingSink::default()),
        }
        let status = |id| objectives.get(id).map(|wanted| wanted.status.clone());
        let gone = || Status::applied(0);
        ids.iter()
            .map(|id| status(id).unwrap_or_else(gone))
            .collect()
    }
}

/// How far a batch of a controller brings the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// What is wanted is what was wanted at this revision.
    pub revision: u64,
    /// It is what differs, whatever cluster the switch followed before.
    pub is_difference: bool,
}

/// Why a batch is not taken.
#[derive(Debug, Error)]
pub enum SyncError {
    /// Another controller is master.
    #[error("another controller has taken over with a higher election id")]
    NotMaster,
    /// The revisions are of another cluster.
    #[error("the agent has objectives of another cluster; send a snapshot first")]
    SnapshotNeeded,
    /// The change was made but may not survive a restart.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
