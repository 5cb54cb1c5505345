//! Actions: straight-line code with jumps.

use super::{
    CalculationId, CounterId, Expr, FieldListId, HeaderRef, LValue, LearnListId, MeterId,
    RegisterId, SourceInfo, StackId, UnionId, UnionStackId,
};

/// An action, or the body that p4c made of a few statements of a control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The fully qualified name in P4.
    pub name: String,
    /// What a table entry supplies.
    pub params: Vec<Param>,
    /// Executed in order. `Op` and the source line that it came from.
    pub body: Vec<(Op, SourceInfo)>,
    /// Where it is declared.
    pub source: SourceInfo,
}

/// A parameter of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name in P4.
    pub name: String,
    /// Bits.
    pub width: u32,
}

/// Which packet a clone is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloneSource {
    /// The packet as it entered the switch.
    Ingress,
    /// The packet as it leaves.
    Egress,
}

/// One primitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Store, cut to the width of the target.
    Assign {
        /// Where to.
        target: LValue,
        /// What.
        value: Expr,
    },
    /// Copy a varbit field, its length too (`assign_VL`).
    AssignVarbit {
        /// Where to.
        target: LValue,
        /// From which field.
        source: LValue,
    },
    /// Copy a header and its validity; from an invalid one: invalidate.
    AssignHeader {
        /// Where to.
        target: HeaderRef,
        /// From where.
        source: HeaderRef,
    },
    /// Copy all elements and the next-index.
    AssignStack {
        /// Where to.
        target: StackId,
        /// From where.
        source: StackId,
    },
    /// Copy all members.
    AssignUnion {
        /// Where to.
        target: UnionId,
        /// From where.
        source: UnionId,
    },
    /// Copy all elements.
    AssignUnionStack {
        /// Where to.
        target: UnionStackId,
        /// From where.
        source: UnionStackId,
    },
    /// Make a header valid; its fields become 0 if it was not.
    SetValid(HeaderRef),
    /// Make a header invalid.
    SetInvalid(HeaderRef),
    /// Make all members of a union invalid.
    InvalidateUnion(UnionId),
    /// Move elements towards the end; those that come free are invalid.
    Push {
        /// The stack.
        stack: StackId,
        /// By how many.
        count: u32,
    },
    /// Move elements towards the front.
    Pop {
        /// The stack.
        stack: StackId,
        /// By how many.
        count: u32,
    },
    /// `egress_spec = 511`, `mcast_grp = 0`.
    MarkToDrop,
    /// The control ends after this action.
    Exit,
    /// Go to the op at this position of the body.
    Jump {
        /// Position in the body; its length means the end.
        to: u32,
    },
    /// Go to the op at this position if the value is zero or false.
    JumpIfZero {
        /// The condition.
        condition: Expr,
        /// Position in the body; its length means the end.
        to: u32,
    },
    /// Count the packet. An index out of range does nothing.
    Count {
        /// An indirect counter.
        counter: CounterId,
        /// Which cell.
        index: Expr,
    },
    /// Meter the packet and store its colour: 0 green, 1 yellow, 2 red.
    ExecuteMeter {
        /// An indirect meter.
        meter: MeterId,
        /// Which cell.
        index: Expr,
        /// Where the colour goes.
        target: LValue,
    },
    /// Read a cell. An index out of range leaves the target alone.
    RegisterRead {
        /// Where to.
        target: LValue,
        /// The register.
        register: RegisterId,
        /// Which cell.
        index: Expr,
    },
    /// Write a cell. An index out of range does nothing.
    RegisterWrite {
        /// The register.
        register: RegisterId,
        /// Which cell.
        index: Expr,
        /// What.
        value: Expr,
    },
    /// `target = base + hash % max`; a max of 0 counts as 1.
    Hash {
        /// Where to.
        target: LValue,
        /// Added to the hash.
        base: Expr,
        /// Algorithm and inputs.
        calculation: CalculationId,
        /// Modulus.
        max: Expr,
    },
    /// A random number between two bounds, both included.
    Random {
        /// Where to.
        target: LValue,
        /// Lower bound.
        low: Expr,
        /// Upper bound.
        high: Expr,
    },
    /// Remember to clone at the end of the control; the last one counts.
    Clone {
        /// Which packet.
        source: CloneSource,
        /// The mirror session.
        session: Expr,
        /// Metadata that the clone keeps.
        fields: Option<FieldListId>,
    },
    /// Remember to start over with the packet as it entered, at the end of ingress.
    Resubmit {
        /// Metadata that is kept.
        fields: Option<FieldListId>,
    },
    /// Remember to start over with the packet as it leaves, at the end of egress.
    Recirculate {
        /// Metadata that is kept.
        fields: Option<FieldListId>,
    },
    /// Remember to send a digest at the end of ingress.
    Digest {
        /// What is in it.
        list: LearnListId,
    },
    /// Bound the length of the final packet, in bytes.
    Truncate {
        /// The bound.
        length: Expr,
    },
    /// Write to the log.
    LogMessage {
        /// With `{}` for each argument.
        format: String,
        /// The arguments.
        args: Vec<Expr>,
    },
    /// A condition that the program says is true.
    Assert {
        /// The condition.
        condition: Expr,
    },
    /// A condition that the program takes to be true.
    Assume {
        /// The condition.
        condition: Expr,
    },
}
