//! A difference as a file: the steps that lead to it, in the program's own names.
//!
//! ```json
//! {
//!   "about": "what was wrong",
//!   "steps": [
//!     { "insert": { "table": "ingress.t", "match": ["0x1", "0xa000000/8", "0x1&&&0xff", "*", "0x1..0x5"],
//!                   "priority": 7, "action": "ingress.set_port(0x1, 0x2)" } },
//!     { "packet": { "port": 1, "bytes": "0123...", "out": ["2 0123..."] } }
//!   ]
//! }
//! ```
//! Matches are in the order of the table's key. An action is a call, `member 3` or `group 2`. What should leave
//! (`out`, by port) may be missing; then the planes only have to agree.

use pointsman_p4::dataplane::{CloneSession, GroupMember, TableEntry};
use std::sync::Arc;

use pointsman_p4::dataplane::{CounterData, MeterConfig, Operation, Replica};
use pointsman_p4::ir::Program;
use serde::{Deserialize, Serialize};

use crate::conformance::hex;

use super::names::{NameError, Names};
use super::replay::interpret;
use super::script::{Script, Shape};
use super::step::Step;

/// A case: steps, and why they are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// What was wrong, for readers.
    pub about: String,
    /// Instructions of each program of a chain, if it was one.
    #[serde(default)]
    pub chain: Option<usize>,
    /// Whether it was loaded as for an old kernel.
    #[serde(default)]
    pub floor: bool,
    /// The steps, in order.
    pub steps: Vec<StepText>,
}

/// A step in names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum StepText {
    Insert(EntryText),
    Modify(EntryText),
    Delete(KeyText),
    Default {
        table: String,
        action: Option<String>,
    },
    Member {
        profile: String,
        member: u32,
        action: String,
    },
    DeleteMember {
        profile: String,
        member: u32,
    },
    Group {
        profile: String,
        group: u32,
        members: Vec<MemberText>,
    },
    DeleteGroup {
        profile: String,
        group: u32,
    },
    Multicast {
        group: u32,
        replicas: Vec<[u32; 2]>,
    },
    CloneSession {
        session: u32,
        replicas: Option<Vec<[u32; 2]>>,
        #[serde(default)]
        cut_to_bytes: u32,
    },
    ValueSet {
        set: String,
        members: Vec<String>,
    },
    Register {
        register: String,
        index: u32,
        value: String,
    },
    Counter {
        counter: String,
        index: u32,
        packets: u64,
        bytes: u64,
    },
    Meter {
        meter: String,
        index: u32,
        config: Option<[u64; 4]>,
    },
    DirectMeter {
        entry: KeyText,
        config: Option<[u64; 4]>,
    },
    Port {
        port: u32,
        up: bool,
    },
    Packet {
        port: u32,
        bytes: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out: Option<Vec<String>>,
    },
}

/// What makes an entry the one it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct KeyText {
    pub table: String,
    #[serde(rename = "match")]
    pub matches: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

/// An entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct EntryText {
    #[serde(flatten)]
    pub key: KeyText,
    pub action: String,
}

