//! Following a packet: what it meets on its way through the switch, and nothing that stays.
//!
//! A packet that is followed is a *trial*. It reads what there is and changes none of it: it is not counted, it
//! does not age entries, meters are green to it, what it writes into registers only it reads, and digests are not
//! sent. Whatever is assumed like this is a step of the [`Trace`], so that whoever shows it can say so. Other packets
//! pay a comparison with `None` for each step that they are not asked about.

use std::collections::HashMap;
use std::time::Duration;

use num_bigint::BigUint;

use crate::dataplane::{Bits, Call, EntryKey, GroupMember, Selection};
use crate::ir::{
    ActionProfileId, ConditionalId, ControlKind, HeaderId, LearnListId, MeterId, ParserStateId,
    RegisterId, TableId,
};

use super::state::Before;
use super::{Interpreter, Machine, Output, Packet};

/// The steps of one packet and its copies that are told; a packet can go round in loops.
pub const MAX_STEPS: usize = 1 << 13;

/// What a packet met, in order, and what leaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// A pass begins with [`TraceStep::Ingress`] or [`TraceStep::Egress`]. Copies come after what made them.
    pub steps: Vec<TraceStep>,
    /// In the order in which they leave.
    pub outputs: Vec<Output>,
    /// Whether there were more steps than are told.
    pub is_cut: bool,
}

/// Why a packet is where it is: `instance_type` as simple_switch numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstanceType {
    /// It came in by a port.
    Normal = 0,
    /// Ingress asked for a clone.
    IngressClone = 1,
    /// Egress asked for a clone.
    EgressClone = 2,
    /// Egress sent it back to the parser.
    Recirculated = 4,
    /// A multicast group made it.
    Replicated = 5,
    /// Ingress sent it back to the parser.
    Resubmitted = 6,
}

/// A member of a group that could have been chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which, with its share and the port that it watches.
    pub member: GroupMember,
    /// What it does.
    pub call: Option<Call>,
    /// Whether it watches no port, or one that is up.
    pub is_alive: bool,
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceStep {
    /// It comes to the parser and to ingress.
    Ingress {
        /// By which port.
        port: u32,
        /// Why.
        instance: InstanceType,
        /// Its bytes.
        length: usize,
    },
    /// It comes to egress.
    Egress {
        /// For which port.
        port: u32,
        /// Which copy for that port.
        rid: u32,
        /// Why.
        instance: InstanceType,
    },
    /// The parser comes to a state.
    State(ParserStateId),
    /// The parser reads a header.
    Extracted {
        /// Which.
        header: HeaderId,
        /// Its fields, in order.
        fields: Vec<BigUint>,
    },
    /// The parser ends with an error, by its code; ingress runs all the same.
    ParserError(u32),
    /// A checksum that the program verifies is not right; ingress runs all the same.
    ChecksumError,
    /// A branch.
    Condition {
        /// Which.
        conditional: ConditionalId,
        /// Whether its condition is true.
        holds: bool,
    },
    /// It is looked up in a table.
    Lookup {
        /// Which.
        table: TableId,
        /// The value of each part of its key.
        key: Vec<Bits>,
        /// What it hits; `None` is a miss.
        entry: Option<EntryKey>,
    },
    /// The entry leads to a group, of which a member is chosen.
    Group {
        /// Of which profile.
        profile: ActionProfileId,
        /// Which.
        group: u32,
        /// How.
        selection: Selection,
        /// From which.
        members: Vec<Candidate>,
        /// The one that the packet gets; `None` of an empty group.
        chosen: Option<u32>,
    },
    /// The entry leads to a member of a profile.
    Member {
        /// Of which.
        profile: ActionProfileId,
        /// Which.
        member: u32,
    },
    /// The table runs an action.
    Action(Call),
    /// An action marks the packet to be dropped at the end of the control.
    MarkedToDrop,
    /// A meter that is configured, and is not asked: the packet counts as green.
    Metered {
        /// Which.
        meter: MeterId,
        /// Of an indirect one, the cell.
        index: Option<u32>,
    },
    /// A cell of a register is read.
    RegisterRead {
        /// Of which.
        register: RegisterId,
        /// Which.
        index: u32,
        /// What is there.
        value: BigUint,
    },
    /// A cell of a register would be written.
    RegisterWrite {
        /// Of which.
        register: RegisterId,
        /// Which.
        index: u32,
        /// What with.
        value: BigUint,
    },
    /// A random number is drawn; another packet would draw another.
    Random,
    /// A digest would be sent.
    Digest {
        /// Which.
        list: LearnListId,
        /// Its elements, in order.
        values: Vec<Bits>,
    },
    /// The end of a control makes clones.
    Clone {
        /// Of which.
        control: ControlKind,
        /// By which session.
        session: u32,
        /// How many; `None` if there is no such session.
        copies: Option<usize>,
    },
    /// The packet is replaced by copies.
    Multicast {
        /// Of this group.
        group: u32,
        /// How many; `None` if there is no such group.
        copies: Option<usize>,
    },
    /// Ingress sends it back to the parser as it came.
    Resubmitted,
    /// Egress sends it back to the parser.
    Recirculated,
    /// It is dropped at the end of a control.
    Dropped(ControlKind),
    /// It went round more often than packets may, and is dropped.
    CutOff,
    /// It leaves.
    Sent(Output),
}

/// What a packet that is followed did so far.
#[derive(Debug)]
pub(super) struct Trial {
    trace: Trace,
    /// What it wrote.
    pub(super) registers: HashMap<(RegisterId, u32), BigUint>,
    /// What the switch remembers all the same, as it was.
    pub(super) before: Before,
}

impl Trial {
    pub(super) fn new(before: Before) -> Trial {
        Trial {
            trace: Trace::default(),
            registers: HashMap::new(),
            before,
        }
    }

    pub(super) fn note(&mut self, step: TraceStep) {
        match self.trace.steps.len() < MAX_STEPS {
            true => self.trace.steps.push(step),
            false => self.trace.is_cut = true,
        }
    }

    pub(super) fn steps(&self) -> usize {
        self.trace.steps.len()
    }

    pub(super) fn forget_from(&mut self, step: usize) {
        self.trace.steps.truncate(step);
    }
}

impl Interpreter {
    /// What would happen to a packet that came now, which it does not. Takes as long as a packet does, and like
    /// one it sees each batch whole or not at all.
    pub fn trace(&self, packet: &Packet, now: Duration) -> Trace {
        let _open = self.open();
        self.lock().trace(packet, now)
    }
}

impl Machine {
    fn trace(&mut self, packet: &Packet, now: Duration) -> Trace {
        self.state.begin_trial();
        let outputs = self.process(packet, now);
        let trial = self.state.end_trial();
        Trace {
            outputs,
            ..trial.map(|trial| trial.trace).unwrap_or_default()
        }
    }
}
