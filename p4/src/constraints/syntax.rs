//! Constraints as trees: as they are written ([`Node`]), and as they are understood ([`Expr`]).

use num_bigint::BigInt;

use super::source::Span;
use crate::dataplane::{Bits, Match};
use crate::ir::MatchKind;

/// An expression as it is written.
#[derive(Debug, Clone)]
pub struct Node {
    pub kind: NodeKind,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum NodeKind {
    Bool(bool),
    Number(BigInt),
    /// A string by itself.
    Text(String),
    /// A key or parameter, for example `hdr.ipv4.dst`.
    Name(String),
    /// `::priority`
    Attribute(String),
    /// `key::mask`
    Field(Box<Node>, String),
    Not(Box<Node>),
    Negative(Box<Node>),
    Logic(Logic, Box<Node>, Box<Node>),
    Compare(Compare, Box<Node>, Box<Node>),
}

/// An operator on truth values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logic {
    And,
    Or,
    Implies,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bool,
    /// A number of any size.
    Int,
    /// `bit<W>`; `None` is the number that the bytes of a string are.
    Bits(Option<u32>),
    /// A whole match.
    Match(MatchKind, Option<u32>),
}

/// An expression that makes sense. Constants have the type that they are compared as.
#[derive(Debug, Clone)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub enum ExprKind {
    Bool(bool),
    Int(BigInt),
    Bits(Bits),
    Match(Match),
    /// The match of the key, or the argument, at this position.
    Variable(usize),
    Priority,
    Field(usize, Field),
    Negative(Box<Expr>),
    /// A number as `bit<W>`: modulo 2^W.
    Truncate(Box<Expr>, u32),
    /// A value as the match of exactly that value.
    Exactly(Box<Expr>, MatchKind, Option<u32>),
    Not(Box<Expr>),
    Logic(Logic, Box<Expr>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
}

/// Part of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Value,
    /// Of a ternary or optional match of a key with so many bits.
    Mask(Option<u32>),
    PrefixLength,
    Low,
    /// Of a range of a key with so many bits.
    High,
}

impl Type {
    /// As it is named in messages.
    pub fn describe(self) -> String {
        let bits = |name: &str, width: Option<u32>| match width {
            Some(width) => format!("{name}<{width}>"),
            None => format!("{name} of strings"),
        };
        match self {
            Type::Bool => "a truth value".to_owned(),
            Type::Int => "a number".to_owned(),
            Type::Bits(Some(width)) => format!("bit<{width}>"),
            Type::Bits(None) => "a string".to_owned(),
            Type::Match(kind, width) => bits(
                match kind {
                    MatchKind::Exact => "exact",
                    MatchKind::Lpm => "lpm",
                    MatchKind::Ternary => "ternary",
                    MatchKind::Range => "range",
                    MatchKind::Optional => "optional",
                },
                width,
            ),
        }
    }
}

impl Compare {
    /// Whether it needs an order.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Compare::Equal | Compare::NotEqual)
    }
}
