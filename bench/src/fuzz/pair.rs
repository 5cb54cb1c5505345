//! A program in the kernel and in the interpreter, told the same, sent the same, compared after each step.
//!
//! Each packet is followed first through the tables that the kernel has, which must foretell where it goes and leave
//! nothing behind.
//!
//! What a program makes of the time is found out, not guessed: where time stands still for the interpreter, two
//! more live at the kernel's time and at random ones, and a byte that they do not agree on is not compared.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use pointsman_ebpf::compile;
use pointsman_ebpf::rig::{MIN_FRAME_BYTES, Rig, RigError};
use pointsman_ebpf::sys::monotonic_clock;
use pointsman_p4::dataplane::{DataPlaneError, Operation};
use pointsman_p4::interpreter::{Digest, Interpreter, Output, Packet, Trace, TraceStep};
use pointsman_p4::ir::Program;

use crate::conformance::{compare_state, hex, reads_the_clock};

use super::random::Random;
use super::report::Tally;
use super::script::{Script, Shape};
use super::step::Step;

/// The port that stands for the control plane.
pub const CPU_PORT: u32 = 255;
/// v1model's drop port.
const DROP_PORT: u32 = 511;
/// Every so often a port is missing, so that packets leave by ports that do not exist.
const MISSING: u32 = 16;

/// Where the two planes differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The step after which they did; the number of steps for what was compared at the end.
    pub step: usize,
    /// What differs: the packets that left, a write, a counter or register.
    pub what: String,
    /// The interpreter's.
    pub expected: String,
    /// The kernel's.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            step,
            what,
            expected,
            found,
        } = self;
        write!(
            f,
            "step {step}: {what}\n    interpreter: {expected}\n    kernel:      {found}"
        )
    }
}

/// Both planes of a program.
pub struct Pair {
    program: Arc<Program>,
    rig: Rig,
    oracle: Interpreter,
    /// The same at other times; none for a program that does not ask for the time.
    twins: Vec<Interpreter>,
    /// For the second of them.
    times: Random,
    inserted: Vec<Operation>,
    ports: Vec<u32>,
}

impl Pair {
    /// Loads a program.
    pub fn new(program: &Arc<Program>, shape: Shape) -> Result<Pair, RigError> {
        let ports: Vec<u32> = (0..DROP_PORT)
            .filter(|p| p % MISSING != MISSING - 2)
            .collect();
        let new = || Interpreter::new(Arc::clone(program));
        let mut options = compile::Options::new(CPU_PORT);
        options.program_instructions = shape.chain;
        if shape.floor {
            options = options.for_oldest_kernel();
        }
        let twins = if reads_the_clock(program) { 2 } else { 0 };
        Ok(Pair {
            rig: Rig::with_options(program, options, &ports)?,
            oracle: new(),
            twins: (0..twins).map(|_| new()).collect(),
            times: Random::new(0),
            inserted: Vec::new(),
            program: Arc::clone(program),
            ports,
        })
    }

