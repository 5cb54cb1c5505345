//! The YAML model: what operators write, as checked types.
//!
//! A file holds documents of two kinds: flow objectives of one device, and the
//! inventory of devices. This crate reads them ([`Model`]), reports everything
//! that is wrong with them at line and column ([`Problems`]), turns objectives
//! into the messages that controller and agent exchange and back ([`wire`]),
//! and prints them as YAML again ([`to_yaml`]).
//!
//! It knows nothing of any pipeline: whether a switch can do what an objective
//! asks is the agent's answer, not a property of the model. No I/O happens here.
//!
//! Called by the CLI (files), the controller (requests) and the agent
//! (objectives off the wire, and the manifest of a pipeline through [`yaml`]).

mod attributes;
mod diff;
mod field;
pub mod holdings;
mod matching;
mod model;
mod objective;
mod p4;
mod place;
mod problem;
mod read;
pub mod reader;
mod render;
mod schema;
mod validate;
mod value;
mod variables;
pub mod wire;
pub mod yaml;

pub use attributes::{Attributes, MAX_GROUP, Period, PeriodError, Timeout};
pub use diff::{Difference, diff};
pub use field::{Field, ValueKind};
pub use matching::{Match, MatchError};
pub use model::{Device, Located, Model, ObjectiveChange, Scope};
pub use objective::{
    Bucket, Change, Criterion, DEFAULT_PRIORITY, Filter, FilterType, Forward, ForwardFlag,
    Instruction, Kind, Meter, Name, Next, NextType, Objective, ObjectiveId, ObjectiveKind,
    Operation, P4Criterion, Selector,
};
pub use p4::TableAction;
pub use problem::{Problem, Problems, Source};
pub use render::{devices_to_yaml, to_yaml};
pub use schema::json_schema;
pub use validate::{Fault, validate};
pub use value::{Ipv4Prefix, Ipv6Prefix, MacAddr, PortRef, ValueError, VlanId};
