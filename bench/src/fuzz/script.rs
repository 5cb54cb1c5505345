//! The script of a round: what a seed means for a program.

use std::sync::Arc;
use std::time::Duration;

use pointsman_p4::interpreter::{Interpreter, Lookup, Packet};
use pointsman_p4::ir::Program;

use super::mutate::mutate;
use super::packet;
use super::pool::{PORTS, Pool};
use super::random::Random;
use super::step::Step;
use super::writes::Writes;

/// The longest programs of a chain.
const CHAIN_INSTRUCTIONS: usize = 400;

/// How a program is loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// Instructions of each program of a chain; `None` loads the program whole, if it can be.
    pub chain: Option<usize>,
    /// As for a kernel that has nothing newer than Linux 5.18.
    pub floor: bool,
}

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// How the program is loaded.
    pub shape: Shape,
    /// In order.
    pub steps: Vec<Step>,
}

/// The round of a seed with that many packets.
pub fn script(program: &Arc<Program>, seed: u64, packets: usize, cpu_port: u32) -> Script {
    let mut random = Random::named(seed, &program.name);
    let shape = Shape {
        chain: match random.below(5) {
            0 => Some(1),
            1 => Some(random.below(CHAIN_INSTRUCTIONS)),
            _ => None,
        },
        floor: random.one_in(4),
    };
    // Some rounds leave what is written alone.
    let is_churned = !random.one_in(4);
    let mut round = Round {
        pool: Pool::new(program, cpu_port),
        writes: Writes::new(program, cpu_port),
        shadow: Interpreter::new(Arc::clone(program)),
        steps: Vec::new(),
        random,
    };
    round.shadow.take_lookups();
    let initial = round.writes.initial(&mut round.pool, &mut round.random);
    initial.into_iter().for_each(|step| round.push(step));
    for number in 0..packets {
        while is_churned && round.random.one_in(3) {
            let change = round.writes.change(&mut round.pool, &mut round.random);
            change.into_iter().for_each(|step| round.push(step));
        }
        // At first, so that packets come further with each entry.
        if number < packets / 3 || is_churned && round.random.one_in(4) {
            round.meet_a_packet();
        }
        round.packet();
    }
    Script {
        shape,
        steps: round.steps,
    }
}

/// A round that is being made, and an interpreter that runs it as it grows.
struct Round<'a> {
    pool: Pool<'a>,
    writes: Writes<'a>,
    shadow: Interpreter,
    steps: Vec<Step>,
    random: Random,
}

impl<'a> Round<'a> {
    fn push(&mut self, step: Step) {
        match &step {
            Step::Packet { port, bytes } => {
                let packet = Packet {
                    port: *port,
                    bytes: bytes.clone(),
                };
                self.shadow.process(&packet, Duration::ZERO);
            }
            // What is refused is refused by the planes, too.
            change => drop(change.apply(&self.shadow)),
        }
        self.steps.push(step);
    }

    /// Adds an entry that one of the last packets would have matched.
    fn meet_a_packet(&mut self) {
        let lookups = self.shadow.take_lookups();
        let missed: Vec<&Lookup> = lookups
            .iter()
            .filter(|lookup| !lookup.hit && self.writes.takes_entries(lookup.table))
            .collect();
        let Some(lookup) = self.random.pick(&missed) else {
            return;
        };
        let entry = self.writes.meet(&mut self.pool, &mut self.random, lookup);
        entry.into_iter().for_each(|step| self.push(step));
    }

    fn packet(&mut self) {
        let (pool, random) = (&mut self.pool, &mut self.random);
        let program = self.shadow.program();
        let made = packet::make(program, pool, random, &self.writes.sets);
        let mut bytes = match random.below(3) {
            0 => mutate(made, random),
            _ => made.bytes,
        };
        bytes.resize(bytes.len().max(pointsman_ebpf::rig::MIN_FRAME_BYTES), 0);
        let port = PORTS[random.below(PORTS.len())];
        self.push(Step::Packet { port, bytes });
    }
}
