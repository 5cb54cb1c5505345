use crate::asm::{Alu, Assembler, Cond, Insn, Label, Reg, Size};

fn shortened(build: impl FnOnce(&mut Assembler)) -> Vec<String> {
    let mut asm = Assembler::new();
    build(&mut asm);
    let code = asm.draft().shortened().whole().expect("jumps reach");
    code.insns.iter().map(ToString::to_string).collect()
}

#[test]
fn a_branch_over_a_jump_is_the_opposite_branch() {
    let code = shortened(|asm| {
        let (next, far) = (asm.label(), asm.label());
        asm.jump_if_imm(Cond::Ne, Reg::R1, 5, next);
        asm.jump(far);
        asm.place(next);
        asm.store_imm(Size::B, Reg::R7, 0, 1);
        asm.place(far);
        asm.mov_imm(Reg::R0, 1);
        asm.exit();
    });
    assert_eq!(code[0], "if r1 == 5 goto +1");
    assert_eq!(code.len(), 4);
}

#[test]
fn numbers_become_operands_and_nobody_loads_them() {
    let code = shortened(|asm| {
        asm.mov_imm(Reg::R1, 7);
        asm.store(Size::H, Reg::R7, 4, Reg::R1);
        asm.load(Size::W, Reg::R0, Reg::R7, 8);
        asm.alu(Alu::Add, Reg::R0, Reg::R1);
        asm.exit();
    });
    let expected = [
        "*(u16 *)(r7 +4) = 7",
        "r0 = *(u32 *)(r7 +8)",
        "r0 += 7",
        "exit",
    ];
    assert_eq!(code, expected);
}

#[test]
fn no_division_by_a_visible_zero_is_made() {
    let code = shortened(|asm| {
        asm.mov_imm(Reg::R1, 0);
        asm.load(Size::W, Reg::R0, Reg::R7, 8);
        asm.alu(Alu::Div, Reg::R0, Reg::R1);
        asm.exit();
    });
    assert_eq!(code[2], "r0 /= r1");
}

#[test]
fn a_value_is_computed_where_it_is_wanted() {
    let code = shortened(|asm| {
        asm.load(Size::W, Reg::R0, Reg::R7, 8);
        asm.be(Reg::R0, Size::W);
        asm.alu_imm(Alu::Lsh, Reg::R0, 4);
        asm.mov(Reg::R8, Reg::R0);
        asm.call(7);
        asm.alu(Alu::Add, Reg::R0, Reg::R8);
        asm.exit();
    });
    assert_eq!(
        code[..3],
        ["r8 = *(u32 *)(r7 +8)", "r8 = be32 r8", "r8 <<= 4"]
    );
    assert_eq!(code[3], "call 7");
}

#[test]
fn a_value_that_is_still_read_stays_where_it_is() {
    let code = shortened(|asm| {
        asm.load(Size::W, Reg::R0, Reg::R7, 8);
        asm.mov(Reg::R8, Reg::R0);
        asm.store(Size::W, Reg::R7, 16, Reg::R8);
        asm.store(Size::W, Reg::R7, 12, Reg::R8);
        asm.exit();
    });
    assert_eq!(code[..2], ["r0 = *(u32 *)(r7 +8)", "r8 = r0"]);
}

#[test]
fn what_a_loop_reads_in_its_next_round_is_read() {
    let code = shortened(|asm| {
        let again = asm.label();
        asm.mov_imm(Reg::R0, 0);
        asm.place(again);
        asm.alu_imm(Alu::Add, Reg::R0, 1);
        asm.jump_if_imm(Cond::Lt, Reg::R0, 10, again);
        asm.mov_imm(Reg::R2, 3);
        asm.exit();
    });
    assert_eq!(code, ["r0 = 0", "r0 += 1", "if r0 < 10 goto -2", "exit"]);
}

#[test]
fn a_number_that_only_one_way_loads_is_no_operand() {
    let code = shortened(|asm| {
        let join = asm.label();
        asm.load(Size::W, Reg::R1, Reg::R7, 0);
        asm.jump_if_imm(Cond::Eq, Reg::R2, 0, join);
        asm.mov_imm(Reg::R1, 7);
        asm.place(join);
        asm.store(Size::W, Reg::R7, 4, Reg::R1);
        asm.mov_imm(Reg::R0, 0);
        asm.exit();
    });
    assert_eq!(code[3], "*(u32 *)(r7 +4) = r1");
}

/// Registers that random programs compute with; R7 points at memory.
const REGS: [Reg; 7] = [
    Reg::R0,
    Reg::R1,
    Reg::R2,
    Reg::R3,
    Reg::R4,
    Reg::R5,
    Reg::R8,
];
const MEMORY: usize = 64;

/// Numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A program that goes forward only: computations, memory, branches.
fn random_program(random: &mut Random) -> Assembler {
    let mut asm = Assembler::new();
    for reg in REGS {
        asm.mov_imm(reg, random.below(5));
    }
    let mut ahead: Vec<(usize, Label)> = Vec::new();
    for at in 0..40 {
        while let Some(position) = ahead.iter().position(|(to, _)| *to <= at) {
            asm.place(ahead.swap_remove(position).1);
        }
        random_insn(&mut asm, random, at, &mut ahead);
    }
    ahead.into_iter().for_each(|(_, label)| asm.place(label));
    asm.exit();
    asm
}

