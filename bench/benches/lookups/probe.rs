//! An XDP program that takes one destination after the other and looks it up.

use std::error::Error;
use std::sync::atomic::Ordering::Relaxed;

use pointsman_ebpf::asm::{Alu, Assembler, Reg, Size};
use pointsman_ebpf::sys::{Map, MapKind, Program, ProgramKind};

/// Where the packed key is, from R7.
pub const KEY_OFFSET: i32 = 128;
/// Where a reader may keep what does not fit into registers, from R7.
pub const SPARE_OFFSET: i32 = 64;
const PHV_BYTES: u32 = 256;
/// The shortest frame that the kernel runs a program on.
const FRAME: [u8; 14] = [0; 14];

/// Keys that all probes of a comparison read in the same order.
pub struct Destinations {
    map: Map,
    words: usize,
    count: usize,
}

impl Destinations {
    /// Puts keys of `words` words each where programs can read them. Their number is a power of two.
    pub fn new(keys: &[u64], words: usize) -> Result<Destinations, Box<dyn Error>> {
        let map = Map::create(MapKind::Shared, "keys", 8 * keys.len() as u32, 1)?;
        let memory = map.memory()?;
        for (index, word) in keys.iter().enumerate() {
            memory.u64(8 * index).store(*word, Relaxed);
        }
        let count = keys.len() / words;
        assert!(count.is_power_of_two(), "positions are masked");
        Ok(Destinations { map, words, count })
    }
}

/// A program that looks one destination up each time it runs.
pub struct Probe {
    program: Program,
    phv: Map,
}

impl Probe {
    /// `lookup` emits code that finds the key at R7 + [`KEY_OFFSET`], puts the answer into R0 (0 for
    /// none) and falls through. It may overwrite R0 to R5, R8 and R9.
    pub fn new(
        destinations: &Destinations,
        lookup: impl FnOnce(&mut Assembler),
    ) -> Result<Probe, Box<dyn Error>> {
        let phv = Map::create(MapKind::Shared, "probe", PHV_BYTES, 1)?;
        let mut asm = Assembler::new();
        asm.map_value(Reg::R7, phv.insn_fd(), 0);
        asm.load(Size::DW, Reg::R8, Reg::R7, 0);
        asm.mov(Reg::R1, Reg::R8);
        asm.alu_imm(Alu::Add, Reg::R1, 1);
        asm.store(Size::DW, Reg::R7, 0, Reg::R1);
        asm.alu_imm(Alu::And, Reg::R8, destinations.count as i32 - 1);
        asm.alu_imm(Alu::Mul, Reg::R8, 8 * destinations.words as i32);
        asm.map_value(Reg::R2, destinations.map.insn_fd(), 0);
        asm.alu(Alu::Add, Reg::R2, Reg::R8);
        for word in 0..destinations.words as i32 {
            asm.load(Size::DW, Reg::R1, Reg::R2, 8 * word);
            asm.store(Size::DW, Reg::R7, KEY_OFFSET + 8 * word, Reg::R1);
        }
        asm.mov_imm(Reg::R0, 0);
        lookup(&mut asm);
        asm.exit();
        let program = Program::load(ProgramKind::Xdp, "probe", &asm.finish()?)?;
        Ok(Probe { program, phv })
    }

    /// Starts again with the first destination.
    fn rewind(&self) -> Result<(), Box<dyn Error>> {
        self.phv.memory()?.u64(0).store(0, Relaxed);
        Ok(())
    }

    /// The answer for the next destination.
    pub fn answer(&self) -> Result<u32, Box<dyn Error>> {
        Ok(self.program.test_run(&FRAME, 1)?.verdict)
    }
}

/// Refuses to measure programs that do not answer alike.
pub fn agree(probes: [&Probe; 2], destinations: usize) -> Result<(), Box<dyn Error>> {
    for position in 0..destinations {
        let [first, second] = [probes[0].answer()?, probes[1].answer()?];
        if first != second {
            return Err(format!("destination {position}: {first} and {second}").into());
        }
    }
    Ok(())
}

/// Runs all of them in turns; the median of each, in nanoseconds a run.
pub fn medians<const N: usize>(
    probes: &[Probe; N],
    batch: u32,
    rounds: usize,
) -> Result<[f64; N], Box<dyn Error>> {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (probe, times) in probes.iter().zip(&mut times) {
            probe.rewind()?;
            times.push(probe.program.test_run(&FRAME, batch)?.duration_ns);
        }
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        f64::from(times[times.len() / 2])
    }))
}
