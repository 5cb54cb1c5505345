//! A parser value set that is replaced while a program goes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use pointsman_ebpf::asm::{Assembler, Reg};
use pointsman_ebpf::sys::{Map, MapKind, Program, ProgramKind};
use pointsman_ebpf::tables::arena::Arena;
use pointsman_ebpf::tables::grace::Grace;
use pointsman_ebpf::tables::value_set::{ValueSet, ValueSetPlan};

use crate::bed::FRAME;
use crate::support::privileged;
use crate::until::Until;

const WANTED: u64 = 0x0800;

#[test]
fn a_value_set_keeps_a_member_that_is_in_the_old_and_the_new_version() {
    if !privileged() {
        return;
    }
    let mut arena = Arena::default();
    let plan = ValueSetPlan::new(&mut arena, 64);
    let map = Map::create(MapKind::Shared, "sets", arena.bytes(), 1).unwrap();
    let mut asm = Assembler::new();
    let member = asm.label();
    asm.mov_imm(Reg::R0, WANTED);
    plan.emit(&mut asm, map.insn_fd(), u64::MAX, member);
    asm.mov_imm(Reg::R0, 0);
    asm.exit();
    asm.place(member);
    asm.mov_imm(Reg::R0, 1);
    asm.exit();
    let program = Program::load(ProgramKind::Xdp, "set", &asm.finish().unwrap()).unwrap();
    let mut set = ValueSet::new(plan, Arc::new(map.memory().unwrap()));
    let grace = Grace::new().unwrap();

    let found = || program.test_run(&FRAME, 1).unwrap().verdict == 1;
    assert!(!found(), "the set is empty");
    set.set(&grace, &[WANTED]).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut lookups = 0;
            while !done.load(Relaxed) || lookups < 100 {
                assert!(found(), "after {lookups} lookups");
                lookups += 1;
            }
        });
        let until = Until(&done);
        for round in 0..60u64 {
            // Now first, now last, now between others.
            let mut members: Vec<u64> = (1..1 + round % 40).collect();
            members.insert(members.len() * (round as usize % 3) / 2, WANTED);
            set.set(&grace, &members).unwrap();
        }
        drop(until);
        reader.join().unwrap();
    });
    set.set(&grace, &[1, 2]).unwrap();
    assert!(!found(), "it is gone when the call returns");
}
