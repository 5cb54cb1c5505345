//! A packet on its way through the switch, and what it was told to do at the next crossing.

use crate::ir::{FieldListId, LearnListId, Program};

use super::bits::BitWriter;
use super::phv::Phv;

/// A packet between parser and deparser.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) phv: Phv,
    /// What the parser left over.
    pub(super) payload: Vec<u8>,
    /// Bytes as it entered: what counters and meters count.
    pub(super) ingress_length: usize,
    /// What `packet_length` shows in egress: it follows `setValid` and `setInvalid`.
    pub(super) length: i64,
    /// The final packet has at most so many bytes. A copy of the packet does not inherit it.
    pub(super) truncate: Option<usize>,
    /// What is to happen at the end of the control.
    pub(super) requests: Requests,
    /// Times that the packet, or the one it is a copy of, has started over.
    pub(super) rounds: u32,
}

/// What a control asked for. The last request of a kind counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// Nothing more of this control runs.
    pub exit: bool,
    /// Session and what to keep.
    pub clone: Option<(u32, Option<FieldListId>)>,
    /// What to tell the control plane.
    pub digest: Option<LearnListId>,
    /// Start over with the packet as it came, and what to keep.
    pub resubmit: Option<Option<FieldListId>>,
    /// Start over with the packet as it leaves, and what to keep.
    pub recirculate: Option<Option<FieldListId>>,
}

impl Flight {
    /// A packet that has not been parsed.
    pub(super) fn new(program: &Program, length: usize, rounds: u32) -> Flight {
        Flight {
            phv: Phv::new(program),
            payload: Vec::new(),
            ingress_length: length,
            length: length as i64,
            truncate: None,
            requests: Requests::default(),
            rounds,
        }
    }

    /// Cuts the final packet to so many bytes, unless it is cut to fewer already.
    pub(super) fn cut_to(&mut self, bytes: usize) {
        self.truncate = Some(self.truncate.map_or(bytes, |limit| limit.min(bytes)));
    }

    /// The packet as it is on the wire, uncut.
    pub(super) fn deparse(&self, program: &Program) -> Vec<u8> {
        let mut out = BitWriter::default();
        for header in &program.deparser.order {
            if self.phv.is_valid(*header) {
                self.phv.emit(program, *header, &mut out);
            }
        }
        out.push_bytes(&self.payload);
        out.finish()
    }
}
