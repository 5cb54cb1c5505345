//! What came of a run.

use std::fmt::Write;

use serde::Serialize;

/// What a program was put through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Times it was loaded and filled anew.
    pub rounds: u64,
    /// Packets sent.
    pub packets: u64,
    /// Packets that left.
    pub outputs: u64,
    /// Digests sent.
    pub digests: u64,
    /// Changes to entries, groups and state.
    pub writes: u64,
    /// Changes that only the kernel's plane had no room for.
    pub no_room: u64,
    /// Packets whose outputs left in another order than the interpreter's, some by the slow path.
    pub reordered: u64,
    /// Packets of which not even ports and lengths can be compared: they depend on the time.
    pub by_time: u64,
    /// Packets whose outputs were compared with what was foretold by following them.
    pub foretold: u64,
}

impl Tally {
    /// Adds what another round did.
    pub fn add(&mut self, other: &Tally) {
        self.rounds += other.rounds;
        self.packets += other.packets;
        self.outputs += other.outputs;
        self.digests += other.digests;
        self.writes += other.writes;
        self.no_room += other.no_room;
        self.reordered += other.reordered;
        self.by_time += other.by_time;
        self.foretold += other.foretold;
    }
}

/// What came of a program.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The planes agreed.
    Agreed,
    /// They did not; the program was left alone from then on.
    Differed(Box<Found>),
    /// Its outputs depend on random numbers and cannot be compared.
    Random,
    /// It was not loaded, by name or because it is too big.
    Refused(String),
    /// It should load and does not.
    Broken(String),
}

/// A difference, made small.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs)]
pub struct Found {
    pub seed: u64,
    pub what: String,
    pub expected: String,
    pub found: String,
    /// The case as JSON, to be kept.
    pub case: String,
}

/// A program and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct ProgramReport {
    /// Its name.
    pub program: String,
    /// Whether some of its bytes depend on the time; those are not compared.
    pub reads_the_clock: bool,
    /// What it was put through.
    pub tally: Tally,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The seed of the first round; the others follow.
    pub seed: u64,
    /// How long it took.
    pub seconds: u64,
    /// In the order in which they were given.
    pub programs: Vec<ProgramReport>,
    /// Their sum.
    pub total: Tally,
}

impl Report {
    /// Whether no program differed or broke.
    pub fn is_clean(&self) -> bool {
        let mut programs = self.programs.iter();
        programs.all(|p| !matches!(p.outcome, Outcome::Differed(_) | Outcome::Broken(_)))
    }

    /// For people: what is special about programs, differences, and a last line with the sums.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |parts: std::fmt::Arguments| {
            text.write_fmt(parts).expect("a string takes everything");
            text.push('\n');
        };
        let (mut agreed, mut differed, mut random, mut refused) = (0, 0, 0, 0);
        for ProgramReport {
            program,
            reads_the_clock,
            tally,
            outcome,
        } in &self.programs
        {
            match outcome {
                Outcome::Agreed => {
                    agreed += 1;
                    if *reads_the_clock {
                        line(format_args!(
                            "{program}: reads the clock; bytes that depend on it are not compared, nor are {} packets",
                            tally.by_time
                        ));
                    }
                }
                Outcome::Differed(found) => {
                    differed += 1;
                    let Found {
                        seed,
                        what,
                        expected,
                        found,
                        case,
                    } = found.as_ref();
                    line(format_args!("{program}: DIFFERS, seed {seed}: {what}"));
                    line(format_args!("    interpreter: {expected}"));
                    line(format_args!("    kernel:      {found}"));
                    line(format_args!("{case}"));
                }
                Outcome::Random => {
                    random += 1;
                    line(format_args!(
                        "{program}: draws random numbers; not compared"
                    ));
                }
                Outcome::Refused(why) => {
                    refused += 1;
                    line(format_args!("{program}: not loaded: {why}"));
                }
                Outcome::Broken(why) => {
                    differed += 1;
                    line(format_args!("{program}: BROKEN: {why}"));
                }
            }
        }
        let total = &self.total;
        line(format_args!(
            "seed {}, {} s: {} rounds, {} packets, {} outputs, {} digests, {} writes ({} without room); {} packets reordered by the slow path, {} foretold",
            self.seed,
            self.seconds,
            total.rounds,
            total.packets,
            total.outputs,
            total.digests,
            total.writes,
            total.no_room,
            total.reordered,
            total.foretold
        ));
        line(format_args!(
            "{agreed} programs agreed, {differed} differed, {random} not comparable, {refused} not loaded"
        ));
        text
    }
}
