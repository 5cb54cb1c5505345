//! The whole program.

use std::fmt;

use super::{
    Action, ActionId, ActionProfile, Calculation, Checksum, Conditional, Control, Counter,
    Deparser, FieldList, FieldRef, Header, HeaderId, HeaderStack, HeaderUnion, LearnList, Meter,
    ParserState, ParserStateId, Register, Table, TableId, UnionStack, ValueSet,
};

/// A v1model program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The name of its source file.
    pub name: String,
    /// Headers and metadata.
    pub headers: Vec<Header>,
    /// Header stacks.
    pub stacks: Vec<HeaderStack>,
    /// Header unions.
    pub unions: Vec<HeaderUnion>,
    /// Stacks of unions.
    pub union_stacks: Vec<UnionStack>,
    /// Parser errors by code.
    pub errors: Vec<ErrorCode>,
    /// All states of the parser.
    pub parser_states: Vec<ParserState>,
    /// Where the parser starts; `None` accepts at once.
    pub parser_start: Option<ParserStateId>,
    /// Sets consulted by the parser.
    pub value_sets: Vec<ValueSet>,
    /// What is emitted.
    pub deparser: Deparser,
    /// All actions.
    pub actions: Vec<Action>,
    /// All tables of both controls.
    pub tables: Vec<Table>,
    /// All branches of both controls.
    pub conditionals: Vec<Conditional>,
    /// All action profiles.
    pub action_profiles: Vec<ActionProfile>,
    /// Before the traffic manager.
    pub ingress: Control,
    /// After it.
    pub egress: Control,
    /// Counter arrays.
    pub counters: Vec<Counter>,
    /// Meter arrays.
    pub meters: Vec<Meter>,
    /// Register arrays.
    pub registers: Vec<Register>,
    /// Hashes.
    pub calculations: Vec<Calculation>,
    /// In the order of the JSON.
    pub checksums: Vec<Checksum>,
    /// Field lists of clones and the like.
    pub field_lists: Vec<FieldList>,
    /// Digests.
    pub learn_lists: Vec<LearnList>,
    /// Where standard metadata is.
    pub standard: StandardMetadata,
}

/// A name and code of a parser error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCode {
    /// For example `PacketTooShort`.
    pub name: String,
    /// What `parser_error` holds.
    pub code: u32,
}

/// The fields of v1model's `standard_metadata_t` that the switch itself reads or writes.
/// Those that a program's JSON does not have are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct StandardMetadata {
    pub header: HeaderId,
    pub ingress_port: FieldRef,
    pub egress_spec: FieldRef,
    pub egress_port: FieldRef,
    pub packet_length: Option<FieldRef>,
    pub instance_type: Option<FieldRef>,
    pub mcast_grp: Option<FieldRef>,
    pub egress_rid: Option<FieldRef>,
    pub checksum_error: Option<FieldRef>,
    pub parser_error: Option<FieldRef>,
    pub priority: Option<FieldRef>,
    pub enq_timestamp: Option<FieldRef>,
    pub enq_qdepth: Option<FieldRef>,
    pub deq_timedelta: Option<FieldRef>,
    pub deq_qdepth: Option<FieldRef>,
    pub ingress_global_timestamp: Option<FieldRef>,
    pub egress_global_timestamp: Option<FieldRef>,
}

impl StandardMetadata {
    /// All that the program has.
    pub fn fields(&self) -> impl Iterator<Item = FieldRef> {
        let optional = [
            self.packet_length,
            self.instance_type,
            self.mcast_grp,
            self.egress_rid,
            self.checksum_error,
            self.parser_error,
            self.priority,
            self.enq_timestamp,
            self.enq_qdepth,
            self.deq_timedelta,
            self.deq_qdepth,
            self.ingress_global_timestamp,
            self.egress_global_timestamp,
        ];
        let required = [self.ingress_port, self.egress_spec, self.egress_port];
        required.into_iter().chain(optional.into_iter().flatten())
    }
}

/// Where in the P4 source something comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct SourceInfo {
    /// Empty if p4c did not say.
    pub file: String,
    /// From 1; 0 if unknown.
    pub line: u32,
    /// From 1; 0 if unknown.
    pub column: u32,
    /// The beginning of the source text.
    pub fragment: String,
}

impl fmt::Display for SourceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file.is_empty() {
            return f.write_str("(generated)");
        }
        write!(f, "{}:{}", self.file, self.line)?;
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

impl Program {
    /// The field that a reference points at.
    pub fn field(&self, field: FieldRef) -> &super::Field {
        &self.headers[field.header.index()].fields[field.field as usize]
    }

    /// `header.field`, for messages.
    pub fn field_name(&self, field: FieldRef) -> String {
        let header = &self.headers[field.header.index()];
        format!(
            "{}.{}",
            header.name, header.fields[field.field as usize].name
        )
    }

    /// The table of that name.
    pub fn table_by_name(&self, name: &str) -> Option<TableId> {
        self.tables
            .iter()
            .position(|t| t.name == name)
            .map(|i| TableId(i as u32))
    }

    /// The action of that name. Names of actions are not unique (p4c copies them), so this
    /// looks only at the actions of one table.
    pub fn table_action_by_name(&self, table: TableId, name: &str) -> Option<ActionId> {
        let actions = &self.tables[table.index()].actions;
        actions
            .iter()
            .copied()
            .find(|a| self.actions[a.index()].name == name)
    }

    /// The code of the parser error of that name; 0 if the program lacks it.
    pub fn error_code(&self, name: &str) -> u32 {
        self.errors
            .iter()
            .find(|e| e.name == name)
            .map_or(0, |e| e.code)
    }
}
