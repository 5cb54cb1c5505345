//! Instructions as text, in the kernel's own notation, for people and for tests.

use std::fmt;

use super::Insn;

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dst, src) = (self.regs & 0xf, self.regs >> 4);
        let width = |code: u8| match code & 0x18 {
            0x00 => "u32",
            0x08 => "u16",
            0x10 => "u8",
            _ => "u64",
        };
        let (prefix, by_reg) = (
            ["w", "r"][usize::from(self.code & 7 == 7)],
            self.code & 8 != 0,
        );
        match self.code & 7 {
            0 if self.code == 0 => write!(f, "  (high half {:#x})", self.imm),
            0 => write!(f, "r{dst} = {:#x} ll (kind {src})", self.imm),
            1 => write!(
                f,
                "r{dst} = *({} *)(r{src} {:+})",
                width(self.code),
                self.off
            ),
            2 => write!(
                f,
                "*({} *)(r{dst} {:+}) = {}",
                width(self.code),
                self.off,
                self.imm
            ),
            3 if self.code & 0xe0 == 0xc0 => {
                write!(f, "r0 = cmpxchg(r{dst} {:+}, r0, r{src})", self.off)
            }
            3 => write!(
                f,
                "*({} *)(r{dst} {:+}) = r{src}",
                width(self.code),
                self.off
            ),
            4 if self.code & 0xf0 == 0xd0 => write!(f, "r{dst} = be{} r{dst}", self.imm),
            4 | 7 => {
                let op = match self.code & 0xf0 {
                    0x00 => "+=",
                    0x10 => "-=",
                    0x20 => "*=",
                    0x30 => "/=",
                    0x40 => "|=",
                    0x50 => "&=",
                    0x60 => "<<=",
                    0x70 => ">>=",
                    0x80 => return write!(f, "{prefix}{dst} = -{prefix}{dst}"),
                    0x90 => "%=",
                    0xa0 => "^=",
                    0xb0 => "=",
                    _ => "s>>=",
                };
                if by_reg {
                    write!(f, "{prefix}{dst} {op} {prefix}{src}")
                } else {
                    write!(f, "{prefix}{dst} {op} {}", self.imm)
                }
            }
            _ => {
                let op = match self.code & 0xf0 {
                    0x00 => return write!(f, "goto {:+}", self.off),
                    0x80 => return write!(f, "call {}", self.imm),
                    0x90 => return f.write_str("exit"),
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
                };
                if by_reg {
                    write!(f, "if r{dst} {op} r{src} goto {:+}", self.off)
                } else {
                    write!(f, "if r{dst} {op} {} goto {:+}", self.imm, self.off)
                }
            }
        }
    }
}
