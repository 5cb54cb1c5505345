//! Instructions as text, in the kernel's own notation, and what a listing asks about one.

use std::fmt;

use super::{Insn, Size};

/// What an instruction refers to by a number, for which a listing has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// Nothing of that sort.
    None,
    /// A jump, or a call into the program: how far from the next instruction.
    Jump(i32),
    /// A helper of the kernel, by its number.
    Helper(i32),
    /// Another function of the kernel, by its number in BTF.
    KernelFunction(i32),
    /// A map, by its file descriptor.
    Map(i32),
    /// A place in the single value of a map; the offset is in the second half.
    MapValue(i32),
}

/// An access to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The number of the register that holds the address.
    pub base: u8,
    /// Added to it.
    pub offset: i16,
    /// Bytes.
    pub size: Size,
}

impl Insn {
    /// What it refers to.
    pub fn operand(&self) -> Operand {
        match (self.code, self.regs >> 4) {
            (0x18, Insn::PSEUDO_MAP_FD) => Operand::Map(self.imm),
            (0x18, Insn::PSEUDO_MAP_VALUE) => Operand::MapValue(self.imm),
            (0x85, 0) => Operand::Helper(self.imm),
            (0x85, Insn::PSEUDO_KERNEL_CALL) => Operand::KernelFunction(self.imm),
            (0x85, _) => Operand::Jump(self.imm),
            (0x95, _) => Operand::None,
            (code, _) if matches!(code & 7, 5 | 6) => Operand::Jump(self.off.into()),
            _ => Operand::None,
        }
    }

    /// The memory that it reads or writes.
    pub fn access(&self) -> Option<Access> {
        let base = match self.code & 7 {
            1 => self.regs >> 4,
            2 | 3 => self.regs & 0xf,
            _ => return None,
        };
        let size = match self.code & 0x18 {
            0x00 => Size::W,
            0x08 => Size::H,
            0x10 => Size::B,
            _ => Size::DW,
        };
        Some(Access {
            base,
            offset: self.off,
            size,
        })
    }

    /// Whether the next slot is its second half.
    pub fn is_wide(&self) -> bool {
        self.code == 0x18
    }

    /// Whether the instruction after it may be the next to run.
    pub fn falls_through(&self) -> bool {
        !self.is_goto() && !self.is_exit()
    }

    /// Its text; `name` stands for what [`Insn::operand`] says.
    pub fn text(&self, name: &str) -> String {
        let (dst, src) = (self.regs & 0xf, self.regs >> 4);
        let memory = |base: u8| {
            let width = match self.code & 0x18 {
                0x00 => "u32",
                0x08 => "u16",
                0x10 => "u8",
                _ => "u64",
            };
            format!("*({width} *)(r{base} {:+})", self.off)
        };
        match self.code & 7 {
            0 => format!("r{dst} = {name}"),
            1 => format!("r{dst} = {}", memory(src)),
            2 => format!("{} = {}", memory(dst), self.imm),
            3 if self.code & 0xe0 == 0xc0 && self.imm == 0 => {
                format!("lock {} += r{src}", memory(dst))
            }
            3 if self.is_fetch_add() => format!("r{src} = fetch_add({}, r{src})", memory(dst)),
            3 if self.code & 0xe0 == 0xc0 => format!("r0 = cmpxchg({}, r0, r{src})", memory(dst)),
            3 => format!("{} = r{src}", memory(dst)),
            4 | 7 => self.arithmetic(dst, src),
            _ => match (self.code & 0xf0, comparison(self.code)) {
                (0x00, _) => format!("goto {name}"),
                (0x80, _) => format!("call {name}"),
                (0x90, _) => "exit".to_owned(),
                (0xe0, _) => format!("may_goto {name}"),
                (_, op) if self.code & 8 != 0 => format!("if r{dst} {op} r{src} goto {name}"),
                (_, op) => format!("if r{dst} {op} {} goto {name}", self.imm),
            },
        }
    }

    fn arithmetic(&self, dst: u8, src: u8) -> String {
        let register = if self.code & 7 == 7 { 'r' } else { 'w' };
        let op = match self.code & 0xf0 {
            0x00 => "+=",
            0x10 => "-=",
            0x20 => "*=",
            0x30 => "/=",
            0x40 => "|=",
            0x50 => "&=",
            0x60 => "<<=",
            0x70 => ">>=",
            0x80 => return format!("{register}{dst} = -{register}{dst}"),
            0x90 => "%=",
            0xa0 => "^=",
            0xb0 => "=",
            0xc0 => "s>>=",
            _ => return format!("r{dst} = be{} r{dst}", self.imm),
        };
        match self.code & 8 {
            0 => format!("{register}{dst} {op} {}", self.imm),
            _ => format!("{register}{dst} {op} {register}{src}"),
        }
    }
}

/// With numbers for what has no name here.
impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.operand() {
            Operand::None => format!("{:#x} ll", self.imm),
            Operand::Jump(distance) => format!("{distance:+}"),
            Operand::Helper(number) => number.to_string(),
            Operand::KernelFunction(number) => format!("kernel function {number}"),
            Operand::Map(fd) | Operand::MapValue(fd) => format!("map {fd}"),
        };
        f.write_str(&self.text(&name))
    }
}

fn comparison(code: u8) -> &'static str {
    match code & 0xf0 {
        0x10 => "==",
        0x20 => ">",
        0x30 => ">=",
        0x50 => "!=",
        0x60 => "s>",
        0x70 => "s>=",
        0xa0 => "<",
        0xb0 => "<=",
        0xc0 => "s<",
        _ => "s<=",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Alu, Assembler, Cond, Reg};
    use super::*;
    use crate::sys::MapFd;

    #[test]
    fn instructions_read_as_the_kernel_prints_them() {
        let mut asm = Assembler::new();
        let end = asm.label();
        asm.map_value(Reg::R2, MapFd(7), 64);
        asm.load(Size::W, Reg::R0, Reg::R2, 4);
        asm.alu_imm(Alu::Lsh, Reg::R0, 3);
        asm.be(Reg::R0, Size::H);
        asm.jump_if_imm(Cond::Slt, Reg::R0, -1, end);
        asm.store(Size::DW, Reg::R7, -8, Reg::R0);
        asm.call(1);
        asm.place(end);
        asm.exit();
        let insns = asm.finish().expect("short").insns;
        let texts: Vec<String> = insns.iter().map(|insn| insn.text("NAME")).collect();
        let expected = [
            "r2 = NAME",
            "r0 = NAME",
            "r0 = *(u32 *)(r2 +4)",
            "r0 <<= 3",
            "r0 = be16 r0",
            "if r0 s< -1 goto NAME",
            "*(u64 *)(r7 -8) = r0",
            "call NAME",
            "exit",
        ];
        assert_eq!(texts, expected);
        assert_eq!(insns[0].operand(), Operand::MapValue(7));
        assert_eq!(insns[5].operand(), Operand::Jump(2));
        assert_eq!(insns[7].operand(), Operand::Helper(1));
    }
}
