//! Messages of the key-value store, to and from its own types.

use pb::kv_condition::Holds;
use pb::kv_operation::Operation as PbOperation;
use pointsman_proto::pointsman::controller::v1 as pb;
use tonic::Status;

use crate::state::kv::{
    Condition, Entry, EntryKey, KeyError, KvRefusal, KvRevision, LeaseId, Operation,
    OperationResult, Transaction, check_namespace,
};

/// A name that is none, as a status.
pub fn key_error(error: KeyError) -> Status {
    Status::invalid_argument(error.to_string())
}

/// A refusal, with its code.
pub fn refusal(refusal: &KvRefusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        KvRefusal::NoSuchLease(_) => Status::not_found(message),
        KvRefusal::BadTtl(_)
        | KvRefusal::LargeValue { .. }
        | KvRefusal::LargeTransaction
        | KvRefusal::TwiceInTransaction(_)
        | KvRefusal::TooManyDeleted(_) => Status::invalid_argument(message),
        KvRefusal::TooManyEntries { .. }
        | KvRefusal::TooManyBytes { .. }
        | KvRefusal::TooManyLeases
        | KvRefusal::FullLease(_)
        | KvRefusal::TooManyLocks
        | KvRefusal::TooManyWaiting(_) => Status::resource_exhausted(message),
    }
}

/// A lease as messages say it: zero is none.
pub fn lease(lease: u64) -> Option<LeaseId> {
    (lease != 0).then_some(LeaseId(lease))
}

/// What begins all keys that are meant; empty for a whole namespace.
pub fn prefix(namespace: &str, prefix: &str) -> Result<EntryKey, Status> {
    check_namespace(namespace).map_err(key_error)?;
    Ok(EntryKey::first(namespace, prefix))
}

/// An entry as messages carry it.
pub fn entry(key: &EntryKey, entry: &Entry, with_value: bool) -> pb::KvEntry {
    pb::KvEntry {
        namespace: key.namespace().to_owned(),
        key: key.key().to_owned(),
        value: match with_value {
            true => entry.value.to_vec(),
            false => Vec::new(),
        },
        created_revision: entry.created.0,
        revision: entry.modified.0,
        lease: entry.lease.map_or(0, |lease| lease.0),
    }
}

/// A transaction that is asked for.
pub fn transaction(request: &pb::KvTransactRequest) -> Result<Transaction, Status> {
    let operations = |operations: &[pb::KvOperation], list: &str| {
        let operations = operations.iter().enumerate();
        let operations = operations.map(|(index, asked)| {
            operation(asked).map_err(|error| at(&format!("{list}[{index}]"), &error))
        });
        operations.collect::<Result<Vec<_>, _>>()
    };
    let conditions = request.conditions.iter().enumerate();
    let conditions = conditions.map(|(index, asked)| {
        condition(asked).map_err(|error| at(&format!("conditions[{index}]"), &error))
    });
    Ok(Transaction {
        conditions: conditions.collect::<Result<_, _>>()?,
        then: operations(&request.then, "then")?,
        otherwise: operations(&request.otherwise, "otherwise")?,
    })
}

/// What an operation did, as messages carry it.
pub fn result(asked: &pb::KvOperation, result: OperationResult) -> pb::KvOperationResult {
    match result {
        OperationResult::Got(found) => {
            let key = EntryKey::first(&asked.namespace, &asked.key);
            pb::KvOperationResult {
                entry: found.map(|found| entry(&key, &found, true)),
                deleted: 0,
            }
        }
        OperationResult::Put => pb::KvOperationResult::default(),
        OperationResult::Deleted(deleted) => pb::KvOperationResult {
            entry: None,
            deleted,
        },
    }
}

fn at(place: &str, error: &Status) -> Status {
    Status::invalid_argument(format!("{place}: {}", error.message()))
}

fn condition(asked: &pb::KvCondition) -> Result<Condition, Status> {
    let key = EntryKey::new(&asked.namespace, &asked.key).map_err(key_error)?;
    Ok(match &asked.holds {
        Some(Holds::Exists(true)) => Condition::Exists(key),
        Some(Holds::Exists(false)) => Condition::Missing(key),
        Some(Holds::Revision(revision)) => Condition::Revision(key, KvRevision(*revision)),
        Some(Holds::Value(value)) => Condition::Value(key, value.clone().into()),
        Some(Holds::LockToken(token)) => Condition::Locked(key, KvRevision(*token)),
        None => {
            return Err(Status::invalid_argument(
                "it says nothing; give exists, revision, value or lock_token",
            ));
        }
    })
}

fn operation(asked: &pb::KvOperation) -> Result<Operation, Status> {
    let key = || EntryKey::new(&asked.namespace, &asked.key).map_err(key_error);
    Ok(match &asked.operation {
        Some(PbOperation::Get(_)) => Operation::Get(key()?),
        Some(PbOperation::Put(put)) => Operation::Put {
            key: key()?,
            value: put.value.clone().into(),
            lease: lease(put.lease),
        },
        Some(PbOperation::Delete(delete)) if delete.prefix => {
            Operation::DeletePrefix(prefix(&asked.namespace, &asked.key)?)
        }
        Some(PbOperation::Delete(_)) => Operation::Delete(key()?),
        None => {
            return Err(Status::invalid_argument(
                "it does nothing; give get, put or delete",
            ));
        }
    })
}
