//! What leaf_spine does, in the reference interpreter.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use pointsman_p4::dataplane::{
    Bits, Call, CloneSession, DataPlane, EntryAction, EntryKey, GroupMember, Match, Replica,
    Selection, TableEntry,
};
use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_p4::ir::ActionId;
use pointsman_p4::p4info::Pipeline;
use pointsman_p4::vectors::{Case, Pattern};

fn case() -> Case {
    Case::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/leaf_spine")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every packet of `test.stf` gives what is expected of it, and nothing else.
#[test]
fn packets_go_where_the_program_says() {
    let case = case();
    let stf = case.stf().unwrap();
    let switch = Interpreter::new(case.pipeline.program.clone());
    for operation in &stf.operations {
        operation.apply(&switch).unwrap();
    }

    let mut expected: BTreeMap<u32, VecDeque<(usize, Pattern)>> = BTreeMap::new();
    for expectation in stf.expectations {
        let pattern = expectation.pattern.expect("every packet is written out");
        expected
            .entry(expectation.port)
            .or_default()
            .push_back((expectation.line, pattern));
    }
    let mut wrong = Vec::new();
    for packet in stf.packets {
        let packet = Packet {
            port: packet.port,
            bytes: packet.packet,
        };
        for Output { port, bytes } in switch.process(&packet, Duration::ZERO) {
            let next = expected.get_mut(&port).and_then(VecDeque::pop_front);
            match next {
                Some((_, pattern)) if pattern.matches(&bytes) => {}
                Some((line, _)) => {
                    wrong.push(format!("line {line}: {} on port {port}", hex(&bytes)))
                }
                None => wrong.push(format!("unexpected on port {port}: {}", hex(&bytes))),
            }
        }
    }
    let missing = expected
        .values()
        .flatten()
        .map(|(line, _)| format!("line {line}: missing"));
    wrong.extend(missing);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A switch with the entries of `test.stf`, and the pipeline to look names up in.
struct Switch {
    pipeline: Pipeline,
    interpreter: Interpreter,
}

impl Switch {
    fn new() -> Self {
        let case = case();
        let interpreter = Interpreter::new(case.pipeline.program.clone());
        for operation in case.stf().unwrap().operations {
            operation.apply(&interpreter).unwrap();
        }
        Self {
            pipeline: case.pipeline,
            interpreter,
        }
    }

    fn call(&self, action: &str, args: &[u64]) -> Call {
        let suffix = format!(".{action}");
        let actions = &self.pipeline.program.actions;
        let position = actions
            .iter()
            .position(|known| known.name.ends_with(&suffix))
            .unwrap();
        let id = ActionId(u32::try_from(position).unwrap());
        Call {
            action: id,
            args: args.iter().map(|arg| Bits::from(*arg)).collect(),
        }
    }

    fn insert(&mut self, table: &str, matches: Vec<Match>, priority: i32, action: EntryAction) {
        let table = self.pipeline.table_by_name(table).unwrap().table;
        let key = EntryKey {
            table,
            matches: matches.into(),
            priority,
        };
        self.interpreter
            .insert(&TableEntry { key, action })
            .unwrap();
    }

    fn send(&mut self, port: u32, frame: &[u8]) -> Vec<Output> {
        let packet = Packet {
            port,
            bytes: frame.to_vec(),
        };
        self.interpreter.process(&packet, Duration::ZERO)
    }
}

/// A routed frame of one flow, all of them to 10.9.9.9 or 2001:db8::9.
fn flow(ipv6: bool, source_port: u16) -> Vec<u8> {
    let ethernet = [0x02, 0, 0, 0, 1, 1, 0x02, 0, 0, 0, 0, 1];
    let udp = [&source_port.to_be_bytes()[..], &[0, 53, 0, 8, 0, 0]].concat();
    let ip = if ipv6 {
        let mut header = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        header.extend([[0xfd; 16], [0; 16]].concat());
        header[24..28].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        header[39] = 9;
        [&[0x86, 0xdd][..], &header].concat()
    } else {
        let header = [
            0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0x53, 0xbe, 10, 0, 10, 1, 10, 9, 9, 9,
        ];
        [&[0x08, 0x00][..], &header].concat()
    };
    [&ethernet[..], &ip, &udp].concat()
}

#[test]
fn flows_spread_by_weight_and_each_keeps_its_way() {
    let mut switch = Switch::new();
    let profile = switch.pipeline.profile_by_name("ecmp").unwrap().profile;
    for (member, port) in [(1, 4), (2, 5)] {
        let call = switch.call(
            "routing_hashed",
            &[port, 0x0200_0000_0101, 0x0200_0000_0200 + port],
        );
        switch
            .interpreter
            .put_member(profile, member, &call)
            .unwrap();
    }
    let members = [(1, 3), (2, 1)].map(|(member, weight)| GroupMember {
        member,
        weight,
        watch_port: None,
    });
    switch
        .interpreter
        .put_group(profile, 1, Selection::Hash, &members)
        .unwrap();
    let exact = |value: u64| vec![Match::Exact(Bits::from(value))];
    switch.insert("hashed", exact(30), 0, EntryAction::Group(1));
    // Longer prefixes than those of test.stf.
    let v4 = Match::Lpm {
        value: Bits::from(0x0a09_0909),
        prefix_len: 32,
    };
    let call = EntryAction::Call(switch.call("set_next_id_routing_v4", &[30]));
    switch.insert("routing_v4", vec![v4], 0, call);
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    let v6 = Match::Lpm {
        value: Bits::from_be_bytes(&address),
        prefix_len: 64,
    };
    let call = EntryAction::Call(switch.call("set_next_id_routing_v6", &[30]));
    switch.insert("routing_v6", vec![v6], 0, call);

    for ipv6 in [false, true] {
        let mut by_port = BTreeMap::new();
        for source_port in 1000..1400 {
            let frame = flow(ipv6, source_port);
            let first = switch.send(1, &frame);
            assert_eq!(first.len(), 1, "the flow {source_port} is forwarded");
            assert_eq!(
                first,
                switch.send(1, &frame),
                "the flow {source_port} keeps its way"
            );
            *by_port.entry(first[0].port).or_insert(0) += 1;
        }
        assert_eq!(by_port.keys().collect::<Vec<_>>(), [&4, &5]);
        assert!(
            (250..350).contains(&by_port[&4]),
            "three of four flows by port 4: {by_port:?}"
        );
    }
}

#[test]
fn a_copy_for_the_cpu_is_the_frame_as_it_came_in() {
    let mut switch = Switch::new();
    let replicas = vec![Replica::new(255, 0)];
    let session = CloneSession {
        replicas,
        packet_length_bytes: 0,
    };
    switch
        .interpreter
        .set_clone_session(511, Some(&session))
        .unwrap();
    let fields = switch.pipeline.table_by_name("acl").unwrap().fields.clone();
    let matches = fields
        .iter()
        .map(|field| match field.name.as_str() {
            "ip_proto" => Match::Ternary {
                value: Bits::from(17),
                mask: Bits::ones(field.width),
            },
            _ => Match::Ternary {
                value: Bits::zero(),
                mask: Bits::zero(),
            },
        })
        .collect();
    let action = EntryAction::Call(switch.call("copy_to_cpu", &[]));
    switch.insert("acl", matches, 5, action);

    let frame = flow(false, 1000);
    let mut outputs = switch.send(1, &frame);
    outputs.sort_by_key(|output| output.port);
    let [forwarded, copy] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(
        (forwarded.port, forwarded.bytes[22]),
        (4, 63),
        "routed, with its TTL decremented"
    );
    let packet_in = [&(1u16 << 7).to_be_bytes()[..], &frame].concat();
    assert_eq!((copy.port, &copy.bytes), (255, &packet_in));
}
