//! Makes a difference small: fewer steps, a shorter packet, with the planes still different.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_ebpf::rig::MIN_FRAME_BYTES;
use pointsman_p4::ir::Program;

use super::pair::{Difference, Pair};
use super::script::{Script, Shape};
use super::step::Step;

/// The fewest steps found after which the planes still differ, and how.
pub fn shrink(
    program: &Arc<Program>,
    script: &Script,
    difference: Difference,
    limit: Duration,
) -> (Script, Difference) {
    let Script { shape, steps } = script;
    let end = (difference.step + 1).min(steps.len());
    let mut shrinker = Shrinker {
        program,
        shape: *shape,
        steps: steps.clone(),
        difference,
        until: Instant::now() + limit,
    };
    shrinker.try_these(steps[..end].to_vec());
    shrinker.whole();
    shrinker.only_the_last_packet();
    shrinker.fewer_steps();
    shrinker.shorter_packets();
    shrinker.fewer_steps();
    let Shrinker {
        shape,
        steps,
        difference,
        ..
    } = shrinker;
    (Script { shape, steps }, difference)
}

struct Shrinker<'a> {
    program: &'a Arc<Program>,
    shape: Shape,
    steps: Vec<Step>,
    difference: Difference,
    until: Instant,
}

impl Shrinker<'_> {
    /// Takes the steps if the planes differ after them.
    fn try_these(&mut self, steps: Vec<Step>) -> bool {
        if Instant::now() > self.until {
            return false;
        }
        let shape = self.shape;
        let script = Script { shape, steps };
        match Pair::run(self.program, &script) {
            Ok(_) => false,
            Err(difference) => {
                (self.steps, self.difference) = (script.steps, *difference);
                true
            }
        }
    }

    /// As a switch loads it.
    fn whole(&mut self) {
        let shape = std::mem::take(&mut self.shape);
        if shape != self.shape && !self.try_these(self.steps.clone()) {
            self.shape = shape;
        }
    }

    fn only_the_last_packet(&mut self) {
        let last = self.steps.len().saturating_sub(1);
        let steps = self.steps.iter().enumerate();
        let is_kept =
            |(at, step): &(usize, &Step)| *at == last || !matches!(step, Step::Packet { .. });
        let kept = steps.filter(is_kept).map(|(_, step)| step.clone());
        self.try_these(kept.collect());
    }

    /// Drops runs of steps, long ones first.
    fn fewer_steps(&mut self) {
        let mut run = self.steps.len() / 2;
        while run > 0 {
            let mut at = 0;
            while at < self.steps.len() {
                let mut fewer = self.steps.clone();
                fewer.drain(at..(at + run).min(fewer.len()));
                if !self.try_these(fewer) {
                    at += run;
                }
            }
            run /= 2;
        }
    }

    fn shorter_packets(&mut self) {
        for at in 0..self.steps.len() {
            let length = |steps: &[Step]| match steps.get(at) {
                Some(Step::Packet { bytes, .. }) => bytes.len(),
                _ => 0,
            };
            let mut cut = length(&self.steps);
            while cut > 0 {
                let left = length(&self.steps).saturating_sub(cut);
                if left < MIN_FRAME_BYTES || !self.try_bytes(at, |bytes| bytes.truncate(left)) {
                    cut /= 2;
                }
            }
            for byte in (0..length(&self.steps)).rev() {
                self.try_bytes(at, |bytes| bytes[byte] = 0);
            }
        }
    }

    /// Changes the packet at a step, if there is one and the change is one.
    fn try_bytes(&mut self, at: usize, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut steps = self.steps.clone();
        let Some(Step::Packet { bytes, .. }) = steps.get_mut(at) else {
            return false;
        };
        change(bytes);
        steps != self.steps && self.try_these(steps)
    }
}
