//! Write: checks in the order of the specification, then one update after the other.
//!
//! The parts of the switch that a request touches are its own from the first update until all that was
//! applied is in the journal; requests that touch other parts go on meanwhile.

use std::sync::Arc;

use pointsman_model::ObjectiveId;
use pointsman_p4::dataplane::FORESEEN;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::write_request::Atomicity;
use prost::Message;
use tonic::{Code, Status};

use super::objects::Owner;
use super::reason::Reason;
use super::scope::Scope;
use super::wire::{UpdateReader, WriteRequest};
use super::{decode, request, status, watched};
use crate::agent::{Agent, DriftPolicy};
use crate::authorization::{Caller, Permission};
use crate::entity::{Entity, Operation, Update};
use crate::journal::{Frame, Ticket, UpdatesOf};
use crate::objectives::Objectives;
use crate::pipeliner::{EntityKey, Writer};
use crate::ports::Ports;
use crate::schema::Schema;
use crate::switch::{Footprint, Pipeline, Switch, Transaction, UpdateError};

/// Applies a request. When it returns, what it reports as done is visible to the next packet
/// and survives a restart.
pub fn write(agent: &Agent, caller: &Caller, request: &WriteRequest) -> Result<(), Status> {
    let head = &request.head;
    let atomicity = match Atomicity::try_from(head.atomicity) {
        // A single update is seen whole anyway.
        Ok(Atomicity::DataplaneAtomic) if request.len() <= 1 => Atomicity::RollbackOnError,
        Ok(atomicity) => atomicity,
        Err(_) => {
            return Err(Status::invalid_argument(format!(
                "atomicity {} is not defined; give CONTINUE_ON_ERROR (0), ROLLBACK_ON_ERROR (1) or DATAPLANE_ATOMIC (2)",
                head.atomicity
            )));
        }
    };
    #[allow(deprecated, reason = "it is refused")]
    request::check_role(&head.role, head.role_id)?;
    agent.limits.check_updates(request.len())?;
    request::check_device(agent, head.device_id)?;
    let permit = request::permit(agent, &head.role, head.election_id.as_ref())?;
    let state = agent.shared();
    let (switch, objectives, field) = match &state.draft {
        Some(draft) => (draft, None, UpdatesOf::Saved),
        None => (&state.switch, Some(&state.objectives), UpdatesOf::Running),
    };
    let pipeline = switch.pipeline().ok_or_else(status::no_pipeline)?;
    let role_config = permit.role_config().cloned();
    let p4info = &pipeline.source.p4info;
    let is_elsewhere = state.switch.target().relay().is_some();
    let rules = Rules {
        scope: Scope::new(caller, Permission::Write, &head.role, role_config, p4info),
        objectives,
        may_touch: state.drifting.policy != DriftPolicy::Refuse,
        ports: (!is_elsewhere).then_some(&state.ports),
    };
    let mut has_touched = false;
    let keep = |written: &Outcome, frame: Option<Frame>| {
        let touched: Vec<_> = written.touched(&rules).collect();
        if !touched.is_empty() {
            has_touched = true;
            state.touch(touched, &writer(caller, head));
        }
        if field == UpdatesOf::Running {
            let subscribers = &agent.packet_io.subscribers;
            let kept = written.applied().map(|(_, update)| update);
            agent.notices.written(&written.schema, kept, subscribers);
        }
        frame.map(|frame| agent.journal().append_frame(frame))
    };
    let (outcome, ticket) = apply_to(switch, &rules, request, atomicity, field, keep)?;
    // What a client had may be what an objective waits for.
    let makes_room = outcome.has_deletion() && state.lacks_room();
    drop(state);
    let ticket = match has_touched {
        // It comes later than the other.
        true => agent.written_to_objectives().or(ticket),
        false => ticket,
    };
    drop(permit);
    if makes_room {
        let mut state = agent.exclusive();
        let objectives = state.entries_freed();
        agent.objectives_changed(&mut state, objectives);
    }
    agent.compact();
    if let Some(ticket) = ticket {
        ticket.wait().map_err(|error| status::journal(&error))?;
    }
    outcome.into_result()
}

/// Who a request is from.
fn writer(caller: &Caller, head: &p4::WriteRequest) -> Writer {
    let peer = caller.peer();
    Writer {
        role: head.role.clone(),
        election_id: head
            .election_id
            .as_ref()
            .map(|id| request::election_id(id).0),
        identity: peer
            .identity
            .as_ref()
            .map(|identity| identity.0.to_string()),
        address: peer.address.to_string(),
    }
}

