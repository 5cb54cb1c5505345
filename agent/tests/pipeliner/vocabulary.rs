//! `agent/tests/vocabulary/NAME`: every criterion, every field to set and every instruction, each with a
//! directory of its own.
//!
//! ```text
//! objectives.yaml  what the operator writes
//! entries.txt      what it becomes on each pipeline, or why it is refused there
//! packets.txt      frames, and what leaves for each on the pipelines that took it
//! refusal.yaml     a misuse
//! refusal.txt      what is said of it
//! ```
//!
//! Packets run in the interpreter and, with privileges, in the kernel. Beside the objectives of a case
//! there are those of `common.yaml`. `UPDATE_EXPECT=1` rewrites the expected texts.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use expect_test::expect_file;
use miette::{GraphicalReportHandler, GraphicalTheme};
use pointsman_ebpf::rig::Rig;
use pointsman_model::{Change, Field, Instruction, Model};
use pointsman_p4::dataplane::{CounterData, EntryRef};
use pointsman_p4::entity::Entity;
use pointsman_p4::interpreter::{Interpreter, Output, Packet};
use pointsman_pipeliner::Book;

use super::bench::is_privileged;
use super::bench::{CPU_PORT, Machine, running_in};
use super::frame::Frame;
use super::support::{
    Pipeline, changes, leaf_spine, onos_basic, onos_fabric, ports, text_of, vocabulary,
};

/// The pipeline that can do everything.
const WHOLE: &str = "vocabulary";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vocabulary")
}

fn pipelines() -> Vec<Pipeline> {
    let onos = [onos_basic(), onos_fabric()].into_iter().flatten();
    [vocabulary(), leaf_spine()]
        .into_iter()
        .chain(onos)
        .collect()
}

fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(root()).expect("the cases are there");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let directories = paths.filter(|path| path.is_dir());
    directories
        .map(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .expect("UTF-8")
                .to_owned()
        })
        .collect()
}

