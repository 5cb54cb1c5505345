//! From flow objectives to entities of the loaded pipeline.
//!
//! A manifest (`pipeline.yaml`) says which objective, with which criteria, becomes which entries
//! of which tables: that is data, and no code here names a table, an action or a field of a
//! pipeline. Everything is pure: no I/O, no clock, no task.
//!
//! ```text
//! Objective --facts--> Facts --rules--> Rules that apply --make, value--> Entities
//! Entities --book--> Staged: ordered updates, shared entities counted, conflicts refused
//! ```
//!
//! [`Book`] is what is realised. [`Pipeliner::put`] and [`Pipeliner::delete`] work out a change to
//! it as a [`Staged`]; whoever writes that to the data plane commits it to the book afterwards.
//! Called by the agent, which writes the entities to its switch, and by `pointsman check`, which
//! writes nothing.

mod book;
mod check;
mod drift;
mod facts;
mod ids;
mod make;
mod manifest;
mod merge;
mod own;
mod ports;
mod read;
mod refusal;
mod rules;
mod staged;
mod translate;
mod value;

pub use book::{Book, EntityKey, Owned, Undo};
pub use drift::{Drift, Drifted, Writer};
pub use ids::Ids;
pub use merge::merge;
pub use ports::Ports;
pub use refusal::Refusal;
pub use staged::Staged;

use std::collections::BTreeSet;

use pointsman_model::{Kind, Name, Next, Objective, ObjectiveId, ObjectiveKind, Problems};
use pointsman_p4::programs;
use pointsman_proto::pointsman::objective::v1::Reason;

use book::{Conflict, Realised};
use manifest::Manifest;
use pointsman_p4::entity::Entity;
use pointsman_p4::schema::Schema;
use translate::{Surroundings, translate};

/// A manifest that fits the pipeline it was read for.
#[derive(Debug, Clone)]
pub struct Pipeliner {
    manifest: Manifest,
    /// Names for messages.
    schema: Schema,
}

impl Pipeliner {
    /// Reads a manifest for a pipeline. `file` is what messages call it. Everything that is wrong
    /// is reported at once, with line and column; so is every name that the pipeline lacks.
    pub fn new(file: &str, manifest: &str, schema: &Schema) -> Result<Pipeliner, Problems> {
        let manifest = read::read(file, manifest, schema)?;
        Ok(Pipeliner {
            manifest,
            schema: schema.clone(),
        })
    }

    /// The manifest that comes with Pointsman and fits this pipeline, if there is one.
    pub fn find(schema: &Schema) -> Option<Pipeliner> {
        let fits = |(name, manifest): &(&str, &str)| Pipeliner::new(name, manifest, schema).ok();
        programs::MANIFESTS.iter().find_map(fits)
    }

    /// The pipeline's name in messages.
    pub fn name(&self) -> &str {
        &self.manifest.pipeline
    }

    /// What it takes to realise `objective`, be it new or another version of one that is realised.
    pub fn put(
        &self,
        book: &Book,
        ports: &Ports,
        objective: &Objective,
    ) -> Result<Staged, Refusal> {
        let realised = self.realise(book, ports, objective, None)?;
        self.check_idle(objective, realised.1.as_ref())?;
        let mut changes = vec![realised];
        if let ObjectiveKind::Next(next) = &objective.kind {
            // Nexts that hold this one in a bucket have its treatment inlined.
            for user in book.users(&objective.name) {
                let Some(user) = book
                    .objective(&user)
                    .filter(|user| user.kind() == Kind::Next)
                else {
                    continue;
                };
                changes.push(self.realise(book, ports, user, Some((&objective.name, next)))?);
            }
        }
        self.stage(book, changes)
    }

    /// Whether a packet that meets this entry can be noticed later: by when it was last hit, or by what it counts.
    pub fn tells_hits(&self, entity: &Entity) -> bool {
        let Entity::TableEntry(entry) = entity else {
            return false;
        };
        let table = self.schema.table_of(entry.key.table);
        table.is_some_and(|table| table.idle_timeout || table.direct_counter.is_some())
    }

    /// An idle timeout needs an entry that tells of packets.
    fn check_idle(
        &self,
        objective: &Objective,
        realised: Option<&Realised>,
    ) -> Result<(), Refusal> {
        if objective.attributes.timeout.idle.is_none() {
            return Ok(());
        }
        let entities = realised.map(|realised| realised.translation.entities.as_slice());
        let entities = entities.unwrap_or_default();
        if entities.iter().any(|entity| self.tells_hits(entity)) {
            return Ok(());
        }
        let tables = entities.iter().filter_map(|entity| match entity {
            Entity::TableEntry(entry) => self.schema.table_of(entry.key.table),
            _ => None,
        });
        let tables: BTreeSet<_> = tables.map(|table| table.name.as_str()).collect();
        let tables: Vec<_> = tables.into_iter().collect();
        let message = format!(
            "pipeline {} cannot tell when a packet last met it: {} has neither idle timeouts nor direct counters; use `hard`",
            self.name(),
            tables.join(", ")
        );
        Err(Refusal::unsupported(message).at("timeout.idle"))
    }

    /// What it takes to do without an objective. A next that others refer to stays.
    pub fn delete(&self, book: &Book, id: &ObjectiveId) -> Result<Staged, Refusal> {
        if !book.contains(id) {
            return Err(Refusal::new(
                Reason::NoSuchObjective,
                format!("there is no {id}"),
            ));
        }
        let users = if id.kind == Kind::Next {
            book.users(&id.name)
        } else {
            Vec::new()
        };
        if let Some(first) = users.first() {
            let others = match users.len() - 1 {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            let message = format!("{id} is in use by {first}{others}; delete those first");
            return Err(Refusal::new(Reason::NextInUse, message));
        }
        self.stage(book, vec![(id.clone(), None)])
    }

    fn stage(
        &self,
        book: &Book,
        changes: Vec<(ObjectiveId, Option<Realised>)>,
    ) -> Result<Staged, Refusal> {
        book.stage(changes).map_err(|conflict| {
            let Conflict { id, owner, held } = *conflict;
            let held = self.schema.describe(&held);
            let message = if id == owner {
                format!("{id} contradicts itself: one part of it needs {held}")
            } else {
                format!("{id} contradicts {owner}, which needs {held}; change or delete that first")
            };
            Refusal {
                rival: (id != owner).then_some(owner),
                ..Refusal::new(Reason::Conflict, message)
            }
        })
    }

    /// Translates an objective, with one next already as it will be.
    fn realise(
        &self,
        book: &Book,
        ports: &Ports,
        objective: &Objective,
        changed: Option<(&Name, &Next)>,
    ) -> Result<(ObjectiveId, Option<Realised>), Refusal> {
        let next = |name: &Name| match changed {
            Some((changed, next)) if changed == name => Some(next),
            _ => book.next(name),
        };
        let surroundings = Surroundings {
            ports,
            ids: book.ids(),
            schema: &self.schema,
            next: &next,
        };
        let translation = translate(&self.manifest, objective, &surroundings)?;
        let realised = Realised {
            objective: objective.clone(),
            translation,
        };
        Ok((objective.id(), Some(realised)))
    }
}
