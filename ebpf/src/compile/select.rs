//! Action profiles: from what an entry refers to, to the record of a member.

use pointsman_p4::ir::ActionProfileId;

use crate::asm::{Alu, Cond, Label, Reg, Size};
use crate::switch::ports::LIVE_OFFSET;
use crate::switch::ports::MAX_PORTS;
use crate::tables::records::{GROUP, HEADER_BYTES, MEMBER};
use crate::tables::selector::{
    BLOCK_BYTES, BLOCK_COUNT_AT, BLOCK_HEADER_BYTES, BLOCK_STARTS_AT, MAX_GROUP_MEMBERS,
};

use super::Emitter;
use super::layout::Control;

impl Emitter<'_> {
    /// R8 is what the entry says, R9 its arguments; afterwards both are the member's. An entry
    /// of the table itself (its default action) stays as it is. Nothing to run: `no_action`.
    pub(super) fn select(&mut self, id: ActionProfileId, no_action: Label) {
        let plan = self.plan.profiles[id.index()];
        let (chosen, is_member, done) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.mov(Reg::R1, Reg::R8);
        self.asm
            .alu_imm(Alu::Rsh, Reg::R1, GROUP.trailing_zeros() as i32);
        if let Some(selector) = self.program.action_profiles[id.index()].selector {
            let no_group = self.asm.label();
            self.asm.jump_if_imm(Cond::Eq, Reg::R1, 0, no_group);
            self.choose_member(id, selector.calculation, chosen, no_action);
            self.asm.place(no_group);
        }
        self.asm.mov(Reg::R1, Reg::R8);
        self.asm
            .alu_imm(Alu::Rsh, Reg::R1, MEMBER.trailing_zeros() as i32);
        self.asm.jump_if_imm(Cond::Eq, Reg::R1, 0, done);
        self.asm.jump(is_member);

        self.asm.place(chosen);
        self.asm.place(is_member);
        // R8 = the member's index in the low bits.
        self.asm
            .alu32_imm(Alu::And, Reg::R8, (plan.member_count - 1) as i32);
        self.asm.alu_imm(Alu::Lsh, Reg::R8, 2);
        self.tables(Reg::R2, plan.members);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R8);
        self.asm.load(Size::W, Reg::R4, Reg::R2, 0);
        self.asm.jump_if_imm(Cond::Eq, Reg::R4, 0, no_action);
        let reader = self.reader();
        reader.record_address(&mut self.asm, &plan.records, Reg::R4);
        self.asm.load(Size::W, Reg::R8, Reg::R9, 0);
        self.asm.alu_imm(Alu::Add, Reg::R9, HEADER_BYTES as i32);
        self.asm.place(done);
    }

    /// R8 = a member of the group in R8: the hash modulo the number of members at which packets begin, or the
    /// first one after it whose port is up. With all ports down, the one that the hash says.
    fn choose_member(
        &mut self,
        id: ActionProfileId,
        calculation: pointsman_p4::ir::CalculationId,
        chosen: Label,
        no_action: Label,
    ) {
        let plan = self.plan.profiles[id.index()];
        let (next, wrapped, found) = (self.asm.label(), self.asm.label(), self.asm.label());
        // R9 = the group's block.
        self.asm
            .alu32_imm(Alu::And, Reg::R8, (plan.group_count - 1) as i32);
        self.asm.alu_imm(Alu::Lsh, Reg::R8, 2);
        self.tables(Reg::R9, plan.groups);
        self.asm.alu(Alu::Add, Reg::R9, Reg::R8);
        self.asm.load(Size::W, Reg::R8, Reg::R9, 0);
        self.asm
            .alu32_imm(Alu::And, Reg::R8, (plan.block_count - 1) as i32);
        self.asm.alu_imm(Alu::Mul, Reg::R8, BLOCK_BYTES as i32);
        self.tables(Reg::R9, plan.blocks);
        self.asm.alu(Alu::Add, Reg::R9, Reg::R8);
        self.asm
            .load(Size::W, Reg::R8, Reg::R9, BLOCK_STARTS_AT as i32);
        self.asm.jump_if_imm(Cond::Eq, Reg::R8, 0, no_action);
        self.calculate(calculation);
        self.asm.alu(Alu::Mod, Reg::R0, Reg::R8);

        // R0 = position, R5 = tries. From the first dead member on R8 = members.
        self.asm.mov_imm(Reg::R5, 0);
        self.asm.place(next);
        self.asm
            .alu_imm(Alu::And, Reg::R0, MAX_GROUP_MEMBERS as i32);
        self.asm.mov(Reg::R1, Reg::R0);
        self.asm.alu_imm(Alu::Lsh, Reg::R1, 3);
        self.asm.mov(Reg::R2, Reg::R9);
        self.asm.alu(Alu::Add, Reg::R2, Reg::R1);
        self.asm
            .load(Size::W, Reg::R4, Reg::R2, BLOCK_HEADER_BYTES as i32 + 4);
        self.asm.jump_if_imm(Cond::Eq, Reg::R4, 0, found);
        self.asm.alu_imm(Alu::Sub, Reg::R4, 1);
        self.asm.alu32_imm(Alu::And, Reg::R4, MAX_PORTS as i32 - 1);
        self.asm.map_value(Reg::R3, self.maps.ports, LIVE_OFFSET);
        self.asm.alu(Alu::Add, Reg::R3, Reg::R4);
        self.asm.load(Size::B, Reg::R4, Reg::R3, 0);
        self.asm.jump_if_imm(Cond::Ne, Reg::R4, 0, found);
        self.asm.alu_imm(Alu::Add, Reg::R0, 1);
        self.asm
            .load(Size::W, Reg::R8, Reg::R9, BLOCK_COUNT_AT as i32);
        self.asm.jump_if(Cond::Lt, Reg::R0, Reg::R8, wrapped);
        self.asm.mov_imm(Reg::R0, 0);
        self.asm.place(wrapped);
        // Through memory, so that the verifier knows as little after either branch: it would
        // follow both to the end otherwise, at every step.
        self.asm
            .store(Size::W, Reg::R7, Control::TEMPORARY, Reg::R0);
        self.asm.load(Size::W, Reg::R0, Reg::R7, Control::TEMPORARY);
        self.asm
            .load(Size::W, Reg::R8, Reg::R9, BLOCK_COUNT_AT as i32);
        self.asm.alu_imm(Alu::Add, Reg::R5, 1);
        if self.options.may_goto {
            self.asm.may_goto(found);
        } else {
            self.asm
                .jump_if_imm(Cond::Gt, Reg::R5, MAX_GROUP_MEMBERS as i32, found);
        }
        // Once more than there are members: back to the first one.
        self.asm.jump_if(Cond::Le, Reg::R5, Reg::R8, next);
        self.asm.place(found);
        self.asm
            .load(Size::W, Reg::R8, Reg::R2, BLOCK_HEADER_BYTES as i32);
        self.asm.jump(chosen);
    }
}
