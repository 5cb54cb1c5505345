//! What happens between the controls: clones, multicast, resubmit, recirculate, digests, drops.
//!
//! Each test is one small program: a header of two bytes, one action in ingress and one in egress.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use num_bigint::BigInt;
use pointsman_p4::dataplane::{
    Bits, CloneSession, CounterData, DataPlane, DataPlaneError, Replica,
};
use pointsman_p4::interpreter::{
    Handoff, HeaderValues, Interpreter, Output, Packet, Requests, Resume, Step,
};
use pointsman_p4::ir::{
    Action, ActionCall, ActionId, BinaryOp, CloneSource, Control, ControlKind, Counter, CounterId,
    DefaultAction, Deparser, ErrorCode, Expr, Field, FieldKind, FieldList, FieldListId, FieldRef,
    Header, HeaderId, HeaderKind, HeaderRef, Implementation, LValue, LearnList, LearnListId, Node,
    Op, ParserOp, ParserState, ParserStateId, Program, Register, RegisterId, SourceInfo,
    StandardMetadata, Table, TableId, TableNext, Transition, TransitionMatch,
};

const STANDARD: &[(&str, u32)] = &[
    ("ingress_port", 9),
    ("egress_spec", 9),
    ("egress_port", 9),
    ("packet_length", 32),
    ("instance_type", 32),
    ("mcast_grp", 16),
    ("egress_rid", 16),
];

const INGRESS_PORT: FieldRef = field(0, 0);
const EGRESS_SPEC: FieldRef = field(0, 1);
const PACKET_LENGTH: FieldRef = field(0, 3);
const INSTANCE_TYPE: FieldRef = field(0, 4);
const MCAST_GRP: FieldRef = field(0, 5);
const EGRESS_RID: FieldRef = field(0, 6);
/// Metadata of the program itself.
const META: FieldRef = field(1, 0);
/// The two bytes of the header that is parsed.
const FIRST: FieldRef = field(2, 0);
const SECOND: FieldRef = field(2, 1);
/// A header that is not parsed.
const EXTRA: HeaderId = HeaderId(3);

const fn field(header: u32, field: u32) -> FieldRef {
    FieldRef {
        header: HeaderId(header),
        field,
    }
}

fn header(name: &str, kind: HeaderKind, fields: &[(&str, u32)]) -> Header {
    let mut offset = 0;
    let fields = fields.iter().map(|(name, width)| {
        offset += width;
        Field {
            name: (*name).to_owned(),
            offset: offset - width,
            width: *width,
            kind: FieldKind::Unsigned,
        }
    });
    Header {
        name: name.to_owned(),
        type_name: name.to_owned(),
        fields: fields.collect(),
        kind,
    }
}

fn table(name: &str, control: ControlKind, action: u32, next: Option<Node>) -> Table {
    Table {
        name: name.to_owned(),
        control,
        key: vec![],
        actions: vec![ActionId(action)],
        implementation: Implementation::Direct,
        default: Some(DefaultAction {
            call: ActionCall {
                action: ActionId(action),
                args: vec![],
            },
            is_const: true,
        }),
        next: TableNext::HitMiss {
            hit: next,
            miss: next,
        },
        size: 1,
        counter: None,
        meter: None,
        idle_timeout: false,
        entries: vec![],
        source: SourceInfo::default(),
    }
}

fn action(name: &str, body: Vec<Op>) -> Action {
    Action {
        name: name.to_owned(),
        params: vec![],
        body: body
            .into_iter()
            .map(|op| (op, SourceInfo::default()))
            .collect(),
        source: SourceInfo::default(),
    }
}

