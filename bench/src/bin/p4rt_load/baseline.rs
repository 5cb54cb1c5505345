//! The kernel's own maps, filled by a plain loop: no RPC, no checks, no journal. A P4Runtime server is
//! compared with this in the same run.

use std::time::Instant;

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};

use crate::report::{Figures, Phase};
use crate::tables::{Kind, flow, prefix};

/// Bytes of a value: a number of an action and its argument.
const VALUE_BYTES: u32 = 8;

/// A map with keys and values of the size that a table's have.
pub struct Baseline {
    kind: Kind,
    entries: u32,
    batch: u32,
    key_bytes: usize,
    keys: Vec<u8>,
    /// As they are inserted.
    values: Vec<u8>,
    /// As they are after that.
    changed: Vec<u8>,
}

impl Baseline {
    /// Makes the keys; maps are made for each measurement.
    pub fn new(kind: Kind, entries: u32, batch: u32) -> Baseline {
        let mut keys = Vec::new();
        let value = |number: u32| {
            let words = [1, 1 + number % 32].map(u32::to_ne_bytes);
            words.into_iter().flatten()
        };
        for number in 0..entries {
            match kind {
                Kind::LeafSpineRoutes | Kind::Routes => {
                    keys.extend_from_slice(&24u32.to_ne_bytes());
                    keys.extend_from_slice(&prefix(number).to_be_bytes());
                }
                Kind::Flows => keys.extend(flow(number).into_iter().flat_map(u32::to_be_bytes)),
            }
        }
        Baseline {
            kind,
            entries,
            batch,
            key_bytes: keys.len() / entries as usize,
            keys,
            values: (0..entries).flat_map(value).collect(),
            changed: (1..=entries).flat_map(value).collect(),
        }
    }

    /// Fills one map by a system call for each entry and changes all of them in the same way, and fills one by
    /// a call for each batch.
    pub fn measure(&self) -> Result<Vec<Figures>> {
        let map = self.map()?;
        let mut figures = Vec::new();
        for (name, values) in [("map update", &self.values), ("map modify", &self.changed)] {
            let mut phase = Phase::begin(self.kind.name(), name);
            for (key, value) in self.pairs(values, 1) {
                // A clock beside each of these calls would be a good part of what is measured.
                map.update(key, value, MapFlags::ANY)
                    .context("updating the map")?;
            }
            phase.count(self.entries as usize);
            figures.push(phase.end(None));
        }
        drop(map);

        let map = self.map()?;
        let mut phase = Phase::begin(self.kind.name(), "map batch");
        for (keys, values) in self.pairs(&self.values, self.batch as usize) {
            let count = values.len() as u32 / VALUE_BYTES;
            let start = Instant::now();
            let updated = map.update_batch(keys, values, count, MapFlags::ANY, MapFlags::ANY);
            updated.context("updating the map in batches")?;
            phase.record(count as usize, start);
        }
        figures.push(phase.end(None));
        Ok(figures)
    }

    fn pairs<'a>(
        &'a self,
        values: &'a [u8],
        count: usize,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let keys = self.keys.chunks(self.key_bytes * count);
        keys.zip(values.chunks(VALUE_BYTES as usize * count))
    }

    fn map(&self) -> Result<MapHandle> {
        let (kind, flags) = match self.kind {
            // Tries take no other.
            Kind::LeafSpineRoutes | Kind::Routes => {
                (MapType::LpmTrie, libbpf_sys::BPF_F_NO_PREALLOC)
            }
            Kind::Flows => (MapType::Hash, 0),
        };
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as u64,
            map_flags: flags,
            ..Default::default()
        };
        let key_bytes = self.key_bytes as u32;
        let map = MapHandle::create(
            kind,
            Some("p4rt_load"),
            key_bytes,
            VALUE_BYTES,
            self.entries,
            &options,
        );
        map.context("making a map of the kernel, which takes root")
    }
}
