//! A program that routes a frame as often as one likes.

use num_bigint::BigInt;
use num_traits::Zero;
use pointsman_p4::ir::{BinaryOp, Expr, LValue, Op, Program};

/// The same program, except that it adds 0 wherever it counts a TTL down: `ttl = (ttl + 255) & 255`
/// becomes `ttl = (ttl + 0) & 255`, which takes the same instructions.
pub fn hold_ttl(program: &Program) -> Program {
    let mut steady = program.clone();
    let names = |target: &LValue| match target {
        LValue::Field(field) => program.field_name(*field),
        LValue::FieldOf { .. } => String::new(),
    };
    for (op, _) in steady.actions.iter_mut().flat_map(|a| &mut a.body) {
        if let Op::Assign {
            target,
            value:
                Expr::Binary {
                    op: BinaryOp::BitAnd,
                    left,
                    ..
                },
        } = op
            && [".ttl", ".hop_limit"]
                .iter()
                .any(|end| names(target).ends_with(end))
            && let Expr::Binary {
                op: BinaryOp::Add,
                right,
                ..
            } = left.as_mut()
        {
            **right = Expr::Const(BigInt::zero());
        }
    }
    steady
}