/// Ingress runs `ingress` and then, in a second table, `after`; egress runs `egress`.
fn program(ingress: Vec<Op>, after: Vec<Op>, egress: Vec<Op>) -> Program {
    let bytes = [("first", 8), ("second", 8)];
    Program {
        name: "test".to_owned(),
        headers: vec![
            header("standard_metadata", HeaderKind::Metadata, STANDARD),
            header("meta", HeaderKind::Metadata, &[("value", 16)]),
            header("h", HeaderKind::Packet, &bytes),
            header("extra", HeaderKind::Packet, &bytes),
        ],
        stacks: vec![],
        unions: vec![],
        union_stacks: vec![],
        errors: vec![ErrorCode {
            name: "PacketTooShort".to_owned(),
            code: 1,
        }],
        parser_states: vec![ParserState {
            name: "start".to_owned(),
            ops: vec![(
                ParserOp::Extract(HeaderRef::Header(HeaderId(2))),
                SourceInfo::default(),
            )],
            key: vec![],
            transitions: vec![Transition {
                when: TransitionMatch::Default,
                next: None,
            }],
            source: SourceInfo::default(),
        }],
        parser_start: Some(ParserStateId(0)),
        value_sets: vec![],
        deparser: Deparser {
            order: vec![EXTRA, HeaderId(2)],
        },
        actions: vec![
            action("ingress", ingress),
            action("after", after),
            action("egress", egress),
        ],
        tables: vec![
            table(
                "ingress",
                ControlKind::Ingress,
                0,
                Some(Node::Table(TableId(1))),
            ),
            table("after", ControlKind::Ingress, 1, None),
            table("egress", ControlKind::Egress, 2, None),
        ],
        conditionals: vec![],
        action_profiles: vec![],
        ingress: Control {
            kind: ControlKind::Ingress,
            start: Some(Node::Table(TableId(0))),
        },
        egress: Control {
            kind: ControlKind::Egress,
            start: Some(Node::Table(TableId(2))),
        },
        counters: vec![Counter {
            name: "packets".to_owned(),
            table: None,
            size: 4,
        }],
        meters: vec![],
        registers: vec![Register {
            name: "seen".to_owned(),
            width: 4,
            size: 2,
        }],
        calculations: vec![],
        checksums: vec![],
        field_lists: vec![FieldList {
            name: "kept".to_owned(),
            fields: vec![Expr::Field(META)],
        }],
        learn_lists: vec![LearnList {
            name: "learned".to_owned(),
            elements: vec![(Expr::Field(FIRST), 8), (Expr::Field(INGRESS_PORT), 9)],
        }],
        standard: StandardMetadata {
            header: HeaderId(0),
            ingress_port: INGRESS_PORT,
            egress_spec: EGRESS_SPEC,
            egress_port: field(0, 2),
            packet_length: Some(PACKET_LENGTH),
            instance_type: Some(INSTANCE_TYPE),
            mcast_grp: Some(MCAST_GRP),
            egress_rid: Some(EGRESS_RID),
            checksum_error: None,
            parser_error: None,
            priority: None,
            enq_timestamp: None,
            enq_qdepth: None,
            deq_timedelta: None,
            deq_qdepth: None,
            ingress_global_timestamp: None,
            egress_global_timestamp: None,
        },
    }
}

fn number(value: i64) -> Expr {
    Expr::Const(BigInt::from(value))
}

fn set(target: FieldRef, value: i64) -> Op {
    copy(target, number(value))
}

fn copy(target: FieldRef, value: Expr) -> Op {
    Op::Assign {
        target: LValue::Field(target),
        value,
    }
}

fn clone(source: CloneSource, session: i64) -> Op {
    Op::Clone {
        source,
        session: number(session),
        fields: Some(FieldListId(0)),
    }
}

/// Jumps over the next `ops` unless the packet has not started over yet.
fn only_first_time(mut ops: Vec<Op>) -> Vec<Op> {
    let is_normal = Expr::Binary {
        op: BinaryOp::Eq,
        left: Box::new(Expr::Field(INSTANCE_TYPE)),
        right: Box::new(number(0)),
    };
    let to = ops.len() as u32 + 1;
    ops.insert(
        0,
        Op::JumpIfZero {
            condition: is_normal,
            to,
        },
    );
    ops
}

fn switch(ingress: Vec<Op>, egress: Vec<Op>) -> Interpreter {
    Interpreter::new(program(ingress, vec![], egress).into())
}

/// What leaves when `[1, 2, 3, 4]` enters port 5: two bytes of header, two of payload.
fn send(switch: &mut Interpreter) -> Vec<(u32, Vec<u8>)> {
    let outputs = switch.process(&packet(), Duration::ZERO);
    outputs
        .into_iter()
        .map(|Output { port, bytes }| (port, bytes))
        .collect()
}

fn packet() -> Packet {
    Packet {
        port: 5,
        bytes: vec![1, 2, 3, 4],
    }
}

fn session(switch: &mut Interpreter, session: u32, port: u32, packet_length_bytes: u32) {
    let clone = CloneSession {
        replicas: vec![Replica::new(port, 9)],
        packet_length_bytes,
    };
    switch.set_clone_session(session, Some(&clone)).unwrap();
}

