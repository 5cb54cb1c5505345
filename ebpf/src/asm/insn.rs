//! The encoding of instructions (RFC 9669, section 3).

/// A register. R10 is the read-only frame pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// Bytes of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// One byte.
    B,
    /// Two bytes.
    H,
    /// Four bytes.
    W,
    /// Eight bytes.
    DW,
}

impl Size {
    /// The number of bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::DW => 8,
        }
    }

    /// The smallest access of at least that many bytes; at most eight.
    pub fn covering(bytes: u32) -> Size {
        match bytes {
            0..=1 => Size::B,
            2 => Size::H,
            3..=4 => Size::W,
            _ => Size::DW,
        }
    }

    fn code(self) -> u8 {
        match self {
            Size::W => 0x00,
            Size::H => 0x08,
            Size::B => 0x10,
            Size::DW => 0x18,
        }
    }
}

/// Arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Alu {
    Add = 0x00,
    Sub = 0x10,
    Mul = 0x20,
    Div = 0x30,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Neg = 0x80,
    Mod = 0x90,
    Xor = 0xa0,
    Mov = 0xb0,
    Arsh = 0xc0,
}

/// Conditions of jumps; those with an S compare as signed numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cond {
    Eq = 0x10,
    Gt = 0x20,
    Ge = 0x30,
    Ne = 0x50,
    Sgt = 0x60,
    Sge = 0x70,
    Lt = 0xa0,
    Le = 0xb0,
    Slt = 0xc0,
    Sle = 0xd0,
}

impl Cond {
    /// True exactly when this one is false.
    pub fn negated(self) -> Cond {
        match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Gt => Cond::Le,
            Cond::Le => Cond::Gt,
            Cond::Ge => Cond::Lt,
            Cond::Lt => Cond::Ge,
            Cond::Sgt => Cond::Sle,
            Cond::Sle => Cond::Sgt,
            Cond::Sge => Cond::Slt,
            Cond::Slt => Cond::Sge,
        }
    }
}

const CLASS_LDX: u8 = 0x01;
const CLASS_ST: u8 = 0x02;
const CLASS_STX: u8 = 0x03;
const CLASS_ALU: u8 = 0x04;
const CLASS_JMP: u8 = 0x05;
const CLASS_ALU64: u8 = 0x07;
const JCOND: u8 = 0xe0;
const SOURCE_REG: u8 = 0x08;
const MODE_MEM: u8 = 0x60;
const MODE_ATOMIC: u8 = 0xc0;
const LOAD_IMM64: u8 = 0x18;
const END_TO_BE: u8 = 0xd0 | SOURCE_REG;

/// An instruction, laid out as the kernel takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    /// Operation code.
    pub code: u8,
    /// Destination in the low, source in the high four bits.
    pub regs: u8,
    /// Offset of memory accesses and jumps.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

impl Insn {
    /// Source register of a 64-bit load: the immediate is a map.
    pub const PSEUDO_MAP_FD: u8 = 1;
    /// Source register of a 64-bit load: the immediate is a map and an offset in its first value.
    pub const PSEUDO_MAP_VALUE: u8 = 2;
    /// Immediate of an atomic addition that also reads.
    const FETCH_ADD: i32 = 1;
    /// Source "register" of a call: a function of the kernel that has no helper's number.
    pub const PSEUDO_KERNEL_CALL: u8 = 2;

    fn new(code: u8, dst: Reg, src: Reg, off: i16, imm: i32) -> Insn {
        Insn {
            code,
            regs: (src as u8) << 4 | dst as u8,
            off,
            imm,
        }
    }

    /// Jumps always.
    pub(super) fn is_goto(&self) -> bool {
        self.code == CLASS_JMP
    }

    /// Ends the program.
    pub(super) fn is_exit(&self) -> bool {
        self.code == CLASS_JMP | 0x90
    }

    /// The number of its destination register.
    pub(super) fn dst(&self) -> u8 {
        self.regs & 0xf
    }