    /// Does all steps; stops at the first difference. A panic is one, too.
    pub fn run(program: &Arc<Program>, script: &Script) -> Result<Tally, Box<Difference>> {
        let Script { shape, steps } = script;
        let failed = |what: &str, found: String| {
            Box::new(Difference {
                step: steps.len(),
                what: what.to_owned(),
                expected: String::new(),
                found,
            })
        };
        let run = || {
            let mut pair =
                Pair::new(program, *shape).map_err(|e| failed("loading", e.to_string()))?;
            pair.all(steps)
        };
        catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|panic| Err(failed("a panic", message(panic.as_ref()))))
    }

    fn all(&mut self, steps: &[Step]) -> Result<Tally, Box<Difference>> {
        let mut tally = Tally::default();
        for (index, step) in steps.iter().enumerate() {
            let difference = match step {
                Step::Packet { port, bytes } => self.packet(*port, bytes, &mut tally),
                change => self.change(change, &mut tally),
            };
            if let Some((what, expected, found)) = difference {
                return Err(Box::new(Difference {
                    step: index,
                    what,
                    expected,
                    found,
                }));
            }
        }
        let (oracle, kernel) = (&self.oracle, &self.rig.plane);
        match compare_state(&self.program, &self.inserted, oracle, kernel) {
            None => Ok(tally),
            Some(state) => Err(Box::new(Difference {
                step: steps.len(),
                what: state.what,
                expected: state.expected,
                found: state.found,
            })),
        }
    }

    /// Both take a change, or both refuse it. What only the kernel has no room for is left out.
    fn change(&mut self, step: &Step, tally: &mut Tally) -> Option<(String, String, String)> {
        tally.writes += 1;
        let found = step.apply(&self.rig.plane);
        if let Err(DataPlaneError::Full { .. } | DataPlaneError::Unsupported { .. }) = found {
            tally.no_room += 1;
            return None;
        }
        let expected = step.apply(&self.oracle);
        for twin in &mut self.twins {
            // As the oracle: they are told the same.
            let _ = step.apply(twin);
        }
        if found != expected {
            let text = |result| match result {
                Ok(()) => "done".to_owned(),
                Err(error) => format!("refused: {error}"),
            };
            return Some(("a write".to_owned(), text(expected), text(found)));
        }
        if let (Ok(()), Step::Write(operation @ Operation::Insert(_))) = (found, step) {
            self.inserted.push(operation.clone());
        }
        None
    }

    fn packet(
        &mut self,
        port: u32,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Option<(String, String, String)> {
        tally.packets += 1;
        let packet = Packet {
            port,
            bytes: bytes.to_vec(),
        };
        let trace = self.rig.plane.slow_path().trace(&packet, monotonic_clock());
        let expected = self.oracle.process(&packet, Duration::ZERO);
        let expected = self.visible(expected);
        let others: Vec<Vec<Output>> = (0..self.twins.len())
            .map(|twin| {
                let time = match twin {
                    0 => monotonic_clock(),
                    _ => Duration::from_micros(self.times.word() >> 17),
                };
                let outputs = self.twins[twin].process(&packet, time);
                self.visible(outputs)
            })
            .collect();
        let found = match self.rig.forward(port, bytes) {
            Ok(outputs) => self.visible(outputs),
            Err(error) => return Some(("running".to_owned(), String::new(), error.to_string())),
        };
        tally.outputs += expected.len() as u64;
        if let Some(difference) = self.digests(tally) {
            return Some(difference);
        }
        let Some(masked) = timeless(&expected, &others) else {
            tally.by_time += 1;
            return None;
        };
        let is_reordered = !same(&masked, &found);
        // The order between what the kernel sends and what the slow path does is not defined.
        if is_reordered && !same(&sorted(&masked), &sorted_outputs(&found)) {
            let what = format!("what leaves for {}", hex(bytes));
            return Some((what, text(&expected), text(&found)));
        }
        tally.reordered += u64::from(is_reordered);
        self.foretold(trace, &masked, bytes, tally)
    }

    /// Whether what was foretold by following the packet is what left. What is foretold by an assumption may be wrong.
    fn foretold(
        &self,
        trace: Trace,
        left: &[Masked],
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Option<(String, String, String)> {
        let assumed = |step: &TraceStep| matches!(step, TraceStep::Metered { .. });
        if trace.steps.iter().any(assumed) {
            return None;
        }
        tally.foretold += 1;
        let foretold = self.visible(trace.outputs);
        if same(&sorted(left), &sorted_outputs(&foretold)) {
            return None;
        }
        let left: Vec<Output> = left.iter().map(|(output, _)| output.clone()).collect();
        let what = format!("what is foretold of {}", hex(bytes));
        Some((what, text(&left), text(&foretold)))
    }

    /// What both say to the control plane about the last packet.
    fn digests(&mut self, tally: &mut Tally) -> Option<(String, String, String)> {
        let expected = self.oracle.take_digests();
        let found = self.rig.plane.slow_path().take_digests();
        tally.digests += expected.len() as u64;
        let twins = self.twins.iter().map(Interpreter::take_digests);
        let twins: Vec<Vec<Digest>> = twins.collect();
        let by_time = twins.iter().any(|digests| *digests != expected);
        if by_time || expected == found {
            return None;
        }
        let what = "the digests of a packet".to_owned();
        Some((what, format!("{expected:?}"), format!("{found:?}")))
    }

    /// By port. A port that does not exist sends nothing, and no frame is shorter than its Ethernet header.
    fn visible(&self, mut outputs: Vec<Output>) -> Vec<Output> {
        outputs.retain(|o| self.ports.contains(&o.port) && o.bytes.len() >= MIN_FRAME_BYTES);
        outputs.sort_by_key(|output| output.port);
        outputs
    }
}

/// An output, and which of its bytes count.
type Masked = (Output, Vec<bool>);

/// Which bytes do not depend on the time; `None` if even ports or lengths do.
fn timeless(outputs: &[Output], others: &[Vec<Output>]) -> Option<Vec<Masked>> {
    let mut masked: Vec<Masked> = outputs
        .iter()
        .map(|output| (output.clone(), vec![true; output.bytes.len()]))
        .collect();
    for other in others {
        if other.len() != masked.len() {
            return None;
        }
        for ((output, counts), other) in masked.iter_mut().zip(other) {
            if (output.port, output.bytes.len()) != (other.port, other.bytes.len()) {
                return None;
            }
            for (at, count) in counts.iter_mut().enumerate() {
                *count &= output.bytes[at] == other.bytes[at];
            }
        }
    }
    Some(masked)
}

fn same(expected: &[Masked], found: &[Output]) -> bool {
    let equal = |((expected, counts), found): (&Masked, &Output)| {
        let bytes = expected.bytes.iter().zip(&found.bytes).zip(counts);
        expected.port == found.port
            && expected.bytes.len() == found.bytes.len()
            && bytes.into_iter().all(|((a, b), counts)| !counts || a == b)
    };
    expected.len() == found.len() && expected.iter().zip(found).all(equal)
}

fn sorted(masked: &[Masked]) -> Vec<Masked> {
    let mut masked = masked.to_vec();
    masked.sort_by(|(a, _), (b, _)| (a.port, &a.bytes).cmp(&(b.port, &b.bytes)));
    masked
}

fn sorted_outputs(outputs: &[Output]) -> Vec<Output> {
    let mut outputs = outputs.to_vec();
    outputs.sort_by(|a, b| (a.port, &a.bytes).cmp(&(b.port, &b.bytes)));
    outputs
}

/// Outputs, for people.
fn text(outputs: &[Output]) -> String {
    let one = |output: &Output| format!("port {} {}", output.port, hex(&output.bytes));
    match outputs {
        [] => "nothing".to_owned(),
        some => some.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// What a panic said.
pub fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    text.unwrap_or_else(|| "without a message".to_owned())
}