#[test]
fn a_program_that_sets_nothing_sends_to_port_0() {
    assert_eq!(send(&mut switch(vec![], vec![])), [(0, vec![1, 2, 3, 4])]);
}

#[test]
fn a_later_egress_spec_undoes_a_drop() {
    let mut dropping = switch(vec![Op::MarkToDrop], vec![]);
    assert_eq!(send(&mut dropping), []);
    let mut undone = switch(vec![Op::MarkToDrop, set(EGRESS_SPEC, 3)], vec![]);
    assert_eq!(send(&mut undone), [(3, vec![1, 2, 3, 4])]);
}

#[test]
fn egress_can_drop_but_not_redirect() {
    let mut redirecting = switch(vec![set(EGRESS_SPEC, 3)], vec![set(EGRESS_SPEC, 4)]);
    assert_eq!(send(&mut redirecting), [(3, vec![1, 2, 3, 4])]);
    let mut dropping = switch(vec![set(EGRESS_SPEC, 3)], vec![Op::MarkToDrop]);
    assert_eq!(send(&mut dropping), []);
}

#[test]
fn exit_lets_the_action_end_and_skips_the_next_table() {
    let ingress = vec![Op::Exit, set(FIRST, 7)];
    let after = vec![set(SECOND, 8)];
    let mut switch = Interpreter::new(program(ingress, after, vec![]).into());
    assert_eq!(send(&mut switch), [(0, vec![7, 2, 3, 4])]);
}

#[test]
fn multicast_copies_know_their_instance_and_the_original_is_gone() {
    let ingress = vec![set(EGRESS_SPEC, 1), set(MCAST_GRP, 6)];
    let egress = vec![
        copy(FIRST, Expr::Field(EGRESS_RID)),
        copy(SECOND, Expr::Field(INSTANCE_TYPE)),
    ];
    let mut switch = switch(ingress, egress);
    assert_eq!(send(&mut switch), [], "an unknown group drops");
    let replicas = [(2, 20), (3, 30), (2, 21)].map(|(port, instance)| Replica::new(port, instance));
    switch.set_multicast_group(6, &replicas).unwrap();
    assert_eq!(
        send(&mut switch),
        [
            (2, vec![20, 5, 3, 4]),
            (3, vec![30, 5, 3, 4]),
            (2, vec![21, 5, 3, 4])
        ]
    );
}

/// Clones to session 7, changes the packet, and shows in egress what instance it is and what it
/// kept.
fn ingress_cloner() -> Interpreter {
    let ingress = vec![
        set(META, 0x55),
        set(FIRST, 7),
        set(EGRESS_SPEC, 1),
        clone(CloneSource::Ingress, 7),
    ];
    let egress = vec![copy(
        SECOND,
        Expr::Binary {
            op: BinaryOp::Add,
            left: Box::new(Expr::Field(META)),
            right: Box::new(Expr::Field(INSTANCE_TYPE)),
        },
    )];
    switch(ingress, egress)
}

#[test]
fn an_ingress_clone_is_the_packet_as_it_entered_with_the_fields_it_keeps() {
    let mut switch = ingress_cloner();
    let original = || (1, vec![7, 0x55, 3, 4]);
    assert_eq!(send(&mut switch), [original()], "no such session");
    session(&mut switch, 7, 2, 0);
    assert_eq!(send(&mut switch), [(2, vec![1, 0x56, 3, 4]), original()]);
}

/// A packet that another plane took to the end of ingress, with nothing parsed.
fn at_end_of_ingress(program: &Program, requests: Requests) -> Handoff {
    let headers = program.headers.iter().map(|header| HeaderValues {
        valid: header.kind == HeaderKind::Metadata,
        fields: vec![Bits::zero(); header.fields.len()],
        varbit_width: 0,
    });
    let packet = packet();
    Handoff {
        parsed_bytes: 0,
        length: packet.bytes.len() as i64,
        packet,
        headers: headers.collect(),
        stack_next: vec![0; program.stacks.len()],
        requests,
        resume: Resume::Control(ControlKind::Ingress, Step::End),
        version: 0,
    }
}

fn put(handoff: &mut Handoff, field: FieldRef, value: u64) {
    handoff.headers[field.header.index()].fields[field.field as usize] = Bits::from(value);
}

