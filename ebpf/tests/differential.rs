//! Random entries and random packets through the program in the kernel and the reference
//! interpreter: the same packets must leave both, and the same must be counted.
//!
//! A run is reproduced by its seed: `POINTSMAN_SEED=7 cargo test -p pointsman-ebpf --test differential`.
//! `POINTSMAN_ROUNDS` makes it longer.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::rig::{MIN_FRAME_BYTES, Rig};
use pointsman_p4::dataplane::{
    Bits, Call, CloneSession, DataPlane, EntryAction, EntryKey, GroupMember, Match, Replica,
    TableEntry,
};
use pointsman_p4::interpreter::{Interpreter, Packet};
use pointsman_p4::ir::{
    ActionId, Expr, FieldRef, HeaderId, HeaderRef, Implementation, MatchKind, ParserOp, Program,
    TableId, TransitionMatch,
};
use pointsman_p4::vectors::{self, Case};
use pointsman_p4::{bmv2, programs};

use support::privileged;

const CPU_PORT: u32 = 255;
const PORTS: [u32; 5] = [1, 2, 3, 4, CPU_PORT];
const ENTRIES_A_TABLE: u64 = 12;
const PACKETS_A_ROUND: u32 = 400;

#[test]
fn the_kernel_and_the_interpreter_agree_on_leaf_spine() {
    let leaf_spine = programs::embedded("leaf_spine").unwrap();
    differ(&Arc::new(bmv2::read(leaf_spine.bmv2_json).unwrap()));
}

#[test]
fn the_kernel_and_the_interpreter_agree_on_onos_pipelines() {
    let Some(directory) = vectors::directory() else {
        println!("skipped: there are no ONOS pipelines beside the project");
        return;
    };
    for name in ["onos-basic", "onos-fabric"] {
        differ(
            &Case::read(&directory.join("pipelines").join(name))
                .unwrap()
                .pipeline
                .program,
        );
    }
}

