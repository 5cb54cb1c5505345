//! Tidying the flow of control before jumps are encoded: jumps to jumps go straight to where those
//! lead, jumps to the next instruction go away, and so does what cannot be reached (which the
//! verifier would refuse).

use std::collections::HashMap;

use super::Insn;

/// Where each jump of a program leads, by instruction.
pub(super) type Targets = HashMap<usize, usize>;

/// The tidied program, its jumps, and for each old instruction where it went (or what follows it now).
pub(super) fn tidy(insns: &[Insn], targets: &Targets) -> (Vec<Insn>, Targets, Vec<usize>) {
    let targets: Targets = targets
        .iter()
        .map(|(at, to)| (*at, final_target(insns, targets, *to)))
        .collect();
    let reachable = reachable(insns, &targets);
    let kept = |i: usize| reachable[i] && !leads_to_next(insns, &targets, &reachable, i);
    let mut count = 0;
    let mut moved = Vec::with_capacity(insns.len() + 1);
    for at in 0..insns.len() {
        moved.push(count);
        count += usize::from(kept(at));
    }
    moved.push(count);
    let out = (0..insns.len())
        .filter(|i| kept(*i))
        .map(|i| insns[i])
        .collect();
    let kept_jumps = targets.iter().filter(|(at, _)| kept(**at));
    let new_targets = kept_jumps
        .map(|(at, to)| (moved[*at], moved[*to]))
        .collect();
    (out, new_targets, moved)
}

/// Follows unconditional jumps; a circle ends where it is noticed.
fn final_target(insns: &[Insn], targets: &Targets, start: usize) -> usize {
    let mut at = start;
    for _ in 0..insns.len() {
        match targets.get(&at) {
            Some(next) if insns[at].is_goto() => at = *next,
            _ => break,
        }
    }
    at
}

fn reachable(insns: &[Insn], targets: &Targets) -> Vec<bool> {
    let mut reachable = vec![false; insns.len()];
    let mut todo = vec![0];
    while let Some(mut at) = todo.pop() {
        while at < insns.len() && !reachable[at] {
            reachable[at] = true;
            if let Some(target) = targets.get(&at) {
                todo.push(*target);
            }
            if insns[at].is_goto() || insns[at].is_exit() {
                break;
            }
            at += 1;
        }
    }
    reachable
}

/// A jump over nothing but what goes away.
fn leads_to_next(insns: &[Insn], targets: &Targets, reachable: &[bool], at: usize) -> bool {
    let Some(to) = targets.get(&at).filter(|_| insns[at].is_goto()) else {
        return false;
    };
    *to > at && (at + 1..*to).all(|i| !reachable[i])
}