#[test]
fn a_clone_can_be_made_of_a_packet_that_goes_on_elsewhere() {
    let mut switch = ingress_cloner();
    session(&mut switch, 7, 2, 0);
    let requests = Requests {
        clone: Some((7, Some(FieldListId(0)))),
        ..Requests::default()
    };
    let mut handoff = at_end_of_ingress(switch.program(), requests);
    put(&mut handoff, META, 0x55);
    let expected = Output {
        port: 2,
        bytes: vec![1, 0x56, 3, 4],
    };
    assert_eq!(switch.copies(handoff, Duration::ZERO), [expected]);
}

#[test]
fn a_packet_goes_on_where_another_plane_left_it() {
    let switch = switch(vec![set(EGRESS_SPEC, 4)], vec![]);
    let mut handoff = at_end_of_ingress(switch.program(), Requests::default());
    put(&mut handoff, EGRESS_SPEC, 3);
    let bytes = packet().bytes;
    let expected = Output { port: 3, bytes };
    assert_eq!(switch.resume(handoff.clone(), Duration::ZERO), [expected]);
    handoff.resume = Resume::Parser;
    let again = switch.resume(handoff, Duration::ZERO);
    assert_eq!(again[0].port, 4, "from the parser on, ingress runs");
}

#[test]
fn a_packet_that_went_through_other_tables_starts_over() {
    let switch = switch(vec![set(EGRESS_SPEC, 4)], vec![]);
    let mut handoff = at_end_of_ingress(switch.program(), Requests::default());
    put(&mut handoff, EGRESS_SPEC, 3);
    let port = |handoff: &Handoff| switch.resume(handoff.clone(), Duration::ZERO)[0].port;
    assert_eq!(port(&handoff), 3);
    switch.set_version(1);
    assert_eq!(port(&handoff), 4, "ingress runs again");
    handoff.version = 1;
    assert_eq!(port(&handoff), 3);
}

#[test]
fn a_packet_sees_all_of_a_batch_or_nothing() {
    // A copy by a clone session and one by a multicast group.
    let ingress = vec![clone(CloneSource::Ingress, 7), set(MCAST_GRP, 6)];
    let mut switch = switch(ingress, vec![]);
    let lead_to = |switch: &Interpreter, port: u32| {
        let replicas = [Replica::new(port, 9)];
        let clone = CloneSession {
            replicas: replicas.to_vec(),
            packet_length_bytes: 0,
        };
        switch.set_clone_session(7, Some(&clone)).unwrap();
        std::thread::yield_now();
        switch.set_multicast_group(6, &replicas).unwrap();
    };
    lead_to(&switch, 1);
    let ports = |switch: &mut Interpreter| -> Vec<u32> {
        send(switch).into_iter().map(|(port, _)| port).collect()
    };
    assert_eq!(ports(&mut switch), [1, 1]);
    let switch = &switch;
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for round in 0..2000 {
                let batch = &mut || lead_to(switch, 1 + round % 2);
                switch.atomically(batch).unwrap();
            }
        });
        while !writer.is_finished() {
            let outputs = switch.process(&packet(), Duration::ZERO);
            assert_eq!(outputs[0].port, outputs[1].port, "{outputs:?}");
        }
    });
}

#[test]
fn the_length_of_a_clone_session_cuts_the_clone_only() {
    let mut switch = ingress_cloner();
    session(&mut switch, 7, 2, 3);
    assert_eq!(
        send(&mut switch),
        [(2, vec![1, 0x56, 3]), (1, vec![7, 0x55, 3, 4])]
    );
}

#[test]
fn an_egress_clone_is_the_packet_as_it_is_with_metadata_reset() {
    let ingress = vec![set(META, 0x55), set(EGRESS_SPEC, 1)];
    let mut egress = only_first_time(vec![set(FIRST, 7), clone(CloneSource::Egress, 7)]);
    egress.push(copy(SECOND, Expr::Field(INGRESS_PORT)));
    let mut switch = switch(ingress, egress);
    session(&mut switch, 7, 2, 0);
    assert_eq!(
        send(&mut switch),
        [(1, vec![7, 5, 3, 4]), (2, vec![7, 0, 3, 4])]
    );
}

