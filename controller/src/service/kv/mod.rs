//! The API of the key-value store.
//!
//! Nothing is decided here: requests become commands of `state::kv`, refusals become codes. `convert` reads and writes
//! messages, `watch` is the stream of changes, `lock` waits for locks.

#[cfg(test)]
mod cluster_tests;
mod convert;
mod lock;
mod watch;

use futures::stream::BoxStream;
use pointsman_proto::pointsman::controller::v1 as pb;
use pointsman_proto::pointsman::controller::v1::kv_server::Kv;
use tonic::{Request, Response, Status};

use super::consistency::catch_up;
use super::store_error;
use crate::kv::KvNode;
use crate::state::kv::{
    Condition, EntryKey, KvRefusal, KvRevision, LeaseId, Operation, OperationResult, Transaction,
    check_namespace,
};
use crate::state::{Command, KvCommand, KvResponse};
use convert::{key_error, refusal};

/// Entries of one answer to List.
const LIST_LIMIT: usize = 1000;
/// Bytes of values in it, so that it stays a message that every client takes.
const LIST_BYTES: usize = 2 << 20;

/// The service on one node.
pub struct KvService {
    node: KvNode,
}

impl KvService {
    /// The service over a node's store.
    pub fn new(node: KvNode) -> Self {
        Self { node }
    }

