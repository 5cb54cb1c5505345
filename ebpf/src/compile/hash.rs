//! Hashes and checksums.
//!
//! The inputs are concatenated bit by bit, as BMv2 does. Where they are a run of whole bytes of
//! one header they are hashed where they are; else they are packed into the scratch space first.

use num_traits::ToPrimitive;
use pointsman_p4::interpreter::{Resume, Step};
use pointsman_p4::ir::{
    Calculation, CalculationId, CalculationInput, Checksum, ControlKind, Expr, FieldRef,
    HashAlgorithm, HeaderId, HeaderKind, LValue, Program,
};

use crate::asm::{Alu, Cond, Label, Note, PartKind, Reg, Size};

use super::layout::{Control, SCRATCH, Slot};
use super::{Emitter, Refusal};

/// Bytes of the packed input of a calculation.
pub fn input_bytes(program: &Program, calculation: &Calculation) -> u32 {
    let bits: u32 = calculation
        .input
        .iter()
        .map(|input| match input {
            CalculationInput::Field(field) => program.field(*field).width,
            CalculationInput::Header(header) => program.headers[header.index()].fixed_bits(),
            CalculationInput::Payload => 0,
            CalculationInput::Const { width, .. } | CalculationInput::Expr { width, .. } => *width,
        })
        .sum();
    bits.div_ceil(64) * 8
}

/// The most headers at which the code of one hash forks.
const MAX_HASHED_HEADERS: usize = 4;

/// The headers of the packet that a hash reads fields of.
fn input_headers(program: &Program, id: CalculationId) -> Vec<HeaderId> {
    let mut headers = Vec::new();
    for input in &program.calculations[id.index()].input {
        if let CalculationInput::Field(FieldRef { header, .. }) = input
            && program.headers[header.index()].kind == HeaderKind::Packet
            && !headers.contains(header)
        {
            headers.push(*header);
        }
    }
    headers
}

/// Some bits of the input.
enum Run {
    /// Adjacent bits in the PHV.
    Wire { offset: i32, bit: u32, width: u32 },
    /// A number.
    Value { expr: Expr, width: u32 },
}

/// Bytes of the PHV.
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    pub(super) offset: i32,
    pub(super) count: u32,
}

impl Run {
    /// Where they are, if they are whole bytes of the PHV.
    fn whole_bytes(&self) -> Option<Bytes> {
        match self {
            Run::Wire {
                offset,
                bit: 0,
                width,
            } if width.is_multiple_of(8) => Some(Bytes {
                offset: *offset,
                count: width / 8,
            }),
            _ => None,
        }
    }
}

/// Whether all but the last part are an even number of bytes long.
fn are_words(parts: &[Bytes]) -> bool {
    parts
        .split_last()
        .is_some_and(|(_, before)| before.iter().all(|part| part.count % 2 == 0))
}