#[test]
fn a_resubmitted_packet_is_parsed_again_with_the_fields_it_keeps() {
    let fields = Some(FieldListId(0));
    let mut ingress = only_first_time(vec![
        set(META, 0x55),
        set(FIRST, 7),
        Op::Resubmit { fields },
    ]);
    ingress.push(copy(SECOND, Expr::Field(META)));
    assert_eq!(
        send(&mut switch(ingress, vec![])),
        [(0, vec![1, 0x55, 3, 4])]
    );
}

#[test]
fn a_recirculated_packet_enters_as_it_would_have_left() {
    let fields = Some(FieldListId(0));
    let egress = only_first_time(vec![set(FIRST, 7), Op::Recirculate { fields }]);
    let ingress = vec![copy(SECOND, Expr::Field(INSTANCE_TYPE))];
    // simple_switch sets instance_type back to normal when it sends a packet to egress, so the
    // second round is told apart by the first byte.
    let mut again = vec![Op::JumpIfZero {
        condition: Expr::Binary {
            op: BinaryOp::Ne,
            left: Box::new(Expr::Field(FIRST)),
            right: Box::new(number(7)),
        },
        to: egress.len() as u32 + 1,
    }];
    again.extend(egress.into_iter().map(|op| match op {
        Op::JumpIfZero { condition, to } => Op::JumpIfZero {
            condition,
            to: to + 1,
        },
        other => other,
    }));
    assert_eq!(send(&mut switch(ingress, again)), [(0, vec![7, 4, 3, 4])]);
}

#[test]
fn endless_loops_and_rounds_end() {
    let fields = Some(FieldListId(0));
    assert_eq!(
        send(&mut switch(vec![], vec![Op::Recirculate { fields }])),
        []
    );
    assert_eq!(send(&mut switch(vec![Op::Resubmit { fields }], vec![])), []);
    let mut cloning = switch(vec![], vec![clone(CloneSource::Egress, 7)]);
    session(&mut cloning, 7, 2, 0);
    assert!(send(&mut cloning).len() > 1);
    assert_eq!(cloning.anomalies().cut_off, 1);
    let mut looping = switch(vec![Op::Jump { to: 0 }], vec![]);
    assert_eq!(send(&mut looping), [(0, vec![1, 2, 3, 4])]);
    assert_eq!(looping.anomalies().cut_off, 1);
}

#[test]
fn truncation_bounds_the_final_packet_but_not_its_length_field() {
    let ingress = vec![
        Op::Truncate { length: number(3) },
        Op::SetValid(HeaderRef::Header(EXTRA)),
    ];
    let egress = vec![copy(field(3, 1), Expr::Field(PACKET_LENGTH))];
    assert_eq!(send(&mut switch(ingress, egress)), [(0, vec![0, 6, 1])]);
}

#[test]
fn a_digest_carries_what_the_program_names() {
    let list = LearnListId(0);
    let mut switch = switch(vec![Op::Digest { list }], vec![]);
    send(&mut switch);
    let digests = switch.take_digests();
    assert_eq!(digests.len(), 1);
    assert_eq!(digests[0].values, [Bits::from(1), Bits::from(5)]);
    assert!(switch.take_digests().is_empty());
}

#[test]
fn cells_out_of_range_are_left_alone() {
    let write = |index, value| Op::RegisterWrite {
        register: RegisterId(0),
        index: number(index),
        value: number(value),
    };
    let count = |index| Op::Count {
        counter: CounterId(0),
        index: number(index),
    };
    let read = Op::RegisterRead {
        target: LValue::Field(FIRST),
        register: RegisterId(0),
        index: number(2),
    };
    let ingress = vec![write(1, 0x1f), write(2, 9), count(3), count(4), read];
    let mut switch = switch(ingress, vec![]);
    assert_eq!(send(&mut switch), [(0, vec![1, 2, 3, 4])]);
    assert_eq!(switch.register(RegisterId(0), 1), Ok(Bits::from(0xf)));
    let data = CounterData {
        packets: 1,
        bytes: 4,
    };
    assert_eq!(switch.counter(CounterId(0), 3), Ok(data));
    let refused = switch.counter(CounterId(0), 4);
    assert!(matches!(refused, Err(DataPlaneError::OutOfRange { .. })));
}

#[test]
fn a_packet_too_short_for_its_header_goes_through_as_payload() {
    let switch = switch(vec![], vec![]);
    let short = Packet {
        port: 5,
        bytes: vec![9],
    };
    let outputs = switch.process(&short, Duration::ZERO);
    assert_eq!(outputs[0].bytes, [9]);
}
