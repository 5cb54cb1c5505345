//! Counters and meters: cells that the program writes and the agent reads without a system call.
//!
//! A counter has one cell of two words (packets, bytes) for each CPU, so that programs on
//! different CPUs never write the same cell. A meter has four such cells, of which three count what was
//! green, yellow and red, and one cell for all CPUs:
//!
//! ```text
//! u64 kind | u64 time per unit, committed | u64 burst, committed | u64 time per unit, other
//! u64 burst, other | u64 full-at, committed | u64 full-at, other | u64 burst, excess
//! ```
//!
//! The other bucket of a meter with two rates is the peak one. That of a meter with a single rate
//! stands for both of its buckets together, the committed and the excess one: as the second is filled only
//! while the first is full, they lack what a bucket with the sum of their bursts lacks.
//!
//! A token bucket is kept as the time at which it would be full again (the generic cell rate
//! algorithm, ITU-T I.371): a packet conforms if it moves that time to no more than the burst
//! after now. Times are in 2^-10 ns and wrap, which comparing differences tolerates.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use pointsman_p4::dataplane::{Color, ColorCounts, CounterData, MeterConfig};

use crate::sys::SharedMemory;

use super::arena::Arena;

/// Bytes of a counter's cell.
pub const COUNTER_BYTES: u32 = 16;
/// Bytes of a meter's cell.
pub const METER_BYTES: u32 = 64;
/// Counters for each cell of a meter: one for each colour, and one that is not used.
pub const COLOR_CELLS: u32 = 4;
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

/// Kinds of meters, which the first word of a cell says, and offsets of the other words.
#[derive(Debug)]
pub struct MeterCell;

impl MeterCell {
    /// It is not configured: all is green.
    pub const UNSET: u64 = 0;
    /// See RFC 2698.
    pub const TWO_RATES: u64 = 1;
    /// See RFC 2697.
    pub const SINGLE_RATE: u64 = 2;
    /// The committed bucket: its time per unit, with the burst after it.
    pub const COMMITTED: i32 = 8;
    /// The other bucket.
    pub const OTHER: i32 = 24;
    /// When the committed bucket is full again.
    pub const COMMITTED_FULL_AT: i32 = 40;
    /// When the other bucket is full again.
    pub const OTHER_FULL_AT: i32 = 48;
    /// The excess burst, as a time.
    pub const EXCESS: i32 = 56;
}

/// Where the cells of a meter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterPlan {
    /// Offset among the cells.
    pub offset: u32,
    /// Cells, a power of two.
    pub cells: u32,
    /// What it has counted: four cells for each cell of the meter, by colour.
    pub colors: CounterPlan,
}

impl MeterPlan {
    /// Reserves at least `cells`, and counters for each of `cpus` (a power of two).
    pub fn new(arena: &mut Arena, cells: u32, cpus: u32) -> MeterPlan {
        let cells = cells.max(1).next_power_of_two();
        MeterPlan {
            offset: arena.reserve(u64::from(cells) * u64::from(METER_BYTES)),
            cells,
            colors: CounterPlan::new(arena, cells.saturating_mul(COLOR_CELLS), cpus),
        }
    }

    /// What a cell has counted.
    pub fn counts(&self, memory: &SharedMemory, cell: u32) -> ColorCounts {
        let of = |color: Color| self.colors.read(memory, cell * COLOR_CELLS + color as u32);
        ColorCounts {
            green: of(Color::Green),
            yellow: of(Color::Yellow),
            red: of(Color::Red),
        }
    }

    /// Sets what a cell has counted.
    pub fn set_counts(&self, memory: &SharedMemory, cell: u32, counts: ColorCounts) {
        let by_color = [counts.green, counts.yellow, counts.red];
        for (color, data) in (0..).zip(by_color) {
            self.colors.write(memory, cell * COLOR_CELLS + color, data);
        }
    }

    /// Configures a cell, full buckets; `None` makes it always green.
    pub fn configure(&self, memory: &SharedMemory, cell: u32, config: Option<MeterConfig>) {
        let at = self.at(cell);
        memory.u64(at).store(MeterCell::UNSET, Release);
        let Some(config) = config else { return };
        let words = words(config);
        for (index, word) in words.into_iter().enumerate().skip(1) {
            memory.u64(at + 8 * index).store(word, Relaxed);
        }
        memory.u64(at).store(words[0], Release);
    }

    /// Whether a cell is configured like that, however full its buckets are.
    pub fn is_configured(
        &self,
        memory: &SharedMemory,
        cell: u32,
        config: Option<MeterConfig>,
    ) -> bool {
        let at = self.at(cell);
        let found = |index: usize| memory.u64(at + 8 * index).load(Relaxed);
        let Some(config) = config else {
            return found(0) == MeterCell::UNSET;
        };
        let is_state = |index| {
            [MeterCell::COMMITTED_FULL_AT, MeterCell::OTHER_FULL_AT].contains(&(8 * index as i32))
        };
        let words = words(config).into_iter().enumerate();
        words
            .filter(|(index, _)| !is_state(*index))
            .all(|(index, word)| found(index) == word)
    }

