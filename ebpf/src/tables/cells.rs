//! Counters and meters: cells that the program writes and the agent reads without a system call.
//!
//! A counter has one cell of two words (packets, bytes) for each CPU, so that programs on
//! different CPUs never write the same cell. A meter has one cell for all CPUs:
//!
//! ```text
//! u64 enabled | u64 time per unit, committed | u64 burst, committed | u64 time per unit, peak
//! u64 burst, peak | u64 full-at, committed | u64 full-at, peak | unused
//! ```
//!
//! A token bucket is kept as the time at which it would be full again (the generic cell rate
//! algorithm, ITU-T I.371): a packet conforms if it moves that time to no more than the burst
//! after now. Times are in 2^-10 ns and wrap, which comparing differences tolerates.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use pointsman_p4::dataplane::{CounterData, MeterConfig};
use pointsman_p4::interpreter::Color;

use crate::sys::SharedMemory;

use super::arena::Arena;

/// Bytes of a counter's cell.
pub const COUNTER_BYTES: u32 = 16;
/// Bytes of a meter's cell.
pub const METER_BYTES: u32 = 64;
/// Fractions of a nanosecond in a meter's times.
pub const METER_TIME_SHIFT: u32 = 10;

/// Where the cells of a counter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterPlan {
    /// Offset among the cells.
    pub offset: u32,
    /// Cells, a power of two.
    pub cells: u32,
    /// CPUs, a power of two.
    pub cpus: u32,
}

impl CounterPlan {
    /// Reserves at least `cells` for each of `cpus` (a power of two).
    pub fn new(arena: &mut Arena, cells: u32, cpus: u32) -> CounterPlan {
        let cells = cells.max(1).next_power_of_two();
        let bytes = u64::from(cells) * u64::from(cpus) * u64::from(COUNTER_BYTES);
        CounterPlan {
            offset: arena.reserve(bytes),
            cells,
            cpus,
        }
    }

    /// The sum over all CPUs.
    pub fn read(&self, memory: &SharedMemory, cell: u32) -> CounterData {
        (0..self.cpus).fold(CounterData::default(), |sum, cpu| {
            let at = self.at(cpu, cell);
            CounterData {
                packets: sum.packets.wrapping_add(memory.u64(at).load(Relaxed)),
                bytes: sum.bytes.wrapping_add(memory.u64(at + 8).load(Relaxed)),
            }
        })
    }

    /// Sets the sum: all on the first CPU. A packet counted at this very moment may be lost.
    pub fn write(&self, memory: &SharedMemory, cell: u32, data: CounterData) {
        for cpu in 0..self.cpus {
            let at = self.at(cpu, cell);
            let (packets, bytes) = if cpu == 0 {
                (data.packets, data.bytes)
            } else {
                (0, 0)
            };
            memory.u64(at).store(packets, Relaxed);
            memory.u64(at + 8).store(bytes, Relaxed);
        }
    }

    fn at(&self, cpu: u32, cell: u32) -> usize {
        self.offset as usize + ((cpu * self.cells + cell) * COUNTER_BYTES) as usize
    }
}

/// Where the cells of a meter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterPlan {
    /// Offset among the cells.
    pub offset: u32,
    /// Cells, a power of two.
    pub cells: u32,
}

impl MeterPlan {
    /// Reserves at least `cells`.
    pub fn new(arena: &mut Arena, cells: u32) -> MeterPlan {
        let cells = cells.max(1).next_power_of_two();
        MeterPlan {
            offset: arena.reserve(u64::from(cells) * u64::from(METER_BYTES)),
            cells,
        }
    }

    /// Configures a cell, full buckets; `None` makes it always green.
    pub fn configure(&self, memory: &SharedMemory, cell: u32, config: Option<MeterConfig>) {
        let at = self.offset as usize + (cell * METER_BYTES) as usize;
        memory.u64(at).store(0, Release);
        let Some(config) = config else { return };
        let committed = bucket(config.committed_rate, config.committed_burst);
        let peak = bucket(config.peak_rate, config.peak_burst);
        let words = [committed.0, committed.1, peak.0, peak.1, 0, 0];
        for (index, word) in words.into_iter().enumerate() {
            memory.u64(at + 8 + 8 * index).store(word, Relaxed);
        }
        memory.u64(at).store(1, Release);
    }

    /// Meters a packet of that many units, as the program does. `now` is the kernel's monotonic clock.
    pub fn mark(&self, memory: &SharedMemory, cell: u32, units: u64, now: Duration) -> Color {
        let at = self.offset as usize + (cell * METER_BYTES) as usize;
        if memory.u64(at).load(Acquire) == 0 {
            return Color::Green;
        }
        let now = (now.as_nanos() as u64) << METER_TIME_SHIFT;
        if !take(memory, at + 24, at + 48, units, now) {
            return Color::Red;
        }
        if !take(memory, at + 8, at + 40, units, now) {
            return Color::Yellow;
        }
        Color::Green
    }
}

/// Takes units from a bucket: its rate is at `rate`, its burst after that, its full-at time at `state`.
fn take(memory: &SharedMemory, rate: usize, state: usize, units: u64, now: u64) -> bool {
    let cost = memory.u64(rate).load(Relaxed).wrapping_mul(units);
    let burst = memory.u64(rate + 8).load(Relaxed);
    let taken = memory.u64(state).fetch_update(Relaxed, Relaxed, |full_at| {
        let ahead = full_at.wrapping_sub(now);
        let ahead = if ahead > burst { 0 } else { ahead };
        let after = ahead.wrapping_add(cost);
        (after <= burst).then(|| now.wrapping_add(after))
    });
    taken.is_ok()
}

/// Time per unit, and the time that fills the bucket.
fn bucket(rate: u64, burst: u64) -> (u64, u64) {
    // A rate of 0 never refills in practice: one unit in 18 minutes.
    const SLOWEST: u128 = 1 << 50;
    let per_unit = match rate {
        0 => SLOWEST,
        rate => ((1_000_000_000u128 << METER_TIME_SHIFT) / u128::from(rate)).clamp(1, SLOWEST),
    };
    let full = per_unit.saturating_mul(u128::from(burst)).min(1 << 62);
    (per_unit as u64, full as u64)
}
