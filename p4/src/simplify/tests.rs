use num_bigint::BigInt;

use super::simplify;
use crate::ir::{
    ActionId, BinaryOp, Conditional, ConditionalId, ControlKind, Expr, Field, FieldKind, FieldRef,
    Header, HeaderId, HeaderKind, HeaderRef, LValue, LearnList, LearnListId, Node, Op, Program,
    SourceInfo, UnaryOp, print,
};
use crate::{bmv2, programs};

/// The action whose body tests write; tables run it.
const ACTION: ActionId = ActionId(0);

/// A program with metadata `m` of three fields of 16 bits, a header `h` that nobody makes valid, and
/// this body of its first action.
fn program(body: Vec<Op>) -> Program {
    let json = include_str!("../../tests/bmv2/small.json");
    let mut program = bmv2::read(json).expect("valid");
    for (name, kind) in [("m", HeaderKind::Metadata), ("h", HeaderKind::Packet)] {
        let fields = ["a", "b", "c"].iter().zip([0, 16, 32]);
        program.headers.push(Header {
            name: name.to_owned(),
            type_name: format!("{name}_t"),
            kind,
            fields: fields
                .map(|(field, offset)| Field {
                    name: (*field).to_owned(),
                    offset,
                    width: 16,
                    kind: FieldKind::Unsigned,
                })
                .collect(),
        });
    }
    let body = body.into_iter();
    program.actions[ACTION.index()].body = body.map(|op| (op, SourceInfo::default())).collect();
    program
}

fn header(program: &Program, name: &str) -> HeaderId {
    let index = program.headers.iter().position(|h| h.name == name);
    HeaderId(index.expect("it is there") as u32)
}

/// A field of `m`.
fn meta(field: u32) -> FieldRef {
    let header = header(&program(Vec::new()), "m");
    FieldRef { header, field }
}

fn set(field: FieldRef, value: Expr) -> Op {
    let target = LValue::Field(field);
    Op::Assign { target, value }
}

fn number(value: u32) -> Expr {
    Expr::Const(BigInt::from(value))
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let (left, right) = (Box::new(left), Box::new(right));
    Expr::Binary { op, left, right }
}

/// The statements of the action after simplifying.
fn body(program: &Program) -> Vec<String> {
    let simplified = simplify(program);
    let action = &simplified.actions[ACTION.index()];
    let ops = action.body.iter();
    ops.map(|(op, _)| print::statement(&simplified, action, op))
        .collect()
}

/// Sends the packet where `value` says.
fn send_to(program: &Program, value: Expr) -> Op {
    set(program.standard.egress_spec, value)
}

#[test]
fn a_store_that_nobody_reads_leaves_its_place_empty() {
    let plain = program(Vec::new());
    let ops = vec![set(meta(0), number(1)), send_to(&plain, Expr::Param(0))];
    let expected = ["assume(true)", "standard_metadata.egress_spec = port"];
    assert_eq!(body(&program(ops)), expected);
}

#[test]
fn stores_that_only_feed_dead_stores_are_dead() {
    let sum = binary(BinaryOp::Add, Expr::Field(meta(2)), number(1));
    let ops = vec![
        set(meta(0), Expr::Param(0)),
        set(meta(1), Expr::Field(meta(0))),
        set(meta(2), sum),
    ];
    assert_eq!(body(&program(ops)), ["assume(true)"; 3]);
}

#[test]
fn what_goes_to_the_controller_is_read() {
    let ops = vec![
        set(meta(0), Expr::Param(0)),
        Op::Digest {
            list: LearnListId(0),
        },
    ];
    let mut program = program(ops);
    program.learn_lists.push(LearnList {
        name: "seen".to_owned(),
        elements: vec![(Expr::Field(meta(0)), 16)],
    });
    assert_eq!(body(&program), ["m.a = port", "digest(seen)"]);
}

