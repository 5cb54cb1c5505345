//! A disk that does what disks do: it runs full, it is slow, it fails, and when the
//! power goes it keeps what was synced and any part of what was not, sector by sector.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use redb::StorageBackend;

const SECTOR: usize = 512;

/// Shared by all who hold a clone.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// As reads see it.
    now: Vec<u8>,
    /// As of the last sync.
    synced: Vec<u8>,
    /// What was written since, in order: where and what.
    unsynced: Vec<(usize, Vec<u8>)>,
    capacity: usize,
    sync_takes: Duration,
    /// How many more writes and syncs succeed.
    operations_left: Option<u64>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            now: vec![],
            synced: vec![],
            unsynced: vec![],
            capacity: usize::MAX,
            sync_takes: Duration::ZERO,
            operations_left: None,
        }
    }
}

impl Disk {
    /// With no more room than this.
    pub fn with_capacity(capacity: usize) -> Self {
        let disk = Self::default();
        disk.lock().capacity = capacity;
        disk
    }

    /// On which a sync takes this long.
    pub fn slow(sync_takes: Duration) -> Self {
        let disk = Self::default();
        disk.lock().sync_takes = sync_takes;
        disk
    }

    /// Fails for good after this many more writes and syncs.
    pub fn fail_after(&self, operations: u64) {
        self.lock().operations_left = Some(operations);
    }

    /// What another machine finds on it, with more room.
    pub fn moved(&self) -> Self {
        Self::holding(self.lock().now.clone())
    }

    /// What is found after the power went: of each sector that was written and not synced, the old or the new content.
    pub fn after_power_cut(&self, mut coin: impl FnMut() -> bool) -> Self {
        let inner = self.lock();
        let mut left = inner.synced.clone();
        left.resize(left.len().max(inner.now.len()), 0);
        for (offset, data) in &inner.unsynced {
            let mut at = *offset;
            let end = offset + data.len();
            while at < end {
                let sector_end = (at / SECTOR + 1) * SECTOR;
                let to = end.min(sector_end).min(left.len().max(at));
                if coin() {
                    left[at..to].copy_from_slice(&data[at - offset..to - offset]);
                }
                at = sector_end.min(end);
            }
        }
        Self::holding(left)
    }

    /// Damages a byte.
    pub fn flip(&self, place: usize) {
        self.lock().now[place] ^= 0x55;
    }

    /// How much is on it.
    pub fn len(&self) -> usize {
        self.lock().now.len()
    }

    fn holding(content: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.lock().synced.clone_from(&content);
        disk.lock().now = content;
        disk
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            Some(0) => Err(io::Error::other("the disk is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let inner = self.lock();
        let content = inner.now.get(offset..offset + out.len());
        out.copy_from_slice(content.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        let mut inner = self.lock();
        inner.operate()?;
        if len > inner.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inner.now.resize(len, 0);
        // A file system keeps its sizes in a journal of its own.
        inner.synced.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let takes = self.lock().sync_takes;
        std::thread::sleep(takes);
        let mut inner = self.lock();
        inner.operate()?;
        for (offset, data) in std::mem::take(&mut inner.unsynced) {
            let end = inner.synced.len().min(offset + data.len());
            let data = &data[..end.saturating_sub(offset)];
            inner.synced[offset..offset + data.len()].copy_from_slice(data);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let mut inner = self.lock();
        inner.operate()?;
        let place = inner.now.get_mut(offset..offset + data.len());
        place
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        inner.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}
