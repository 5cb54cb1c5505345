//! Headers, metadata, stacks and unions: the shape of a packet in flight.

use super::{HeaderId, UnionId};

/// A header instance, an element of a stack, a member of a union, or a metadata struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The instance's name in P4, for example `ipv4` or `scalars`.
    pub name: String,
    /// The name of its header type; instances of one type can be assigned to each other.
    pub type_name: String,
    /// Whether it is on the wire.
    pub kind: HeaderKind,
    /// In wire order.
    pub fields: Vec<Field>,
}

/// Whether a header is part of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKind {
    /// Starts invalid, is extracted and emitted.
    Packet,
    /// Always valid, never on the wire. Zero at the start of each packet.
    Metadata,
}

/// A field of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name in P4.
    pub name: String,
    /// Offset from the start of the header in bits. Fields after a varbit field count it as
    /// having no bits.
    pub offset: u32,
    /// Bits; for a varbit field the most it can have.
    pub width: u32,
    /// How its bits are read.
    pub kind: FieldKind,
}

/// How the bits of a field are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// `bit<W>`
    Unsigned,
    /// `int<W>`, two's complement.
    Signed,
    /// `varbit<W>`
    Varbit,
}

/// An array of headers of one type, with a next-index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderStack {
    /// Its name in P4.
    pub name: String,
    /// The name of the elements' header type.
    pub type_name: String,
    /// The elements, first to last.
    pub elements: Vec<HeaderId>,
}

/// Headers of which at most one is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderUnion {
    /// Its name in P4.
    pub name: String,
    /// The members in declaration order.
    pub members: Vec<HeaderId>,
}

/// An array of unions of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnionStack {
    /// Its name in P4.
    pub name: String,
    /// The elements, first to last.
    pub elements: Vec<UnionId>,
}

impl Header {
    /// Bits on the wire, a varbit field counting as none.
    pub fn fixed_bits(&self) -> u32 {
        self.fields
            .iter()
            .filter(|f| f.kind != FieldKind::Varbit)
            .map(|f| f.width)
            .sum()
    }

    /// The varbit field, if it has one.
    pub fn varbit(&self) -> Option<&Field> {
        self.fields.iter().find(|f| f.kind == FieldKind::Varbit)
    }

    /// The position of the field of that name.
    pub fn field_index(&self, name: &str) -> Option<u32> {
        self.fields
            .iter()
            .position(|f| f.name == name)
            .map(|i| i as u32)
    }
}
