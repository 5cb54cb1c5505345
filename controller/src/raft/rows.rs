//! The state as rows of the database, and back.

use std::collections::BTreeMap;

use redb::{ReadTransaction, ReadableTable, TableError, WriteTransaction};

use super::database::{
    ACKNOWLEDGED, CLUSTER, DEVICES, DatabaseFault, EXCEPTIONS, HISTORY, NODES, OBJECTIVES,
    TOMBSTONES, decode, encode,
};
use super::kv_rows;
use crate::objective::{Kind, ObjectiveKey};
use crate::state::{
    ClusterRow, DeviceState, History, Node, NodeId, Revision, RowKey, Settings, State,
};

/// Where the cluster's own row is in its table.
const CLUSTER_KEY: &str = "";
/// Where the settings are in the same table.
const SETTINGS_KEY: &str = "settings";

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Filter => 1,
        Kind::Forward => 2,
        Kind::Next => 3,
    }
}

fn kind_of_code(table: &'static str, code: u8) -> Result<Kind, DatabaseFault> {
    [Kind::Filter, Kind::Forward, Kind::Next]
        .into_iter()
        .find(|kind| kind_code(*kind) == code)
        .ok_or_else(|| DatabaseFault::Row {
            table,
            message: format!("unknown kind {code}"),
        })
}

/// Reads the whole state.
pub fn load(transaction: &ReadTransaction) -> Result<State, DatabaseFault> {
    let table = transaction.open_table(CLUSTER)?;
    let cluster: ClusterRow = match table.get(CLUSTER_KEY)? {
        Some(row) => decode("cluster", row.value())?,
        None => ClusterRow::default(),
    };
    let settings: Settings = match table.get(SETTINGS_KEY)? {
        Some(row) => decode("cluster", row.value())?,
        None => Settings::default(),
    };
    let mut devices: BTreeMap<String, DeviceState> = BTreeMap::new();
    for row in transaction.open_table(DEVICES)?.iter()? {
        let (name, value) = row?;
        devices.insert(name.value().to_owned(), decode("devices", value.value())?);
    }
    let orphan = |table, device: &str| DatabaseFault::Row {
        table,
        message: format!("it belongs to device {device:?}, which is not there"),
    };
    for row in transaction.open_table(OBJECTIVES)?.iter()? {
        let (key, value) = row?;
        let (device, kind, name) = key.value();
        let key = ObjectiveKey {
            kind: kind_of_code("objectives", kind)?,
            name: name.to_owned(),
        };
        let owner = devices
            .get_mut(device)
            .ok_or_else(|| orphan("objectives", device))?;
        owner.restore_objective(key, decode("objectives", value.value())?);
    }
    for row in transaction.open_table(TOMBSTONES)?.iter()? {
        let (key, revision) = row?;
        let (device, kind, name) = key.value();
        let key = ObjectiveKey {
            kind: kind_of_code("tombstones", kind)?,
            name: name.to_owned(),
        };
        let owner = devices
            .get_mut(device)
            .ok_or_else(|| orphan("tombstones", device))?;
        owner.restore_tombstone(key, Revision(revision.value()));
    }
    load_acknowledged(transaction, &mut devices)?;
    let state = State::restore(cluster, devices, load_history(transaction)?);
    let state = state.with_nodes(load_nodes(transaction)?);
    Ok(state.with_applications(kv_rows::load(transaction)?, settings))
}

