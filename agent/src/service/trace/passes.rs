//! The steps of a packet as messages: a pass for each time that it, or a copy of it, goes through a control.

use pointsman_p4::dataplane::{Bits, Call, EntryKey, Selection};
use pointsman_p4::interpreter::{Candidate, InstanceType, Trace, TraceStep};
use pointsman_p4::ir::{ActionProfileId, SourceInfo, TableId, print};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::trace_pass::{Cause, Control};
use pointsman_proto::pointsman::agent::v1::trace_step::Step;

use super::Names;

/// All passes, in order.
pub(super) fn passes(names: &Names<'_>, trace: &Trace) -> Vec<pb::TracePass> {
    let mut made = Passes::default();
    for step in &trace.steps {
        made.add(names, step);
    }
    made.0
}

/// Those that were begun so far.
#[derive(Default)]
struct Passes(Vec<pb::TracePass>);

impl Passes {
    fn add(&mut self, names: &Names<'_>, step: &TraceStep) {
        match step {
            TraceStep::Ingress { port, instance, .. } => {
                self.begin(names, Control::Ingress, *instance, *port, 0);
            }
            TraceStep::Egress {
                port,
                rid,
                instance,
            } => self.begin(names, Control::Egress, *instance, *port, *rid),
            TraceStep::State(id) => {
                let state = &names.program.parser_states[id.index()];
                self.push(Step::ParserState(state.name.clone()));
            }
            TraceStep::Extracted { header, fields } => {
                let header = &names.program.headers[header.index()];
                let values = header.fields.iter().zip(fields);
                let values = values.map(|(field, value)| pb::TraceValue {
                    name: field.name.clone(),
                    value: Bits::from(value).to_string(),
                });
                self.push(Step::Header(pb::TraceHeader {
                    name: header.name.clone(),
                    fields: values.collect(),
                }));
            }
            TraceStep::Condition { conditional, holds } => {
                let conditional = &names.program.conditionals[conditional.index()];
                self.push(Step::Condition(pb::TraceCondition {
                    condition: print::expression(names.program, &conditional.condition),
                    holds: *holds,
                    source: source_text(&conditional.source),
                }));
            }
            TraceStep::Lookup { table, key, entry } => {
                let lookup = names.lookup(*table, key, entry.as_ref());
                self.push(Step::Table(lookup));
            }
            TraceStep::Group {
                profile,
                group,
                selection,
                members,
                chosen,
            } => {
                let mut group = names.group(*profile, *group, members, *chosen);
                group.first_live = *selection == Selection::FirstLive;
                if let Some(table) = self.table() {
                    table.group = Some(group);
                }
            }
            TraceStep::Action(call) => {
                let text = names.call(call);
                if let Some(table) = self.table() {
                    table.action = text;
                    table.is_default = !table.hit;
                }
            }
            // The action says as much, and the ends what leaves.
            TraceStep::Member { .. } | TraceStep::Sent(_) | TraceStep::Dropped(_) => {}
            other => self.note(other, names),
        }
    }

    fn begin(
        &mut self,
        names: &Names<'_>,
        control: Control,
        instance: InstanceType,
        port: u32,
        rid: u32,
    ) {
        let cause = match instance {
            InstanceType::Normal => Cause::Normal,
            InstanceType::IngressClone => Cause::IngressClone,
            InstanceType::EgressClone => Cause::EgressClone,
            InstanceType::Recirculated => Cause::Recirculated,
            InstanceType::Replicated => Cause::Replicated,
            InstanceType::Resubmitted => Cause::Resubmitted,
        };
        self.0.push(pb::TracePass {
            control: control.into(),
            cause: cause.into(),
            port: Some(names.port(port)),
            instance: rid,
            steps: Vec::new(),
        });
    }

    fn push(&mut self, step: Step) {
        if let Some(pass) = self.0.last_mut() {
            pass.steps.push(pb::TraceStep { step: Some(step) });
        }
    }

    /// The table that the packet is at.
    fn table(&mut self) -> Option<&mut pb::TraceTable> {
        match &mut self.0.last_mut()?.steps.last_mut()?.step {
            Some(Step::Table(table)) => Some(table),
            _ => None,
        }
    }

    /// What an action did belongs to its table; the rest stands for itself.
    fn note(&mut self, step: &TraceStep, names: &Names<'_>) {
        let Some((text, is_of_action)) = names.note(step) else {
            return;
        };
        match self.table() {
            Some(table) if is_of_action => table.notes.push(text),
            _ => self.push(Step::Note(text)),
        }
    }
}

