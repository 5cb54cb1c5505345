//! Actions that go round: in the kernel as often as in the interpreter.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use pointsman_bench::conformance::Target;
use pointsman_bench::fuzz::{CPU_PORT, Pair, script};
use pointsman_bench::synthetic::{Size, bmv2_json};
use pointsman_ebpf::compile::Options;
use pointsman_ebpf::pipeline::Pipeline;
use pointsman_ebpf::switch::Shared;
use pointsman_ebpf::sys::has_may_goto;
use pointsman_p4::bmv2;
use pointsman_p4::ir::{BinaryOp, Expr, FieldRef, HeaderId, LValue, Op, Program, SourceInfo};

/// A small pipeline whose actions all end in a loop over a header field: one more, until it is `end`.
fn looping(end: u64) -> Arc<Program> {
    let mut program = bmv2::read(bmv2_json(Size::of(8))).unwrap();
    let header = program.headers.iter().position(|h| h.name == "ethernet");
    let counter = FieldRef {
        header: HeaderId(header.unwrap() as u32),
        field: 0,
    };
    let value = |number: u64| Box::new(Expr::Const(number.into()));
    let binary = |op, right| Expr::Binary {
        op,
        left: Box::new(Expr::Field(counter)),
        right,
    };
    for action in &mut program.actions {
        let start = action.body.len() as u32;
        let round = [
            Op::JumpIfZero {
                condition: binary(BinaryOp::Ne, value(end)),
                to: start + 3,
            },
            Op::Assign {
                target: LValue::Field(counter),
                value: binary(BinaryOp::Add, value(1)),
            },
            Op::Jump { to: start },
        ];
        let ops = round.into_iter().map(|op| (op, SourceInfo::default()));
        action.body.extend(ops);
    }
    Arc::new(program)
}

fn agree(program: &Arc<Program>, packets: usize) {
    let steps = script(program, 1, packets, CPU_PORT);
    if let Err(difference) = Pair::run(program, &steps) {
        panic!("{difference}");
    }
}

fn can_loop() -> bool {
    match Target::Xdp.check() {
        Ok(()) if has_may_goto() => true,
        Ok(()) => {
            println!("skipped: loops take the slow path before kernel 6.9");
            false
        }
        Err(error) if std::env::var_os("REQUIRE_NETNS").is_some() => panic!("{error}"),
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}

#[test]
fn loops_run_in_the_kernel() {
    if can_loop() {
        let program = looping(5);
        let shared = Arc::new(Shared::new().unwrap());
        let options = Options::new(CPU_PORT);
        let pipeline = Pipeline::new(program, shared, options).unwrap();
        assert_eq!(pipeline.slow_constructs(), []);
    }
}

#[test]
fn endless_loops_end_after_the_same_number_of_rounds() {
    if can_loop() {
        // Ethernet addresses are about as often below as above.
        agree(&looping(0x7fff_ffff_ffff), 20);
    }
}
