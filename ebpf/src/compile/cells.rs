//! Counters, meters and registers: what programs write, see [`crate::tables::cells`].

use pointsman_p4::ir::{Expr, LValue, MeterUnit, RegisterId};

use crate::asm::{Alu, Cond, Label, Reg, Size};
use crate::tables::cells::{COUNTER_BYTES, CounterPlan, METER_BYTES, METER_TIME_SHIFT, MeterPlan};

use super::Emitter;
use super::layout::Control;

const HELPER_KTIME_GET_NS: u32 = 5;
/// How often a meter's bucket is tried again when another CPU was faster.
const METER_ATTEMPTS: u32 = 4;

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

    /// Meters the packet by cell R0 and stores the colour. Overwrites R0 to R5 and R8.
    pub(super) fn meter(&mut self, plan: MeterPlan, unit: MeterUnit, target: &LValue) {
        let (enabled, red, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm
            .alu32_imm(Alu::And, Reg::R0, (plan.cells - 1) as i32);
        self.asm.alu_imm(Alu::Mul, Reg::R0, METER_BYTES as i32);
        self.cells(Reg::R8, plan.offset);
        self.asm.alu(Alu::Add, Reg::R8, Reg::R0);
        self.asm.load(Size::DW, Reg::R1, Reg::R8, 0);
        self.asm.jump_if_imm(Cond::Ne, Reg::R1, 0, enabled);
        self.asm.mov_imm(Reg::R0, 0);
        self.asm.jump(done);

        self.asm.place(enabled);
        self.asm.call(HELPER_KTIME_GET_NS);
        self.asm.alu_imm(Alu::Lsh, Reg::R0, METER_TIME_SHIFT as i32);
        self.asm
            .store(Size::DW, Reg::R7, Control::TEMPORARY, Reg::R0);
        // Red: not even the peak bucket has room. Yellow: only that one has.
        self.bucket(24, 48, unit, red);
        let yellow = self.asm.label();
        self.bucket(8, 40, unit, yellow);
        self.asm.mov_imm(Reg::R0, 0);
        self.asm.jump(done);
        self.asm.place(yellow);
        self.asm.mov_imm(Reg::R0, 1);
        self.asm.jump(done);
        self.asm.place(red);
        self.asm.mov_imm(Reg::R0, 2);
        self.asm.place(done);
        self.store_to(target, None);
    }

    /// Takes the packet from one bucket of the meter at R8, or goes to `full`. The rate is at
    /// `rate`, the burst after it, the time at which it is full again at `state`.
    fn bucket(&mut self, rate: i32, state: i32, unit: MeterUnit, full: Label) {
        let taken = self.asm.label();
        for _ in 0..METER_ATTEMPTS {
            let behind = self.asm.label();
            // R3 = how far the full-again time is ahead; one in the past counts as now.
            self.asm
                .load(Size::DW, Reg::R4, Reg::R7, Control::TEMPORARY);
            self.asm.load(Size::DW, Reg::R0, Reg::R8, state);
            self.asm.load(Size::DW, Reg::R5, Reg::R8, rate + 8);
            self.asm.mov(Reg::R3, Reg::R0);
            self.asm.alu(Alu::Sub, Reg::R3, Reg::R4);
            self.asm.jump_if(Cond::Le, Reg::R3, Reg::R5, behind);
            self.asm.mov_imm(Reg::R3, 0);
            self.asm.place(behind);
            self.asm.load(Size::DW, Reg::R1, Reg::R8, rate);
            if unit == MeterUnit::Bytes {
                self.asm.load(Size::W, Reg::R2, Reg::R7, Control::LENGTH);
                self.asm.alu(Alu::Mul, Reg::R1, Reg::R2);
            }
            self.asm.alu(Alu::Add, Reg::R3, Reg::R1);
            self.asm.jump_if(Cond::Gt, Reg::R3, Reg::R5, full);
            self.asm.alu(Alu::Add, Reg::R3, Reg::R4);
            self.asm.mov(Reg::R1, Reg::R0);
            self.asm.cmpxchg64(Reg::R8, state, Reg::R3);
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
