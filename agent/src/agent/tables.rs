//! How full the tables are, looked at in an even rhythm: entries change too often to tell each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Agent;
use crate::inventory::{Item, Key, TableItem};

/// How often tables are looked at.
const RHYTHM: Duration = Duration::from_secs(1);

impl Agent {
    /// Keeps tables in the inventory, until it is cancelled.
    pub async fn watch_tables(self: Arc<Self>, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(RHYTHM);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = BTreeMap::new();
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            let agent = Arc::clone(&self);
            // Another pipeline may be on its way in, which is waited for.
            let looked = tokio::task::spawn_blocking(move || agent.tables());
            match looked.await {
                Ok(tables) => self.tables_seen(&mut known, tables),
                Err(error) => tracing::error!(%error, "it is not known how full tables are"),
            }
        }
    }

    /// The tables as they are now, by id.
    fn tables(&self) -> BTreeMap<u32, TableItem> {
        let state = self.shared();
        let tables = state.switch.occupancies().into_iter();
        let items = tables.map(|(table, occupancy)| {
            let item = TableItem {
                id: table.id,
                name: table.name.clone(),
                entries: occupancy.entries,
                capacity: occupancy.capacity,
            };
            (table.id, item)
        });
        items.collect()
    }

    /// Tells what has changed since the tables were known.
    fn tables_seen(&self, known: &mut BTreeMap<u32, TableItem>, tables: BTreeMap<u32, TableItem>) {
        let gone = known.keys().filter(|id| !tables.contains_key(id));
        gone.for_each(|id| self.inventory.remove(&Key::Table(*id)));
        let changed = tables
            .values()
            .filter(|table| known.get(&table.id) != Some(table));
        changed.for_each(|table| self.inventory.put(Item::Table(table.clone())));
        *known = tables;
    }
}
