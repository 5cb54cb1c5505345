//! The same with fewer instructions.
//!
//! The code generator writes one construct after the other, without a look at what is around: results go
//! through R0, numbers through registers, branches over jumps. This looks at all of it at once:
//!
//! - a branch over a jump becomes the opposite branch;
//! - a number in a register becomes an immediate operand where there is one;
//! - a value that is computed in one register and moved to another is computed there;
//! - what is written to a register that nobody reads any more is not written.
//!
//! What the program does, and what the verifier learns of it, stays.

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::effects::Registers;
use super::flow::Targets;
use super::{Code, Draft, Insn};

/// R0 to R10.
const REGISTERS: usize = 11;

/// Rounds that are made at most: each may give the next something to do.
const MAX_ROUNDS: usize = 4;

impl Draft {
    /// The same program with fewer instructions.
    pub fn shortened(self) -> Draft {
        let Draft {
            code,
            targets,
            sections,
            shared,
        } = self;
        let (insns, targets, moved) = shorten(code.insns, targets);
        let ranges = |ranges: Vec<Range<usize>>| {
            let moved = ranges.iter().map(|r| moved[r.start]..moved[r.end]);
            moved.filter(|range| !range.is_empty()).collect()
        };
        let notes = code.notes.into_iter().map(|(at, note)| (moved[at], note));
        let labels = code.labels.into_iter();
        let labels = labels.map(|(at, name)| (moved[at], name));
        // What is said about an instruction goes with it.
        let comments = code.comments.into_iter();
        let comments = comments.filter(|(at, _)| moved[*at] < moved[at + 1]);
        Draft {
            code: Code {
                insns,
                notes: notes.collect(),
                labels: labels.collect(),
                comments: comments.map(|(at, text)| (moved[at], text)).collect(),
            },
            targets,
            sections: ranges(sections),
            shared: ranges(shared),
        }
    }
}

/// The shortened program, its jumps, and for each old instruction where it went (or what follows it now).
fn shorten(insns: Vec<Insn>, targets: Targets) -> (Vec<Insn>, Targets, Vec<usize>) {
    let mut code = Shortening::new(insns, &targets);
    code.turn_branches();
    for _ in 0..MAX_ROUNDS {
        let live = code.live_after();
        let is_shorter = code.drop_unread(&live);
        let is_changed = code.use_immediates() | code.compute_in_place(&live);
        if !is_shorter && !is_changed {
            break;
        }
    }
    code.finish()
}

struct Shortening {
    insns: Vec<Insn>,
    /// Where each instruction jumps to.
    targets: Vec<Option<usize>>,
    removed: Vec<bool>,
    /// Whether an instruction is jumped to; one more than there are.
    entered: Vec<bool>,
}

impl Shortening {
    fn new(insns: Vec<Insn>, jumps: &Targets) -> Shortening {
        let mut targets = vec![None; insns.len()];
        let mut entered = vec![false; insns.len() + 1];
        for (at, to) in jumps {
            targets[*at] = Some(*to);
            entered[*to] = true;
        }
        Shortening {
            removed: vec![false; insns.len()],
            entered,
            insns,
            targets,
        }
    }

    /// `if a goto next; goto far; next:` is `if not a goto far`.
    fn turn_branches(&mut self) {
        for at in 0..self.insns.len().saturating_sub(1) {
            let over = at + 1;
            let is_over = self.targets[at] == Some(over + 1)
                && self.insns[over].is_goto()
                && !self.entered[over];
            if is_over && let Some(negated) = self.insns[at].negated() {
                self.insns[at] = negated;
                self.targets[at] = self.targets[over].take();
                self.removed[over] = true;
            }
        }
    }

    /// The registers that are read after each instruction before they are written. What only leads to
    /// something that nobody reads is not read.
    fn live_after(&self) -> Vec<Registers> {
        let count = self.insns.len();
        let mut before = vec![Registers::default(); count + 1];
        let mut after = vec![Registers::default(); count];
        loop {
            let mut is_stable = true;
            for at in (0..count).rev() {
                if self.removed[at] {
                    after[at] = before[at + 1];
                    before[at] = after[at];
                    continue;
                }
                let mut live = Registers::default();
                if self.insns[at].falls_through() {
                    live = live.union(before[at + 1]);
                }
                if let Some(target) = self.targets[at] {
                    live = live.union(before[target]);
                }
                after[at] = live;
                let effects = self.insns[at].effects();
                if !effects.is_pure || effects.writes.meets(live) {
                    live = live.without(effects.writes).union(effects.reads);
                }
                // Only a jump back has seen what was there before.
                is_stable &= before[at] == live || !self.entered[at];
                before[at] = live;
            }
            if is_stable || !self.has_loops() {
                return after;
            }
        }
    }

