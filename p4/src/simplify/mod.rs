//! A program without what cannot make a difference: for whoever compiles it.
//!
//! p4c leaves temporaries that nothing reads, branches on headers that are never parsed, tables around
//! empty actions. [`simplify`] computes what is constant, takes out stores that nobody reads, and leads
//! the controls around what does nothing. What packets and P4Runtime can see stays: outputs, digests,
//! counters, meters, registers, tables and their entries.
//!
//! It also stays what every id and every position in an action's body means, so that a packet can go on in
//! the program as it was written from any place in the simplified one: a statement that is taken out
//! leaves `assume(true)` where it was. Pure; called by `pointsman-ebpf` before it plans and compiles. The
//! interpreter runs programs as they are, so that comparing the two tests this module too.

mod dead;
mod facts;
mod fold;
mod graph;
mod reach;
mod reads;
#[cfg(test)]
mod tests;

use crate::ir::Program;

use facts::Facts;
use reach::Reach;

/// Rounds that are made at most; programs seen so far need three.
const MAX_ROUNDS: usize = 16;

/// The same program with less in it.
pub fn simplify(program: &Program) -> Program {
    let mut program = program.clone();
    for _ in 0..MAX_ROUNDS {
        let before = program.clone();
        let reach = Reach::of(&program);
        let facts = Facts::of(&program, &reach);
        fold::program(&mut program, &facts);
        graph::lead_around(&mut program);
        let reach = Reach::of(&program);
        let read = reads::of(&program, &reach, &facts);
        dead::remove(&mut program, &read);
        let order = std::mem::take(&mut program.deparser.order).into_iter();
        let order = order.filter(|header| facts.can_be_valid(&program, *header));
        program.deparser.order = order.collect();
        if program == before {
            break;
        }
    }
    program
}
