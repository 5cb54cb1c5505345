//! Reflected CRCs, up to eight bytes at a time (Kounavis and Berry's slicing).
//!
//! Table `k` holds what a byte leaves in the CRC after `k` zero bytes, so the bytes of a slice are looked up
//! independently of each other, each in its own table, and what they leave is summed:
//!
//! ```text
//! crc16   eight tables of 256 u16, polynomial 0xa001 (CRC-16/ARC)
//! crc32   eight tables of 256 u32, polynomial 0xedb88320
//! ```

use std::sync::atomic::Ordering::Relaxed;

use crate::asm::{Alu, Reg, Size};
use crate::sys::SharedMemory;

use super::Emitter;
use super::hash::Bytes;

/// Bytes of a slice, and tables.
const SLICE: u32 = 8;
/// Bytes of the tables of CRC-16.
pub const CRC16_BYTES: u64 = 8 * 256 * 2;
/// Bytes of the tables of CRC-32.
pub const CRC32_BYTES: u64 = 8 * 256 * 4;

/// Writes all tables.
pub fn write_tables(memory: &SharedMemory, crc16: u32, crc32: u32) {
    for (index, entry) in tables(0xa001).iter().flatten().enumerate() {
        let cell = memory.u16(crc16 as usize + 2 * index);
        cell.store(*entry as u16, Relaxed);
    }
    for (index, entry) in tables(0xedb8_8320).iter().flatten().enumerate() {
        let cell = memory.u32(crc32 as usize + 4 * index);
        cell.store(*entry, Relaxed);
    }
}

fn tables(polynomial: u32) -> [[u32; 256]; SLICE as usize] {
    let mut tables = [[0; 256]; SLICE as usize];
    for (byte, entry) in tables[0].iter_mut().enumerate() {
        let shift = |crc: u32, _| (crc >> 1) ^ (polynomial * (crc & 1));
        *entry = (0..8).fold(byte as u32, shift);
    }
    for k in 1..tables.len() {
        for byte in 0..256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before as usize & 0xff];
        }
    }
    tables
}

/// The bytes of the next slice, when so many are left: as many as one load gets.
fn slice(left: u32) -> Size {
    match left {
        8.. => Size::DW,
        4..=7 => Size::W,
        2..=3 => Size::H,
        _ => Size::B,
    }
}

impl Emitter<'_> {
    /// R0 = the CRC of some bytes, by the tables at `tables` with entries of `entry`. Overwrites R1
    /// to R4.
    pub(super) fn crc(&mut self, bytes: Bytes, tables: u32, entry: Size, initial: u64) {
        self.asm.mov_imm(Reg::R0, initial);
        self.tables(Reg::R3, tables);
        let mut at = 0;
        while at < bytes.count {
            let size = slice(bytes.count - at);
            let count = size.bytes();
            // R4 = the slice and the CRC: behind the slice is what it does not reach of the CRC.
            self.asm
                .load(size, Reg::R4, Reg::R7, bytes.offset + at as i32);
            self.asm.alu(Alu::Xor, Reg::R4, Reg::R0);
            match count < entry.bytes() {
                true => self.asm.alu_imm(Alu::Rsh, Reg::R0, count as i32 * 8),
                false => self.asm.mov_imm(Reg::R0, 0),
            }
            for byte in 0..count {
                self.asm.mov(Reg::R1, Reg::R4);
                if byte > 0 {
                    self.asm.alu_imm(Alu::Rsh, Reg::R1, byte as i32 * 8);
                }
                self.asm.alu_imm(Alu::And, Reg::R1, 0xff);
                self.asm
                    .alu_imm(Alu::Lsh, Reg::R1, entry.bytes().ilog2() as i32);
                self.asm.mov(Reg::R2, Reg::R3);
                self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
                let table = (count - 1 - byte) * 256 * entry.bytes();
                self.asm.load(entry, Reg::R1, Reg::R2, table as i32);
                self.asm.alu(Alu::Xor, Reg::R0, Reg::R1);
            }
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the emitted code does.
    fn crc(polynomial: u32, entry_bytes: u32, initial: u32, data: &[u8]) -> u32 {
        let tables = tables(polynomial);
        let (mut crc, mut at) = (initial, 0);
        while at < data.len() {
            let count = slice((data.len() - at) as u32).bytes() as usize;
            let mut word = [0; 8];
            word[..count].copy_from_slice(&data[at..at + count]);
            let mixed = u64::from_le_bytes(word) ^ u64::from(crc);
            crc = match count < entry_bytes as usize {
                true => crc >> (8 * count),
                false => 0,
            };
            for byte in 0..count {
                crc ^= tables[count - 1 - byte][(mixed >> (8 * byte)) as usize & 0xff];
            }
            at += count;
        }
        crc
    }

    #[test]
    fn slices_of_any_length_give_the_published_check_values() {
        assert_eq!(crc(0xa001, 2, 0, b"123456789"), 0xbb3d);
        assert_eq!(!crc(0xedb8_8320, 4, u32::MAX, b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn slices_give_what_single_bytes_give() {
        for (polynomial, entry, initial) in [(0xa001, 2, 0), (0xedb8_8320, 4, u32::MAX)] {
            let table = tables(polynomial)[0];
            let data: Vec<u8> = (0..23u8).map(|n| n.wrapping_mul(37)).collect();
            for end in 0..data.len() {
                let bytewise = data[..end].iter().fold(initial, |crc, byte| {
                    (crc >> 8) ^ table[(crc as u8 ^ byte) as usize]
                });
                assert_eq!(crc(polynomial, entry, initial, &data[..end]), bytewise);
            }
        }
    }
}