    /// The number of its source register, or what stands in its place.
    pub(super) fn src(&self) -> u8 {
        self.regs >> 4
    }

    /// Reads and writes memory in one step.
    pub(super) fn is_atomic(&self) -> bool {
        self.code & 7 == CLASS_STX && self.code & 0xe0 == MODE_ATOMIC
    }

    /// Adds to memory and reads what was there, in one step.
    pub(super) fn is_fetch_add(&self) -> bool {
        self.is_atomic() && self.imm == Insn::FETCH_ADD
    }

    /// Copies all of a register to another.
    pub(super) fn is_move(&self) -> bool {
        self.code == CLASS_ALU64 | SOURCE_REG | Alu::Mov as u8
    }

    /// The number that it puts into a register.
    pub(super) fn loaded_number(&self) -> Option<i32> {
        (self.code == CLASS_ALU64 | Alu::Mov as u8).then_some(self.imm)
    }

    /// The opposite branch; `None` if it is no branch, or has no opposite.
    pub(super) fn negated(&self) -> Option<Insn> {
        let cond = match self.code & 0xf0 {
            _ if self.code & 7 != CLASS_JMP => return None,
            0x10 => Cond::Eq,
            0x20 => Cond::Gt,
            0x30 => Cond::Ge,
            0x50 => Cond::Ne,
            0x60 => Cond::Sgt,
            0x70 => Cond::Sge,
            0xa0 => Cond::Lt,
            0xb0 => Cond::Le,
            0xc0 => Cond::Slt,
            0xd0 => Cond::Sle,
            _ => return None,
        };
        let code = self.code & 0x0f | cond.negated() as u8;
        Some(Insn { code, ..*self })
    }

    /// The register of an operand that could be a number instead.
    pub(super) fn replaceable_source(&self) -> Option<u8> {
        let is_operand = match self.code & 7 {
            CLASS_STX => !self.is_atomic(),
            CLASS_ALU | CLASS_ALU64 => self.code & 8 != 0 && self.code & 0xf0 != 0xd0,
            CLASS_JMP => self.code & 8 != 0,
            _ => false,
        };
        is_operand.then(|| self.src())
    }

    /// The same with a number for the source register, where there is such an instruction. The
    /// verifier refuses to divide by a 0 or shift by a width that it sees.
    pub(super) fn with_immediate(&self, number: i32) -> Option<Insn> {
        let is_64 = self.code & 7 == CLASS_ALU64;
        let is_possible = match (self.code & 7, self.code & 0xf0) {
            (CLASS_ALU | CLASS_ALU64, 0x30 | 0x90) => number != 0,
            (CLASS_ALU | CLASS_ALU64, 0x60 | 0x70 | 0xc0) => {
                (0..if is_64 { 64 } else { 32 }).contains(&number)
            }
            _ => true,
        };
        let code = match self.code & 7 {
            CLASS_STX => self.code & !7 | CLASS_ST,
            _ => self.code & !SOURCE_REG,
        };
        is_possible.then_some(Insn {
            code,
            regs: self.dst(),
            imm: number,
            ..*self
        })
    }

    /// Has one register wherever it had another.
    pub(super) fn rename(&mut self, from: u8, to: u8) {
        let has_source = match self.code & 7 {
            1 | CLASS_STX => true,
            CLASS_ALU | CLASS_ALU64 => self.code & 8 != 0 && self.code & 0xf0 != 0xd0,
            _ => false,
        };
        let dst = if self.dst() == from { to } else { self.dst() };
        let src = if has_source && self.src() == from {
            to
        } else {
            self.src()
        };
        self.regs = src << 4 | dst;
    }

    pub(super) fn alu64_reg(op: Alu, dst: Reg, src: Reg) -> Insn {
        Insn::new(CLASS_ALU64 | SOURCE_REG | op as u8, dst, src, 0, 0)
    }

    pub(super) fn alu64_imm(op: Alu, dst: Reg, imm: i32) -> Insn {
        Insn::new(CLASS_ALU64 | op as u8, dst, Reg::R0, 0, imm)
    }