    /// Offset of a cell.
    pub fn at(&self, cell: u32) -> usize {
        self.offset as usize + (cell * METER_BYTES) as usize
    }

    /// Whether a cell is configured.
    pub fn is_set(&self, memory: &SharedMemory, cell: u32) -> bool {
        let at = self.offset as usize + (cell * METER_BYTES) as usize;
        memory.u64(at).load(Acquire) != MeterCell::UNSET
    }

    /// Meters a packet of that many units, as the program does. `now` is the kernel's monotonic clock.
    pub fn mark(&self, memory: &SharedMemory, cell: u32, units: u64, now: Duration) -> Color {
        let at = self.at(cell);
        let now = (now.as_nanos() as u64) << METER_TIME_SHIFT;
        let committed = Bucket::of(
            memory,
            at,
            MeterCell::COMMITTED,
            MeterCell::COMMITTED_FULL_AT,
        );
        let other = Bucket::of(memory, at, MeterCell::OTHER, MeterCell::OTHER_FULL_AT);
        match memory.u64(at).load(Acquire) {
            MeterCell::UNSET => Color::Green,
            MeterCell::SINGLE_RATE => {
                if committed.take(units, now, u64::MAX) {
                    other.take(units, now, u64::MAX);
                    return Color::Green;
                }
                let excess = memory.u64(at + MeterCell::EXCESS as usize).load(Relaxed);
                let limit = excess.saturating_add(committed.lacks(now));
                match other.take(units, now, limit) {
                    true => Color::Yellow,
                    false => Color::Red,
                }
            }
            _ if !other.take(units, now, u64::MAX) => Color::Red,
            _ if !committed.take(units, now, u64::MAX) => Color::Yellow,
            _ => Color::Green,
        }
    }
}

/// The words of a cell with full buckets.
fn words(config: MeterConfig) -> [u64; 8] {
    let committed = bucket(config.committed_rate, config.committed_burst);
    let (kind, other, excess) = match config.excess_burst {
        0 => {
            let peak = bucket(config.peak_rate, config.peak_burst);
            (MeterCell::TWO_RATES, peak, 0)
        }
        excess => {
            let all = config.committed_burst.saturating_add(excess);
            let both = bucket(config.committed_rate, all);
            let excess = both.1.saturating_sub(committed.1);
            (MeterCell::SINGLE_RATE, both, excess)
        }
    };
    [
        kind,
        committed.0,
        committed.1,
        other.0,
        other.1,
        0,
        0,
        excess,
    ]
}

/// A token bucket of a meter.
struct Bucket<'m> {
    per_unit: &'m AtomicU64,
    burst: &'m AtomicU64,
    full_at: &'m AtomicU64,
}

impl Bucket<'_> {
    fn of(memory: &SharedMemory, cell: usize, rate: i32, full_at: i32) -> Bucket<'_> {
        Bucket {
            per_unit: memory.u64(cell + rate as usize),
            burst: memory.u64(cell + rate as usize + 8),
            full_at: memory.u64(cell + full_at as usize),
        }
    }

    /// Takes units, unless it would then lack more than its burst, or than a limit.
    fn take(&self, units: u64, now: u64, limit: u64) -> bool {
        let cost = self.per_unit.load(Relaxed).wrapping_mul(units);
        let burst = self.burst.load(Relaxed);
        let taken = self.full_at.fetch_update(Relaxed, Relaxed, |full_at| {
            let after = lacking(full_at, now, burst).wrapping_add(cost);
            (after <= burst.min(limit)).then(|| now.wrapping_add(after))
        });
        taken.is_ok()
    }

    /// What it lacks, as the time in which that comes.
    fn lacks(&self, now: u64) -> u64 {
        lacking(self.full_at.load(Relaxed), now, self.burst.load(Relaxed))
    }
}

/// How far a full-at time is ahead; one in the past is now.
fn lacking(full_at: u64, now: u64, burst: u64) -> u64 {
    let ahead = full_at.wrapping_sub(now);
    if ahead > burst { 0 } else { ahead }
}

/// Time per unit, and the time that fills the bucket.
fn bucket(rate: u64, burst: u64) -> (u64, u64) {
    // A rate of 0 never refills in practice: one unit in 18 minutes, a large burst in 52 days.
    const SLOWEST: u128 = 1 << 50;
    const LONGEST: u128 = 1 << 62;
    let burst = u128::from(burst);
    let per_unit = match rate {
        0 => (LONGEST / burst.max(1)).clamp(1, SLOWEST),
        rate => ((1_000_000_000u128 << METER_TIME_SHIFT) / u128::from(rate)).clamp(1, SLOWEST),
    };
    let full = per_unit.saturating_mul(burst).min(LONGEST);
    (per_unit as u64, full as u64)
}
