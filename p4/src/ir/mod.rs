//! The typed form of a v1model program: what BMv2 JSON says, resolved and checked.
//!
//! Names have become indices, every reference points at something that exists, and
//! constructs keep the P4 source line they came from. The IR is complete: it holds
//! everything the JSON format can say, so that whoever cannot run a construct (the
//! XDP compiler, say) can refuse it by name and line. It decides nothing and runs nothing.
//!
//! Built by [`crate::bmv2`], read by [`crate::interpreter`] and by the compiler in
//! `pointsman-ebpf`; [`mod@print`] makes it readable.
//!
//! # Invariants
//!
//! 1. An id indexes the vector of its kind in the [`Program`] that it came from.
//! 2. Expressions compute on unbounded integers, as BMv2 does; a value is cut to the
//!    width of the field at the moment it is stored ([`Op::Assign`]), never before.
//! 3. A [`Jump`](Op::Jump) stays within its action. A `for` loop jumps backward, so whoever
//!    runs an action bounds the number of steps.
//! 4. The nodes of a [`Control`] form no cycle.

mod action;
mod control;
mod expr;
mod header;
mod ids;
mod object;
mod parser;
pub mod print;
mod program;

pub use action::{Action, CloneSource, Op, Param};
pub use control::{
    ActionCall, ActionProfile, Conditional, ConstEntry, ConstKey, Control, ControlKind,
    DefaultAction, Implementation, Key, KeySource, MatchKind, Node, Selector, Table, TableNext,
};
pub use expr::{BinaryOp, Expr, HeaderRef, LValue, UnaryOp};
pub use header::{Field, FieldKind, Header, HeaderKind, HeaderStack, HeaderUnion, UnionStack};
pub use ids::{
    ActionId, ActionProfileId, CalculationId, ConditionalId, CounterId, FieldListId, FieldRef,
    HeaderId, LearnListId, MeterId, ParserStateId, RegisterId, StackId, TableId, UnionId,
    UnionStackId, ValueSetId,
};
pub use object::{
    Calculation, CalculationInput, Checksum, Counter, FieldList, HashAlgorithm, LearnList, Meter,
    MeterUnit, Register,
};
pub use parser::{
    Deparser, ParserOp, ParserState, Transition, TransitionKey, TransitionMatch, ValueSet,
};
pub use program::{ErrorCode, Program, SourceInfo, StandardMetadata};