/// What became of a request.
struct Outcome {
    /// For each of its updates, what is to be applied, or was and is not taken back; or why it is not.
    updates: Vec<Result<Update, Refusal>>,
    /// What it was applied to.
    schema: Arc<Schema>,
}

/// Why an update is not applied. Few are refused, and all have a place for one.
type Refusal = Box<p4::Error>;

impl Outcome {
    /// Applies updates one after the other. Those that cannot be have failed already.
    fn apply(&mut self, transaction: &mut Transaction<'_>, rules: &Rules<'_>, all_or_none: bool) {
        let start = transaction.savepoint();
        for position in 0..self.updates.len() {
            if position % FORESEEN == 0 {
                let next = self.updates[position..].iter().take(FORESEEN);
                transaction.foresee(next.flatten());
            }
            if let Ok(update) = &self.updates[position]
                && let Err(refusal) = self.apply_one(transaction, rules, update)
            {
                self.updates[position] = Err(refusal);
            }
            if all_or_none && self.updates[position].is_err() {
                transaction.roll_back_to(start);
                return self.roll_back(position);
            }
        }
    }

    fn apply_one(
        &self,
        transaction: &mut Transaction<'_>,
        rules: &Rules<'_>,
        update: &Update,
    ) -> Result<(), Refusal> {
        let applied = match rules.owner(&update.entity) {
            Some(owner) if !rules.may_touch => Err(UpdateError::Owned {
                what: self.schema.describe(&update.entity),
                owner: owner.to_string(),
            }),
            _ => transaction.apply(update),
        };
        applied.map_err(|error| refusal(&error))
    }

    /// Nothing is applied, because one update was not.
    fn roll_back(&mut self, failed: usize) {
        let rolled_back = refusal(&UpdateError::RolledBack { failed: failed + 1 });
        for (position, update) in self.updates.iter_mut().enumerate() {
            if position != failed {
                *update = Err(rolled_back.clone());
            }
        }
    }

    /// Notes what a switch in another process refused of the updates that were applied here.
    fn note_refused(&mut self, refused: &[(usize, UpdateError)], all_or_none: bool) {
        let Some((first, _)) = refused.first() else {
            return;
        };
        let positions: Vec<usize> = self.applied().map(|(position, _)| position).collect();
        if all_or_none {
            self.roll_back(positions[*first]);
        }
        for (index, error) in refused {
            self.updates[positions[*index]] = Err(refusal(error));
        }
    }

    /// What was applied and not taken back, and where in the request it stands.
    fn applied(&self) -> impl Iterator<Item = (usize, &Update)> + Clone {
        let updates = self.updates.iter().enumerate();
        updates.filter_map(|(position, update)| Some((position, update.as_ref().ok()?)))
    }

    /// What of it is in the data plane for objectives.
    fn touched(&self, rules: &Rules<'_>) -> impl Iterator<Item = EntityKey> {
        let may_be = self.applied().filter(|_| rules.may_touch);
        let entities = may_be.map(|(_, update)| &update.entity);
        let owned = entities.filter(|entity| rules.owner(entity).is_some());
        owned.filter_map(EntityKey::find)
    }

    fn has_deletion(&self) -> bool {
        self.applied()
            .any(|(_, update)| update.operation == Operation::Delete)
    }

    /// What of it survives a restart, as it stands in the request.
    fn to_frame(
        &self,
        field: UpdatesOf,
        request: &WriteRequest,
        rules: &Rules<'_>,
    ) -> Option<Frame> {
        let is_kept = |update: &Update| {
            // What is done to entries of objectives is kept as what has become of them.
            is_kept(update) && !(rules.may_touch && rules.owner(&update.entity).is_some())
        };
        let kept = request.updates().zip(&self.updates);
        let kept = kept.filter(|(_, update)| update.as_ref().is_ok_and(is_kept));
        Frame::of_updates(field, kept.map(|(update, _)| update))
    }

    fn into_result(self) -> Result<(), Status> {
        if self.updates.iter().all(Result::is_ok) {
            return Ok(());
        }
        let errors = self.updates.into_iter();
        let errors =
            errors.map(|update| update.err().map_or_else(p4::Error::default, |error| *error));
        Err(status::batch(&errors.collect::<Vec<_>>()))
    }
}

fn refusal(error: &UpdateError) -> Refusal {
    Box::new(status::error(
        Reason::from(error),
        error.code(),
        error.to_string(),
    ))
}

/// What the updates of a client are held to, beside the pipeline.
struct Rules<'a> {
    /// What is not in it is refused.
    scope: Scope,
    /// Whose entries are theirs.
    objectives: Option<&'a Objectives>,
    /// Clients may write to those; else they are refused.
    may_touch: bool,
    /// Others cannot be watched; `None` if they are known only where packets go.
    ports: Option<&'a Ports>,
}

