//! The script of a round: what a seed means for a program.

use pointsman_p4::ir::Program;

use super::mutate::mutate;
use super::packet;
use super::pool::{PORTS, Pool};
use super::random::Random;
use super::step::Step;
use super::writes::Writes;

/// The longest programs of a chain.
const CHAIN_INSTRUCTIONS: usize = 400;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Instructions of each program of a chain; `None` loads the program whole, if it can be.
    pub chain: Option<usize>,
    /// In order.
    pub steps: Vec<Step>,
}

/// The round of a seed with that many packets.
pub fn script(program: &Program, seed: u64, packets: usize, cpu_port: u32) -> Script {
    let mut random = Random::new(seed);
    let chain = match random.below(5) {
        0 => Some(1),
        1 => Some(random.below(CHAIN_INSTRUCTIONS)),
        _ => None,
    };
    let mut pool = Pool::new(program, cpu_port);
    let mut writes = Writes::new(program, cpu_port);
    let mut steps = writes.initial(&mut pool, &mut random);
    // Some rounds leave what is written alone.
    let is_churned = !random.one_in(4);
    for _ in 0..packets {
        while is_churned && random.one_in(3) {
            steps.extend(writes.change(&mut pool, &mut random));
        }
        let made = packet::make(program, &mut pool, &mut random, &writes.sets);
        let mut bytes = match random.below(3) {
            0 => mutate(made, &mut random),
            _ => made.bytes,
        };
        bytes.resize(bytes.len().max(pointsman_ebpf::rig::MIN_FRAME_BYTES), 0);
        steps.push(Step::Packet {
            port: PORTS[random.below(PORTS.len())],
            bytes,
        });
    }
    Script { chain, steps }
}
