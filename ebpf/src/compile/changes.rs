//! Which bytes of headers the program may change, and how to read headers that it may have changed.
//!
//! A load of bytes from two recent stores waits until both are in the cache. So what is read of a
//! header as a whole, for the deparser or a checksum, is read in pieces that end where a changed field does.

use std::collections::HashSet;
use std::ops::Range;

use pointsman_p4::ir::{FieldRef, LValue, Op, ParserOp, Program};

use crate::asm::Size;

use super::layout::{Layout, Slot};
use super::reads::candidates;

/// Bytes of the PHV with fields of headers that the program may change, ascending.
#[derive(Debug)]
pub(super) struct Changes {
    spans: Vec<Range<i32>>,
}

impl Changes {
    pub(super) fn new(program: &Program, layout: &Layout) -> Changes {
        let fields = changed_fields(program).into_iter();
        let mut bytes: Vec<Range<i32>> = fields
            .filter_map(|field| match layout.slot(field) {
                Slot::Wire { offset, bit, width } => {
                    Some(offset..offset + (bit + width).div_ceil(8) as i32)
                }
                Slot::Host { .. } | Slot::Unread => None,
            })
            .collect();
        bytes.sort_unstable_by_key(|span| (span.start, span.end));
        let mut spans: Vec<Range<i32>> = Vec::new();
        for span in bytes {
            match spans.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => spans.push(span),
            }
        }
        Changes { spans }
    }

    /// What may have changed of some bytes.
    pub(super) fn within(&self, bytes: &Range<i32>) -> Vec<Range<i32>> {
        let cut = self
            .spans
            .iter()
            .map(|span| span.start.max(bytes.start)..span.end.min(bytes.end));
        cut.filter(|span| !span.is_empty()).collect()
    }

    /// Some bytes as accesses of at most `most`, each within a changed field or outside of all.
    pub(super) fn pieces(&self, bytes: &Range<i32>, most: Size) -> Vec<(i32, Size)> {
        let mut pieces = Vec::new();
        let mut at = bytes.start;
        while at < bytes.end {
            let size = [Size::DW, Size::W, Size::H]
                .into_iter()
                .filter(|size| size.bytes() <= most.bytes())
                .find(|size| {
                    let end = at + size.bytes() as i32;
                    end <= bytes.end && self.is_one(&(at..end))
                })
                .unwrap_or(Size::B);
            pieces.push((at, size));
            at += size.bytes() as i32;
        }
        pieces
    }

    fn is_one(&self, bytes: &Range<i32>) -> bool {
        self.spans.iter().all(|span| {
            let apart = bytes.end <= span.start || span.end <= bytes.start;
            apart || (span.start <= bytes.start && bytes.end <= span.end)
        })
    }
}

/// Fields that something stores to. Headers that become valid or are copied are not among them.
fn changed_fields(program: &Program) -> HashSet<FieldRef> {
    let mut found = HashSet::new();
    let mut place = |place: &LValue| match place {
        LValue::Field(field) => {
            found.insert(*field);
        }
        LValue::FieldOf { header, field } => {
            let headers = candidates(program, header).into_iter();
            found.extend(headers.map(|header| FieldRef {
                header,
                field: *field,
            }));
        }
    };
    let actions = program.actions.iter().flat_map(|a| &a.body);
    let mut op = |op: &Op| match op {
        Op::Assign { target, .. }
        | Op::ExecuteMeter { target, .. }
        | Op::RegisterRead { target, .. }
        | Op::Hash { target, .. }
        | Op::Random { target, .. } => place(target),
        _ => {}
    };
    actions.for_each(|(primitive, _)| op(primitive));
    for (parser_op, _) in program.parser_states.iter().flat_map(|s| &s.ops) {
        if let ParserOp::Primitive(primitive) = parser_op {
            op(primitive);
        }
    }
    for (parser_op, _) in program.parser_states.iter().flat_map(|s| &s.ops) {
        if let ParserOp::Set { target, .. } = parser_op {
            place(target);
        }
    }
    found.extend(program.meters.iter().filter_map(|m| m.target));
    let updated = program.checksums.iter().filter(|c| c.update);
    found.extend(updated.map(|c| c.target));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_piece_is_partly_in_a_changed_field() {
        let changes = Changes {
            spans: vec![8..9, 10..12],
        };
        assert_eq!(
            changes.pieces(&(0..20), Size::DW),
            [
                (0, Size::DW),
                (8, Size::B),
                (9, Size::B),
                (10, Size::H),
                (12, Size::DW)
            ]
        );
    }

    #[test]
    fn what_has_changed_is_cut_to_the_bytes_asked_for() {
        let changes = Changes {
            spans: vec![0..6, 6..12, 20..24],
        };
        assert_eq!(changes.within(&(4..14)), [4..6, 6..12]);
    }
}