fn load_nodes(transaction: &ReadTransaction) -> Result<BTreeMap<NodeId, Node>, DatabaseFault> {
    let mut nodes = BTreeMap::new();
    match transaction.open_table(NODES) {
        Ok(table) => {
            for row in table.iter()? {
                let (id, value) = row?;
                nodes.insert(id.value(), decode("nodes", value.value())?);
            }
        }
        // The version that made the file kept none.
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(nodes)
}

fn load_acknowledged(
    transaction: &ReadTransaction,
    devices: &mut BTreeMap<String, DeviceState>,
) -> Result<(), DatabaseFault> {
    // What is not there was never written: versions before had no such tables.
    if let Some(table) = existing(transaction.open_table(ACKNOWLEDGED))? {
        for row in table.iter()? {
            let (device, value) = row?;
            if let Some(owner) = devices.get_mut(device.value()) {
                owner.restore_acknowledged(decode("acknowledged", value.value())?);
            }
        }
    }
    if let Some(table) = existing(transaction.open_table(EXCEPTIONS))? {
        for row in table.iter()? {
            let (key, value) = row?;
            let (device, kind, name) = key.value();
            let key = ObjectiveKey {
                kind: kind_of_code("exceptions", kind)?,
                name: name.to_owned(),
            };
            if let Some(owner) = devices.get_mut(device) {
                owner.restore_exception(key, decode("exceptions", value.value())?);
            }
        }
    }
    Ok(())
}

fn existing<T>(opened: Result<T, TableError>) -> Result<Option<T>, DatabaseFault> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn load_history(transaction: &ReadTransaction) -> Result<History, DatabaseFault> {
    let mut past = BTreeMap::new();
    match transaction.open_table(HISTORY) {
        Ok(table) => {
            for row in table.iter()? {
                let (revision, value) = row?;
                past.insert(
                    Revision(revision.value()),
                    decode("history", value.value())?,
                );
            }
        }
        // The version that made the file kept none.
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(History::restore(past))
}

/// Brings the touched rows to what the state says.
pub fn store<'a>(
    transaction: &WriteTransaction,
    state: &State,
    touched: impl IntoIterator<Item = &'a RowKey>,
) -> Result<(), DatabaseFault> {
    let mut devices = transaction.open_table(DEVICES)?;
    let mut objectives = transaction.open_table(OBJECTIVES)?;
    let mut tombstones = transaction.open_table(TOMBSTONES)?;
    let mut history = transaction.open_table(HISTORY)?;
    let mut nodes = transaction.open_table(NODES)?;
    let mut acknowledged = transaction.open_table(ACKNOWLEDGED)?;
    let mut exceptions = transaction.open_table(EXCEPTIONS)?;
    for row in touched {
        match row {
            RowKey::Cluster => {
                let row = encode(&state.cluster_row());
                transaction
                    .open_table(CLUSTER)?
                    .insert(CLUSTER_KEY, row.as_slice())?;
            }
            RowKey::Settings => {
                let row = encode(state.settings());
                transaction
                    .open_table(CLUSTER)?
                    .insert(SETTINGS_KEY, row.as_slice())?;
            }
            RowKey::Kv(row) => kv_rows::store(transaction, state.kv(), row)?,
            RowKey::Device(name) => match state.device(name) {
                Some(device) => {
                    devices.insert(name.as_str(), encode(&device.without_rows()).as_slice())?;
                }
                None => drop(devices.remove(name.as_str())?),
            },
            RowKey::Acknowledged(name) => match state.device(name) {
                Some(device) => {
                    let row = encode(&device.acknowledged().without_rows());
                    acknowledged.insert(name.as_str(), row.as_slice())?;
                }
                None => drop(acknowledged.remove(name.as_str())?),
            },
            RowKey::Exception(device, objective) => {
                let key = (
                    device.as_str(),
                    kind_code(objective.kind),
                    objective.name.as_str(),
                );
                let known = state.device(device).map(DeviceState::acknowledged);
                match known.and_then(|known| known.exceptions().get(objective)) {
                    Some(status) => drop(exceptions.insert(key, encode(status).as_slice())?),
                    None => drop(exceptions.remove(key)?),
                }
            }
            RowKey::Past(revision) => match state.history().get(*revision) {
                Some(past) => drop(history.insert(revision.0, encode(past).as_slice())?),
                None => drop(history.remove(revision.0)?),
            },
            RowKey::Node(id) => match state.node(*id) {
                Some(node) => drop(nodes.insert(id, encode(node).as_slice())?),
                None => drop(nodes.remove(id)?),
            },
            RowKey::Objective(device, objective) => {
                let key = (
                    device.as_str(),
                    kind_code(objective.kind),
                    objective.name.as_str(),
                );
                let owner = state.device(device);
                match owner.and_then(|owner| owner.objectives().get(objective)) {
                    Some(stored) => drop(objectives.insert(key, encode(stored).as_slice())?),
                    None => drop(objectives.remove(key)?),
                }
                match owner.and_then(|owner| owner.tombstones().get(objective)) {
                    Some(revision) => drop(tombstones.insert(key, revision.0)?),
                    None => drop(tombstones.remove(key)?),
                }
            }
        }
    }
    Ok(())
}

/// Replaces every row by those of `state`.
pub fn replace(transaction: &WriteTransaction, state: &State) -> Result<(), DatabaseFault> {
    transaction.delete_table(DEVICES)?;
    transaction.delete_table(OBJECTIVES)?;
    transaction.delete_table(TOMBSTONES)?;
    transaction.delete_table(HISTORY)?;
    transaction.delete_table(NODES)?;
    kv_rows::clear(transaction)?;
    transaction.delete_table(ACKNOWLEDGED)?;
    transaction.delete_table(EXCEPTIONS)?;
    store(transaction, state, &all_rows(state))
}

fn all_rows(state: &State) -> Vec<RowKey> {
    let mut rows = vec![RowKey::Cluster, RowKey::Settings];
    rows.extend(state.nodes().keys().map(|id| RowKey::Node(*id)));
    for (name, device) in state.devices() {
        rows.push(RowKey::Device(name.clone()));
        let keys = device.objectives().keys().chain(device.tombstones().keys());
        rows.extend(keys.map(|key| RowKey::Objective(name.clone(), key.clone())));
        rows.push(RowKey::Acknowledged(name.clone()));
        let exceptions = device.acknowledged().exceptions().keys();
        rows.extend(exceptions.map(|key| RowKey::Exception(name.clone(), key.clone())));
    }
    let past = state.history().iter();
    rows.extend(past.map(|(revision, _)| RowKey::Past(revision)));
    rows.extend(state.kv().all_rows().into_iter().map(RowKey::Kv));
    rows
}