    pub(super) fn alu32_imm(op: Alu, dst: Reg, imm: i32) -> Insn {
        Insn::new(CLASS_ALU | op as u8, dst, Reg::R0, 0, imm)
    }

    pub(super) fn alu32_reg(op: Alu, dst: Reg, src: Reg) -> Insn {
        Insn::new(CLASS_ALU | SOURCE_REG | op as u8, dst, src, 0, 0)
    }

    pub(super) fn to_be(dst: Reg, size: Size) -> Insn {
        Insn::new(
            CLASS_ALU | END_TO_BE,
            dst,
            Reg::R0,
            0,
            size.bytes() as i32 * 8,
        )
    }

    pub(super) fn load(size: Size, dst: Reg, base: Reg, off: i16) -> Insn {
        Insn::new(CLASS_LDX | MODE_MEM | size.code(), dst, base, off, 0)
    }

    pub(super) fn store(size: Size, base: Reg, off: i16, src: Reg) -> Insn {
        Insn::new(CLASS_STX | MODE_MEM | size.code(), base, src, off, 0)
    }

    pub(super) fn store_imm(size: Size, base: Reg, off: i16, imm: i32) -> Insn {
        Insn::new(CLASS_ST | MODE_MEM | size.code(), base, Reg::R0, off, imm)
    }

    pub(super) fn atomic_add64(base: Reg, off: i16, src: Reg) -> Insn {
        let code = CLASS_STX | MODE_ATOMIC | Size::DW.code();
        Insn::new(code, base, src, off, 0)
    }

    pub(super) fn fetch_add32(base: Reg, off: i16, src: Reg) -> Insn {
        let code = CLASS_STX | MODE_ATOMIC | Size::W.code();
        Insn::new(code, base, src, off, Insn::FETCH_ADD)
    }

    pub(super) fn cmpxchg64(base: Reg, off: i16, src: Reg) -> Insn {
        Insn::new(
            CLASS_STX | MODE_ATOMIC | Size::DW.code(),
            base,
            src,
            off,
            0xf1,
        )
    }

    pub(super) fn load_imm64(dst: Reg, pseudo: u8, low: u32, high: u32) -> [Insn; 2] {
        [
            Insn {
                code: LOAD_IMM64,
                regs: pseudo << 4 | dst as u8,
                off: 0,
                imm: low as i32,
            },
            Insn {
                code: 0,
                regs: 0,
                off: 0,
                imm: high as i32,
            },
        ]
    }

    pub(super) fn call(helper: u32) -> Insn {
        Insn::new(CLASS_JMP | 0x80, Reg::R0, Reg::R0, 0, helper as i32)
    }

    pub(super) fn call_kernel(function: u32) -> Insn {
        let code = CLASS_JMP | 0x80;
        Insn {
            regs: Insn::PSEUDO_KERNEL_CALL << 4,
            ..Insn::new(code, Reg::R0, Reg::R0, 0, function as i32)
        }
    }

    pub(super) fn exit() -> Insn {
        Insn::new(CLASS_JMP | 0x90, Reg::R0, Reg::R0, 0, 0)
    }

    pub(super) fn jump() -> Insn {
        Insn::new(CLASS_JMP, Reg::R0, Reg::R0, 0, 0)
    }

    /// Leaves a loop after more rounds than any that ends would need.
    pub(super) fn may_goto() -> Insn {
        Insn::new(CLASS_JMP | JCOND, Reg::R0, Reg::R0, 0, 0)
    }

    pub(super) fn jump_reg(cond: Cond, left: Reg, right: Reg) -> Insn {
        Insn::new(CLASS_JMP | SOURCE_REG | cond as u8, left, right, 0, 0)
    }

    pub(super) fn jump_imm(cond: Cond, left: Reg, imm: i32) -> Insn {
        Insn::new(CLASS_JMP | cond as u8, left, Reg::R0, 0, imm)
    }
}
