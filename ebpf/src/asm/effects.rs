//! Which registers an instruction reads and writes.

use super::Insn;

/// A set of registers, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Registers(u16);

impl Registers {
    /// What a call of a helper may read: nobody here knows how many arguments it has.
    const ARGUMENTS: Registers = Registers(0b11_1110);
    /// What is lost in a call.
    const CLOBBERED: Registers = Registers(0b11_1111);
    const ALL: Registers = Registers(0x7ff);

    fn one(register: u8) -> Registers {
        Registers(1 << register)
    }

    pub(super) fn has(self, register: u8) -> bool {
        self.0 & 1 << register != 0
    }

    pub(super) fn union(self, other: Registers) -> Registers {
        Registers(self.0 | other.0)
    }

    pub(super) fn without(self, other: Registers) -> Registers {
        Registers(self.0 & !other.0)
    }

    pub(super) fn meets(self, other: Registers) -> bool {
        self.0 & other.0 != 0
    }
}

/// What an instruction does with registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Effects {
    pub(super) reads: Registers,
    pub(super) writes: Registers,
    /// It does nothing but write a register.
    pub(super) is_pure: bool,
}

impl Insn {
    pub(super) fn effects(&self) -> Effects {
        let (dst, src) = (Registers::one(self.dst()), Registers::one(self.src()));
        let none = Registers::default();
        let by_register = if self.code & 8 != 0 { src } else { none };
        let (reads, writes, is_pure) = match self.code & 7 {
            0 if self.is_wide() => (none, dst, true),
            // The second half of one.
            0 => (none, none, false),
            1 => (src, dst, true),
            2 => (dst, none, false),
            // Of the atomic operations there are addition, which is like a store, addition that reads, and compare and
            // exchange.
            3 if self.is_fetch_add() => (dst.union(src), src, false),
            3 if self.is_atomic() && self.imm != 0 => {
                let r0 = Registers::one(0);
                (dst.union(src).union(r0), r0, false)
            }
            3 => (dst.union(src), none, false),
            4 | 7 if self.code & 0xf0 == 0xb0 => (by_register, dst, true),
            // A change of byte order has its source bit set and no source.
            4 | 7 if self.code & 0xf0 == 0xd0 => (dst, dst, true),
            4 | 7 => (dst.union(by_register), dst, true),
            _ => match self.code & 0xf0 {
                0x00 => (none, none, false),
                0x80 if self.src() == 0 => (Registers::ARGUMENTS, Registers::CLOBBERED, false),
                0x80 => (Registers::ALL, Registers::CLOBBERED, false),
                0x90 => (Registers::one(0), none, false),
                _ => (dst.union(by_register), none, false),
            },
        };
        Effects {
            reads,
            writes,
            is_pure,
        }
    }
}
