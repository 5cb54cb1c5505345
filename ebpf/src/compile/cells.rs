//! Counters, meters, registers and last hits: what programs write, see [`crate::tables::cells`].

use pointsman_p4::dataplane::Color;
use pointsman_p4::ir::{Expr, LValue, MeterUnit, RegisterId};

use crate::asm::{Alu, Cond, Label, Reg, Size};
use crate::tables::cells::{
    COLOR_CELLS, COUNTER_BYTES, CounterPlan, METER_BYTES, METER_TIME_SHIFT, MeterCell, MeterPlan,
};
use crate::tables::hits::HitPlan;
use crate::tables::table::DEFAULT_CELL;
use crate::ticks::HELPER_JIFFIES64;

use super::Emitter;
use super::layout::Control;

const HELPER_KTIME_GET_NS: u32 = 5;
/// How often a meter's bucket is tried again when another CPU was faster.
const METER_ATTEMPTS: u32 = 4;

/// Offsets of a bucket in a meter's cell.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Its time per unit; its burst is after it.
    rate: i32,
    /// When it is full again.
    full_at: i32,
}

const COMMITTED: Bucket = Bucket {
    rate: MeterCell::COMMITTED,
    full_at: MeterCell::COMMITTED_FULL_AT,
};
const OTHER: Bucket = Bucket {
    rate: MeterCell::OTHER,
    full_at: MeterCell::OTHER_FULL_AT,
};

/// How much a bucket may lack once it is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// Its burst.
    Burst,
    /// What is in [`Control::METER_LIMIT`].
    Stored,
}

