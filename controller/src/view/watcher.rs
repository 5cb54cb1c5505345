//! Somebody who watches the fabric: where it is with each device, and nothing else.
//!
//! Nothing is queued for a watcher. When it has room for more it is told what followed its positions; if that is
//! forgotten, because it was slow or away for long, it is told everything anew. So it costs a position for each device,
//! and a snapshot is shared with the view until it is sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use tokio::sync::watch;

use super::Shared;
use super::device::{Freshness, Position};
use super::fabric::{Device, Fabric};
use super::inventory::Since;
use super::item::{Change, Item};

/// Items of an update at most. Of changes no more are kept than fit into one.
const BATCH: usize = 512;

/// What somebody wants to be told.
#[derive(Debug, Default, Clone)]
pub struct Wishes {
    /// Of these devices; of all if it is empty.
    pub devices: BTreeSet<String>,
    /// What is known already, by device.
    pub known: BTreeMap<String, Position>,
    /// Only what there is now.
    pub once: bool,
}

/// Something that a watcher is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// About a device.
    Device(DeviceUpdate),
    /// The device is not one of the cluster's any more.
    Removed {
        /// Its name.
        device: String,
        /// Its P4Runtime device id.
        device_id: u64,
    },
    /// All that was there when watching began has been told.
    Complete,
}

/// What a watcher is told about a device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceUpdate {
    /// Its name.
    pub device: String,
    /// Its P4Runtime device id.
    pub device_id: u64,
    /// Where the watcher is after it.
    pub position: Position,
    /// How far the view can be believed.
    pub freshness: Freshness,
    /// What it is told.
    pub news: News,
}

/// Changes, or everything.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// In their order, each with its number. There may be none, if only the freshness is another.
    Changes(Vec<(u64, Change)>),
    /// A part of all items.
    Snapshot {
        /// Some of them.
        items: Vec<Item>,
        /// It is the first part: what was known is to be forgotten.
        is_first: bool,
        /// It is not the last part.
        more: bool,
    },
}

/// How far the watcher is with a device.
struct Cursor {
    device_id: u64,
    incarnation: u64,
    position: Position,
    edition: u64,
    generation: u64,
}

/// What is left of an answer that is more than a batch.
struct Rest {
    /// All but what it is told, which comes bit by bit.
    about: DeviceUpdate,
    items: VecDeque<Item>,
}

/// Somebody who watches.
pub struct Watcher {
    shared: Arc<Shared>,
    changes: watch::Receiver<Option<u64>>,
    wishes: Wishes,
    cursors: BTreeMap<String, Cursor>,
    rest: Option<Rest>,
    /// The device that was told of last; the next one is looked at first, so that none waits for a busy one.
    last: String,
    is_complete: bool,
    is_done: bool,
}

impl Watcher {
    /// Begins to watch.
    pub(super) fn new(shared: Arc<Shared>, wishes: Wishes) -> Self {
        Self {
            changes: shared.changes.subscribe(),
            shared,
            wishes,
            cursors: BTreeMap::new(),
            rest: None,
            last: String::new(),
            is_complete: false,
            is_done: false,
        }
    }

    /// What is to be told next, when there is something; nothing at the end.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            // Before looking, so that what happens meanwhile is seen at the next look.
            (*self.changes.borrow_and_update())?;
            if let Some(update) = self.poll() {
                return Some(update);
            }
            if self.is_done {
                return None;
            }
            self.changes.changed().await.ok()?;
        }
    }

    /// What there is to be told now.
    pub(super) fn poll(&mut self) -> Option<Update> {
        if let Some(rest) = self.rest.take() {
            return Some(Update::Device(self.part(rest, false)));
        }
        if self.is_done {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        shared.read(|fabric| {
            if !self.is_complete && self.has_met_all(fabric) {
                self.is_complete = true;
                self.is_done = self.wishes.once;
                return Some(Update::Complete);
            }
            self.look(fabric)
        })
    }

    fn has_met_all(&self, fabric: &Fabric) -> bool {
        let mut wanted = fabric.devices().keys().filter(|name| self.wants(name));
        wanted.all(|name| self.cursors.contains_key(name))
    }

    fn wants(&self, name: &str) -> bool {
        self.wishes.devices.is_empty() || self.wishes.devices.contains(name)
    }

    fn look(&mut self, fabric: &Fabric) -> Option<Update> {
        let gone = self.cursors.iter().find(|(name, cursor)| {
            let device = fabric.devices().get(*name);
            device.is_none_or(|device| device.incarnation != cursor.incarnation)
        });
        if let Some(name) = gone.map(|(name, _)| name.clone()) {
            let cursor = self.cursors.remove(&name)?;
            return Some(Update::Removed {
                device: name,
                device_id: cursor.device_id,
            });
        }
        let devices = fabric.devices();
        let after =
            devices.range::<str, _>((Bound::Excluded(self.last.as_str()), Bound::Unbounded));
        let up_to =
            devices.range::<str, _>((Bound::Unbounded, Bound::Included(self.last.as_str())));
        let wanted = after.chain(up_to).filter(|(name, _)| self.wants(name));
        let mut news =
            wanted.filter_map(|(name, device)| Some((name.clone(), self.news_of(name, device)?)));
        let (name, since) = news.next()?;
        let device = &devices[&name];
        self.last.clone_from(&name);
        Some(self.tell(name, device, since))
    }

    /// What the watcher lacks of a device; nothing if it knows all of it.
    fn news_of(&self, name: &str, device: &Device) -> Option<Since> {
        let view = &device.view;
        let Some(cursor) = self.cursors.get(name) else {
            let nothing = Position::default();
            let known = self.wishes.known.get(name).unwrap_or(&nothing);
            return Some(view.inventory().since(known));
        };
        if cursor.edition != view.edition() {
            return Some(Since::Snapshot(device.items()));
        }
        match view.inventory().since(&cursor.position) {
            Since::Nothing if cursor.generation == view.generation() => None,
            since => Some(since),
        }
    }

    fn tell(&mut self, name: String, device: &Device, since: Since) -> Update {
        let view = &device.view;
        let mut position = view.inventory().position().clone();
        let cursor = self.cursors.get(&name).map(|cursor| &cursor.position);
        let known = cursor.or_else(|| self.wishes.known.get(&name));
        let mut about = DeviceUpdate {
            device: name.clone(),
            device_id: device.spec.device_id,
            position: position.clone(),
            freshness: view.freshness().clone(),
            news: News::Changes(vec![]),
        };
        let update = match since {
            Since::Nothing => {
                // It may be ahead of this controller.
                position = known.cloned().unwrap_or(position);
                about.position = position.clone();
                about
            }
            Since::Changes(changes) => {
                about.news = News::Changes(changes);
                about
            }
            Since::Snapshot(items) => {
                let items = items.into();
                self.part(Rest { about, items }, true)
            }
        };
        let cursor = Cursor {
            device_id: device.spec.device_id,
            incarnation: device.incarnation,
            position,
            edition: view.edition(),
            generation: view.generation(),
        };
        self.cursors.insert(name, cursor);
        Update::Device(update)
    }

    /// The next part of a snapshot; keeps the rest.
    fn part(&mut self, mut rest: Rest, is_first: bool) -> DeviceUpdate {
        let count = rest.items.len().min(BATCH);
        let items = rest.items.drain(..count).collect();
        let more = !rest.items.is_empty();
        let news = News::Snapshot {
            items,
            is_first,
            more,
        };
        let update = DeviceUpdate {
            news,
            ..rest.about.clone()
        };
        if more {
            self.rest = Some(rest);
        }
        update
    }
}
