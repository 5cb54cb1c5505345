//! What came of a run.

use serde::Serialize;

use super::difference::Difference;
use super::find::Kind;
use super::state::StateDifference;
use super::target::Target;

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where the packets went through.
    pub target: Target,
    /// In the order of their paths.
    pub files: Vec<FileReport>,
    /// Their sum.
    pub totals: Totals,
}

/// What came of a file of packets, or of a program that has none.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// The path of the program's packets below the directory that was searched.
    pub program: String,
    /// The file's name; empty if there is none.
    pub file: String,
    /// What was to be done.
    pub kind: Kind,
    /// How many packets there are to send.
    pub packets: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The packets were sent.
    Ran(Box<Score>),
    /// The target refuses the program or what is to be written to it, by name.
    Refused(Vec<String>),
    /// What should work did not: the kernel refuses the program, or a file cannot be read.
    Broken(String),
}

/// What came of the packets of a file.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Score {
    /// Packets of which exactly the expected ones left.
    pub passed: usize,
    /// The others.
    pub failed: Vec<Failure>,
    /// Packets, counted in the above, that were too short for the target: they were padded with
    /// zeros, and what leaves is held to what leaves the interpreter.
    pub padded: usize,
    /// Expected packets that were not asked for because the target cannot send what is so short.
    pub too_short_to_leave: usize,
    /// What of the program takes the slow path.
    pub slow: Vec<SlowUse>,
    /// A counter or register that is not what the interpreter holds after the same packets.
    pub state: Option<StateDifference>,
}

/// Something whose packets leave the kernel for the interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowUse {
    /// A construct with its place in the source, or a limit that packets can exceed.
    pub what: String,
    /// How many packets did.
    pub packets: u64,
}

/// A packet of which something else left than expected.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The line of the file, from 1.
    pub line: usize,
    /// Where the packet entered.
    pub port: u32,
    /// The packet as it was sent, in hexadecimal.
    pub packet: String,
    /// What is not as expected.
    pub difference: Difference,
}

/// Sums over all files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// STF files.
    pub stf_files: Counts,
    /// Packets of golden files.
    pub golden_packets: Counts,
    /// Programs without packets.
    pub programs: Counts,
    /// See [`Score::padded`].
    pub padded: usize,
    /// See [`Score::too_short_to_leave`].
    pub too_short_to_leave: usize,
    /// Times that a packet took the slow path.
    pub slow: u64,
}

/// How many there were of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub refused: usize,
}

impl Report {
    /// Sums up.
    pub fn new(target: Target, files: Vec<FileReport>) -> Report {
        let mut totals = Totals::default();
        for file in &files {
            totals.add(file);
        }
        Report {
            target,
            files,
            totals,
        }
    }

    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.files.iter().all(|file| match &file.outcome {
            Outcome::Ran(score) => score.is_clean(),
            Outcome::Refused(_) => true,
            Outcome::Broken(_) => false,
        })
    }
}

impl Score {
    /// Times that a packet took the slow path. Constructs that packets leave at together are
    /// counted together.
    pub fn slow_packets(&self) -> u64 {
        self.slow.iter().map(|slow| slow.packets).sum()
    }

    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.state.is_none()
    }
}

impl Totals {
    fn add(&mut self, file: &FileReport) {
        let (passed, failed, refused) = match &file.outcome {
            Outcome::Ran(score) => {
                self.padded += score.padded;
                self.too_short_to_leave += score.too_short_to_leave;
                self.slow += score.slow_packets();
                (score.passed, score.failed.len(), 0)
            }
            Outcome::Refused(_) => (0, 0, file.packets),
            Outcome::Broken(_) => (0, file.packets, 0),
        };
        let counts = match file.kind {
            Kind::Golden => {
                self.golden_packets.passed += passed;
                self.golden_packets.failed += failed;
                self.golden_packets.refused += refused;
                return;
            }
            Kind::Stf => &mut self.stf_files,
            Kind::Load => &mut self.programs,
        };
        match &file.outcome {
            Outcome::Ran(score) if score.is_clean() => counts.passed += 1,
            Outcome::Ran(_) | Outcome::Broken(_) => counts.failed += 1,
            Outcome::Refused(_) => counts.refused += 1,
        }
    }
}