/// A member of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct MemberText {
    pub member: u32,
    pub weight: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_port: Option<u32>,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers can be written")
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl CaseFile {
    /// The script that is meant.
    pub fn script(&self, program: &Program) -> Result<Script, NameError> {
        let steps = self.steps.iter().map(|step| step.step(program));
        Ok(Script {
            shape: Shape {
                chain: self.chain,
                floor: self.floor,
            },
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// Steps with what leaves the interpreter after each packet.
    pub fn record(about: String, program: &Arc<Program>, script: &Script) -> CaseFile {
        let Script { shape, steps } = script;
        let outputs = interpret(program, steps);
        let text = steps.iter().zip(outputs).map(|(step, outputs)| {
            let mut text = StepText::new(program, step);
            if let StepText::Packet { out, .. } = &mut text {
                *out = Some(outputs);
            }
            text
        });
        CaseFile {
            about,
            chain: shape.chain,
            floor: shape.floor,
            steps: text.collect(),
        }
    }

    /// As text, a line for each step.
    pub fn to_json(&self) -> String {
        let about = json(&self.about);
        let steps = self.steps.iter().map(|step| format!("    {}", json(step)));
        let steps: Vec<String> = steps.collect();
        let steps = steps.join(",\n");
        let chain = self.chain.map(|chain| format!("  \"chain\": {chain},\n"));
        let chain = chain.unwrap_or_default();
        let floor = if self.floor {
            "  \"floor\": true,\n"
        } else {
            ""
        };
        format!("{{\n  \"about\": {about},\n{chain}{floor}  \"steps\": [\n{steps}\n  ]\n}}\n")
    }
}

impl StepText {
    /// Names the parts of a step.
    pub fn new(program: &Program, step: &Step) -> StepText {
        let names = Names { program };
        match step {
            Step::Write(operation) => write(&names, operation),
            Step::DirectMeter { key, config } => StepText::DirectMeter {
                entry: names.key(key),
                config: config.as_ref().map(rates),
            },
            Step::Port { port, up } => StepText::Port {
                port: *port,
                up: *up,
            },
            Step::Packet { port, bytes } => StepText::Packet {
                port: *port,
                bytes: hex(bytes),
                out: None,
            },
        }
    }

    /// The step that is meant.
    pub fn step(&self, program: &Program) -> Result<Step, NameError> {
        let names = Names { program };
        Ok(Step::Write(match self {
            StepText::Insert(entry) => Operation::Insert(read_entry(&names, entry)?),
            StepText::Modify(entry) => Operation::Modify(read_entry(&names, entry)?),
            StepText::Delete(key) => Operation::Delete(names.read_key(key)?),
            StepText::Default { table, action } => {
                let table = names.table(table)?;
                let action = action.as_deref();
                Operation::SetDefault {
                    table,
                    action: action.map(|a| names.read_action(table, a)).transpose()?,
                }
            }
            StepText::Member {
                profile,
                member,
                action,
            } => {
                let profile = names.profile(profile)?;
                Operation::PutMember {
                    profile,
                    member: *member,
                    call: names.read_member_call(profile, action)?,
                }
            }
            StepText::DeleteMember { profile, member } => Operation::DeleteMember {
                profile: names.profile(profile)?,
                member: *member,
            },
            StepText::Group {
                profile,
                group,
                members,
            } => Operation::PutGroup {
                profile: names.profile(profile)?,
                group: *group,
                members: members
                    .iter()
                    .map(|m| GroupMember {
                        member: m.member,
                        weight: m.weight,
                        watch_port: m.watch_port,
                    })
                    .collect(),
            },
            StepText::DeleteGroup { profile, group } => Operation::DeleteGroup {
                profile: names.profile(profile)?,
                group: *group,
            },
            StepText::Multicast { group, replicas } => Operation::SetMulticastGroup {
                group: *group,
                replicas: read_replicas(replicas),
            },
            StepText::CloneSession {
                session,
                replicas,
                cut_to_bytes,
            } => Operation::SetCloneSession {
                session: *session,
                clone: replicas.as_ref().map(|replicas| CloneSession {
                    replicas: read_replicas(replicas),
                    packet_length_bytes: *cut_to_bytes,
                }),
            },
            StepText::ValueSet { set, members } => Operation::SetValueSet {
                set: names.value_set(set)?,
                members: members
                    .iter()
                    .map(|member| names.number(member))
                    .collect::<Result<_, _>>()?,
            },
            other => return other.state(&names),
        }))
    }

    /// Cells, ports and packets.
    fn state(&self, names: &Names) -> Result<Step, NameError> {
        Ok(match self {
            StepText::Register {
                register,
                index,
                value,
            } => Step::Write(Operation::SetRegister {
                register: names.register(register)?,
                index: *index,
                value: names.number(value)?,
            }),
            StepText::Counter {
                counter,
                index,
                packets,
                bytes,
            } => Step::Write(Operation::SetCounter {
                counter: names.counter(counter)?,
                index: *index,
                data: CounterData {
                    packets: *packets,
                    bytes: *bytes,
                },
            }),
            StepText::Meter {
                meter,
                index,
                config,
            } => Step::Write(Operation::SetMeter {
                meter: names.meter(meter)?,
                index: *index,
                config: config.map(read_rates),
            }),
            StepText::DirectMeter { entry, config } => Step::DirectMeter {
                key: names.read_key(entry)?,
                config: config.map(read_rates),
            },
            StepText::Port { port, up } => Step::Port {
                port: *port,
                up: *up,
            },
            StepText::Packet { port, bytes, .. } => Step::Packet {
                port: *port,
                bytes: names.bytes(bytes)?,
            },
            _ => unreachable!("the others are tables, groups and sets"),
        })
    }
}

fn write(names: &Names, operation: &Operation) -> StepText {
    let profile_name = |id: &pointsman_p4::ir::ActionProfileId| {
        names.program.action_profiles[id.index()].name.clone()
    };
    match operation {
        Operation::Insert(entry) => StepText::Insert(entry_text(names, entry)),
        Operation::Modify(entry) => StepText::Modify(entry_text(names, entry)),
        Operation::Delete(key) => StepText::Delete(names.key(key)),
        Operation::SetDefault { table, action } => StepText::Default {
            table: names.program.tables[table.index()].name.clone(),
            action: action.as_ref().map(|action| names.action(action)),
        },
        Operation::PutMember {
            profile,
            member,
            call,
        } => StepText::Member {
            profile: profile_name(profile),
            member: *member,
            action: names.call(call),
        },
        Operation::DeleteMember { profile, member } => StepText::DeleteMember {
            profile: profile_name(profile),
            member: *member,
        },
        Operation::PutGroup {
            profile,
            group,
            members,
        } => StepText::Group {
            profile: profile_name(profile),
            group: *group,
            members: members
                .iter()
                .map(|m| MemberText {
                    member: m.member,
                    weight: m.weight,
                    watch_port: m.watch_port,
                })
                .collect(),
        },
        Operation::DeleteGroup { profile, group } => StepText::DeleteGroup {
            profile: profile_name(profile),
            group: *group,
        },
        Operation::SetMulticastGroup { group, replicas } => StepText::Multicast {
            group: *group,
            replicas: replica_text(replicas),
        },
        Operation::SetCloneSession { session, clone } => StepText::CloneSession {
            session: *session,
            replicas: clone.as_ref().map(|clone| replica_text(&clone.replicas)),
            cut_to_bytes: clone.as_ref().map_or(0, |c| c.packet_length_bytes),
        },
        Operation::SetValueSet { set, members } => StepText::ValueSet {
            set: names.program.value_sets[set.index()].name.clone(),
            members: members.iter().map(ToString::to_string).collect(),
        },
        Operation::SetRegister {
            register,
            index,
            value,
        } => StepText::Register {
            register: names.program.registers[register.index()].name.clone(),
            index: *index,
            value: value.to_string(),
        },
        Operation::SetCounter {
            counter,
            index,
            data,
        } => StepText::Counter {
            counter: names.program.counters[counter.index()].name.clone(),
            index: *index,
            packets: data.packets,
            bytes: data.bytes,
        },
        Operation::SetMeter {
            meter,
            index,
            config,
        } => StepText::Meter {
            meter: names.program.meters[meter.index()].name.clone(),
            index: *index,
            config: config.as_ref().map(rates),
        },
    }
}

fn entry_text(names: &Names, entry: &TableEntry) -> EntryText {
    EntryText {
        key: names.key(&entry.key),
        action: names.action(&entry.action),
    }
}

fn read_entry(names: &Names, text: &EntryText) -> Result<TableEntry, NameError> {
    let key = names.read_key(&text.key)?;
    let action = names.read_action(key.table, &text.action)?;
    Ok(TableEntry { key, action })
}

fn replica_text(replicas: &[Replica]) -> Vec<[u32; 2]> {
    replicas.iter().map(|r| [r.port, r.instance]).collect()
}

fn read_replicas(text: &[[u32; 2]]) -> Vec<Replica> {
    let replica = |[port, instance]: &[u32; 2]| Replica {
        port: *port,
        instance: *instance,
    };
    text.iter().map(replica).collect()
}

fn rates(config: &MeterConfig) -> [u64; 4] {
    [
        config.committed_rate,
        config.committed_burst,
        config.peak_rate,
        config.peak_burst,
    ]
}

fn read_rates(rates: [u64; 4]) -> MeterConfig {
    let [committed_rate, committed_burst, peak_rate, peak_burst] = rates;
    MeterConfig {
        committed_rate,
        committed_burst,
        peak_rate,
        peak_burst,
    }
}