fn read(case: &str, file: &str) -> String {
    let path = root().join(case).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What common.yaml puts there, as far as the pipeline can.
fn common(pipeline: &Pipeline) -> Book {
    let yaml = fs::read_to_string(root().join("common.yaml")).expect("it is there");
    let mut book = Book::default();
    put(pipeline, &mut book, &changes(&yaml));
    book
}

/// Puts objectives, and tells what became of them; false if one was refused.
fn put(pipeline: &Pipeline, book: &mut Book, changes: &[Change]) -> (String, bool) {
    let (mut text, mut taken) = (String::new(), true);
    for change in changes {
        match pipeline.pipeliner.put(book, &ports(), &change.objective) {
            Ok(staged) => {
                text += &text_of(&pipeline.schema, &staged.updates());
                book.commit(staged);
            }
            Err(refusal) => {
                taken = false;
                let place = refusal.field.as_deref().unwrap_or("-");
                let reason = refusal.reason;
                writeln!(text, "{reason:?} at {place}: {refusal}").expect("a string takes all");
            }
        }
    }
    (text, taken)
}

/// A section for each pipeline.
fn entries(pipelines: &[Pipeline], changes: &[Change]) -> String {
    let sections = pipelines.iter().map(|pipeline| {
        let (text, _) = put(pipeline, &mut common(pipeline), changes);
        format!("# {}\n{text}", pipeline.name)
    });
    sections.collect()
}

/// A machine that packets run through.
trait Runs: Machine {
    fn run(&mut self, packet: &Packet) -> Vec<Output>;
}

impl Runs for Interpreter {
    fn run(&mut self, packet: &Packet) -> Vec<Output> {
        self.process(packet, Duration::ZERO)
    }
}

impl Runs for Rig {
    fn run(&mut self, packet: &Packet) -> Vec<Output> {
        self.forward(packet.port, &packet.bytes)
            .expect("the program runs")
    }
}

/// The frames of a packets.txt: lines like `in 1: tcp_dst=80`.
fn frames(packets: &str) -> Vec<(u32, Frame)> {
    let lines = packets.lines().filter_map(|line| line.strip_prefix("in "));
    lines
        .map(|line| {
            let (port, frame) = line.split_once(':').expect("in PORT: FRAME");
            (port.parse().expect("a port"), Frame::of(frame))
        })
        .collect()
}

/// What leaves for each frame, and last what was counted.
fn outcomes<M: Runs>(pipeline: &Pipeline, book: &Book, frames: &[(u32, Frame)]) -> Vec<String> {
    let mut machine: M = running_in(pipeline, book);
    let mut outcomes: Vec<String> = frames
        .iter()
        .map(|(port, frame)| {
            let packet = Packet {
                port: *port,
                bytes: frame.bytes(),
            };
            let mut outputs: Vec<_> = machine
                .run(&packet)
                .iter()
                .map(|output| outcome(pipeline, frame, output))
                .collect();
            outputs.sort();
            match outputs.is_empty() {
                true => "nothing".to_owned(),
                false => outputs.join("; "),
            }
        })
        .collect();
    for (id, _) in book.objectives() {
        if let Some((name, entities)) = book.counted(id) {
            let count = |entity: &Entity| match entity {
                Entity::TableEntry(entry) => {
                    machine.plane().direct_counter(EntryRef::Keyed(&entry.key))
                }
                _ => Ok(CounterData::default()),
            };
            let counts = entities
                .iter()
                .map(|entity| count(entity).expect("it has a counter"));
            let total = counts.fold(CounterData::default(), |one, other| one + other);
            outcomes.push(format!(
                "{name}: {} packets, {} bytes",
                total.packets, total.bytes
            ));
        }
    }
    outcomes
}

/// `2 ip_ttl=63`: the port, and what is other than before.
fn outcome(pipeline: &Pipeline, before: &Frame, output: &Output) -> String {
    let header = pipeline.schema.packet_in.as_ref();
    let (port, bytes) = match header.filter(|_| output.port == CPU_PORT) {
        Some(header) => (
            "cpu".to_owned(),
            header.split(&output.bytes).expect("it has a header").1,
        ),
        None if output.port == CPU_PORT => ("cpu".to_owned(), output.bytes.as_slice()),
        None => (output.port.to_string(), output.bytes.as_slice()),
    };
    format!("{port} {}", Frame::read(bytes).changes(before))
}

/// packets.txt with what is seen, pipelines together that do the same.
fn told(packets: &str, seen: &[(&str, Vec<String>)]) -> String {
    let said = |text: &mut String, index: usize| {
        let mut groups: Vec<(Vec<&str>, &str)> = Vec::new();
        for (pipeline, outcomes) in seen {
            let outcome = outcomes[index].as_str();
            match groups.iter_mut().find(|(_, other)| *other == outcome) {
                Some((pipelines, _)) => pipelines.push(pipeline),
                None => groups.push((vec![pipeline], outcome)),
            }
        }
        for (pipelines, outcome) in groups {
            writeln!(text, "  {} -> {outcome}", pipelines.join(", ")).expect("a string takes all");
        }
    };
    let (mut text, mut index) = (String::new(), 0);
    let given = packets.lines().filter(|line| !line.starts_with([' ', '=']));
    for line in given {
        text += &format!("{line}\n");
        if line.starts_with("in ") {
            said(&mut text, index);
            index += 1;
        }
    }
    if seen.iter().any(|(_, outcomes)| outcomes.len() > index) {
        text += "= counted\n";
        said(&mut text, index);
    }
    text
}

fn check<M: Runs>(name: &str, pipelines: &[Pipeline]) {
    let changes = changes(&read(name, "objectives.yaml"));
    expect_file![root().join(name).join("entries.txt")].assert_eq(&entries(pipelines, &changes));
    let packets = read(name, "packets.txt");
    let frames = frames(&packets);
    let mut seen = Vec::new();
    for pipeline in pipelines {
        let mut book = common(pipeline);
        let (refusal, taken) = put(pipeline, &mut book, &changes);
        assert!(taken || pipeline.name != WHOLE, "{name}: {refusal}");
        if taken {
            seen.push((pipeline.name, outcomes::<M>(pipeline, &book, &frames)));
        }
    }
    expect_file![root().join(name).join("packets.txt")].assert_eq(&told(&packets, &seen));
    // What would come out without the objectives is something else: the packets show what they do.
    let without = outcomes::<M>(&pipelines[0], &common(&pipelines[0]), &frames);
    assert_ne!(
        seen[0].1, without,
        "{name}: its packets do not show its objectives"
    );
    let distinct: BTreeSet<_> = seen[0].1.iter().collect();
    assert!(distinct.len() > 1, "{name}: all of its packets fare alike");
}

#[test]
fn words_do_what_they_say_in_the_interpreter() {
    let pipelines = pipelines();
    for name in names() {
        check::<Interpreter>(&name, &pipelines);
    }
}

#[test]
fn words_do_what_they_say_in_the_kernel() {
    if !is_privileged() {
        return;
    }
    let pipelines = pipelines();
    for name in names() {
        check::<Rig>(&name, &pipelines);
    }
}

#[test]
fn misuse_is_refused_with_the_reason() {
    let pipelines = pipelines();
    for name in names() {
        let yaml = read(&name, "refusal.yaml");
        let said = match Model::parse("refusal.yaml", &yaml) {
            Err(problems) => {
                let mut text = String::new();
                GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
                    .with_width(100)
                    .render_report(&mut text, &problems)
                    .expect("a string takes all");
                text
            }
            Ok(_) => {
                let changes = changes(&yaml);
                let refuses =
                    |pipeline: &&Pipeline| !put(pipeline, &mut common(pipeline), &changes).1;
                assert!(
                    pipelines.iter().any(|one| refuses(&one)),
                    "{name}: nothing is refused"
                );
                entries(&pipelines, &changes)
            }
        };
        expect_file![root().join(&name).join("refusal.txt")].assert_eq(&said);
    }
}

#[test]
fn every_word_has_its_directory() {
    let settable = Field::all().filter(|field| field.settable());
    let wanted: BTreeSet<String> = Field::all()
        .map(|field| field.name().to_owned())
        .chain(settable.map(|field| format!("set_{field}")))
        .chain(Instruction::WORDS.iter().map(|word| (*word).to_owned()))
        .chain(["p4".to_owned()])
        .filter(|word| word != "set")
        .collect();
    let there = names();
    let missing: Vec<_> = wanted.difference(&there).collect();
    let unknown: Vec<_> = there.difference(&wanted).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing: {missing:?}, unknown: {unknown:?}"
    );
}

/// An expectation that is wrong does not pass.
#[test]
fn a_packet_that_goes_elsewhere_is_noticed() {
    let packets = read("tcp_flags", "packets.txt");
    let pipeline = vocabulary();
    let mut book = common(&pipeline);
    put(
        &pipeline,
        &mut book,
        &changes(&read("tcp_flags", "objectives.yaml")),
    );
    let seen = outcomes::<Interpreter>(&pipeline, &book, &frames(&packets));
    let text = told(&packets, &[(WHOLE, seen.clone())]);
    assert!(text.contains("-> 2 same"));
    for (index, outcome) in seen.iter().enumerate() {
        let mut wrong = seen.clone();
        wrong[index] = outcome.replace("same", "ip_ttl=63").replace('3', "4");
        assert_ne!(told(&packets, &[(WHOLE, wrong)]), text);
    }
}
