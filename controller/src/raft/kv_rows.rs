//! The key-value store as rows of one table.
//!
//! ```text
//!   (1, "", "", 0)                   -> KvHead
//!   (2, namespace, key, 0)           -> Entry
//!   (3, "", "", lease)               -> Lease
//!   (4, namespace, name, 0)          -> Lock
//!   (5, "", "", revision)            -> what the revision changed
//! ```

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::database::{DatabaseFault, decode, encode};
use crate::state::kv::{EntryKey, KvRevision, LeaseId};
use crate::state::{Kv, KvRow, KvRows};

/// Kind, namespace, key, number.
type Key = (u8, &'static str, &'static str, u64);

const KV: TableDefinition<Key, &[u8]> = TableDefinition::new("kv");

const HEAD: u8 = 1;
const ENTRY: u8 = 2;
const LEASE: u8 = 3;
const LOCK: u8 = 4;
const EVENTS: u8 = 5;

/// Reads the store; an empty one where there is none yet.
pub fn load(transaction: &ReadTransaction) -> Result<Kv, DatabaseFault> {
    let table = match transaction.open_table(KV) {
        Ok(table) => table,
        // The version that made the file had none.
        Err(TableError::TableDoesNotExist(_)) => return Ok(Kv::default()),
        Err(error) => return Err(error.into()),
    };
    let mut rows = KvRows::default();
    for row in table.iter()? {
        let (key, value) = row?;
        let (kind, namespace, name, number) = key.value();
        let name = EntryKey::first(namespace, name);
        let value = value.value();
        match kind {
            HEAD => rows.head = decode("kv", value)?,
            ENTRY => drop(rows.entries.insert(name, decode("kv", value)?)),
            LEASE => drop(rows.leases.insert(LeaseId(number), decode("kv", value)?)),
            LOCK => drop(rows.locks.insert(name, decode("kv", value)?)),
            EVENTS => drop(rows.events.insert(KvRevision(number), decode("kv", value)?)),
            kind => {
                return Err(DatabaseFault::Row {
                    table: "kv",
                    message: format!("unknown kind {kind}"),
                });
            }
        }
    }
    Ok(rows.into())
}

/// Brings a row to what the store says.
pub fn store(transaction: &WriteTransaction, kv: &Kv, row: &KvRow) -> Result<(), DatabaseFault> {
    let mut table = transaction.open_table(KV)?;
    let (key, value) = match row {
        KvRow::Head => ((HEAD, "", "", 0), Some(encode(&kv.head()))),
        KvRow::Entry(key) => (
            (ENTRY, key.namespace(), key.key(), 0),
            kv.entry(key).map(encode),
        ),
        KvRow::Lease(id) => ((LEASE, "", "", id.0), kv.leases().get(id).map(encode)),
        KvRow::Lock(key) => (
            (LOCK, key.namespace(), key.key(), 0),
            kv.locks().get(key).map(encode),
        ),
        KvRow::Events(revision) => (
            (EVENTS, "", "", revision.0),
            kv.events_of(*revision).map(encode),
        ),
    };
    match value {
        Some(value) => drop(table.insert(key, value.as_slice())?),
        None => drop(table.remove(key)?),
    }
    Ok(())
}

/// Deletes every row.
pub fn clear(transaction: &WriteTransaction) -> Result<(), DatabaseFault> {
    transaction.delete_table(KV)?;
    Ok(())
}