#[test]
fn what_a_clone_keeps_is_read() {
    // small.p4 clones from the action after this one, with the field list `fl`.
    let mut program = program(vec![set(meta(0), Expr::Param(0))]);
    program.field_lists[0].fields.push(Expr::Field(meta(0)));
    assert_eq!(body(&program), ["m.a = port"]);
}

#[test]
fn metadata_that_nobody_writes_are_zero() {
    let plain = program(Vec::new());
    let value = binary(BinaryOp::Add, Expr::Field(meta(0)), number(3));
    let ops = vec![send_to(&plain, value)];
    assert_eq!(body(&program(ops)), ["standard_metadata.egress_spec = 3"]);
}

#[test]
fn a_mask_that_changes_nothing_goes_and_one_that_cuts_stays() {
    let plain = program(Vec::new());
    let field = Expr::Field(plain.standard.ingress_port);
    let wide = binary(BinaryOp::BitAnd, field.clone(), number(0xffff));
    let narrow = binary(BinaryOp::BitAnd, field, number(0xff));
    let ops = vec![send_to(&plain, wide), send_to(&plain, narrow)];
    assert_eq!(
        body(&program(ops)),
        [
            "standard_metadata.egress_spec = standard_metadata.ingress_port",
            "standard_metadata.egress_spec = standard_metadata.ingress_port & 255",
        ]
    );
}

#[test]
fn code_under_a_condition_that_never_holds_goes() {
    let plain = program(Vec::new());
    let never = Expr::Valid(HeaderRef::Header(header(&plain, "h")));
    let ops = vec![
        Op::JumpIfZero {
            condition: never,
            to: 2,
        },
        send_to(&plain, number(1)),
        send_to(&plain, number(2)),
    ];
    let expected = [
        "assume(true)",
        "assume(true)",
        "standard_metadata.egress_spec = 2",
    ];
    assert_eq!(body(&program(ops)), expected);
}

#[test]
fn a_branch_on_a_header_that_is_never_valid_is_led_around() {
    let mut program = program(vec![Op::MarkToDrop]);
    let not_valid = Expr::Unary {
        op: UnaryOp::Not,
        arg: Box::new(Expr::Valid(HeaderRef::Header(header(&program, "h")))),
    };
    let after = program.ingress.start;
    program.conditionals.push(Conditional {
        name: "never".to_owned(),
        control: ControlKind::Ingress,
        condition: not_valid,
        then: after,
        otherwise: None,
        source: SourceInfo::default(),
    });
    let last = ConditionalId(program.conditionals.len() as u32 - 1);
    program.ingress.start = Some(Node::Conditional(last));
    assert_eq!(simplify(&program).ingress.start, after);
}

#[test]
fn what_may_look_beyond_the_packet_stays() {
    use crate::ir::ParserOp;
    let mut program = program(Vec::new());
    let ahead = Expr::Lookahead {
        offset: 0,
        width: 16,
    };
    let look = |value| ParserOp::Set {
        target: LValue::Field(meta(0)),
        value,
    };
    let state = &mut program.parser_states[0];
    let before = state.ops.len();
    state.ops.push((look(ahead), SourceInfo::default()));
    state.ops.push((look(number(1)), SourceInfo::default()));
    assert_eq!(simplify(&program).parser_states[0].ops.len(), before + 1);
}

#[test]
fn what_has_the_shape_of_the_program_stays() {
    let embedded = programs::embedded("leaf_spine").expect("it is embedded");
    let program = bmv2::read(embedded.bmv2_json).expect("valid");
    let simplified = simplify(&program);
    assert_eq!(simplified.headers, program.headers);
    let keys = |p: &Program| p.tables.iter().map(|t| t.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&simplified), keys(&program));
    let lengths = |p: &Program| p.actions.iter().map(|a| a.body.len()).collect::<Vec<_>>();
    assert_eq!(lengths(&simplified), lengths(&program));
    assert_eq!(simplify(&simplified), simplified);
}
