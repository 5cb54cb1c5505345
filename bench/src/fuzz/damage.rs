//! Damaged programs: BMv2 JSON and p4info that no compiler wrote.
//!
//! Structure is broken (nodes removed, doubled, exchanged, of another type, renumbered, huge, deep) or bytes are. Whatever
//! can still be read is compiled, without the kernel, and run by the interpreter: an error is fine, a
//! panic is not, nor is work or memory without bound.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::inspect;
use pointsman_p4::bmv2;
use pointsman_p4::interpreter::{Interpreter, Packet};
use pointsman_p4::ir::print;
use pointsman_p4::p4info::{Pipeline, parse_p4info};
use serde_json::{Value, json};

use super::pair::{CPU_PORT, message};
use super::random::Random;

/// Longer than any of it takes, on a busy machine and in a debug build.
const LIMIT: Duration = Duration::from_secs(20);
/// CPUs that tables are planned for.
const CPUS: u32 = 2;

/// What came of a damaged program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Reading it gave an error.
    NotRead,
    /// It was read; the compiler refused it.
    NotCompiled,
    /// It was compiled.
    Compiled,
}

/// Damages a program at random: its JSON and, beside it, its p4info.
pub fn damage(json: &str, p4info: &str, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let json = match serde_json::from_str(json) {
        Ok(mut value) if !random.one_in(8) => {
            let only_numbers = random.one_in(2);
            for _ in 0..=random.below(3) {
                if only_numbers {
                    renumber(&mut value, random);
                } else {
                    break_structure(&mut value, random);
                }
            }
            value.to_string().into_bytes()
        }
        _ => break_bytes(json.as_bytes(), random),
    };
    let p4info = match random.below(3) {
        0 => break_bytes(p4info.as_bytes(), random),
        _ => p4info.as_bytes().to_vec(),
    };
    (json, p4info)
}

/// Reads, compiles and runs a program.
///
/// # Errors
/// What panicked, or took too long.
pub fn survive(json: &[u8], p4info: &[u8], random: &mut Random) -> Result<Fate, String> {
    let start = Instant::now();
    let fate = catch_unwind(AssertUnwindSafe(|| all_of_it(json, p4info, random)));
    let fate = fate.map_err(|panic| message(panic.as_ref()))?;
    let time = start.elapsed();
    if time > LIMIT {
        return Err(format!("it took {} s", time.as_secs()));
    }
    Ok(fate)
}

fn all_of_it(json: &[u8], p4info: &[u8], random: &mut Random) -> Fate {
    let Ok(program) = bmv2::read(json) else {
        return Fate::NotRead;
    };
    let program = Arc::new(program);
    if let Ok(info) = parse_p4info(&String::from_utf8_lossy(p4info)) {
        // An error is fine: the two do not fit any more.
        let _ = Pipeline::new(Arc::clone(&program), &info);
    }
    print::sections(&program);
    let compiled = inspect::Inspection::new(&program, CPUS, Options::new(CPU_PORT));
    if let Ok(inspection) = &compiled {
        inspection.listing();
        inspection.stats();
    }
    let interpreter = Interpreter::new(Arc::clone(&program));
    for length in [0, 1, 14, 60, 300] {
        let packet = Packet {
            port: random.below(512) as u32,
            bytes: random.bytes(length),
        };
        interpreter.process(&packet, Duration::ZERO);
    }
    match compiled {
        Ok(_) => Fate::Compiled,
        Err(_) => Fate::NotCompiled,
    }
}

/// Numbers at and beyond the limits of what reads them.
const NUMBERS: [i64; 16] = [
    -1,
    0,
    1,
    2,
    7,
    63,
    64,
    65,
    511,
    65_535,
    65_536,
    1 << 20,
    i32::MAX as i64,
    u32::MAX as i64,
    1 << 40,
    i64::MAX,
];

/// Members that say how much there is of something.
const SIZES: [&str; 4] = ["size", "max_size", "bitwidth", "max_length"];

/// How deep a value is wrapped: deeper than a reader should follow.
const DEPTH: usize = 400;

