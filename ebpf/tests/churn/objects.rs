//! Groups, members, default actions, counters and registers that change or are read.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use pointsman_ebpf::plane::Plane;
use pointsman_ebpf::switch::Switch;
use pointsman_ebpf::sys::Program;
use pointsman_p4::dataplane::{
    Bits, Call, DataPlane, EntryAction, EntryKey, GroupMember, Match, Operation, Selection,
    TableEntry,
};
use pointsman_p4::ir::{
    ActionId, ActionProfileId, BinaryOp, Expr, LValue, Op, Register, RegisterId, TableId,
};
use pointsman_p4::vectors::{Case, Commands};

use crate::bed::{XDP_REDIRECT, leaf_spine, routed, switch};
use crate::support::privileged;
use crate::until::Until;

/// The entry of `hashed` that refers to the group.
const HASHED_NEXT: u64 = 30;
const GROUP: u32 = 1;
/// Where the source port of the packet is.
const SOURCE_PORT: usize = 34;
/// The first number of a member that is modified.
const VERSIONS: std::ops::Range<u64> = 5..9;

fn table(case: &Case, name: &str) -> TableId {
    let tables = &case.pipeline.program.tables;
    let index = tables.iter().position(|t| t.name.ends_with(name));
    TableId(index.unwrap() as u32)
}

fn action(case: &Case, name: &str) -> ActionId {
    let actions = &case.pipeline.program.actions;
    let index = actions.iter().position(|a| a.name.ends_with(name));
    ActionId(index.unwrap() as u32)
}

/// What a member does: both MACs of the frame say its number.
fn routing(case: &Case, port: u64, number: u64) -> Call {
    Call {
        action: action(case, "routing_hashed"),
        args: vec![Bits::from(port), Bits::from(number), Bits::from(number)].into(),
    }
}

fn member(member: u32, weight: u32, watch_port: Option<u32>) -> GroupMember {
    GroupMember {
        member,
        weight,
        watch_port,
    }
}

const PROFILE: ActionProfileId = ActionProfileId(0);

/// The routed path leads to a group; member `n` leaves by port `n`.
fn with_group(case: &Case, selection: Selection, members: &[GroupMember]) -> Switch {
    let switch = switch(case);
    let plane = switch.plane().unwrap();
    apply(
        case,
        plane,
        "setdefault routing_v4 set_next_id_routing_v4(next_id:30)",
    );
    for number in 1..=4 {
        let call = routing(case, number, number);
        plane.put_member(PROFILE, number as u32, &call).unwrap();
    }
    plane.put_group(PROFILE, GROUP, selection, members).unwrap();
    let entry = TableEntry {
        key: EntryKey {
            table: table(case, ".hashed"),
            matches: vec![Match::Exact(Bits::from(HASHED_NEXT))].into(),
            priority: 0,
        },
        action: EntryAction::Group(GROUP),
    };
    plane.insert(&entry).unwrap();
    switch
}

fn apply(case: &Case, plane: &Plane, line: &str) {
    for operation in operations(case, line) {
        operation.apply(plane).unwrap();
    }
}

fn operations(case: &Case, line: &str) -> Vec<Operation> {
    let mut commands = Commands::new(&case.pipeline);
    commands.add(line).unwrap();
    commands.finish()
}

/// The packet to a destination without a route, which the default action routes; one of many flows.
fn flow(number: u16) -> Vec<u8> {
    let mut packet = routed();
    // Another destination, and the checksum that goes with it: 10.0.0.5 becomes 10.9.0.5.
    packet[31] = 9;
    let checksum = u16::from_be_bytes([packet[24], packet[25]]) - 9;
    packet[24..26].copy_from_slice(&checksum.to_be_bytes());
    packet[SOURCE_PORT..SOURCE_PORT + 2].copy_from_slice(&number.to_be_bytes());
    packet
}

/// The number that both MACs of a frame say.
fn number_in(frame: &[u8]) -> u64 {
    let mac = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b));
    let (destination, source) = (mac(&frame[..6]), mac(&frame[6..12]));
    assert_eq!(destination, source, "the frame is of one member");
    source
}

/// Where a flow goes.
fn chosen(program: &Program, flow_number: u16) -> u64 {
    let run = program.test_run(&flow(flow_number), 1).unwrap();
    assert_eq!(run.verdict, XDP_REDIRECT, "flow {flow_number} is not lost");
    number_in(&run.frame)
}

/// Sends all flows in turns while `change` runs; the numbers that they left with.
fn under_flows(program: &Arc<Program>, change: impl FnOnce()) -> HashSet<u64> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut numbers = HashSet::new();
            for flow_number in 0.. {
                numbers.insert(chosen(program, flow_number as u16 % 256));
                if done.load(Relaxed) && flow_number > 256 {
                    break;
                }
            }
            numbers
        });
        let until = Until(&done);
        change();
        drop(until);
        sender.join().unwrap()
    })
}

