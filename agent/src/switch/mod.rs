//! The switch itself: the loaded pipeline, the store of what was written, and the target
//! that forwards. A plain synchronous structure without clocks or sockets of its own.
//!
//! Many may write and read it at the same time: each locks the parts of the store that its batch
//! touches (see [`Store`]), and the data plane has locks of its own. To load a pipeline or to change ports
//! takes the switch alone.
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
mod relayed;
mod store;
mod transaction;
mod write;

pub use error::UpdateError;
pub use pipeline::{Pipeline, PipelineError, PipelineSource};
pub use store::{
    Access, CowMap, Footprint, Locked, OneShotGroup, Part, Store, StoredDefault, StoredEntry,
    StoredGroup, StoredMember, Written,
};
pub use transaction::{Savepoint, Transaction};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pointsman_p4::dataplane::{DataPlane, Occupancy};
use pointsman_p4::interpreter::{Packet, Trace};
use write::{Undo, Writer};

use crate::entity::{Entity, Update};
use crate::schema::TableSchema;
use crate::target::relay::{Compared, Differences, Relay, RelayError};
use crate::target::store_only::StoreOnly;
use crate::target::{PacketOut, Target, TargetError};

/// A switch.
pub struct Switch {
    target: Box<dyn Target>,
    /// Holds the entries of a pipeline that has nothing to run.
    store_only: StoreOnly,
    loaded: Option<Loaded>,
    /// Updates that were applied since the start, those that were taken back among them.
    written: AtomicU64,
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
            written: AtomicU64::new(0),
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

    /// The pipeline and all that was written to it; nobody writes while this is held.
    pub fn contents(&self) -> Option<(&Pipeline, Locked<'_>)> {
        let loaded = self.loaded.as_ref()?;
        Some((&loaded.pipeline, loaded.store.read()))
    }

    /// These parts of the switch, to be read; nobody writes them while the view is held.
    pub fn view(&self, footprint: &Footprint) -> Option<View<'_>> {
        let loaded = self.loaded.as_ref()?;
        Some(View {
            pipeline: &loaded.pipeline,
            store: loaded.store.lock(footprint),
            plane: self.holder(loaded).plane()?,
        })
    }

    /// All parts of the switch, to be read.
    pub fn view_all(&self) -> Option<View<'_>> {
        self.view(&self.loaded.as_ref()?.store.footprint(Access::Read))
    }

    /// How full each table of the pipeline is. What is being written counts as far as it is.
    pub fn occupancies(&self) -> Vec<(&TableSchema, Occupancy)> {
        let loaded = self.loaded.as_ref();
        let plane = loaded.and_then(|loaded| self.holder(loaded).plane());
        let (Some(loaded), Some(plane)) = (loaded, plane) else {
            return Vec::new();
        };
        let tables = loaded.pipeline.schema.tables.iter();
        let tables = tables.map(|table| (table, plane.occupancy(table.table)));
        tables.collect()
    }

    /// The counters and register cells that are not zero, as updates that would set them.
    pub fn counts(&self) -> Vec<Update> {
        let view = self.view_all();
        view.map_or_else(Vec::new, |view| counts::counts(&view))
    }

    /// What forwards.
    pub fn target(&self) -> &dyn Target {
        self.target.as_ref()
    }

    /// What forwards.
    pub fn target_mut(&mut self) -> &mut dyn Target {
        self.target.as_mut()
    }

    /// What would happen to a packet; nothing does.
    pub fn trace(&self, packet: &Packet) -> Result<Trace, TargetError> {
        match &self.loaded {
            None => Err(TargetError::NoPipeline),
            Some(loaded) if loaded.pipeline.is_p4info_only() => Err(TargetError::NoProgram),
            Some(loaded) if !loaded.pipeline.is_understood => Err(TargetError::Opaque),
            Some(_) => self.target.trace(packet),
        }
    }

    /// By which packets go through the pipeline. Another pipeline may have another one.
    pub fn packet_out(&self) -> Option<Arc<dyn PacketOut>> {
        let loaded = self.loaded.as_ref()?;
        Some(self.holder(loaded).packet_out())
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
        let store = Store::new(&pipeline.program, &pipeline.schema);
        let mut fill = |plane: &dyn DataPlane| {
            let mut writer = Writer {
                schema: &pipeline.schema,
                store: store.lock(&store.footprint(Access::Write)),
                plane,
                references: store.references(),
                is_restoring: true,
            };
            let mut undo = Undo::Never;
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
        let before = self.loaded.replace(Loaded { pipeline, store });
        if let Err(error) = self.bring_in_step(Differences::AsConfigured) {
            // The switch has the new pipeline and lacks entries of it: it gets the old one again.
            if let Some(before) = before {
                let updates = before.store.read().updates();
                if let Err(error) = self.load(before.pipeline, &updates) {
                    tracing::error!(%error, "the pipeline before this one is not back on the switch");
                }
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// Makes a switch in another process hold what is stored.
    pub fn bring_in_step(&self, differences: Differences) -> Result<Compared, RelayError> {
        match (self.relay(), &self.loaded) {
            (Some(relay), Some(loaded)) => {
                let updates = loaded.store.read().updates();
                relay.bring_in_step(&loaded.pipeline, &updates, differences)
            }
            _ => Ok(Compared::default()),
        }
    }

    /// Tells a switch in another process which of its ports are down, and what it holds that may go another way.
    pub fn ports_turned(&self, down: BTreeSet<u32>, held: &[Entity]) -> Result<(), RelayError> {
        match (self.relay(), self.pipeline()) {
            (Some(relay), Some(pipeline)) => relay.ports_turned(&pipeline.schema, down, held),
            _ => Ok(()),
        }
    }

    /// The way to a switch in another process, if the target has one and the pipeline runs there.
    pub fn relay(&self) -> Option<Arc<dyn Relay>> {
        let runs = |loaded: &Loaded| !loaded.pipeline.is_p4info_only();
        match self.loaded.as_ref().is_some_and(runs) {
            true => self.target.relay(),
            false => None,
        }
    }

    /// Starts to write these parts of the switch, when nobody else does. `None` without a pipeline.
    pub fn begin(&self, footprint: &Footprint) -> Option<Transaction<'_>> {
        let loaded = self.loaded.as_ref()?;
        let writer = Writer {
            schema: &loaded.pipeline.schema,
            store: loaded.store.lock(footprint),
            plane: self.holder(loaded).plane()?,
            references: loaded.store.references(),
            is_restoring: false,
        };
        Some(Transaction::new(writer, self.relay(), &self.written))
    }

    /// How many updates were applied since the start, those that were taken back among them. What is loaded with a
    /// pipeline does not count.
    pub fn updates_written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Starts to write whatever there is.
    pub fn begin_all(&self) -> Option<Transaction<'_>> {
        self.begin(&self.loaded.as_ref()?.store.footprint(Access::Write))
    }

    /// What holds the entries of the pipeline that is loaded.
    fn holder(&self, loaded: &Loaded) -> &dyn Target {
        match loaded.pipeline.is_p4info_only() {
            true => &self.store_only,
            false => &*self.target,
        }
    }
}

/// Parts of a switch as they are.
pub struct View<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// What was written to it.
    pub store: Locked<'a>,
    /// The data plane, whose counters can be read.
    pub plane: &'a dyn DataPlane,
}
