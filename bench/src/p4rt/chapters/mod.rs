//! The requirements, by subject, in the order of the specification.

mod actions;
mod arbitration;
mod atomicity;
mod constraints;
mod counters;
mod digests;
mod direct;
mod get_pipeline;
mod groups;
mod idle;
mod matches;
mod members;
mod one_shot;
mod packet_io;
mod pipeline;
mod read;
mod registers;
mod replication;
mod roles;
mod tables;
mod translation;
mod value_sets;
mod write;

use super::requirement::Chapter;

/// All of them.
pub const CHAPTERS: &[Chapter] = &[
    arbitration::CHAPTER,
    roles::CHAPTER,
    tables::CHAPTER,
    matches::CHAPTER,
    actions::CHAPTER,
    direct::CHAPTER,
    idle::CHAPTER,
    members::CHAPTER,
    groups::CHAPTER,
    one_shot::CHAPTER,
    counters::CHAPTER,
    replication::CHAPTER,
    value_sets::CHAPTER,
    registers::CHAPTER,
    digests::CHAPTER,
    write::CHAPTER,
    atomicity::CHAPTER,
    read::CHAPTER,
    pipeline::CHAPTER,
    get_pipeline::CHAPTER,
    packet_io::CHAPTER,
    translation::CHAPTER,
    constraints::CHAPTER,
];

/// What every chapter uses.
mod prelude {
    pub use pointsman_proto::p4::v1 as p4;
    pub use pointsman_proto::p4::v1::entity::Entity;
    pub use pointsman_proto::p4::v1::update::Type;
    pub use pointsman_proto::p4::v1::write_request::Atomicity;
    pub use tonic::Code;

    pub use crate::p4rt::client::{Client, delete, insert, modify};
    pub use crate::p4rt::entry::{Entry, Value, canonical, entry};
    pub use crate::p4rt::failure::{Failure, Outcome, accepted, holds, refused, same};
    pub use crate::p4rt::probe::{Probe, op, payload};
    pub use crate::p4rt::program::{CONSTRAINTS, ENTITIES, TRANSLATION};
    pub(crate) use crate::p4rt::requirement::chapter;
    pub use crate::p4rt::test::Test;
}