fn break_structure(root: &mut Value, random: &mut Random) {
    let other = pick(root, random).clone();
    let name = names(root, random);
    let target = pick_mut(root, random);
    match random.below(12) {
        0 => *target = Value::Null,
        1 => *target = other,
        2 | 3 => *target = number(random),
        4 => *target = json!(format!("{:#x}", random.word() >> random.below(64))),
        5 => *target = json!(format!("0x{}", "f".repeat(1 << random.below(17)))),
        6 => *target = [json!([]), json!({}), json!(true), json!("")][random.below(4)].clone(),
        7 | 8 => *target = json!(name),
        9 => match target {
            Value::Array(items) if !items.is_empty() => {
                items.remove(random.below(items.len()));
            }
            Value::Object(members) => {
                let key = members.keys().nth(random.below(members.len())).cloned();
                key.and_then(|key| members.remove(&key));
            }
            other => *other = Value::Null,
        },
        10 => match target {
            Value::Array(items) if !items.is_empty() => {
                let item = items[random.below(items.len())].clone();
                let at = random.below(items.len() + 1);
                items.insert(at, item);
            }
            other => *other = json!([other.clone(), other.clone()]),
        },
        _ => {
            for _ in 0..random.below(DEPTH) {
                *target = match random.below(2) {
                    0 => json!([target.take()]),
                    _ => json!({"type": "expression", "value": {
                        "op": "+", "left": target.take(), "right": {"type": "hexstr", "value": "0x1"},
                    }}),
                };
            }
        }
    }
}

/// Makes a number another one: widths, sizes, indices, references.
fn renumber(root: &mut Value, random: &mut Random) {
    for _ in 0..200 {
        let target = pick_mut(root, random);
        let member = SIZES[random.below(SIZES.len())];
        match target {
            Value::Number(_) if random.one_in(4) => *target = number(random),
            Value::Object(members) if members.contains_key(member) => {
                members[member] = number(random);
            }
            _ => continue,
        }
        return;
    }
}

fn number(random: &mut Random) -> Value {
    json!(NUMBERS[random.below(NUMBERS.len())])
}

/// A string that stands somewhere in the document.
fn names(root: &Value, random: &mut Random) -> String {
    for _ in 0..20 {
        if let Value::String(name) = pick(root, random) {
            return name.clone();
        }
    }
    "standard_metadata".to_owned()
}

/// Whether a walk goes on below a value.
fn descends(value: &Value, random: &mut Random) -> bool {
    let is_inner = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    is_inner && !random.one_in(10)
}

/// What lines and columns a node came from does not matter.
const UNINTERESTING: &str = "source_info";

fn pick<'v>(mut value: &'v Value, random: &mut Random) -> &'v Value {
    while descends(value, random) {
        value = match value {
            Value::Array(items) => &items[random.below(items.len())],
            Value::Object(members) => {
                let at = random.below(members.len());
                match members.iter().nth(at) {
                    Some((name, inner)) if name != UNINTERESTING => inner,
                    _ => return value,
                }
            }
            leaf => leaf,
        };
    }
    value
}

fn pick_mut<'v>(mut value: &'v mut Value, random: &mut Random) -> &'v mut Value {
    while descends(value, random) {
        let at = match value {
            Value::Array(items) => random.below(items.len()),
            Value::Object(members) => {
                let at = random.below(members.len());
                if members
                    .keys()
                    .nth(at)
                    .is_some_and(|name| name == UNINTERESTING)
                {
                    return value;
                }
                at
            }
            _ => return value,
        };
        value = match value {
            Value::Array(items) => &mut items[at],
            Value::Object(members) => members
                .values_mut()
                .nth(at)
                .expect("the index is below their number"),
            _ => unreachable!("only lists and objects are descended into"),
        };
    }
    value
}

fn break_bytes(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                // A digit becomes another one.
                let digit = bytes[at..].iter().position(u8::is_ascii_digit);
                if let Some(digit) = digit {
                    bytes[at + digit] = b'0' + random.below(10) as u8;
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = (random.word() >> 40) as u8;
                }
            }
        }
    }
    bytes
}
