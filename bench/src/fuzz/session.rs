//! Rounds over programs, one after the other, until the time is up.
//!
//! Round `n` of every program has the seed `first + n`, so `--seed` of a difference and the program's name
//! bring it back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_ebpf::pipeline::PipelineError;
use pointsman_ebpf::rig::RigError;
use pointsman_p4::ir::{Op, ParserOp, Program};

use crate::conformance::reads_the_clock;

use super::case::CaseFile;
use super::pair::{CPU_PORT, Difference, Pair};
use super::report::{Found, Outcome, ProgramReport, Report, Tally};
use super::script::{Script, Shape, script};
use super::shrink::shrink;

/// How often a run says how far it is.
const SILENCE: Duration = Duration::from_secs(20);

/// How often a difference of a program that reads the clock has to be seen again.
const AGAIN: usize = 3;

/// How long and from where.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The seed of the first round.
    pub seed: u64,
    /// When to stop; a round that runs is ended.
    pub time: Duration,
    /// The most rounds of a program.
    pub rounds: u64,
    /// Packets of a round.
    pub packets: usize,
    /// How long a difference may be made smaller.
    pub shrink: Duration,
}

/// A program with its name.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Subject {
    pub name: String,
    pub program: Arc<Program>,
}

/// Fuzzes the programs. `progress` hears of each difference, and now and then how far it is.
pub fn run(subjects: &[Subject], options: Options, progress: &mut dyn FnMut(&str)) -> Report {
    let start = Instant::now();
    let mut told = start;
    let mut programs: Vec<ProgramReport> = subjects.iter().map(first_look).collect();
    for round in 0..options.rounds {
        let seed = options.seed.wrapping_add(round);
        for (subject, report) in subjects.iter().zip(&mut programs) {
            if start.elapsed() >= options.time {
                break;
            }
            if !matches!(report.outcome, Outcome::Agreed) {
                continue;
            }
            let script = script(&subject.program, seed, options.packets, CPU_PORT);
            report.tally.rounds += 1;
            match Pair::run(&subject.program, &script) {
                Ok(tally) => report.tally.add(&tally),
                // What comes of the time does not come twice.
                Err(_) if report.reads_the_clock && !differs_again(subject, &script) => {
                    report.tally.by_time += 1;
                }
                Err(difference) => {
                    progress(&format!(
                        "{}, seed {seed}, of {} steps, {difference}",
                        subject.name,
                        script.steps.len()
                    ));
                    let found = found(subject, seed, &script, *difference, options.shrink);
                    progress(&found.case);
                    report.outcome = Outcome::Differed(Box::new(found));
                }
            }
        }
        if start.elapsed() >= options.time {
            break;
        }
        if told.elapsed() >= SILENCE {
            told = Instant::now();
            let total = sum(&programs);
            progress(&format!(
                "{} s: seed {seed} done, {} packets, {} outputs",
                start.elapsed().as_secs(),
                total.packets,
                total.outputs
            ));
        }
    }
    Report {
        seed: options.seed,
        seconds: start.elapsed().as_secs(),
        total: sum(&programs),
        programs,
    }
}

/// Whether the planes differ whenever a script runs.
fn differs_again(subject: &Subject, script: &Script) -> bool {
    (0..AGAIN).all(|_| Pair::run(&subject.program, script).is_err())
}

fn sum(programs: &[ProgramReport]) -> Tally {
    let mut total = Tally::default();
    programs
        .iter()
        .for_each(|program| total.add(&program.tally));
    total
}

fn first_look(subject: &Subject) -> ProgramReport {
    let outcome = if draws_random_numbers(&subject.program) {
        Outcome::Random
    } else {
        match Pair::new(&subject.program, Shape::default()) {
            Ok(_) => Outcome::Agreed,
            Err(RigError::Pipeline(
                error @ (PipelineError::Refused(_)
                | PipelineError::TooLong(_)
                | PipelineError::Declared { .. }),
            )) => Outcome::Refused(error.to_string()),
            Err(error) => Outcome::Broken(error.to_string()),
        }
    };
    ProgramReport {
        program: subject.name.clone(),
        reads_the_clock: reads_the_clock(&subject.program),
        tally: Tally::default(),
        outcome,
    }
}

/// Whether the extern `random` is called anywhere.
fn draws_random_numbers(program: &Program) -> bool {
    let actions = program.actions.iter().flat_map(|action| &action.body);
    let states = program.parser_states.iter().flat_map(|state| &state.ops);
    let in_parser = states.filter_map(|(op, _)| match op {
        ParserOp::Primitive(op) => Some(op),
        _ => None,
    });
    let mut ops = actions.map(|(op, _)| op).chain(in_parser);
    ops.any(|op| matches!(op, Op::Random { .. }))
}

fn found(
    subject: &Subject,
    seed: u64,
    script: &Script,
    difference: Difference,
    limit: Duration,
) -> Found {
    let (script, difference) = shrink(&subject.program, script, difference, limit);
    let Difference {
        what,
        expected,
        found,
        ..
    } = difference;
    let case = CaseFile::record(what.clone(), &subject.program, &script);
    Found {
        seed,
        what,
        expected,
        found,
        case: case.to_json(),
    }
}
