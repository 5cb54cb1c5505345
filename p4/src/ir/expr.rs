//! Expressions, and the places they can be stored to.

use num_bigint::BigInt;

use super::{FieldRef, HeaderId, StackId, UnionId, UnionStackId};

/// A computation without side effects on unbounded integers and booleans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// A number of any size.
    Const(BigInt),
    /// A truth value.
    Bool(bool),
    /// The value of a field; sign-extended where the field is signed.
    Field(FieldRef),
    /// A field of a header that is chosen at run time.
    FieldOf {
        /// Which header.
        header: HeaderRef,
        /// The position in that header's fields.
        field: u32,
    },
    /// Whether a header is valid: BMv2's `$valid$` pseudo-field (a boolean; 1 or 0 as a number).
    Valid(HeaderRef),
    /// Whether any member of a union is valid.
    UnionValid(UnionId),
    /// The argument of the action at this position.
    Param(u32),
    /// Bits ahead of the parser's position. Only in parser states.
    Lookahead {
        /// Bits from the parser's position.
        offset: u32,
        /// Number of bits.
        width: u32,
    },
    /// The number of valid elements after the last push or extract; a stack's `nextIndex`.
    StackSize(StackId),
    /// The same of a stack of unions.
    UnionStackSize(UnionStackId),
    /// An operator on one operand.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// Its operand.
        arg: Box<Expr>,
    },
    /// An operator on two operands, both evaluated.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `condition ? then : otherwise`; only one branch is evaluated.
    Conditional {
        /// A boolean.
        condition: Box<Expr>,
        /// The value if it is true.
        then: Box<Expr>,
        /// The value if it is false.
        otherwise: Box<Expr>,
    },
    /// Equality of two headers (BMv2 `==h`): false when either is invalid.
    HeaderEq(HeaderRef, HeaderRef),
    /// Equality of two unions (BMv2 `==u`).
    UnionEq(UnionId, UnionId),
}

/// Operators on one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Negate,
    /// `~`; on unbounded integers, so the result is negative until it is masked.
    BitNot,
    /// Boolean `not`.
    Not,
    /// `d2b`: not zero.
    ToBool,
    /// `b2d`: 1 or 0.
    ToData,
}

/// Operators on two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    /// By zero: 0.
    Div,
    /// By zero: 0.
    Mod,
    Shl,
    Shr,
    BitAnd,
    BitOr,
    BitXor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Boolean; does not short-circuit, but has no side effects either.
    And,
    /// Boolean.
    Or,
    /// Cut to this many bits and read as two's complement; the right operand is the width.
    TwoComplement,
    /// Saturate to a signed number of this many bits; the right operand is the width.
    SaturateSigned,
    /// Saturate to an unsigned number of this many bits; the right operand is the width.
    SaturateUnsigned,
}

/// A header, possibly chosen at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderRef {
    /// This one.
    Header(HeaderId),
    /// An element of a stack by index. Out of range: reads give 0, writes do nothing.
    Element {
        /// The stack.
        stack: StackId,
        /// The index.
        index: Box<Expr>,
    },
    /// The element that the next extract fills. Only in parser states.
    Next(StackId),
    /// The element filled last (P4's `last`).
    Last(StackId),
    /// A member of the union at an index of a union stack.
    UnionElement {
        /// The union stack.
        stack: UnionStackId,
        /// The index.
        index: Box<Expr>,
        /// The position in the union's members.
        member: u32,
    },
}

/// Where a value can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LValue {
    /// A field of a fixed header.
    Field(FieldRef),
    /// A field of a header that is chosen at run time.
    FieldOf {
        /// Which header.
        header: HeaderRef,
        /// The position in that header's fields.
        field: u32,
    },
}