    async fn submit(&self, command: KvCommand) -> Result<KvResponse, Status> {
        let answer = self.node.store().submit(Command::Kv(command)).await;
        match answer.map_err(store_error)? {
            crate::state::Response::Kv(KvResponse::Refused(refused)) => Err(refusal(&refused)),
            crate::state::Response::Kv(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    async fn transact_all(&self, transaction: Transaction) -> Result<Transacted, Status> {
        match self.submit(KvCommand::Transact(transaction)).await? {
            KvResponse::Transacted {
                succeeded,
                results,
                revision,
            } => Ok(Transacted {
                succeeded,
                results,
                revision,
            }),
            other => Err(unexpected(&other)),
        }
    }

    /// Does one operation if the key is at the revision that is expected.
    async fn change(
        &self,
        key: EntryKey,
        expected: Option<u64>,
        operation: Operation,
    ) -> Result<Transacted, Status> {
        let condition = expected.map(|expected| match expected {
            0 => Condition::Missing(key.clone()),
            revision => Condition::Revision(key.clone(), KvRevision(revision)),
        });
        let transaction = Transaction {
            conditions: condition.into_iter().collect(),
            then: vec![operation],
            otherwise: vec![Operation::Get(key.clone())],
        };
        let done = self.transact_all(transaction).await?;
        if done.succeeded {
            return Ok(done);
        }
        let is = match done.results.first() {
            Some(OperationResult::Got(Some(entry))) => format!("is at revision {}", entry.modified),
            _ => "is not there".to_owned(),
        };
        let wanted = match expected {
            Some(0) | None => "was to be new".to_owned(),
            Some(revision) => format!("was to be at revision {revision}"),
        };
        Err(Status::aborted(format!(
            "{key} {is}, and {wanted}; nothing was changed"
        )))
    }
}

struct Transacted {
    succeeded: bool,
    results: Vec<OperationResult>,
    revision: KvRevision,
}

/// What no store of this version answers.
fn unexpected(answer: &impl std::fmt::Debug) -> Status {
    Status::internal(format!("the store answered {answer:?}"))
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn get(
        &self,
        request: Request<pb::KvGetRequest>,
    ) -> Result<Response<pb::KvGetResponse>, Status> {
        let request = request.into_inner();
        let key = EntryKey::new(&request.namespace, &request.key).map_err(key_error)?;
        catch_up(self.node.store(), request.consistency()).await?;
        self.node.store().read(|state| {
            let entry = state.kv().entry(&key);
            let entry = entry.ok_or_else(|| Status::not_found(format!("there is no key {key}")))?;
            Ok(Response::new(pb::KvGetResponse {
                entry: Some(convert::entry(&key, entry, true)),
                revision: state.kv().revision().0,
            }))
        })
    }

    async fn list(
        &self,
        request: Request<pb::KvListRequest>,
    ) -> Result<Response<pb::KvListResponse>, Status> {
        let request = request.into_inner();
        let start = list_start(&request)?;
        catch_up(self.node.store(), request.consistency()).await?;
        let limit = match request.limit {
            0 => LIST_LIMIT,
            limit => LIST_LIMIT.min(usize::try_from(limit).unwrap_or(LIST_LIMIT)),
        };
        let is_wanted = |key: &EntryKey| {
            (request.namespace.is_empty() || key.namespace() == request.namespace)
                && key.key().starts_with(&request.prefix)
        };
        let answer = self.node.store().read(|state| {
            let mut answer = pb::KvListResponse {
                revision: state.kv().revision().0,
                ..Default::default()
            };
            let mut bytes = 0;
            let entries = state.kv().entries_from(&start);
            let entries = entries.filter(|(key, _)| !is_at(&request, key));
            // In one namespace they stand together; in all of them others are in between.
            let entries =
                entries.take_while(|(key, _)| request.namespace.is_empty() || is_wanted(key));
            for (key, entry) in entries.filter(|(key, _)| is_wanted(key)) {
                let size = if request.keys_only {
                    0
                } else {
                    entry.value.len()
                };
                if answer.entries.len() == limit
                    || (bytes + size > LIST_BYTES && !answer.entries.is_empty())
                {
                    let last = answer.entries.last().expect("there is one");
                    answer.more_after = match request.namespace.is_empty() {
                        true => format!("{}/{}", last.namespace, last.key),
                        false => last.key.clone(),
                    };
                    break;
                }
                bytes += size;
                answer
                    .entries
                    .push(convert::entry(key, entry, !request.keys_only));
            }
            answer
        });
        Ok(Response::new(answer))
    }

    async fn put(
        &self,
        request: Request<pb::KvPutRequest>,
    ) -> Result<Response<pb::KvPutResponse>, Status> {
        let request = request.into_inner();
        let key = EntryKey::new(&request.namespace, &request.key).map_err(key_error)?;
        let operation = Operation::Put {
            key: key.clone(),
            value: request.value.into(),
            lease: convert::lease(request.lease),
        };
        let done = self
            .change(key, request.expected_revision, operation)
            .await?;
        Ok(Response::new(pb::KvPutResponse {
            revision: done.revision.0,
        }))
    }

    async fn delete(
        &self,
        request: Request<pb::KvDeleteRequest>,
    ) -> Result<Response<pb::KvDeleteResponse>, Status> {
        let request = request.into_inner();
        let key = match request.prefix {
            true => convert::prefix(&request.namespace, &request.key)?,
            false => EntryKey::new(&request.namespace, &request.key).map_err(key_error)?,
        };
        let operation = match request.prefix {
            true if request.expected_revision.is_some() => {
                return Err(Status::invalid_argument(
                    "an expected revision is that of one key; delete the keys of a prefix without it",
                ));
            }
            true => Operation::DeletePrefix(key.clone()),
            false => Operation::Delete(key.clone()),
        };
        let done = self
            .change(key, request.expected_revision, operation)
            .await?;
        let deleted = match done.results.first() {
            Some(OperationResult::Deleted(deleted)) => *deleted,
            other => return Err(unexpected(&other)),
        };
        Ok(Response::new(pb::KvDeleteResponse {
            revision: done.revision.0,
            deleted,
        }))
    }

    async fn transact(
        &self,
        request: Request<pb::KvTransactRequest>,
    ) -> Result<Response<pb::KvTransactResponse>, Status> {
        let request = request.into_inner();
        let transaction = convert::transaction(&request)?;
        let done = self.transact_all(transaction).await?;
        let operations = match done.succeeded {
            true => &request.then,
            false => &request.otherwise,
        };
        let results = operations.iter().zip(done.results);
        let results = results.map(|(operation, result)| convert::result(operation, result));
        Ok(Response::new(pb::KvTransactResponse {
            succeeded: done.succeeded,
            results: results.collect(),
            revision: done.revision.0,
        }))
    }

    type WatchStream = BoxStream<'static, Result<pb::KvWatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<pb::KvWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let stream = watch::start(&self.node, request.into_inner()).await?;
        Ok(Response::new(stream))
    }

    async fn grant_lease(
        &self,
        request: Request<pb::GrantLeaseRequest>,
    ) -> Result<Response<pb::GrantLeaseResponse>, Status> {
        let pb::GrantLeaseRequest {
            ttl_milliseconds,
            name,
        } = request.into_inner();
        let grant = KvCommand::Grant {
            ttl_milliseconds,
            name,
        };
        match self.submit(grant).await? {
            KvResponse::Granted(lease) => {
                Ok(Response::new(pb::GrantLeaseResponse { lease: lease.0 }))
            }
            other => Err(unexpected(&other)),
        }
    }

    async fn keep_lease(
        &self,
        request: Request<pb::KeepLeaseRequest>,
    ) -> Result<Response<pb::KeepLeaseResponse>, Status> {
        let lease = LeaseId(request.into_inner().lease);
        let kept = self.node.keep_lease(lease).await;
        let kept = kept.map_err(|error| super::store_status(&error))?;
        let ttl_milliseconds = kept.ok_or_else(|| refusal(&KvRefusal::NoSuchLease(lease)))?;
        Ok(Response::new(pb::KeepLeaseResponse { ttl_milliseconds }))
    }

    async fn revoke_lease(
        &self,
        request: Request<pb::RevokeLeaseRequest>,
    ) -> Result<Response<pb::RevokeLeaseResponse>, Status> {
        let lease = LeaseId(request.into_inner().lease);
        self.submit(KvCommand::Revoke(lease)).await?;
        Ok(Response::new(pb::RevokeLeaseResponse {}))
    }

    async fn get_leases(
        &self,
        request: Request<pb::GetLeasesRequest>,
    ) -> Result<Response<pb::GetLeasesResponse>, Status> {
        catch_up(self.node.store(), request.get_ref().consistency()).await?;
        let leases = self.node.store().read(|state| {
            let kv = state.kv();
            let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
            let leases = kv.leases().iter().map(|(id, lease)| pb::Lease {
                lease: id.0,
                name: lease.name.clone(),
                ttl_milliseconds: lease.ttl_milliseconds,
                keys: count(kv.entries_of(*id)),
                locks: count(kv.locks_of(*id)),
            });
            leases.collect()
        });
        Ok(Response::new(pb::GetLeasesResponse { leases }))
    }

    async fn lock(
        &self,
        request: Request<pb::LockRequest>,
    ) -> Result<Response<pb::LockResponse>, Status> {
        self.take_lock(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let request = request.into_inner();
        let key = EntryKey::new(&request.namespace, &request.name).map_err(key_error)?;
        let released = self.release(key, LeaseId(request.lease)).await?;
        Ok(Response::new(pb::UnlockResponse { released }))
    }

    async fn get_locks(
        &self,
        request: Request<pb::GetLocksRequest>,
    ) -> Result<Response<pb::GetLocksResponse>, Status> {
        let request = request.into_inner();
        catch_up(self.node.store(), request.consistency()).await?;
        let locks = self.node.store().read(|state| {
            let kv = state.kv();
            let locks = kv.locks().iter();
            let locks = locks.filter(|(key, _)| {
                request.namespace.is_empty() || key.namespace() == request.namespace
            });
            let name = |lease| kv.leases().get(lease).map(|lease| lease.name.clone());
            let locks = locks.map(|(key, lock)| pb::Lock {
                namespace: key.namespace().to_owned(),
                name: key.key().to_owned(),
                holder: lock.holder.0,
                holder_name: name(&lock.holder).unwrap_or_default(),
                token: lock.token.0,
                waiting: lock.waiting.iter().map(|lease| lease.0).collect(),
            });
            locks.collect()
        });
        Ok(Response::new(pb::GetLocksResponse { locks }))
    }
}

/// Where a list begins.
fn list_start(request: &pb::KvListRequest) -> Result<EntryKey, Status> {
    if !request.namespace.is_empty() {
        check_namespace(&request.namespace).map_err(key_error)?;
        let after = request.after.as_str().max(&request.prefix);
        return Ok(EntryKey::first(&request.namespace, after));
    }
    match request.after.split_once('/') {
        Some((namespace, key)) => Ok(EntryKey::first(namespace, key)),
        None if request.after.is_empty() => Ok(EntryKey::first("", "")),
        None => Err(Status::invalid_argument(format!(
            "`after` is {:?}; in all namespaces it is NAMESPACE/KEY, as `more_after` says it",
            request.after
        ))),
    }
}

/// Is this the entry after which the list goes on?
fn is_at(request: &pb::KvListRequest, key: &EntryKey) -> bool {
    match request.namespace.is_empty() {
        true => request.after.split_once('/') == Some((key.namespace(), key.key())),
        false => request.after == key.key(),
    }
}
