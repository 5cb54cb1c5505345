//! The switch itself: the loaded pipeline, the store of what was written, and the target
//! that forwards. A plain synchronous structure without clocks or sockets of its own.
//!
//! [`Transaction`] is the one path to the data plane: P4Runtime's Write, objectives and the
//! restoring of saved state all go through it. Who may write is not decided here but in
//! [`crate::arbitration`]; keeping it on disk is [`crate::journal`]'s part.
//!
//! # Invariants
//!
//! 1. The store holds exactly what the data plane was told and did not refuse.
//! 2. There is a store exactly if there is a pipeline, and its ids are of that pipeline.

mod counts;
mod error;
mod pipeline;
mod store;
mod write;

pub use error::UpdateError;
pub use pipeline::{Pipeline, PipelineError, PipelineSource};
pub use store::{OneShotGroup, Store, StoredEntry, StoredGroup, StoredMember};

use pointsman_p4::dataplane::DataPlane;
use write::{Undo, Writer};

use crate::entity::Update;
use crate::target::store_only::StoreOnly;
use crate::target::{Target, TargetError};

/// A switch.
pub struct Switch {
    target: Box<dyn Target>,
    /// Holds the entries of a pipeline that has nothing to run.
    store_only: StoreOnly,
    loaded: Option<Loaded>,
}

struct Loaded {
    pipeline: Pipeline,
    store: Store,
}

impl Switch {
    /// A switch without a pipeline.
    pub fn new(target: Box<dyn Target>) -> Switch {
        Switch {
            target,
            store_only: StoreOnly::default(),
            loaded: None,
        }
    }

    /// A switch that holds a pipeline and forwards nothing.
    pub fn draft(pipeline: Pipeline, entities: &[Update]) -> Result<Switch, TargetError> {
        let mut draft = Switch::new(Box::new(StoreOnly::default()));
        draft.load(pipeline, entities)?;
        Ok(draft)
    }

    /// The pipeline that forwards.
    pub fn pipeline(&self) -> Option<&Pipeline> {
        self.loaded.as_ref().map(|loaded| &loaded.pipeline)
    }

    /// The pipeline and what was written to it.
    pub fn contents(&self) -> Option<(&Pipeline, &Store)> {
        let loaded = self.loaded.as_ref()?;
        Some((&loaded.pipeline, &loaded.store))
    }

    /// The pipeline, what was written to it, and the data plane, whose counters can be read.
    pub fn inspect(&self) -> Option<(&Pipeline, &Store, &dyn DataPlane)> {
        let loaded = self.loaded.as_ref()?;
        let plane = holder(&*self.target, &self.store_only, loaded).plane()?;
        Some((&loaded.pipeline, &loaded.store, plane))
    }

    /// The counters and register cells that are not zero, as updates that would set them.
    pub fn counts(&self) -> Vec<Update> {
        match self.inspect() {
            Some((pipeline, store, plane)) => counts::counts(&pipeline.schema, store, plane),
            None => Vec::new(),
        }
    }

    /// What forwards.
    pub fn target(&self) -> &dyn Target {
        self.target.as_ref()
    }

    /// What forwards.
    pub fn target_mut(&mut self) -> &mut dyn Target {
        self.target.as_mut()
    }

    /// Sends a packet through the pipeline.
    pub fn packet_out(&mut self, packet: &[u8]) -> Result<(), TargetError> {
        match self.pipeline().ok_or(TargetError::NoPipeline)? {
            pipeline if pipeline.is_p4info_only() => self.store_only.packet_out(packet),
            _ => self.target.packet_out(packet),
        }
    }

    /// Would this pipeline be taken?
    pub fn verify(&self, pipeline: &Pipeline) -> Result<(), TargetError> {
        match pipeline.is_p4info_only() {
            true => Ok(()),
            false => self.target.verify(pipeline),
        }
    }

    /// Loads a pipeline with these entities, in order. If that fails, all stays as it was.
    pub fn load(&mut self, pipeline: Pipeline, entities: &[Update]) -> Result<(), TargetError> {
        let mut store = Store::new(&pipeline.program, &pipeline.schema);
        let mut fill = |plane: &dyn DataPlane| {
            let mut writer = Writer {
                schema: &pipeline.schema,
                store: &mut store,
                plane,
            };
            let mut undo = Undo::new();
            let mut updates = entities.iter();
            updates.try_for_each(|update| writer.apply(update, &mut undo))
        };
        if pipeline.is_p4info_only() {
            self.store_only.load(&pipeline, &mut fill)?;
            self.target.unload()?;
        } else {
            self.target.load(&pipeline, &mut fill)?;
            self.store_only.unload()?;
        }
        self.loaded = Some(Loaded { pipeline, store });
        Ok(())
    }

    /// Starts to write. `None` without a pipeline.
    pub fn begin(&mut self) -> Option<Transaction<'_>> {
        let loaded = self.loaded.as_mut()?;
        let plane = holder(&*self.target, &self.store_only, loaded).plane()?;
        let writer = Writer {
            schema: &loaded.pipeline.schema,
            store: &mut loaded.store,
            plane,
        };
        Some(Transaction {
            writer,
            undo: Undo::new(),
        })
    }
}

/// What holds the entries of the pipeline that is loaded.
fn holder<'a>(
    target: &'a dyn Target,
    store_only: &'a StoreOnly,
    loaded: &Loaded,
) -> &'a dyn Target {
    match loaded.pipeline.is_p4info_only() {
        true => store_only,
        false => target,
    }
}

/// Updates that can still be taken back. Each is visible to the next packet once applied;
/// dropping the transaction keeps them.
pub struct Transaction<'a> {
    writer: Writer<'a>,
    undo: Undo,
}

/// A point of a transaction to go back to.
#[derive(Debug, Clone, Copy)]
pub struct Savepoint(usize);

impl Savepoint {
    /// The point after so many updates.
    pub fn at(updates: usize) -> Savepoint {
        Savepoint(updates)
    }

    /// How many updates came before.
    pub fn updates(self) -> usize {
        self.0
    }
}

impl Transaction<'_> {
    /// Applies one update, wholly or not at all.
    pub fn apply(&mut self, update: &Update) -> Result<(), UpdateError> {
        self.writer.apply(update, &mut self.undo)
    }

    /// Where the transaction is now.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Takes back what was applied after a savepoint.
    pub fn roll_back_to(&mut self, savepoint: Savepoint) {
        let undo = self.undo.split_off(savepoint.0.min(self.undo.len()));
        self.writer.roll_back(undo);
    }
}