/// What is done with a register.
pub(super) enum Access<'e> {
    Read(&'e LValue),
    Write(&'e Expr),
}

impl Emitter<'_> {
    /// Counts the packet in a cell that an expression says.
    pub(super) fn count_indirect(&mut self, plan: CounterPlan, size: u32, index: &Expr) {
        let out = self.asm.label();
        self.value(index);
        self.asm.mov_imm(Reg::R1, u64::from(size));
        self.asm.jump_if(Cond::Ge, Reg::R0, Reg::R1, out);
        self.count(plan);
        self.asm.place(out);
    }

    /// Counts the packet in cell R0. Overwrites R0 to R3.
    pub(super) fn count(&mut self, plan: CounterPlan) {
        self.asm
            .alu32_imm(Alu::And, Reg::R0, (plan.cells - 1) as i32);
        self.asm.alu_imm(Alu::Mul, Reg::R0, COUNTER_BYTES as i32);
        self.asm.load(Size::W, Reg::R1, Reg::R7, Control::CPU);
        self.asm.alu_imm(Alu::And, Reg::R1, (plan.cpus - 1) as i32);
        self.asm
            .alu_imm(Alu::Mul, Reg::R1, (plan.cells * COUNTER_BYTES) as i32);
        self.cells(Reg::R2, plan.offset);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R0);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
        self.asm.load(Size::DW, Reg::R3, Reg::R2, 0);
        self.asm.alu_imm(Alu::Add, Reg::R3, 1);
        self.asm.store(Size::DW, Reg::R2, 0, Reg::R3);
        self.asm.load(Size::DW, Reg::R3, Reg::R2, 8);
        self.asm.load(Size::W, Reg::R0, Reg::R7, Control::LENGTH);
        self.asm.alu(Alu::Add, Reg::R3, Reg::R0);
        self.asm.store(Size::DW, Reg::R2, 8, Reg::R3);
    }

    /// Notes when the entry of the record at R9 was hit. Overwrites R0 to R5.
    pub(super) fn note_hit(&mut self, plan: HitPlan) {
        let noted = self.asm.label();
        self.asm.call(HELPER_JIFFIES64);
        self.asm.load(Size::W, Reg::R1, Reg::R9, 4);
        self.asm
            .alu32_imm(Alu::And, Reg::R1, (plan.cells - 1) as i32);
        self.asm.alu_imm(Alu::Lsh, Reg::R1, 3);
        self.cells(Reg::R2, plan.offset);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
        self.asm.load(Size::DW, Reg::R3, Reg::R2, 0);
        self.asm.jump_if(Cond::Eq, Reg::R3, Reg::R0, noted);
        self.asm.store(Size::DW, Reg::R2, 0, Reg::R0);
        self.asm.place(noted);
    }

    /// Meters the packet by cell R0, counts it by its colour and stores that. Overwrites R0 to R5 and R8.
    pub(super) fn meter(&mut self, plan: MeterPlan, unit: MeterUnit, target: &LValue) {
        self.mark(plan, unit);
        self.asm.mov(Reg::R0, Reg::R8);
        self.store_to(target, None);
    }

    /// The same, but for the default entry's meter while that is not configured: it leaves the colour as it
    /// is, see [`set_direct_meter`](pointsman_p4::dataplane::DataPlane::set_direct_meter).
    pub(super) fn direct_meter(&mut self, plan: MeterPlan, unit: MeterUnit, target: &LValue) {
        let (says, says_nothing) = (self.asm.label(), self.asm.label());
        self.mark(plan, unit);
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::METER_CELL);
        self.asm
            .jump_if_imm(Cond::Ne, Reg::R1, DEFAULT_CELL as i32, says);
        let kind_at = plan.offset + DEFAULT_CELL * METER_BYTES;
        self.cells(Reg::R2, kind_at);
        self.asm.load(Size::DW, Reg::R1, Reg::R2, 0);
        let unset = MeterCell::UNSET as i32;
        self.asm.jump_if_imm(Cond::Eq, Reg::R1, unset, says_nothing);
        self.asm.place(says);
        self.asm.mov(Reg::R0, Reg::R8);
        self.store_to(target, None);
        self.asm.place(says_nothing);
    }

    /// R8 = the colour of the packet by the meter in cell R0, by which it is counted. Overwrites R0 to R5.
    fn mark(&mut self, plan: MeterPlan, unit: MeterUnit) {
        let [set, single, red, yellow, green, done] = std::array::from_fn(|_| self.asm.label());
        self.asm
            .alu32_imm(Alu::And, Reg::R0, (plan.cells - 1) as i32);
        self.asm
            .store(Size::W, Reg::R7, Control::METER_CELL, Reg::R0);
        self.asm.alu_imm(Alu::Mul, Reg::R0, METER_BYTES as i32);
        self.cells(Reg::R8, plan.offset);
        self.asm.alu(Alu::Add, Reg::R8, Reg::R0);
        self.asm.load(Size::DW, Reg::R1, Reg::R8, 0);
        let unset = MeterCell::UNSET as i32;
        self.asm.jump_if_imm(Cond::Ne, Reg::R1, unset, set);
        self.asm.jump(green);

        self.asm.place(set);
        self.asm.call(HELPER_KTIME_GET_NS);
        self.asm.alu_imm(Alu::Lsh, Reg::R0, METER_TIME_SHIFT as i32);
        self.asm
            .store(Size::DW, Reg::R7, Control::TEMPORARY, Reg::R0);
        self.asm.load(Size::DW, Reg::R1, Reg::R8, 0);
        let single_rate = MeterCell::SINGLE_RATE as i32;
        self.asm.jump_if_imm(Cond::Eq, Reg::R1, single_rate, single);
        // Red: not even the peak bucket has room. Yellow: only that one has.
        self.bucket(OTHER, Limit::Burst, unit, red);
        self.bucket(COMMITTED, Limit::Burst, unit, yellow);
        self.asm.jump(green);

        self.asm.place(single);
        let beyond = self.asm.label();
        self.bucket(COMMITTED, Limit::Burst, unit, beyond);
        self.bucket(OTHER, Limit::Burst, unit, green);
        self.asm.jump(green);
        self.asm.place(beyond);
        // What both buckets may lack: the excess burst, and what the committed bucket does.
        self.lacking(COMMITTED);
        self.asm.load(Size::DW, Reg::R0, Reg::R8, MeterCell::EXCESS);
        self.asm.alu(Alu::Add, Reg::R0, Reg::R3);
        self.asm
            .store(Size::DW, Reg::R7, Control::METER_LIMIT, Reg::R0);
        self.bucket(OTHER, Limit::Stored, unit, red);

        self.asm.place(yellow);
        self.asm.mov_imm(Reg::R0, Color::Yellow as u64);
        self.asm.jump(done);
        self.asm.place(red);
        self.asm.mov_imm(Reg::R0, Color::Red as u64);
        self.asm.jump(done);
        self.asm.place(green);
        self.asm.mov_imm(Reg::R0, Color::Green as u64);
        self.asm.place(done);
        self.asm.mov(Reg::R8, Reg::R0);
        self.asm
            .load(Size::W, Reg::R1, Reg::R7, Control::METER_CELL);
        self.asm.alu_imm(Alu::Mul, Reg::R1, COLOR_CELLS as i32);
        self.asm.alu(Alu::Add, Reg::R0, Reg::R1);
        self.count(plan.colors);
    }

    /// R3 = what a bucket of the meter at R8 lacks, R0 = when it is full again, R4 = now, R5 = its burst.
    fn lacking(&mut self, bucket: Bucket) {
        let behind = self.asm.label();
        self.asm
            .load(Size::DW, Reg::R4, Reg::R7, Control::TEMPORARY);
        self.asm.load(Size::DW, Reg::R0, Reg::R8, bucket.full_at);
        self.asm.load(Size::DW, Reg::R5, Reg::R8, bucket.rate + 8);
        self.asm.mov(Reg::R3, Reg::R0);
        self.asm.alu(Alu::Sub, Reg::R3, Reg::R4);
        self.asm.jump_if(Cond::Le, Reg::R3, Reg::R5, behind);
        // One in the past counts as now.
        self.asm.mov_imm(Reg::R3, 0);
        self.asm.place(behind);
    }

    /// Takes the packet from one bucket of the meter at R8, or goes to `full`.
    fn bucket(&mut self, bucket: Bucket, limit: Limit, unit: MeterUnit, full: Label) {
        let taken = self.asm.label();
        for _ in 0..METER_ATTEMPTS {
            self.lacking(bucket);
            self.asm.load(Size::DW, Reg::R1, Reg::R8, bucket.rate);
            if unit == MeterUnit::Bytes {
                self.asm.load(Size::W, Reg::R2, Reg::R7, Control::LENGTH);
                self.asm.alu(Alu::Mul, Reg::R1, Reg::R2);
            }
            self.asm.alu(Alu::Add, Reg::R3, Reg::R1);
            if limit == Limit::Stored {
                self.asm
                    .load(Size::DW, Reg::R5, Reg::R7, Control::METER_LIMIT);
            }
            self.asm.jump_if(Cond::Gt, Reg::R3, Reg::R5, full);
            self.asm.alu(Alu::Add, Reg::R3, Reg::R4);
            self.asm.mov(Reg::R1, Reg::R0);
            self.asm.cmpxchg64(Reg::R8, bucket.full_at, Reg::R3);
            self.asm.jump_if(Cond::Eq, Reg::R0, Reg::R1, taken);
        }
        self.asm.place(taken);
    }

    /// Reads or writes a cell of a register.
    pub(super) fn register_access(
        &mut self,
        register: RegisterId,
        index: &Expr,
        access: Access<'_>,
    ) {
        let (size, width) = {
            let register = &self.program.registers[register.index()];
            (register.size, register.width)
        };
        if width > 64 {
            let name = self.program.registers[register.index()].name.clone();
            return self.refuse(
                format!("the register {name} of {width} bits"),
                "at most 64 bits",
            );
        }
        let (offset, cells) = self.plan.registers[&register];
        let out = self.asm.label();
        self.value(index);
        self.asm.mov_imm(Reg::R1, u64::from(size));
        self.asm.jump_if(Cond::Ge, Reg::R0, Reg::R1, out);
        self.asm.alu32_imm(Alu::And, Reg::R0, (cells - 1) as i32);
        self.asm.alu_imm(Alu::Lsh, Reg::R0, 3);
        self.cells(Reg::R8, offset);
        self.asm.alu(Alu::Add, Reg::R8, Reg::R0);
        match access {
            Access::Read(target) => {
                self.asm.load(Size::DW, Reg::R0, Reg::R8, 0);
                self.store_to(target, None);
            }
            Access::Write(value) => {
                self.value_of_width(value, width);
                self.asm.store(Size::DW, Reg::R8, 0, Reg::R0);
            }
        }
        self.asm.place(out);
    }
}
