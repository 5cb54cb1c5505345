//! Bringing the server in step: its pipeline and everything in it are compared with what is stored, what differs
//! is logged, and repaired unless the operator wants to hear of it only.

use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
use tonic::{Code, Status};

use super::difference::{Difference, difference, key};
use super::link::Link;
use super::options::Policy;
use super::outcome::Outcome;
use super::{batch, survey};
use crate::entity::{Entity, Operation, Update};
use crate::schema::Schema;
use crate::switch::Pipeline;
use crate::target::relay::{Compared, Differences, RelayError};

/// Differences that are logged one by one.
const LOGGED: usize = 20;

/// Makes the server hold a pipeline and what is stored for it.
pub(super) fn bring_in_step(
    link: &Link,
    pipeline: &Pipeline,
    updates: &[Update],
    differences: Differences,
) -> Result<Compared, RelayError> {
    let policy = match differences {
        Differences::AsConfigured => link.options.policy,
        Differences::PutRight => Policy::Repair,
    };
    take_pipeline(link, pipeline, policy)?;
    let schema = &pipeline.schema;
    let declared = survey::declared(pipeline);
    let mut found = Vec::new();
    for answer in survey::everything(link, schema) {
        match answer.found {
            Ok(entities) => found.extend(entities),
            Err(status) if status.code() == Code::Unavailable => {
                return Err(refused(link, &status));
            }
            Err(status) => {
                let about = answer.question.about;
                tracing::info!(about, %status, "the switch does not say what it has");
                // Then it is taken to have what the program has given it.
                let silent = answer.question.table;
                let given = declared.iter().filter(|e| Some(e.key.table) == silent);
                found.extend(given.cloned().map(Entity::TableEntry));
            }
        }
    }
    let declared = declared.into_iter().map(|entry| entry.key).collect();
    let difference = difference(updates, &declared, found);
    let counts: Vec<Update> = updates
        .iter()
        .filter(|u| survey::is_counted(u))
        .cloned()
        .collect();
    log(link, schema, &difference, policy);
    let entities = difference.put.iter().map(|update| update.entity.clone());
    let compared = Compared {
        place: link.options.address.clone(),
        differing: entities.zip(difference.found.iter().cloned()).collect(),
        is_repaired: policy == Policy::Repair,
    };
    if policy == Policy::Report {
        return Ok(compared);
    }
    let failed = repair(link, schema, difference, &counts)?;
    match failed.into_iter().next() {
        None => Ok(compared),
        Some(first) => Err(RelayError::NotInStep {
            failed: 1,
            wanted: updates.len(),
            first,
        }),
    }
}

fn take_pipeline(link: &Link, pipeline: &Pipeline, policy: Policy) -> Result<(), RelayError> {
    match survey::runs(link, pipeline) {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(status) => return Err(refused(link, &status)),
    }
    let address = &link.options.address;
    if policy == Policy::Report {
        return Err(RelayError::Away(format!(
            "the switch at {address} runs another pipeline, and is not to be repaired"
        )));
    }
    tracing::info!(
        switch = %address, pipeline = pipeline.schema.name,
        "the switch does not run the stored pipeline: setting it"
    );
    survey::set_pipeline(link, pipeline, Action::VerifyAndCommit).map_err(|e| refused(link, &e))
}

fn log(link: &Link, schema: &Schema, difference: &Difference, policy: Policy) {
    let switch = &link.options.address;
    if difference.is_none() {
        tracing::info!(%switch, "the switch holds what is stored");
        return;
    }
    tracing::warn!(
        %switch, differ = difference.put.len(), unknown = difference.extra.len(),
        %policy, "the switch does not hold what is stored"
    );
    for update in difference.put.iter().take(LOGGED) {
        let entity = schema.describe(&update.entity);
        match update.operation {
            Operation::Insert => tracing::info!(entity, "missing on the switch"),
            Operation::Modify | Operation::Delete => {
                tracing::info!(entity, "differs on the switch")
            }
        }
    }
    for update in difference.extra.iter().take(LOGGED) {
        let entity = schema.describe(&update.entity);
        tracing::info!(entity, "on the switch, and not stored");
    }
}

/// Writes what differs. Returns what the server refused, with its reasons.
fn repair(
    link: &Link,
    schema: &Schema,
    difference: Difference,
    counts: &[Update],
) -> Result<Vec<String>, RelayError> {
    let (entries, rest): (Vec<_>, Vec<_>) = difference
        .extra
        .into_iter()
        .partition(|update| matches!(key(&update.entity), Some(super::difference::Key::Entry(_))));
    let mut refusals = Vec::new();
    // Entries that nobody knows take room; groups and members may be in use until all else is right.
    for updates in [entries, difference.put, rest, counts.to_vec()] {
        let mut outcomes = batch::write(link, schema, &updates)?;
        replace_what_was_not_seen(link, schema, &updates, &mut outcomes)?;
        for (update, outcome) in updates.iter().zip(outcomes) {
            if let Outcome::Refused { code, message } = outcome {
                let entity = schema.describe(&update.entity);
                tracing::warn!(entity, ?code, message, "the switch cannot be repaired");
                refusals.push(format!("{entity}: {message}"));
            }
        }
    }
    Ok(refusals)
}

/// What a server has but does not show is modified where it could not be inserted.
fn replace_what_was_not_seen(
    link: &Link,
    schema: &Schema,
    updates: &[Update],
    outcomes: &mut [Outcome],
) -> Result<(), RelayError> {
    let hidden = updates.iter().zip(&*outcomes).enumerate();
    let hidden = hidden.filter(|(_, (update, outcome))| {
        let exists =
            matches!(outcome, Outcome::Refused { code, .. } if *code == Code::AlreadyExists);
        exists && update.operation == Operation::Insert
    });
    let hidden: Vec<usize> = hidden.map(|(index, _)| index).collect();
    if hidden.is_empty() {
        return Ok(());
    }
    let modify = |index: &usize| Update::modify(updates[*index].entity.clone());
    let modifications: Vec<Update> = hidden.iter().map(modify).collect();
    let written = batch::write(link, schema, &modifications)?;
    for (index, outcome) in hidden.into_iter().zip(written) {
        outcomes[index] = outcome;
    }
    Ok(())
}

/// A call that failed as a whole.
pub(super) fn refused(link: &Link, status: &Status) -> RelayError {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => RelayError::Away(format!(
            "the switch at {}: {}",
            link.options.address,
            status.message()
        )),
        code => RelayError::Refused {
            code,
            message: status.message().to_owned(),
        },
    }
}
