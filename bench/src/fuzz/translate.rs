//! Steps in the names of their program, and back.

use pointsman_p4::dataplane::{
    CloneSession, CounterData, GroupMember, MeterConfig, Operation, Replica, Selection, TableEntry,
};
use pointsman_p4::ir::Program;

use crate::conformance::hex;

use super::case::{EntryText, MemberText, StepText};
use super::names::{NameError, Names};
use super::step::{MeteredEntry, Step};

impl StepText {
    /// Names the parts of a step.
    pub fn new(program: &Program, step: &Step) -> StepText {
        let names = Names { program };
        match step {
            Step::Write(operation) => write(&names, operation),
            Step::DirectMeter { entry, config } => {
                let config = config.as_ref().map(rates);
                match entry {
                    MeteredEntry::Keyed(key) => StepText::DirectMeter {
                        entry: names.key(key),
                        config,
                    },
                    MeteredEntry::Default(table) => StepText::DefaultMeter {
                        table: program.tables[table.index()].name.clone(),
                        config,
                    },
                }
            }
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
                first_live,
                members,
            } => Operation::PutGroup {
                profile: names.profile(profile)?,
                group: *group,
                selection: match first_live {
                    true => Selection::FirstLive,
                    false => Selection::Hash,
                },
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
                entry: MeteredEntry::Keyed(names.read_key(entry)?),
                config: config.map(read_rates),
            },
            StepText::DefaultMeter { table, config } => Step::DirectMeter {
                entry: MeteredEntry::Default(names.table(table)?),
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
            selection,
            members,
        } => StepText::Group {
            profile: profile_name(profile),
            group: *group,
            first_live: *selection == Selection::FirstLive,
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
    let replica = |[port, instance]: &[u32; 2]| Replica::new(*port, *instance);
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
        excess_burst: 0,
    }
}
