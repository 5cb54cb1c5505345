//! The way of a packet through a switch: as values for programs, and as a page for people ([`mod@text`]).

mod text;

use pointsman_proto::pointsman::agent::v1 as pb;
use pointsman_proto::pointsman::agent::v1::trace_end::Fate;
use pointsman_proto::pointsman::agent::v1::trace_pass::{Cause, Control};
use pointsman_proto::pointsman::agent::v1::trace_step::Step;
use pointsman_proto::pointsman::objective::v1::Kind;
use serde::Serialize;

use crate::packet::summary;

pub use text::text;

/// Everything that is known of the way of a packet.
#[derive(Debug, Serialize)]
pub struct TraceView {
    pub device: String,
    pub target: String,
    pub pipeline: String,
    pub port: PortView,
    pub packet: PacketView,
    pub passes: Vec<PassView>,
    pub ends: Vec<EndView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
}

/// A port, and whether it can carry packets.
#[derive(Debug, Serialize)]
pub struct PortView {
    pub number: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub up: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cpu: bool,
}

/// A packet in hexadecimal and in words.
#[derive(Debug, Serialize)]
pub struct PacketView {
    pub hex: String,
    pub summary: String,
}

/// One way through a control.
#[derive(Debug, Serialize)]
pub struct PassView {
    pub control: &'static str,
    pub cause: &'static str,
    pub port: PortView,
    #[serde(skip_serializing_if = "is_zero")]
    pub instance: u32,
    pub steps: Vec<StepView>,
}

/// One thing that happens.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepView {
    ParserState(String),
    Header {
        name: String,
        fields: Vec<ValueView>,
    },
    Condition {
        condition: String,
        holds: bool,
        #[serde(skip_serializing_if = "String::is_empty")]
        source: String,
    },
    Table(TableStepView),
    Note(String),
}

/// A name and what it is.
#[derive(Debug, Serialize)]
pub struct ValueView {
    pub name: String,
    pub value: String,
}

/// A table that the packet was looked up in.
#[derive(Debug, Serialize)]
pub struct TableStepView {
    pub table: String,
    pub key: Vec<ValueView>,
    pub hit: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entry: String,
    /// As KIND/NAME.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objectives: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupView>,
    pub action: String,
    pub is_default: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_hidden: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// A group that an entry leads to.
#[derive(Debug, Serialize)]
pub struct GroupView {
    pub profile: String,
    /// 0 for one of the entry's own.
    pub group: u32,
    /// The first member that is alive is chosen, and not one by a hash.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub first_live: bool,
    pub members: Vec<MemberView>,
}

/// A member of a group.
#[derive(Debug, Serialize)]
pub struct MemberView {
    pub member: u32,
    pub action: String,
    pub weight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_port: Option<PortView>,
    pub chosen: bool,
}

/// What becomes of the packet or of a copy.
#[derive(Debug, Serialize)]
pub struct EndView {
    /// `leaves`, `to-controller`, `lost` or `dropped`.
    pub fate: &'static str,
    pub text: String,
    /// The position of the pass at whose end it is.
    pub pass: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<PacketView>,
}

impl TraceView {
    /// What became of a packet on a device.
    pub fn new(device: String, packet: &[u8], answer: pb::TraceResponse) -> Self {
        Self {
            device,
            target: answer.target,
            pipeline: answer.pipeline,
            port: answer.port.into(),
            packet: PacketView::new(packet),
            passes: answer.passes.into_iter().map(PassView::from).collect(),
            ends: answer.ends.into_iter().map(EndView::from).collect(),
            assumptions: answer.assumptions,
        }
    }
}

impl PacketView {
    fn new(packet: &[u8]) -> Self {
        Self {
            hex: packet.iter().map(|byte| format!("{byte:02x}")).collect(),
            summary: summary(packet),
        }
    }
}

impl From<Option<pb::TracePort>> for PortView {
    fn from(port: Option<pb::TracePort>) -> Self {
        let port = port.unwrap_or_default();
        Self {
            number: port.number,
            name: port.name,
            up: port.up,
            is_cpu: port.is_cpu,
        }
    }
}

impl From<pb::TracePass> for PassView {
    fn from(pass: pb::TracePass) -> Self {
        let control = match pass.control() {
            Control::Egress => "egress",
            Control::Ingress | Control::Unspecified => "ingress",
        };
        let cause = match pass.cause() {
            Cause::Normal | Cause::Unspecified => "normal",
            Cause::IngressClone => "ingress clone",
            Cause::EgressClone => "egress clone",
            Cause::Recirculated => "recirculated",
            Cause::Replicated => "replicated",
            Cause::Resubmitted => "resubmitted",
        };
        let steps = pass.steps.into_iter().filter_map(|step| step.step);
        Self {
            control,
            cause,
            port: pass.port.into(),
            instance: pass.instance,
            steps: steps.map(StepView::from).collect(),
        }
    }
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        match step {
            Step::ParserState(state) => Self::ParserState(state),
            Step::Header(header) => Self::Header {
                name: header.name,
                fields: values(header.fields),
            },
            Step::Condition(condition) => Self::Condition {
                condition: condition.condition,
                holds: condition.holds,
                source: condition.source,
            },
            Step::Table(table) => Self::Table(table.into()),
            Step::Note(note) => Self::Note(note),
        }
    }
}

impl From<pb::TraceTable> for TableStepView {
    fn from(table: pb::TraceTable) -> Self {
        let objectives = table.objectives.iter().map(|objective| {
            let kind = match objective.kind() {
                Kind::Filter => "filter",
                Kind::Forward => "forward",
                Kind::Next => "next",
                Kind::Unspecified => "objective",
            };
            format!("{kind}/{}", objective.name)
        });
        Self {
            objectives: objectives.collect(),
            table: table.table,
            key: values(table.key),
            hit: table.hit,
            entry: table.entry,
            group: table.group.map(GroupView::from),
            action: table.action,
            is_default: table.is_default,
            notes: table.notes,
            is_hidden: table.is_hidden,
            source: table.source,
        }
    }
}

impl From<pb::TraceGroup> for GroupView {
    fn from(group: pb::TraceGroup) -> Self {
        let members = group.members.into_iter().map(|member| MemberView {
            member: member.member,
            action: member.action,
            weight: member.weight,
            watch_port: member.watch.map(|port| Some(port).into()),
            chosen: member.chosen,
        });
        Self {
            profile: group.profile,
            group: group.group,
            first_live: group.first_live,
            members: members.collect(),
        }
    }
}

impl From<pb::TraceEnd> for EndView {
    fn from(end: pb::TraceEnd) -> Self {
        let fate = match end.fate() {
            Fate::Leaves => "leaves",
            Fate::ToController => "to-controller",
            Fate::Lost => "lost",
            Fate::Dropped | Fate::Unspecified => "dropped",
        };
        Self {
            fate,
            text: end.text,
            pass: end.pass,
            packet: end.port.as_ref().map(|_| {
                let header = usize::try_from(end.header_bytes).unwrap_or(usize::MAX);
                PacketView {
                    // Without the header for the controller, which is no frame's.
                    summary: summary(end.packet.get(header..).unwrap_or_default()),
                    ..PacketView::new(&end.packet)
                }
            }),
            port: end.port.map(|port| Some(port).into()),
        }
    }
}

fn values(values: Vec<pb::TraceValue>) -> Vec<ValueView> {
    let values = values.into_iter().map(|value| ValueView {
        name: value.name,
        value: value.value,
    });
    values.collect()
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
