//! Indices into the vectors of a [`Program`](super::Program), one type for each kind.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in the program's vector of this kind.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// Indexes `Program::headers`.
    HeaderId;
    /// Indexes `Program::stacks`.
    StackId;
    /// Indexes `Program::unions`.
    UnionId;
    /// Indexes `Program::union_stacks`.
    UnionStackId;
    /// Indexes `Program::parser_states`.
    ParserStateId;
    /// Indexes `Program::value_sets`.
    ValueSetId;
    /// Indexes `Program::actions`.
    ActionId;
    /// Indexes `Program::tables`.
    TableId;
    /// Indexes `Program::conditionals`.
    ConditionalId;
    /// Indexes `Program::action_profiles`.
    ActionProfileId;
    /// Indexes `Program::counters`.
    CounterId;
    /// Indexes `Program::meters`.
    MeterId;
    /// Indexes `Program::registers`.
    RegisterId;
    /// Indexes `Program::calculations`.
    CalculationId;
    /// Indexes `Program::field_lists`.
    FieldListId;
    /// Indexes `Program::learn_lists`.
    LearnListId;
}

/// One field of one header instance; metadata is a header here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldRef {
    /// The header instance.
    pub header: HeaderId,
    /// The position in `Header::fields`.
    pub field: u32,
}
