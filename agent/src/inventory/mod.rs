//! What the switch sees around it, as one ordered stream of changes.
//!
//! Ports, links, hosts and how full tables are: whatever is observed is an *item*. Each change of one has a sequence number, which rises by
//! one within a boot of the agent, and is kept for a while. Who watches gets the changes after the last one it knows,
//! or, if those are forgotten or of another boot, all items as of one moment; and with both a digest of everything
//! there is, by which it sees that it missed nothing. Nothing of this survives a restart: it is observed again.
//!
//! [`Stock`] is the pure core. [`Inventory`] shares it: [`agent`](crate::agent) puts ports and tables there, [`discovery`](crate::discovery)
//! reads them there and puts what it finds, [`service`](crate::service) streams it. [`wire`] makes messages of it.

mod item;
mod stock;
#[cfg(test)]
mod tests;
pub mod wire;

pub use item::{Item, Key, OperState, PortItem, TableItem};
pub use stock::{Change, Known, Since, Stock};

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Changes that are kept for those who come back.
pub const KEPT_CHANGES: usize = 16_384;

/// The stock, and who waits for its changes.
pub struct Inventory {
    stock: Mutex<Stock>,
    /// The sequence number of the latest change; nothing once the agent stops.
    latest: watch::Sender<Option<u64>>,
}

impl Default for Inventory {
    fn default() -> Inventory {
        Inventory {
            stock: Mutex::new(Stock::new(KEPT_CHANGES)),
            latest: watch::Sender::new(Some(0)),
        }
    }
}

impl Inventory {
    /// An item is there, as it is now.
    pub fn put(&self, item: Item) {
        let hash = wire::hash(&item);
        self.change(|stock| stock.put(item, hash));
    }

    /// An item is gone.
    pub fn remove(&self, key: &Key) {
        self.change(|stock| stock.remove(key));
    }

    fn change(&self, change: impl FnOnce(&mut Stock) -> bool) {
        let mut stock = self.lock();
        if change(&mut stock) {
            let sequence = stock.sequence();
            self.latest.send_if_modified(|latest| {
                let is_open = latest.is_some();
                if is_open {
                    *latest = Some(sequence);
                }
                is_open
            });
        }
    }

    /// What has happened since a change, or everything there is.
    pub fn since(&self, known: Known) -> Since {
        self.lock().since(known)
    }

    /// Tells when there is something new.
    pub fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.latest.subscribe()
    }

    /// Ends the streams of all who watch.
    pub fn close(&self) {
        self.latest.send_replace(None);
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        // Each change leaves it whole.
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