#[test]
fn a_group_that_is_replaced_gives_each_packet_an_old_or_a_new_member() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let versions = [
        vec![member(1, 1, None), member(2, 3, None)],
        vec![member(3, 2, None)],
        vec![member(1, 5, None), member(3, 1, None), member(2, 1, None)],
    ];
    let switch = with_group(&case, Selection::Hash, &versions[0]);
    let program = Arc::clone(switch.root());
    let plane = switch.plane().unwrap();
    let numbers = under_flows(&program, || {
        for version in versions.iter().cycle().take(15_000) {
            plane
                .put_group(PROFILE, GROUP, Selection::Hash, version)
                .unwrap();
        }
    });
    assert!(numbers.is_subset(&HashSet::from([1, 2, 3])), "{numbers:?}");
}

#[test]
fn a_member_that_changes_is_seen_whole_by_the_packets_of_its_group() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let switch = with_group(
        &case,
        Selection::Hash,
        &[member(1, 1, None), member(2, 1, None)],
    );
    let program = Arc::clone(switch.root());
    let plane = switch.plane().unwrap();
    let numbers = under_flows(&program, || {
        for number in VERSIONS.cycle().take(20_000) {
            let call = routing(&case, 1, number);
            plane.put_member(PROFILE, 1, &call).unwrap();
        }
    });
    let possible: HashSet<u64> = VERSIONS.chain([1, 2]).collect();
    assert!(numbers.is_subset(&possible), "{numbers:?}");
}

#[test]
fn flows_leave_a_member_whose_port_goes_down_and_none_is_lost() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let members = [
        member(1, 1, Some(1)),
        member(2, 2, Some(2)),
        member(3, 1, Some(3)),
    ];
    let mut switch = with_group(&case, Selection::Hash, &members);
    for port in 1..=3 {
        switch.set_port_up(port, true);
    }
    let program = Arc::clone(switch.root());
    let before: Vec<u64> = (0..256).map(|flow| chosen(&program, flow)).collect();
    let numbers = under_flows(&program, || {
        for round in 0..400 {
            let port = 1 + round % 3;
            switch.set_port_up(port, false);
            for flow in 0..16 {
                let number = chosen(&program, flow);
                assert_ne!(number, u64::from(port), "the port is down");
            }
            switch.set_port_up(port, true);
        }
    });
    assert!(numbers.is_subset(&HashSet::from([1, 2, 3])), "{numbers:?}");
    let after: Vec<u64> = (0..256).map(|flow| chosen(&program, flow)).collect();
    assert_eq!(before, after, "flows come back to where they were");
}

#[test]
fn all_flows_take_the_first_live_member_and_come_back_to_it() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let members = [
        member(3, 1, Some(3)),
        member(1, 1, Some(1)),
        member(2, 1, Some(2)),
    ];
    let mut switch = with_group(&case, Selection::FirstLive, &members);
    for port in 1..=3 {
        switch.set_port_up(port, true);
    }
    let program = Arc::clone(switch.root());
    // Ports that go down or up, and the member that is the first live one from then on.
    let turns = [
        (1, false, 3),
        (3, false, 2),
        (1, true, 1),
        (2, false, 1),
        (3, true, 3),
        (1, false, 3),
        // None is left, which is as with a group that is chosen from by hash.
        (3, false, 3),
        (2, true, 2),
        (1, true, 1),
        (3, true, 3),
    ];
    for (port, up, first) in turns {
        switch.set_port_up(port, up);
        let chosen: HashSet<u64> = (0..64).map(|flow| chosen(&program, flow)).collect();
        assert_eq!(chosen, HashSet::from([first]), "port {port} up: {up}");
    }
    let numbers = under_flows(&program, || {
        for _ in 0..400 {
            switch.set_port_up(3, false);
            assert_eq!(chosen(&program, 7), 1, "the port is down");
            switch.set_port_up(3, true);
            assert_eq!(chosen(&program, 7), 3, "the port is back");
        }
    });
    assert!(numbers.is_subset(&HashSet::from([1, 3])), "{numbers:?}");
    let plane = switch.plane().unwrap();
    plane
        .put_group(PROFILE, GROUP, Selection::Hash, &members)
        .unwrap();
    let spread: HashSet<u64> = (0..64).map(|flow| chosen(&program, flow)).collect();
    assert_eq!(spread.len(), 3, "a group can become an ordinary one");
}

