//! The parser as a graph of states, and the deparser as a list of headers.

use num_bigint::BigUint;

use super::{Expr, HeaderId, HeaderRef, LValue, Op, ParserStateId, SourceInfo, ValueSetId};

/// A state of the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParserState {
    /// Its name in P4.
    pub name: String,
    /// Executed in order.
    pub ops: Vec<(ParserOp, SourceInfo)>,
    /// Concatenated, first field most significant; empty if there is only a default.
    pub key: Vec<TransitionKey>,
    /// Tried in order. None that matches: accept.
    pub transitions: Vec<Transition>,
    /// Where it is declared.
    pub source: SourceInfo,
}

/// One step of a parser state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParserOp {
    /// Extract a header of fixed size.
    Extract(HeaderRef),
    /// Extract a header whose varbit field has this many bits.
    ExtractVarbit {
        /// Which header.
        header: HeaderRef,
        /// Bits of the varbit field.
        length: Expr,
    },
    /// Extract the next union of a union stack, as this member.
    ExtractUnionNext {
        /// The union stack.
        stack: super::UnionStackId,
        /// The position in the union's members.
        member: u32,
    },
    /// Extract the next union of a union stack, as this member, whose varbit field has this
    /// many bits.
    ExtractUnionNextVarbit {
        /// The union stack.
        stack: super::UnionStackId,
        /// The position in the union's members.
        member: u32,
        /// Bits of the varbit field.
        length: Expr,
    },
    /// Store, cut to the width of the target.
    Set {
        /// Where to.
        target: LValue,
        /// What.
        value: Expr,
    },
    /// Stop with an error unless the condition holds.
    Verify {
        /// The condition.
        condition: Expr,
        /// The error's code.
        error: Expr,
    },
    /// Skip this many bits.
    Advance {
        /// Bits.
        length: Expr,
    },
    /// Skip this many bytes: what older compilers write for [`ParserOp::Advance`].
    Shift {
        /// Bytes.
        bytes: u32,
    },
    /// A primitive that is also allowed in actions.
    Primitive(Op),
}

/// One part of a transition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionKey {
    /// A field, a stack's last element's field, or a lookahead.
    pub value: Expr,
    /// Bits.
    pub width: u32,
}

/// Where to go next, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub when: TransitionMatch,
    /// `None` accepts.
    pub next: Option<ParserStateId>,
}

/// What the key must be for a transition to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransitionMatch {
    /// Anything.
    Default,
    /// `key & mask == value & mask`; without a mask all bits count.
    Value {
        /// The value.
        value: BigUint,
        /// The mask.
        mask: Option<BigUint>,
    },
    /// A member of a value set.
    ValueSet {
        /// The set.
        set: ValueSetId,
        /// The mask.
        mask: Option<BigUint>,
    },
}

/// A set that the control plane fills and the parser consults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueSet {
    /// Its name in P4.
    pub name: String,
    /// Bits of a member.
    pub width: u32,
    /// The most members.
    pub size: u32,
}

/// What is emitted, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deparser {
    /// Those that are valid go out, each element of a stack on its own.
    pub order: Vec<HeaderId>,
}
