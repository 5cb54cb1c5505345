//! Sends the packets of a suite through a target and compares.

use pointsman_ebpf::pipeline::PipelineError;
use pointsman_ebpf::rig::RigError;
use pointsman_p4::bmv2::ReadError;
use pointsman_p4::dataplane::{DataPlane, DataPlaneError};
use pointsman_p4::interpreter::Output;
use pointsman_p4::vectors::{Case, VectorError};

use super::difference::{Difference, Expected, compare, hex};
use super::exchange::{self, Exchange, ExchangeError, Exchanges, interpret, interpreter};
use super::find::{Kind, Suite, VectorFile};
use super::report::{Failure, FileReport, Outcome, Score};
use super::state::{StateDifference, compare_state};
use super::target::{Target, reason};

/// Ethernet's shortest frame without its check sequence: what is too short for a target is
/// padded to this, as a network card would.
const PADDED_BYTES: usize = 60;

/// Runs all files of a suite; a program without files is loaded.
pub fn run(suite: &Suite, target: Target) -> Vec<FileReport> {
    let only_load = [VectorFile {
        kind: Kind::Load,
        path: Default::default(),
        entries: None,
    }];
    let files = match suite.files.as_slice() {
        [] => &only_load,
        files => files,
    };
    let case = Case::read(&suite.program);
    let run = |file: &VectorFile| {
        let mut packets = 0;
        let outcome = case.as_ref().map_err(unreadable).and_then(|case| {
            let exchanges = exchange::read(case, file).map_err(|e| unusable(&e))?;
            packets = exchanges.exchanges.len();
            send_all(case, &exchanges, target)
        });
        let name = file.path.file_name().unwrap_or_default();
        FileReport {
            program: suite.name.clone(),
            file: name.to_string_lossy().into_owned(),
            kind: file.kind,
            packets,
            outcome: outcome.map_or_else(|why| why, |score| Outcome::Ran(Box::new(score))),
        }
    };
    files.iter().map(run).collect()
}

fn send_all(case: &Case, exchanges: &Exchanges, target: Target) -> Result<Score, Outcome> {
    let program = &case.pipeline.program;
    let mut loaded = target
        .load(program, exchanges.cpu_port)
        .map_err(|e| not_loaded(&e))?;
    exchange::apply(loaded.data_plane(), &exchanges.operations).map_err(|e| unusable(&e))?;
    // What padded packets are held to; it sees all packets as the target does.
    let mut oracle = interpreter(case, &exchanges.operations).map_err(|e| unusable(&e))?;
    let min_bytes = target.min_bytes();
    let mut score = Score::default();
    let mut operations = exchanges.operations.clone();
    for (number, exchange) in exchanges.exchanges.iter().enumerate() {
        check_counters(exchanges, number, loaded.data_plane(), &mut score);
        let between = &exchange.operations;
        exchange::apply(loaded.data_plane(), between).map_err(|e| unusable(&e))?;
        exchange::apply(&oracle, between).map_err(|e| unusable(&e))?;
        operations.extend_from_slice(between);
        let mut packet = exchange.packet.clone();
        let padded = packet.len() < min_bytes;
        if padded {
            packet.resize(PADDED_BYTES, 0);
            score.padded += 1;
        }
        let oracles = interpret(&mut oracle, exchange.port, &packet);
        let mut expected = if padded {
            oracles.iter().map(Expected::exactly).collect()
        } else {
            exchange.expected.clone()
        };
        let can_leave = |length: usize| length >= min_bytes;
        expected.retain(|e| is_recorded(exchanges, e.port));
        let recorded = expected.len();
        expected.retain(|e| e.length.is_none_or(can_leave));
        score.too_short_to_leave += recorded - expected.len();
        let difference = match loaded.forward(exchange.port, &packet) {
            Ok(outputs) => {
                let outputs: Vec<Output> = outputs
                    .into_iter()
                    .filter(|o| can_leave(o.bytes.len()) && is_recorded(exchanges, o.port))
                    .collect();
                compare(&expected, &outputs)
            }
            Err(error) => Some(Difference::NotRun {
                error: error.to_string(),
            }),
        };
        match difference {
            None => score.passed += 1,
            Some(difference) => score.failed.push(failure(exchange, &packet, difference)),
        }
    }
    let sent = exchanges.exchanges.len();
    check_counters(exchanges, sent, loaded.data_plane(), &mut score);
    score.slow = loaded.slow();
    score.state = score
        .state
        .or_else(|| compare_state(program, &operations, &oracle, loaded.data_plane()));
    Ok(score)
}

/// Checks what the counters have to hold after that many packets. Bytes are not asked for once a
/// packet was padded: the file counts without.
fn check_counters(exchanges: &Exchanges, sent: usize, plane: &dyn DataPlane, score: &mut Score) {
    let due = exchanges.checks.iter().filter(|c| c.after == sent);
    for check in due.filter(|c| score.padded == 0 || !c.check.counts_bytes()) {
        let found = match check.check.unmet(plane) {
            Ok(None) => continue,
            Ok(Some(data)) => format!("{data:?}"),
            Err(error) => error.to_string(),
        };
        score.state.get_or_insert_with(|| StateDifference {
            what: format!("line {}", check.line),
            expected: check.check.text().to_owned(),
            found,
        });
    }
}

fn is_recorded(exchanges: &Exchanges, port: u32) -> bool {
    let ports = exchanges.recorded.as_ref();
    ports.is_none_or(|ports| ports.contains(&port))
}

fn failure(exchange: &Exchange, packet: &[u8], difference: Difference) -> Failure {
    Failure {
        line: exchange.line,
        port: exchange.port,
        packet: hex(packet),
        difference,
    }
}

fn not_loaded(error: &RigError) -> Outcome {
    match error {
        RigError::Pipeline(PipelineError::Refused(refusals)) => {
            Outcome::Refused(refusals.iter().map(reason).collect())
        }
        RigError::Pipeline(PipelineError::Declared { table, error }) => match error {
            DataPlaneError::Unsupported { .. } | DataPlaneError::Full { .. } => {
                Outcome::Refused(vec![format!("{table}: {error}")])
            }
            _ => Outcome::Broken(format!("{table}: {error}")),
        },
        other => Outcome::Broken(other.to_string()),
    }
}

fn not_written(error: &DataPlaneError) -> Outcome {
    match error {
        DataPlaneError::Unsupported { .. } | DataPlaneError::Full { .. } => {
            Outcome::Refused(vec![error.to_string()])
        }
        _ => Outcome::Broken(error.to_string()),
    }
}

fn unreadable(error: &VectorError) -> Outcome {
    match error {
        VectorError::Program(error @ ReadError::Program { .. }) => {
            Outcome::Refused(vec![error.to_string()])
        }
        _ => Outcome::Broken(error.to_string()),
    }
}

fn unusable(error: &ExchangeError) -> Outcome {
    match error {
        ExchangeError::Vectors(error) => unreadable(error),
        ExchangeError::Operation { error, .. } => not_written(error),
        ExchangeError::NoPackets { .. } => Outcome::Broken(error.to_string()),
    }
}