impl Rules<'_> {
    /// The objective that an entity belongs to.
    fn owner(&self, entity: &Entity) -> Option<&ObjectiveId> {
        self.objectives?.owner(entity)
    }

    /// Reads the updates of a request. Those that cannot be done, whatever the switch holds, have failed
    /// then.
    fn read(
        &self,
        pipeline: &Pipeline,
        request: &WriteRequest,
    ) -> Result<Vec<Result<Update, Refusal>>, Status> {
        let mut reader = UpdateReader::new(&pipeline.schema);
        let mut read = Vec::with_capacity(request.len());
        for bytes in request.updates() {
            // No common update watches a port.
            let common = reader.read(bytes);
            let allowed = common.filter(|(table, _)| self.scope.has(Owner::Object(table.id)));
            if let Some((_, update)) = allowed {
                read.push(Ok(update));
                continue;
            }
            let message = p4::Update::decode(bytes).map_err(|_| request.damage())?;
            read.push(self.decode(pipeline, &message).map_err(Box::new));
        }
        Ok(read)
    }

    /// Reads an update of any kind.
    fn decode(&self, pipeline: &Pipeline, message: &p4::Update) -> Result<Update, p4::Error> {
        let in_scope = message.entity.as_ref().map_or(Ok(()), |entity| {
            self.scope.check(entity, &pipeline.source.p4info)
        });
        in_scope.map_err(|error| {
            status::error(
                Reason::NotAllowed,
                Code::PermissionDenied,
                error.to_string(),
            )
        })?;
        let schema = &pipeline.schema;
        let update = decode::update(schema, message).and_then(|update| {
            self.ports
                .map_or(Ok(()), |ports| watched::check(schema, ports, &update))?;
            Ok(update)
        });
        update.map_err(|error| status::error(Reason::from(&error), error.code(), error.to_string()))
    }
}

/// Applies updates to a switch, as far as `rules` let them. What is applied is
/// given to `keep` before others can see it, so that what depends on each other is kept in the order
/// in which it was applied.
fn apply_to(
    switch: &Switch,
    rules: &Rules<'_>,
    request: &WriteRequest,
    atomicity: Atomicity,
    field: UpdatesOf,
    keep: impl FnOnce(&Outcome, Option<Frame>) -> Option<Ticket>,
) -> Result<(Outcome, Option<Ticket>), Status> {
    let pipeline = switch.pipeline().ok_or_else(status::no_pipeline)?;
    if let Some(relay) = switch.relay() {
        relay.check().map_err(|error| status::relay(&error))?;
    }
    // Before anything is locked, so that one request is read while another is applied.
    let mut outcome = Outcome {
        updates: rules.read(pipeline, request)?,
        schema: pipeline.schema.clone(),
    };
    // What is read is nearly always applied. So this is made now, too.
    let frame = outcome.to_frame(field, request, rules);
    let read = outcome.applied().count();
    let transaction = match atomicity {
        Atomicity::DataplaneAtomic => switch.begin_all(),
        _ => {
            let updates = outcome.applied().map(|(_, update)| update);
            switch.begin(&Footprint::of(&outcome.schema, updates))
        }
    };
    let mut transaction = transaction.ok_or_else(status::no_pipeline)?;
    if atomicity == Atomicity::DataplaneAtomic {
        let batch = |transaction: &mut Transaction<'_>| outcome.apply(transaction, rules, true);
        let seen_at_once = transaction.atomically(batch);
        seen_at_once.map_err(|error| Status::new(error.code(), error.to_string()))?;
        let sent = transaction.send_atomically();
        sent.map_err(|error| status::relay(&error))?;
    } else {
        let all_or_none = atomicity == Atomicity::RollbackOnError;
        if !all_or_none {
            transaction.keep_all();
        }
        let start = transaction.savepoint();
        outcome.apply(&mut transaction, rules, all_or_none);
        let refused = transaction.send();
        if all_or_none && !refused.is_empty() {
            transaction.roll_back_to(start);
        }
        outcome.note_refused(&refused, all_or_none);
    }
    let frame = match outcome.applied().count() == read {
        true => frame,
        false => outcome.to_frame(field, request, rules),
    };
    let ticket = keep(&outcome, frame);
    drop(transaction);
    Ok((outcome, ticket))
}

/// Counts and registers are state of the data plane, which a restart loses.
pub fn is_kept(update: &Update) -> bool {
    !matches!(
        update.entity,
        Entity::Counter(_) | Entity::DirectCounter(..) | Entity::Register(_)
    )
}