    fn has_loops(&self) -> bool {
        let targets = self.targets.iter().enumerate();
        targets
            .filter_map(|(at, to)| to.map(|to| to <= at))
            .any(|is_back| is_back)
    }

    fn drop_unread(&mut self, live: &[Registers]) -> bool {
        let mut is_shorter = false;
        for (at, live) in live.iter().enumerate() {
            let effects = self.insns[at].effects();
            if self.removed[at] || !effects.is_pure || effects.writes.meets(*live) {
                continue;
            }
            self.removed[at] = true;
            if self.insns[at].is_wide() {
                self.removed[at + 1] = true;
            }
            is_shorter = true;
        }
        is_shorter
    }

    /// Operands that are numbers.
    fn use_immediates(&mut self) -> bool {
        let mut is_changed = false;
        let mut known = [None; REGISTERS];
        for at in 0..self.insns.len() {
            if self.entered[at] {
                known = [None; REGISTERS];
            }
            if self.removed[at] {
                continue;
            }
            let insn = self.insns[at];
            let number = insn
                .replaceable_source()
                .and_then(|r| known[usize::from(r)]);
            if let Some(changed) = number.and_then(|n| insn.with_immediate(n)) {
                self.insns[at] = changed;
                is_changed = true;
            }
            let effects = self.insns[at].effects();
            for (register, known) in known.iter_mut().enumerate() {
                if effects.writes.has(register as u8) {
                    *known = self.insns[at].loaded_number();
                }
            }
        }
        is_changed
    }

    /// `b = ...; b op= ...; a = b` computes in `a` if nobody reads `b` any more.
    fn compute_in_place(&mut self, live: &[Registers]) -> bool {
        let mut is_changed = false;
        for (at, live) in live.iter().enumerate() {
            let insn = self.insns[at];
            if self.removed[at] || !insn.is_move() {
                continue;
            }
            let (to, from) = (insn.dst(), insn.src());
            if from < 6 && !live.has(from) && self.rename_before(at, from, to) {
                self.removed[at] = true;
                is_changed = true;
            }
        }
        is_changed
    }

    /// Computes in `to` what the instructions before `at` compute in `from`, if nothing is in the way.
    fn rename_before(&mut self, at: usize, from: u8, to: u8) -> bool {
        let Some(chain) = self.chain_before(at, from, to) else {
            return false;
        };
        for at in chain {
            self.insns[at].rename(from, to);
        }
        true
    }

    /// The instructions that make what `from` holds at `at`, if `to` is not touched in between.
    fn chain_before(&self, at: usize, from: u8, to: u8) -> Option<Vec<usize>> {
        let mut chain = Vec::new();
        for before in self.block_before(at) {
            let insn = &self.insns[before];
            let effects = insn.effects();
            let touched = effects.reads.union(effects.writes);
            if touched.has(to) || !(effects.is_pure || is_plain_store(insn)) {
                return None;
            }
            if touched.has(from) {
                chain.push(before);
            }
            if effects.writes.has(from) && !effects.reads.has(from) {
                return Some(chain);
            }
        }
        None
    }

    /// The instructions that run before `at` on every way there, backwards.
    fn block_before(&self, at: usize) -> impl Iterator<Item = usize> {
        let mut at = at;
        std::iter::from_fn(move || {
            loop {
                if self.entered[at] || at == 0 {
                    return None;
                }
                at -= 1;
                let is_half = at > 0 && self.insns[at - 1].is_wide();
                if self.removed[at] || is_half {
                    continue;
                }
                return self.insns[at].falls_through().then_some(at);
            }
        })
    }

    fn finish(self) -> (Vec<Insn>, Targets, Vec<usize>) {
        let mut count = 0;
        let mut moved = Vec::with_capacity(self.insns.len() + 1);
        for removed in &self.removed {
            moved.push(count);
            count += usize::from(!removed);
        }
        moved.push(count);
        let kept = self.insns.iter().zip(&self.removed);
        let insns = kept
            .filter(|(_, removed)| !**removed)
            .map(|(insn, _)| *insn);
        let jumps = self.targets.iter().enumerate();
        let jumps = jumps.filter_map(|(at, to)| Some((moved[at], moved[(*to)?])));
        (insns.collect(), jumps.collect(), moved)
    }
}

/// A store of a register or a number, which does nothing to registers.
fn is_plain_store(insn: &Insn) -> bool {
    matches!(insn.code & 7, 2 | 3) && !insn.is_atomic()
}
