//! What becomes of a packet and its copies, in a sentence each, with the reason.

use pointsman_p4::dataplane::EntryKey;
use pointsman_p4::interpreter::{Candidate, InstanceType, Output, Trace, TraceStep};
use pointsman_p4::ir::{ActionProfileId, ControlKind, TableId};
use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::trace_end::Fate;

use super::Names;

/// What is remembered on the way.
#[derive(Default)]
struct Way<'t> {
    /// Passes that have begun.
    passes: u32,
    instance: Option<InstanceType>,
    port: u32,
    /// The table that it is at, and the entry that it hit there.
    at: Option<(TableId, Option<&'t EntryKey>)>,
    /// What it did there.
    action: String,
    /// What marked it to be dropped last.
    dropped_by: Option<String>,
    /// Groups of whose members none was alive.
    dead: Vec<String>,
}

/// One for each end that the packet and its copies come to, in order.
pub(super) fn ends(names: &Names<'_>, trace: &Trace) -> Vec<pb::TraceEnd> {
    let mut way = Way::default();
    let ends = trace.steps.iter().filter_map(|step| way.step(names, step));
    ends.collect()
}

impl<'t> Way<'t> {
    fn step(&mut self, names: &Names<'_>, step: &'t TraceStep) -> Option<pb::TraceEnd> {
        match step {
            TraceStep::Ingress { port, instance, .. }
            | TraceStep::Egress { port, instance, .. } => {
                *self = Way {
                    passes: self.passes + 1,
                    instance: Some(*instance),
                    port: *port,
                    dead: std::mem::take(&mut self.dead),
                    ..Way::default()
                };
                None
            }
            TraceStep::Lookup { table, entry, .. } => {
                self.at = Some((*table, entry.as_ref()));
                None
            }
            TraceStep::Action(call) => {
                self.action = names.call(call);
                None
            }
            TraceStep::MarkedToDrop => {
                self.dropped_by = Some(self.place(names));
                None
            }
            TraceStep::Group {
                profile,
                group,
                members,
                ..
            } => {
                self.dead.extend(names.lifeless(*profile, *group, members));
                None
            }
            TraceStep::Sent(output) => Some(self.sent(names, output)),
            TraceStep::Dropped(control) => Some(self.dropped(self.why_dropped(*control))),
            TraceStep::Multicast { group, copies } => {
                let group = names.multicast_group(*group);
                let why = match copies {
                    None => format!("dropped: {group} does not exist"),
                    Some(0) => format!("dropped: {group} has no replica that is up"),
                    Some(_) => return None,
                };
                Some(self.dropped(why))
            }
            TraceStep::CutOff => Some(self.dropped("dropped: it went round too often".to_owned())),
            _ => None,
        }
    }

    /// The action of the entry that it is at, in words.
    fn place(&self, names: &Names<'_>) -> String {
        let Some((table, entry)) = self.at else {
            return "the parser".to_owned();
        };
        let Some(described) = names.schema.table_of(table) else {
            // Statements of a control.
            return self.action.clone();
        };
        let action = self.action.split('(').next().unwrap_or_default();
        match entry {
            None => format!("{action} of {}, where no entry matches", described.alias),
            Some(key) => {
                let owners = names.owners_text(&names.entry(key));
                let key = names.entry_text(key);
                format!("{action} of the {} entry {key}{owners}", described.alias)
            }
        }
    }

    fn why_dropped(&self, control: ControlKind) -> String {
        let is_copy = !matches!(self.instance, None | Some(InstanceType::Normal));
        let what = match control {
            ControlKind::Ingress if is_copy => "dropped the second time".to_owned(),
            ControlKind::Ingress => "dropped".to_owned(),
            ControlKind::Egress if is_copy => format!("the copy for port {} is dropped", self.port),
            ControlKind::Egress => format!("dropped before it leaves at port {}", self.port),
        };
        match &self.dropped_by {
            Some(place) => format!("{what} by {place}"),
            None => format!("{what}: it is sent to the port that stands for dropping"),
        }
    }

    fn dropped(&self, text: String) -> pb::TraceEnd {
        pb::TraceEnd {
            fate: Fate::Dropped.into(),
            text,
            pass: self.passes.saturating_sub(1),
            ..pb::TraceEnd::default()
        }
    }

    /// A packet at its port, and what becomes of it if the port is of no use.
    fn sent(&self, names: &Names<'_>, output: &Output) -> pb::TraceEnd {
        let what = match self.instance {
            Some(InstanceType::IngressClone | InstanceType::EgressClone) => "a clone ",
            Some(InstanceType::Replicated) => "a copy ",
            _ => "",
        };
        let port = names.port_text(output.port);
        let reason = match self.dead.as_slice() {
            [] => String::new(),
            dead => format!(": {}", dead.join(", ")),
        };
        let is_lost = if what.is_empty() { "lost" } else { "is lost" };
        let mut header_bytes = 0;
        let (fate, text) = match names.state.ports.by_number(output.port) {
            _ if output.port == names.state.ports.cpu_port() => {
                let header = names.schema.packet_in.as_ref();
                header_bytes = header.map_or(0, |header| header.len());
                (Fate::ToController, "goes to the controller".to_owned())
            }
            Ok(known) if known.is_up() => (Fate::Leaves, format!("leaves at {port}")),
            Ok(_) => {
                let text = format!("{is_lost} at {port}, which is down{reason}");
                (Fate::Lost, text)
            }
            Err(_) if names.has_ports() => {
                let text = format!("{is_lost} at {port}, which this switch does not have{reason}");
                (Fate::Lost, text)
            }
            Err(_) => (Fate::Leaves, format!("leaves at {port}")),
        };
        pb::TraceEnd {
            fate: fate.into(),
            text: format!("{what}{text}"),
            pass: self.passes.saturating_sub(1),
            port: Some(names.port(output.port)),
            packet: output.bytes.clone(),
            header_bytes: u32::try_from(header_bytes).unwrap_or(u32::MAX),
        }
    }
}

impl Names<'_> {
    /// Says so if no member of a group has a port that is up.
    fn lifeless(
        &self,
        profile: ActionProfileId,
        group: u32,
        members: &[Candidate],
    ) -> Option<String> {
        let name = match self.is_one_shot(profile) {
            true => format!("the entry's group in {}", self.schema.profile_name(profile)),
            false => format!("group {group} of {}", self.schema.profile_name(profile)),
        };
        match members {
            [] => Some(format!("{name} has no members")),
            members if members.iter().any(|member| member.is_alive) => None,
            _ => Some(format!("no member of {name} is alive")),
        }
    }
}