impl Emitter<'_> {
    /// R0 = the hash. Overwrites R1 to R5.
    pub(super) fn calculate(&mut self, id: CalculationId) {
        let headers = input_headers(self.program, id);
        self.calculate_of(id, &headers, &mut Vec::new());
    }

    /// A checksum whose target is in an invalid header is nobody's business.
    fn calculate_checksum(&mut self, checksum: &Checksum) {
        let mut headers = input_headers(self.program, checksum.calculation);
        headers.retain(|header| *header != checksum.target.header);
        self.calculate_of(checksum.calculation, &headers, &mut Vec::new());
    }

    /// Fields of invalid headers are no input: the code forks at each header that may be one.
    fn calculate_of(
        &mut self,
        id: CalculationId,
        headers: &[HeaderId],
        left_out: &mut Vec<HeaderId>,
    ) {
        let Some((header, rest)) = headers.split_first() else {
            return self.calculate_without(id, left_out);
        };
        if headers.len() > MAX_HASHED_HEADERS {
            self.source = self.program.calculations[id.index()].source.clone();
            return self.refuse(
                format!("a hash over {} headers", headers.len()),
                "fields of at most four headers",
            );
        }
        let (invalid, done) = (self.asm.label(), self.asm.label());
        let valid = self.layout.valid(*header);
        self.asm.load(Size::B, Reg::R0, Reg::R7, valid);
        self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, invalid);
        self.calculate_of(id, rest, left_out);
        self.asm.jump(done);
        self.asm.place(invalid);
        left_out.push(*header);
        self.calculate_of(id, rest, left_out);
        left_out.pop();
        self.asm.place(done);
    }

    fn calculate_without(&mut self, id: CalculationId, left_out: &[HeaderId]) {
        let calculation = &self.program.calculations[id.index()];
        let runs = self.runs(calculation, left_out);
        if runs.is_empty() && calculation.algorithm != HashAlgorithm::Csum16 {
            return self.asm.mov_imm(Reg::R0, 0);
        }
        let in_place: Option<Vec<Bytes>> = runs.iter().map(Run::whole_bytes).collect();
        let bytes = match in_place.as_deref() {
            // A sum goes on from one run to the next where it does so between two of its words.
            Some(parts) if calculation.algorithm == HashAlgorithm::Csum16 && are_words(parts) => {
                return self.csum16(parts);
            }
            Some([bytes]) => *bytes,
            _ => self.pack(&runs),
        };
        match calculation.algorithm {
            HashAlgorithm::Csum16 => self.csum16(&[bytes]),
            HashAlgorithm::Crc16 => self.crc(bytes, self.plan.crc16, Size::H, 0),
            HashAlgorithm::Crc32 => {
                self.crc(bytes, self.plan.crc32, Size::W, u64::from(u32::MAX));
                self.asm.alu32_imm(Alu::Xor, Reg::R0, -1);
            }
            HashAlgorithm::Identity => {
                let first = bytes.count.min(8);
                if first == 0 {
                    self.asm.mov_imm(Reg::R0, 0);
                } else {
                    self.load_wire(Reg::R0, Reg::R1, bytes.offset, 0, first * 8);
                }
            }
            other => self.refuse(
                format!("the hash algorithm {other:?}"),
                "csum16, crc16, crc32 and identity",
            ),
        }
    }

    /// The input as runs of bits, adjacent fields of a header joined.
    fn runs(&mut self, calculation: &Calculation, left_out: &[HeaderId]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (index, input) in calculation.input.iter().enumerate() {
            match input {
                CalculationInput::Field(field) if left_out.contains(&field.header) => {}
                // What follows it to the most that it can have is 0, and adds nothing to a sum.
                CalculationInput::Field(field)
                    if calculation.algorithm == HashAlgorithm::Csum16
                        && index + 1 == calculation.input.len()
                        && let Some(varbit) = self.varbit_field(*field) =>
                {
                    runs.push(Run::Wire {
                        offset: varbit.data(),
                        bit: 0,
                        width: varbit.max_bytes * 8,
                    });
                }
                CalculationInput::Field(field) => self.add_field(&mut runs, *field),
                CalculationInput::Const { value, width } => runs.push(Run::Value {
                    expr: Expr::Const(value.clone().into()),
                    width: *width,
                }),
                CalculationInput::Expr { value, width } => {
                    runs.push(Run::Value {
                        expr: value.clone(),
                        width: *width,
                    });
                }
                CalculationInput::Header(_) => {
                    self.source = calculation.source.clone();
                    self.refuse("a whole header as the input of a hash", "its fields");
                }
                CalculationInput::Payload => {
                    self.source = calculation.source.clone();
                    self.refuse("a checksum with payload", "checksums over headers");
                }
            }
        }
        if runs
            .iter()
            .any(|r| matches!(r, Run::Value { width, .. } if *width > 64))
        {
            self.refuse(
                "a computed hash input of more than 64 bits",
                "fields, or at most 64 bits",
            );
        }
        runs
    }

    fn add_field(&mut self, runs: &mut Vec<Run>, field: FieldRef) {
        if self.varbit_field(field).is_some() {
            let name = self.program.field_name(field);
            return self.refuse(
                format!("the varbit field {name} in a hash"),
                "one at the end of a csum16, or fields of fixed width",
            );
        }
        let Slot::Wire { offset, bit, width } = self.layout.slot(field) else {
            let width = self.width(field);
            return runs.push(Run::Value {
                expr: Expr::Field(field),
                width,
            });
        };
        if let Some(Run::Wire {
            offset: first,
            bit: first_bit,
            width: so_far,
        }) = runs.last_mut()
        {
            let end = *first as u32 * 8 + *first_bit + *so_far;
            if end == offset as u32 * 8 + bit {
                *so_far += width;
                return;
            }
        }
        runs.push(Run::Wire { offset, bit, width });
    }

    /// Concatenates runs in the scratch space. R5 collects up to 64 bits.
    fn pack(&mut self, runs: &[Run]) -> Bytes {
        let mut stored = 0u32;
        let mut pending = 0u32;
        self.asm.mov_imm(Reg::R5, 0);
        for run in runs {
            let total = match run {
                Run::Wire { width, .. } | Run::Value { width, .. } => *width,
            };
            let mut done = 0;
            while done < total {
                let take = (total - done).min(64 - pending);
                match run {
                    Run::Wire { offset, bit, .. } => {
                        let from = bit + done;
                        self.load_wire(
                            Reg::R0,
                            Reg::R1,
                            offset + (from / 8) as i32,
                            from % 8,
                            take,
                        );
                    }
                    Run::Value { expr, width } => {
                        self.asm
                            .store(Size::DW, Reg::R7, Control::TEMPORARY2, Reg::R5);
                        self.value_of_width(expr, (*width).min(64));
                        self.asm
                            .load(Size::DW, Reg::R5, Reg::R7, Control::TEMPORARY2);
                        let right = total - done - take;
                        if right > 0 {
                            self.asm.alu_imm(Alu::Rsh, Reg::R0, right as i32);
                        }
                        self.keep_low(Reg::R0, take);
                    }
                }
                if pending == 0 {
                    self.asm.mov(Reg::R5, Reg::R0);
                } else {
                    self.asm.alu_imm(Alu::Lsh, Reg::R5, take as i32);
                    self.asm.alu(Alu::Or, Reg::R5, Reg::R0);
                }
                (done, pending) = (done + take, pending + take);
                if pending == 64 {
                    self.asm.be(Reg::R5, Size::DW);
                    self.asm
                        .store(Size::DW, Reg::R7, SCRATCH + stored as i32, Reg::R5);
                    (stored, pending) = (stored + 8, 0);
                }
            }
        }
        let bytes = pending.div_ceil(8);
        if pending > 0 {
            self.asm.alu_imm(Alu::Lsh, Reg::R5, (64 - pending) as i32);
            self.asm.be(Reg::R5, Size::DW);
            self.asm
                .store(Size::DW, Reg::R7, SCRATCH + stored as i32, Reg::R5);
        }
        Bytes {
            offset: SCRATCH,
            count: stored + bytes,
        }
    }

    /// RFC 1071: the sum does not depend on the byte order, so words are added as they are.
    fn csum16(&mut self, parts: &[Bytes]) {
        self.asm.mov_imm(Reg::R0, 0);
        for part in parts {
            let bytes = part.offset..part.offset + part.count as i32;
            for (at, size) in self.changes.pieces(&bytes, Size::W) {
                self.asm.load(size, Reg::R1, Reg::R7, at);
                if size == Size::B && (at - part.offset) % 2 == 1 {
                    self.asm.alu_imm(Alu::Lsh, Reg::R1, 8);
                }
                self.asm.alu(Alu::Add, Reg::R0, Reg::R1);
            }
        }
        // Three times is enough for any sum below 2^46.
        for _ in 0..3 {
            self.asm.mov(Reg::R1, Reg::R0);
            self.asm.alu_imm(Alu::Rsh, Reg::R1, 16);
            self.keep_low(Reg::R0, 16);
            self.asm.alu(Alu::Add, Reg::R0, Reg::R1);
        }
        self.asm.alu_imm(Alu::Xor, Reg::R0, -1);
        self.asm.be(Reg::R0, Size::H);
    }

    /// `target = base + hash % max`; a max of 0 counts as 1.
    pub(super) fn hash_into(
        &mut self,
        target: &LValue,
        base: &Expr,
        calculation: CalculationId,
        max: &Expr,
    ) {
        self.calculate(calculation);
        self.asm.mov(Reg::R8, Reg::R0);
        match max {
            Expr::Const(max) => {
                let max = max.to_u64().unwrap_or(u64::MAX).max(1);
                self.asm.mov_imm(Reg::R1, max);
                self.asm.alu(Alu::Mod, Reg::R8, Reg::R1);
            }
            max => {
                let (modulo, done) = (self.asm.label(), self.asm.label());
                self.value(max);
                self.asm.jump_if_imm(Cond::Ne, Reg::R0, 0, modulo);
                self.asm.mov_imm(Reg::R8, 0);
                self.asm.jump(done);
                self.asm.place(modulo);
                self.asm.alu(Alu::Mod, Reg::R8, Reg::R0);
                self.asm.place(done);
            }
        }
        self.value(base);
        self.asm.alu(Alu::Add, Reg::R0, Reg::R8);
        self.store_to(target, None);
    }

    /// After the parser: `checksum_error` is 1 if any checksum is wrong. Nobody reads it, nobody checks.
    pub(super) fn verify_checksums(&mut self) {
        let Some(error) = self.program.standard.checksum_error else {
            return;
        };
        if !self.read.contains(&error) {
            return;
        }
        for checksum in self.program.checksums.iter().filter(|c| c.verify) {
            self.asm.section();
            let name = format!("verify {}", checksum.name);
            self.asm
                .note(Note::part(PartKind::Checksum, &name, &checksum.source));
            self.source = checksum.source.clone();
            let emitted = self.attempt(|e| e.verify_checksum(checksum, error));
            if let Err(constructs) = emitted {
                self.unless_left_out(checksum, Resume::Parser, constructs);
            }
        }
    }

    fn verify_checksum(&mut self, checksum: &Checksum, error: FieldRef) {
        let done = self.asm.label();
        self.if_verified(checksum, done);
        self.calculate_checksum(checksum);
        self.asm.mov(Reg::R8, Reg::R0);
        self.load_field(Reg::R1, Reg::R2, checksum.target);
        self.asm.jump_if(Cond::Eq, Reg::R1, Reg::R8, done);
        self.asm.mov_imm(Reg::R0, 1);
        self.store_field(error, Reg::R0, [Reg::R1, Reg::R2]);
        self.asm.place(done);
    }

    /// Before the deparser. Packets that need a checksum which the kernel cannot compute go before
    /// any is written: the interpreter computes them all.
    pub(super) fn update_checksums(&mut self) {
        let all: Vec<&Checksum> = self.program.checksums.iter().filter(|c| c.update).collect();
        let start = self.asm.mark();
        let mut possible = Vec::new();
        let mut slow = Vec::new();
        for checksum in all {
            self.source = checksum.source.clone();
            match self.attempt(|e| e.update_checksum(checksum)) {
                Ok(()) => possible.push(checksum),
                Err(constructs) => slow.push((checksum, constructs)),
            }
        }
        if !slow.is_empty() {
            self.asm.rewind(start);
            for (checksum, constructs) in slow {
                let end = Resume::Control(ControlKind::Egress, Step::End);
                self.unless_left_out(checksum, end, constructs);
            }
            for checksum in possible {
                self.update_checksum(checksum);
            }
        }
    }

    fn update_checksum(&mut self, checksum: &Checksum) {
        self.asm.section();
        let name = format!("update {}", checksum.name);
        self.asm
            .note(Note::part(PartKind::Checksum, &name, &checksum.source));
        let done = self.asm.label();
        self.if_condition(checksum, done);
        self.calculate_checksum(checksum);
        self.keep_low(Reg::R0, self.width(checksum.target).min(64));
        self.store_field(checksum.target, Reg::R0, [Reg::R1, Reg::R2]);
        self.asm.place(done);
    }

    /// Hands packets over that need this checksum.
    fn unless_left_out(&mut self, checksum: &Checksum, resume: Resume, constructs: Vec<Refusal>) {
        let done = self.asm.label();
        let tested = self.attempt(|e| match resume {
            Resume::Parser => e.if_verified(checksum, done),
            Resume::Control(..) => e.if_condition(checksum, done),
        });
        // A condition that the kernel cannot test counts as true.
        let mut constructs = constructs;
        constructs.extend(tested.err().into_iter().flatten());
        self.hand_over(resume, constructs);
        self.asm.place(done);
    }

    fn if_verified(&mut self, checksum: &Checksum, otherwise: Label) {
        let valid = self.layout.valid(checksum.target.header);
        if self.program.headers[checksum.target.header.index()].kind == HeaderKind::Packet {
            self.asm.load(Size::B, Reg::R0, Reg::R7, valid);
            self.asm.jump_if_imm(Cond::Eq, Reg::R0, 0, otherwise);
        }
        self.if_condition(checksum, otherwise);
    }

    fn if_condition(&mut self, checksum: &Checksum, otherwise: Label) {
        if let Some(condition) = &checksum.condition {
            self.branch(condition, false, otherwise);
        }
    }
}
