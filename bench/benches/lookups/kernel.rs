//! The baseline: the kernel's longest prefix match trie, looked up by its helper.

use std::error::Error;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use pointsman_ebpf::asm::{Alu, Assembler, Cond, Reg, Size};
use pointsman_ebpf::sys::MapFd;

use crate::probe::KEY_OFFSET;
use crate::routes::{Family, Routes};

const HELPER_MAP_LOOKUP: u32 = 1;
/// Entries of one system call.
const BATCH: usize = 4096;

/// A trie of the kernel.
pub struct Kernel {
    map: MapHandle,
    family: Family,
    pub filled_in: Duration,
}

impl Kernel {
    /// Fills a trie, by the fastest way that there is.
    pub fn new(family: Family, routes: &Routes) -> Result<Kernel, Box<dyn Error>> {
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as u64,
            map_flags: libbpf_sys::BPF_F_NO_PREALLOC,
            ..Default::default()
        };
        let address_bytes = family.bits() / 8;
        let map = MapHandle::create(
            MapType::LpmTrie,
            Some("routes"),
            4 + address_bytes,
            4,
            routes.all.len() as u32,
            &options,
        )?;
        let start = Instant::now();
        for chunk in routes.all.chunks(BATCH) {
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for route in chunk {
                keys.extend(route.prefix_len.to_ne_bytes());
                keys.extend(&route.address.to_be_bytes()[..address_bytes as usize]);
                values.extend((route.next_hop + 1).to_ne_bytes());
            }
            let count = chunk.len() as u32;
            map.update_batch(&keys, &values, count, MapFlags::ANY, MapFlags::ANY)?;
        }
        Ok(Kernel {
            map,
            family,
            filled_in: start.elapsed(),
        })
    }

    /// Emits the lookup.
    pub fn emit(&self, asm: &mut Assembler) {
        let miss = asm.label();
        let words = self.family.words() as i32;
        for word in 0..words {
            asm.load(Size::DW, Reg::R1, Reg::R7, KEY_OFFSET + 8 * word);
            asm.be(Reg::R1, Size::DW);
            asm.store(Size::DW, Reg::R10, 8 * (word - words), Reg::R1);
        }
        let at = -8 * words - 4;
        asm.store_imm(Size::W, Reg::R10, at, self.family.bits() as i32);
        asm.map(Reg::R1, MapFd(self.map.as_fd().as_raw_fd()));
        asm.mov(Reg::R2, Reg::R10);
        asm.alu_imm(Alu::Add, Reg::R2, at);
        asm.call(HELPER_MAP_LOOKUP);
        asm.jump_if_imm(Cond::Eq, Reg::R0, 0, miss);
        asm.load(Size::W, Reg::R0, Reg::R0, 0);
        asm.place(miss);
    }
}
