//! Notes: which part of the P4 program instructions were made for.
//!
//! The assembler carries them and does not look into them; listings, figures and the message about
//! a refused program do. A note holds until the next one of its rank: a [`Step`](Note::Step) or a
//! [`Statement`](Note::Statement) stands inside the part that was noted last.

use std::fmt;

use pointsman_p4::ir::{ActionId, ParserStateId, SourceInfo};

/// What the following instructions are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A part of the program.
    Part(Part),
    /// A step of that part which no single P4 statement stands for.
    Step(&'static str),
    /// A statement of an action.
    Statement {
        /// The action.
        action: ActionId,
        /// Its name.
        name: String,
        /// The position in the action's body.
        index: u32,
        /// Where it is in the P4 source.
        source: SourceInfo,
    },
    /// An operation of a parser state.
    ParserOp {
        /// The state.
        state: ParserStateId,
        /// The position in the state's operations.
        index: u32,
    },
}

/// A part of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Its name in P4; that of the stage for what has none.
    pub name: String,
    /// Where it is in the P4 source.
    pub source: SourceInfo,
}

/// The kinds of part, in the order of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartKind {
    /// What the switch does around the program: the prologue, the traffic manager, sending.
    Stage,
    /// A parser state.
    ParserState,
    /// A checksum that is verified or updated.
    Checksum,
    /// An `if` of a control.
    Branch,
    /// A table.
    Table,
}

impl PartKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            PartKind::Stage => "stage",
            PartKind::ParserState => "parser state",
            PartKind::Checksum => "checksum",
            PartKind::Branch => "branch",
            PartKind::Table => "table",
        }
    }
}

impl Note {
    /// A part of the P4 program.
    pub fn part(kind: PartKind, name: &str, source: &SourceInfo) -> Note {
        Note::Part(Part {
            kind,
            name: name.to_owned(),
            source: source.clone(),
        })
    }

    /// What the switch does around the P4 program.
    pub fn stage(name: &str) -> Note {
        Note::part(PartKind::Stage, name, &SourceInfo::default())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.name)?;
        if self.source.file.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.source)
    }
}