fn differ(program: &Arc<Program>) {
    if !privileged() {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let first = number("POINTSMAN_SEED").unwrap_or(1);
    for seed in first..first + number("POINTSMAN_ROUNDS").unwrap_or(12) {
        round(program, seed);
    }
}

fn round(program: &Arc<Program>, seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut rig = Rig::new(program, CPU_PORT, &PORTS).unwrap_or_else(|e| panic!("{e}"));
    let mut oracle = Interpreter::new(Arc::clone(program));
    let counted = fill(program, &mut random, &mut rig.plane, &mut oracle);
    for number in 0..PACKETS_A_ROUND {
        let packet = packet(program, &mut random);
        let port = PORTS[random.below(PORTS.len() as u64) as usize];
        let input = Packet {
            port,
            bytes: packet.clone(),
        };
        let outputs = oracle.process(&input, Duration::ZERO).into_iter();
        // A port that does not exist sends nothing, and there is no frame shorter than its
        // Ethernet header.
        let can_leave =
            |port: u32, bytes: &[u8]| PORTS.contains(&port) && bytes.len() >= MIN_FRAME_BYTES;
        let mut expected: Vec<(u32, Vec<u8>)> = outputs
            .filter(|o| can_leave(o.port, &o.bytes))
            .map(|o| (o.port, o.bytes))
            .collect();
        expected.sort_by_key(|(port, _)| *port);
        let outputs = rig.forward(port, &packet).unwrap().into_iter();
        let found: Vec<(u32, Vec<u8>)> = outputs
            .filter(|o| can_leave(o.port, &o.bytes))
            .map(|o| (o.port, o.bytes))
            .collect();
        assert_eq!(
            hex(&found),
            hex(&expected),
            "{}, seed {seed}, packet {number} in at port {port}: {}",
            program.name,
            hex(&[(port, packet)])[0]
        );
    }
    for key in counted {
        let (found, expected) = (rig.plane.direct_counter(&key), oracle.direct_counter(&key));
        assert_eq!(
            found, expected,
            "{}, seed {seed}: the counter of {key:?}",
            program.name
        );
    }
}

fn hex(packets: &[(u32, Vec<u8>)]) -> Vec<String> {
    let digits = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    packets
        .iter()
        .map(|(port, bytes)| format!("{port} {}", digits(bytes)))
        .collect()
}

/// Writes the same random entries into both; returns the keys of those that are counted.
fn fill(
    program: &Program,
    random: &mut Random,
    kernel: &mut dyn DataPlane,
    oracle: &mut dyn DataPlane,
) -> Vec<EntryKey> {
    replicate(kernel);
    replicate(oracle);
    let mut counted = Vec::new();
    for (index, table) in program.tables.iter().enumerate() {
        if table.key.is_empty() || !table.entries.is_empty() {
            continue;
        }
        let id = TableId(index as u32);
        if let Implementation::Profile(profile) = table.implementation {
            for member in 0..6 {
                let call = random_call(program, random, &table.actions);
                kernel.put_member(profile, member, &call).unwrap();
                oracle.put_member(profile, member, &call).unwrap();
            }
            for group in 0..4 {
                let members: Vec<GroupMember> = (0..=group)
                    .map(|member| GroupMember {
                        member,
                        weight: 1 + member,
                        watch_port: None,
                    })
                    .collect();
                kernel.put_group(profile, group, &members).unwrap();
                oracle.put_group(profile, group, &members).unwrap();
            }
        }
        for _ in 0..random.below(ENTRIES_A_TABLE) {
            let matches = table
                .key
                .iter()
                .map(|k| random_match(random, k.kind, k.width))
                .collect();
            let has_priority = table.key.iter().any(|k| {
                matches!(
                    k.kind,
                    MatchKind::Ternary | MatchKind::Optional | MatchKind::Range
                )
            });
            // Different for each entry: among equals P4Runtime does not say which wins.
            let priority = if has_priority {
                1 + random.below(1 << 20) as i32
            } else {
                0
            };
            let action = match table.implementation {
                Implementation::Direct => {
                    EntryAction::Call(random_call(program, random, &table.actions))
                }
                Implementation::Profile(_) if random.below(3) == 0 => {
                    EntryAction::Member(random.below(6) as u32)
                }
                Implementation::Profile(_) => EntryAction::Group(random.below(4) as u32),
            };
            let entry = TableEntry {
                key: EntryKey {
                    table: id,
                    matches,
                    priority,
                },
                action,
            };
            assert_eq!(
                kernel.insert(&entry).is_ok(),
                oracle.insert(&entry).is_ok(),
                "{entry:?}"
            );
            if table.counter.is_some() {
                counted.push(entry.key);
            }
        }
    }
    // Some go again.
    let gone = |_: &EntryKey| random.below(4) == 0;
    let (gone, counted): (Vec<_>, Vec<_>) = counted.into_iter().partition(gone);
    for key in gone {
        assert_eq!(
            kernel.delete(&key).is_ok(),
            oracle.delete(&key).is_ok(),
            "{key:?}"
        );
    }
    counted
        .into_iter()
        .filter(|key| oracle.direct_counter(key).is_ok())
        .collect()
}

fn replicate(plane: &mut dyn DataPlane) {
    for group in 1..4u32 {
        let replicas: Vec<Replica> = (0..group)
            .map(|i| Replica {
                port: 1 + (group + i) % 4,
                instance: i,
            })
            .collect();
        plane.set_multicast_group(group, &replicas).unwrap();
    }
    let to_cpu = Replica {
        port: CPU_PORT,
        instance: 1,
    };
    let session = CloneSession {
        replicas: vec![to_cpu],
        packet_length_bytes: 0,
    };
    for id in [1, 2, 511] {
        plane.set_clone_session(id, Some(&session)).unwrap();
    }
}

fn random_call(program: &Program, random: &mut Random, actions: &[ActionId]) -> Call {
    let action = actions[random.below(actions.len() as u64) as usize];
    let params = &program.actions[action.index()].params;
    Call {
        action,
        args: params.iter().map(|p| random.value(p.width)).collect(),
    }
}

fn random_match(random: &mut Random, kind: MatchKind, width: u32) -> Match {
    let value = random.value(width);
    match kind {
        MatchKind::Exact => Match::Exact(value),
        MatchKind::Lpm => {
            let prefix_len = random.below(u64::from(width) + 1) as u32;
            Match::Lpm {
                value: value.and(&Bits::prefix_mask(prefix_len, width)),
                prefix_len,
            }
        }
        MatchKind::Ternary => {
            let mask = match random.below(4) {
                0 => Bits::ones(width),
                1 => random.value(width),
                _ => Bits::zero(),
            };
            Match::Ternary {
                value: value.and(&mask),
                mask,
            }
        }
        MatchKind::Optional => Match::Optional((random.below(2) == 0).then_some(value)),
        MatchKind::Range => {
            let other = random.value(width);
            let (low, high) = if value < other {
                (value, other)
            } else {
                (other, value)
            };
            Match::Range { low, high }
        }
    }
}

/// A random walk through the parser, its fields mostly from a few values so that entries match;
/// some packets are cut short.
fn packet(program: &Program, random: &mut Random) -> Vec<u8> {
    let mut headers: Vec<(HeaderId, Vec<u8>)> = Vec::new();
    let mut state = program.parser_start;
    for _ in 0..12 {
        let Some(id) = state else { break };
        let state_now = &program.parser_states[id.index()];
        for (op, _) in &state_now.ops {
            if let ParserOp::Extract(HeaderRef::Header(header)) = op {
                headers.push((*header, random_header(program, random, *header)));
            }
        }
        let choice = random.below(state_now.transitions.len().max(1) as u64) as usize;
        let Some(transition) = state_now.transitions.get(choice) else {
            break;
        };
        if let (TransitionMatch::Value { value, .. }, [key]) =
            (&transition.when, state_now.key.as_slice())
            && let Some(field) = source_field(program, id.index(), &key.value)
            && let Some((_, bytes)) = headers.iter_mut().rev().find(|(h, _)| *h == field.header)
        {
            set_bits(program, bytes, field, &Bits::from(value));
        }
        state = transition.next;
    }
    let mut packet: Vec<u8> = headers.into_iter().flat_map(|(_, bytes)| bytes).collect();
    packet.extend((0..random.below(40)).map(|_| random.next() as u8));
    if random.below(8) == 0 {
        packet.truncate(random.below(packet.len() as u64 + 1) as usize);
    }
    // The kernel takes no test frame that is shorter than an Ethernet header.
    packet.resize(packet.len().max(14), 0);
    packet
}

/// The header field behind a transition key: itself, or what the state copied into metadata.
fn source_field(program: &Program, state: usize, key: &Expr) -> Option<FieldRef> {
    let Expr::Field(field) = key else { return None };
    let ops = &program.parser_states[state].ops;
    ops.iter()
        .find_map(|(op, _)| match op {
            ParserOp::Set {
                target,
                value: Expr::Field(source),
            } if *target == pointsman_p4::ir::LValue::Field(*field) => Some(*source),
            _ => None,
        })
        .or(Some(*field))
}

fn random_header(program: &Program, random: &mut Random, id: HeaderId) -> Vec<u8> {
    let header = &program.headers[id.index()];
    let mut bytes = vec![0; header.fixed_bits() as usize / 8];
    for (index, field) in header.fields.iter().enumerate() {
        let value = random.value(field.width);
        set_bits(
            program,
            &mut bytes,
            FieldRef {
                header: id,
                field: index as u32,
            },
            &value,
        );
    }
    bytes
}

fn set_bits(program: &Program, bytes: &mut [u8], at: FieldRef, value: &Bits) {
    let field = program.field(at);
    let mut padded = vec![0; field.width.div_ceil(8) as usize];
    value.write_be(&mut padded);
    for bit in 0..field.width {
        let from = padded.len() as u32 * 8 - field.width + bit;
        let is_set = padded[from as usize / 8] & (0x80 >> (from % 8)) != 0;
        let to = field.offset + bit;
        let mask = 0x80 >> (to % 8);
        let byte = &mut bytes[to as usize / 8];
        *byte = if is_set { *byte | mask } else { *byte & !mask };
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 32) % bound
    }

    /// A number of that many bits, mostly a small one.
    fn value(&mut self, width: u32) -> Bits {
        match self.below(8) {
            0 => Bits::ones(width),
            1 => {
                let bytes: Vec<u8> = (0..width.div_ceil(8)).map(|_| self.next() as u8).collect();
                Bits::from_be_bytes(&bytes).and(&Bits::ones(width))
            }
            _ => Bits::from(self.below(4)).and(&Bits::ones(width)),
        }
    }
}