impl Names<'_> {
    fn lookup(&self, id: TableId, key: &[Bits], entry: Option<&EntryKey>) -> pb::TraceTable {
        let declared = &self.program.tables[id.index()];
        let described = self.schema.table_of(id);
        let key: Vec<pb::TraceValue> = match described {
            Some(table) => {
                let parts = table.fields.iter().zip(key);
                let parts = parts.map(|(field, value)| pb::TraceValue {
                    name: field.name.clone(),
                    value: match &field.translation {
                        Some(translation) => translation.describe(value),
                        None => value.to_string(),
                    },
                });
                parts.collect()
            }
            None => {
                let parts = declared.key.iter().zip(key);
                let parts = parts.map(|(part, value)| pb::TraceValue {
                    name: part.name.clone(),
                    value: value.to_string(),
                });
                parts.collect()
            }
        };
        pb::TraceTable {
            table: described
                .map_or(&declared.name, |table| &table.name)
                .clone(),
            key,
            hit: entry.is_some(),
            entry: entry
                .map(|entry| self.entry_text(entry))
                .unwrap_or_default(),
            objectives: entry.map_or_else(Vec::new, |key| self.owners(&self.entry(key))),
            is_hidden: described.is_none(),
            source: source_text(&declared.source),
            ..pb::TraceTable::default()
        }
    }

    /// The key of an entry, without the name of its table.
    pub(super) fn entry_text(&self, key: &EntryKey) -> String {
        let text = self.schema.describe_key(key);
        let text = text.split_once(": ").map(|(_, key)| key.to_owned());
        text.unwrap_or_else(|| "whatever comes".to_owned())
    }

    /// An action with its arguments. Of one that p4c made of statements, its place.
    pub(super) fn call(&self, call: &Call) -> String {
        if self.schema.action_of(call.action).is_some() {
            return self.schema.describe_call(call);
        }
        let action = &self.program.actions[call.action.index()];
        let mut places = action.body.iter().map(|(_, source)| source);
        let place = places.find(|source| !source.file.is_empty());
        place.map_or_else(|| action.name.clone(), source_text)
    }

    fn group(
        &self,
        profile: ActionProfileId,
        group: u32,
        members: &[Candidate],
        chosen: Option<u32>,
    ) -> pb::TraceGroup {
        let is_one_shot = self.is_one_shot(profile);
        let number = |number| if is_one_shot { 0 } else { number };
        let members = members.iter().map(|candidate| pb::TraceMember {
            member: number(candidate.member.member),
            action: candidate
                .call
                .as_ref()
                .map(|call| self.call(call))
                .unwrap_or_default(),
            weight: candidate.member.weight,
            watch: candidate.member.watch_port.map(|port| pb::TracePort {
                up: candidate.is_alive,
                ..self.port(port)
            }),
            chosen: chosen == Some(candidate.member.member),
        });
        pb::TraceGroup {
            profile: self.schema.profile_name(profile).to_owned(),
            group: number(group),
            members: members.collect(),
            first_live: false,
        }
    }

    /// A step in words, and whether an action does it.
    fn note(&self, step: &TraceStep) -> Option<(String, bool)> {
        let cell = |name: &str, index: u32| format!("{name}[{index}]");
        let note = match step {
            TraceStep::ParserError(code) => {
                let mut errors = self.program.errors.iter();
                let error = errors.find(|error| error.code == *code);
                let error = error.map_or("an error", |error| &error.name);
                (format!("the parser stops: {error}"), false)
            }
            TraceStep::ChecksumError => {
                let text = "a checksum that the program verifies is wrong";
                (text.to_owned(), false)
            }
            TraceStep::MarkedToDrop => ("marks the packet to be dropped".to_owned(), true),
            TraceStep::Metered { meter, index } => {
                let name = &self.program.meters[meter.index()].name;
                let name = index.map_or_else(|| name.clone(), |index| cell(name, index));
                (format!("meter {name}: green is assumed"), true)
            }
            TraceStep::RegisterRead {
                register,
                index,
                value,
            } => {
                let name = cell(&self.program.registers[register.index()].name, *index);
                (format!("register {name} is {value:#x}"), true)
            }
            TraceStep::RegisterWrite {
                register,
                index,
                value,
            } => {
                let name = cell(&self.program.registers[register.index()].name, *index);
                (format!("would write {value:#x} into register {name}"), true)
            }
            TraceStep::Random => ("draws a random number".to_owned(), true),
            TraceStep::Digest { list, values } => {
                let name = self
                    .schema
                    .digest_of(*list)
                    .map(|digest| digest.name.as_str());
                let name = name.unwrap_or(&self.program.learn_lists[list.index()].name);
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                (
                    format!("would send digest {name}: {}", values.join(", ")),
                    false,
                )
            }
            TraceStep::Clone {
                session, copies, ..
            } => {
                let session = self.clone_session(*session);
                (self.copies(&session, *copies), false)
            }
            TraceStep::Multicast { group, copies } => {
                let group = self.multicast_group(*group);
                (self.copies(&group, *copies), false)
            }
            TraceStep::Resubmitted => ("goes back to the parser as it came".to_owned(), false),
            TraceStep::Recirculated => ("goes back to the parser as it is now".to_owned(), false),
            TraceStep::CutOff => ("cut off: it went round too often".to_owned(), false),
            _ => return None,
        };
        Some(note)
    }

    fn copies(&self, of: &str, copies: Option<usize>) -> String {
        match copies {
            None => format!("{of} does not exist: no copy is made"),
            Some(0) => format!("{of} has no replica that is up: no copy is made"),
            Some(1) => format!("{of} makes a copy"),
            Some(copies) => format!("{of} makes {copies} copies"),
        }
    }
}

/// A place in the P4 source; empty if it is not known.
pub(super) fn source_text(source: &SourceInfo) -> String {
    match source.file.is_empty() {
        true => String::new(),
        false => source.to_string(),
    }
}