fn random_insn(
    asm: &mut Assembler,
    random: &mut Random,
    at: usize,
    ahead: &mut Vec<(usize, Label)>,
) {
    let (dst, src) = (random.of(&REGS), random.of(&REGS));
    let op = random.of(&[
        Alu::Add,
        Alu::Sub,
        Alu::Mul,
        Alu::Or,
        Alu::And,
        Alu::Xor,
        Alu::Div,
    ]);
    let size = random.of(&[Size::B, Size::H, Size::W, Size::DW]);
    let offset = random.below(MEMORY as u64 - 8) as i32;
    match random.below(12) {
        0 => asm.mov_imm(dst, random.below(300)),
        1 => asm.mov_imm(dst, random.below(u64::MAX)),
        2 | 3 => asm.mov(dst, src),
        4 => asm.alu(op, dst, src),
        5 => asm.alu_imm(Alu::Add, dst, random.below(9) as i32),
        6 => asm.alu32(op, dst, src),
        7 => asm.be(dst, size),
        8 => asm.load(size, dst, Reg::R7, offset),
        9 => asm.store(size, Reg::R7, offset, src),
        10 => {
            let label = asm.label();
            ahead.push((at + 1 + random.below(6) as usize, label));
            let cond = random.of(&[Cond::Eq, Cond::Ne, Cond::Gt, Cond::Sle, Cond::Lt]);
            asm.jump_if(cond, dst, src, label);
        }
        _ => {
            let (label, next) = (asm.label(), asm.label());
            ahead.push((at + 1 + random.below(6) as usize, label));
            asm.jump_if_imm(random.of(&[Cond::Eq, Cond::Ge]), dst, 3, next);
            asm.jump(label);
            asm.place(next);
        }
    }
}

/// What a program returns and leaves in memory.
fn run(insns: &[Insn]) -> (u64, [u8; MEMORY]) {
    let mut regs = [0u64; 11];
    let mut memory = [7u8; MEMORY];
    let mut at = 0;
    loop {
        let insn = insns[at];
        at += 1;
        let (dst, src) = (usize::from(insn.dst()), usize::from(insn.src()));
        let imm = i64::from(insn.imm) as u64;
        let operand = if insn.code & 8 != 0 { regs[src] } else { imm };
        let bytes = insn.access().map_or(0, |a| a.size.bytes() as usize);
        let place = insn.off as usize;
        match insn.code & 7 {
            0 => {
                regs[dst] = u64::from(insn.imm as u32) | u64::from(insns[at].imm as u32) << 32;
                at += 1;
            }
            1 => {
                let mut word = [0; 8];
                word[..bytes].copy_from_slice(&memory[place..place + bytes]);
                regs[dst] = u64::from_le_bytes(word);
            }
            2 => memory[place..place + bytes].copy_from_slice(&imm.to_le_bytes()[..bytes]),
            3 => memory[place..place + bytes].copy_from_slice(&regs[src].to_le_bytes()[..bytes]),
            4 if insn.code & 0xf0 == 0xd0 => {
                regs[dst] = regs[dst].swap_bytes() >> (64 - insn.imm);
            }
            4 => {
                let (left, right) = (regs[dst] as u32, operand as u32);
                regs[dst] = compute(insn.code, left.into(), right.into()) & u64::from(u32::MAX);
            }
            7 => regs[dst] = compute(insn.code, regs[dst], operand),
            _ if insn.is_exit() => return (regs[0], memory),
            _ if insn.is_goto() || compare(insn.code, regs[dst], operand) => {
                at = (at as i64 + i64::from(insn.off)) as usize;
            }
            _ => {}
        }
    }
}

fn compute(code: u8, left: u64, right: u64) -> u64 {
    match code & 0xf0 {
        0x00 => left.wrapping_add(right),
        0x10 => left.wrapping_sub(right),
        0x20 => left.wrapping_mul(right),
        0x30 => left.checked_div(right).unwrap_or(0),
        0x40 => left | right,
        0x50 => left & right,
        0xa0 => left ^ right,
        _ => right,
    }
}

fn compare(code: u8, left: u64, right: u64) -> bool {
    match code & 0xf0 {
        0x10 => left == right,
        0x20 => left > right,
        0x30 => left >= right,
        0x50 => left != right,
        0x60 => left as i64 > right as i64,
        0xa0 => left < right,
        0xb0 => left <= right,
        _ => left as i64 <= right as i64,
    }
}

#[test]
fn shortened_programs_compute_the_same() {
    let (mut before, mut after) = (0, 0);
    for seed in 1..3000 {
        let mut random = Random(seed);
        let draft = random_program(&mut random).draft();
        let long = draft.whole().expect("jumps reach").insns;
        let short = draft.shortened().whole().expect("jumps reach").insns;
        assert_eq!(run(&long), run(&short), "seed {seed}");
        before += long.len();
        after += short.len();
    }
    assert!(
        after * 10 < before * 9,
        "{before} instructions became {after}"
    );
}