#[test]
fn flows_spread_by_weight() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let switch = with_group(
        &case,
        Selection::Hash,
        &[member(1, 3, None), member(2, 1, None)],
    );
    let first = (0..2048).filter(|flow| chosen(switch.root(), *flow) == 1);
    let share = first.count() as f64 / 2048.0;
    assert!(
        (0.70..0.80).contains(&share),
        "{share} of the flows, not 3/4"
    );
}

#[test]
fn a_default_action_that_changes_is_seen_whole() {
    if !privileged() {
        return;
    }
    let case = leaf_spine();
    let switch = switch(&case);
    let program = Arc::clone(switch.root());
    let plane = switch.plane().unwrap();
    for number in 1..=4u32 {
        let mac = format!("{number:#014x}");
        let line = format!(
            "add simple next_id:{} routing_simple(port:{number}, src_mac:{mac}, dst_mac:{mac})",
            100 + number
        );
        apply(&case, plane, &line);
    }
    let defaults: Vec<Operation> = (1..=4)
        .flat_map(|number| {
            let next = 100 + number;
            operations(
                &case,
                &format!("setdefault routing_v4 set_next_id_routing_v4(next_id:{next})"),
            )
        })
        .collect();
    defaults[0].apply(plane).unwrap();
    let numbers = under_flows(&program, || {
        for operation in defaults.iter().cycle().take(20_000) {
            operation.apply(plane).unwrap();
        }
    });
    assert!(
        numbers.is_subset(&HashSet::from([1, 2, 3, 4])),
        "{numbers:?}"
    );
}

#[test]
fn a_direct_counter_loses_nothing_while_it_is_read_and_its_entry_changes() {
    if !privileged() {
        return;
    }
    const PACKETS: u64 = 20_000;
    let case = leaf_spine();
    let switch = switch(&case);
    let program = Arc::clone(switch.root());
    let plane = switch.plane().unwrap();
    let line = "add simple next_id:20 routing_simple(port:4, src_mac:0x020000000101, dst_mac:0x020000000102)";
    let Operation::Insert(entry) = operations(&case, line).remove(0) else {
        panic!("it adds an entry");
    };
    let packet = routed();
    let before = plane.direct_counter((&entry.key).into()).unwrap();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..PACKETS {
                program.test_run(&packet, 1).unwrap();
            }
        });
        let mut last = before;
        while !sender.is_finished() {
            let now = plane.direct_counter((&entry.key).into()).unwrap();
            assert!(now.packets >= last.packets, "a counter does not go back");
            last = now;
            plane.modify(&entry).unwrap();
        }
    });
    let after = plane.direct_counter((&entry.key).into()).unwrap();
    let packets = after.packets - before.packets;
    assert_eq!(packets, PACKETS);
    assert_eq!(after.bytes - before.bytes, PACKETS * packet.len() as u64);
}

/// leaf_spine, with a register that counts what the routed path's last action sends.
fn with_register(case: &mut Case) -> RegisterId {
    let mut program = case.pipeline.program.as_ref().clone();
    let register = RegisterId(program.registers.len() as u32);
    program.registers.push(Register {
        name: "sent".to_owned(),
        width: 64,
        size: 1,
    });
    let counted = program.standard.deq_timedelta.unwrap();
    let index = || Expr::Const(0u32.into());
    let statements = [
        Op::RegisterRead {
            target: LValue::Field(counted),
            register,
            index: index(),
        },
        Op::RegisterWrite {
            register,
            index: index(),
            value: Expr::Binary {
                op: BinaryOp::Add,
                left: Box::new(Expr::Field(counted)),
                right: Box::new(Expr::Const(1u32.into())),
            },
        },
    ];
    let action = &mut program.actions[action(case, "routing_simple").index()];
    let source = action.body[0].1.clone();
    let statements = statements.map(|op| (op, source.clone()));
    action.body.extend(statements);
    case.pipeline.program = Arc::new(program);
    register
}

#[test]
fn a_register_is_never_behind_and_loses_nothing_while_it_is_read() {
    if !privileged() {
        return;
    }
    const PACKETS: u64 = 20_000;
    let mut case = leaf_spine();
    let register = with_register(&mut case);
    let switch = switch(&case);
    let program = Arc::clone(switch.root());
    let plane = switch.plane().unwrap();
    let read = |plane: &Plane| plane.register(register, 0).unwrap().to_u64().unwrap();
    assert_eq!(read(plane), 0);
    let packet = routed();
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            for _ in 0..PACKETS {
                program.test_run(&packet, 1).unwrap();
            }
        });
        let mut last = 0;
        while !sender.is_finished() {
            let now = read(plane);
            assert!((last..=PACKETS).contains(&now), "{now} after {last}");
            last = now;
        }
    });
    assert_eq!(read(plane), PACKETS);
}
