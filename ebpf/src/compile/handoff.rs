//! Where the program gives a packet to the interpreter.
//!
//! A construct that the kernel cannot do does not stop a program from loading: code for it is taken
//! back (`attempt`) and in its place the packet is handed over (`hand_over`),
//! with all that was done to it so far. Each such place is a [`Point`]; its number travels in the
//! event. [`crate::handoff`] reads what is written here.

use std::collections::BTreeSet;

use pointsman_p4::interpreter::{Resume, Step};
use pointsman_p4::ir::{ActionId, ControlKind, Op, TableId};

use crate::asm::{Reg, Size};
use crate::tables::records::arg_words;

use super::layout::{Control, SCRATCH};
use super::{Emitter, Refusal};

/// A place where packets leave the kernel for the interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Where the interpreter goes on. Arguments and `hit` are not known before a packet comes.
    pub resume: Resume,
    /// Widths of the arguments, if that is in an action.
    pub args: Vec<u32>,
    /// Why packets leave there.
    pub cause: Cause,
}

/// Why packets leave the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The program has constructs that the kernel cannot do.
    Constructs(Vec<Refusal>),
    /// The packet exceeds a limit that any program has, in words.
    Limit(&'static str),
}

/// The point that packets take which do not fit the limits of the parser.
pub(super) const OUT_OF_BOUNDS: usize = 0;
/// The point for packets without room in front for what the deparser adds.
pub(super) const NO_HEADROOM: usize = 1;

/// The points that every program has.
pub(super) fn common_points() -> Vec<Point> {
    let limit = |resume, what| Point {
        resume,
        args: Vec::new(),
        cause: Cause::Limit(what),
    };
    vec![
        limit(
            Resume::Parser,
            "packets with more or longer headers than the kernel parses",
        ),
        limit(
            Resume::Control(ControlKind::Egress, Step::End),
            "packets that grow or shrink by more than XDP can move their start",
        ),
    ]
}

/// What takes the slow path, in the order of the source.
pub fn slow_constructs(points: &[Point]) -> Vec<Refusal> {
    let constructs = points.iter().filter_map(|point| match &point.cause {
        Cause::Constructs(constructs) => Some(constructs),
        Cause::Limit(_) => None,
    });
    let mut all: Vec<Refusal> = constructs.flatten().cloned().collect();
    all.sort_by(|a, b| (&a.source, &a.construct).cmp(&(&b.source, &b.construct)));
    all.dedup();
    all
}

/// The action being compiled and the table that runs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) control: ControlKind,
    pub(super) table: TableId,
    pub(super) action: ActionId,
}

impl Running {
    /// Before the primitive at `op`.
    pub(super) fn at(self, op: usize) -> Resume {
        let step = Step::Action {
            table: self.table,
            hit: false,
            action: self.action,
            args: Vec::new(),
            op: op as u32,
        };
        Resume::Control(self.control, step)
    }
}

impl Emitter<'_> {
    /// Emits code. If it needs what the kernel cannot do, nothing of it stays, and that is returned.
    pub(super) fn attempt(&mut self, emit: impl FnOnce(&mut Self)) -> Result<(), Vec<Refusal>> {
        let mark = self.asm.mark();
        let points = self.points.len();
        let outer = std::mem::take(&mut self.refused);
        emit(self);
        let found = std::mem::replace(&mut self.refused, outer);
        if found.is_empty() {
            return Ok(());
        }
        self.asm.rewind(mark);
        self.points.truncate(points);
        Err(found)
    }

    /// Gives the packet to the interpreter, which goes on there.
    pub(super) fn hand_over(&mut self, resume: Resume, constructs: Vec<Refusal>) {
        let mut args = Vec::new();
        if let Resume::Control(_, Step::Action { action, .. }) = &resume {
            let params = &self.program.actions[action.index()].params;
            args = params.iter().map(|p| p.width).collect();
            let bytes = 8 * args.iter().map(|w| arg_words(*w)).sum::<u32>();
            self.copy_bytes(Reg::R9, 0, Reg::R7, SCRATCH, bytes);
        }
        let point = self.point(Point {
            resume,
            args,
            cause: Cause::Constructs(constructs),
        });
        self.hand_over_at(point);
    }

    /// The same at a point that there is already.
    pub(super) fn hand_over_at(&mut self, point: usize) {
        self.asm
            .store_imm(Size::W, Reg::R7, Control::POINT, point as i32);
        self.asm.jump(self.ends.hand_over);
    }

    /// The number of a point.
    pub(super) fn point(&mut self, point: Point) -> usize {
        let known = self.points.iter().position(|p| *p == point);
        known.unwrap_or_else(|| {
            self.points.push(point);
            self.points.len() - 1
        })
    }

    /// The primitives of a control that ask for something at its end, as constructs of a point.
    pub(super) fn askers(
        &self,
        control: ControlKind,
        what: &str,
        fast: &str,
        asks: impl Fn(&Op) -> bool,
    ) -> Vec<Refusal> {
        let tables = self.program.tables.iter().filter(|t| t.control == control);
        let ids: BTreeSet<ActionId> = tables
            .flat_map(|t| {
                t.actions
                    .iter()
                    .copied()
                    .chain(t.default.as_ref().map(|d| d.call.action))
            })
            .collect();
        let actions = ids.iter().map(|id| &self.program.actions[id.index()]);
        let ops = actions.flat_map(|a| a.body.iter().map(move |(op, source)| (a, op, source)));
        let mut found: Vec<Refusal> = ops
            .filter(|(_, op, _)| asks(op))
            .map(|(action, _, source)| Refusal {
                construct: format!("{what} in {}", action.name),
                source: source.clone(),
                accepted: fast.to_owned(),
            })
            .collect();
        found.dedup();
        found
    }
}
