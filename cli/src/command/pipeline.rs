//! `pointsman pipeline`: compiles a P4 program on this machine and shows what became of it.
//!
//! The compiler is the agent's. It is asked as a library: nothing is loaded and nobody is connected
//! to, so these commands need neither privileges nor a running switch.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use pointsman_ebpf::compile::Options;
use pointsman_ebpf::inspect::Inspection;
use pointsman_ebpf::pipeline::PipelineError;
use pointsman_ebpf::sys::possible_cpus;
use pointsman_p4::ir::{Program, print};
use pointsman_p4::simplify::simplify;
use pointsman_p4::{bmv2, p4info};

use crate::args::{CompileArgs, Emit, Format, PipelineCommand, PipelineFiles};
use crate::error::CliError;
use crate::output::Output;
use crate::view::pipeline::selection::Selection;
use crate::view::pipeline::source::Sources;
use crate::view::pipeline::{asm, ir, stats};

/// Runs one of the commands.
pub fn run(command: PipelineCommand, output: &mut Output) -> Result<ExitCode, CliError> {
    match command {
        PipelineCommand::Compile(args) => compile(&args, output),
        PipelineCommand::Check { files } => check(&files, output),
    }
}

fn compile(args: &CompileArgs, output: &mut Output) -> Result<ExitCode, CliError> {
    if args.emit != Emit::Stats && output.format() != Format::Table {
        let advice = "-o is for --emit stats; ir and asm are text";
        return Err(CliError::Usage(advice.to_owned()));
    }
    if args.emit == Emit::Stats && args.line.is_some() {
        let advice = "--line is for --emit ir, simplified and asm";
        return Err(CliError::Usage(advice.to_owned()));
    }
    let program = read(&args.files)?;
    let selection = Selection::new(args.table.clone(), args.action.clone(), args.line.clone());
    selection.check(&program)?;
    let mut sources = Sources::near(&args.files.file, args.source.as_deref());
    if matches!(args.emit, Emit::Ir | Emit::Simplified) {
        let shown = match args.emit {
            Emit::Simplified => simplify(&program),
            _ => (*program).clone(),
        };
        let text = ir::text(&shown, &print::sections(&shown), &selection);
        output.text(&found(text, &program, &selection)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let inspection = inspect(&args.files.file, &program, args.chain)?;
    if args.emit == Emit::Asm {
        let text = asm::text(&inspection.listing(), &selection, &mut sources);
        output.text(&found(text, &program, &selection)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let view = stats::StatsView::new(inspection.stats(), &selection);
    output.value(&view, |output| {
        output.text(&view.text(output.is_coloured()))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn check(files: &PipelineFiles, output: &mut Output) -> Result<ExitCode, CliError> {
    let program = read(files)?;
    let stats = inspect(&files.file, &program, None)?.stats();
    let view = stats::StatsView::new(stats, &Selection::default());
    output.value(&view, |output| {
        let path = files.file.display();
        output.text(&format!("{path}: {}\n{}", view.summary(), view.slow_path()))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a program and, if there is one, the p4info that has to fit it.
fn read(files: &PipelineFiles) -> Result<Arc<Program>, CliError> {
    let in_file =
        |path: &Path, message: String| CliError::Failed(format!("{}: {message}", path.display()));
    let json = read_file(&files.file)?;
    let program = bmv2::read(&json).map_err(|e| in_file(&files.file, e.to_string()))?;
    let program = Arc::new(program);
    if let Some(path) = &files.p4info {
        let text = String::from_utf8_lossy(&read_file(path)?).into_owned();
        p4info::parse_p4info(&text)
            .and_then(|info| p4info::Pipeline::new(Arc::clone(&program), &info))
            .map_err(|e| in_file(path, e.to_string()))?;
    }
    Ok(program)
}

fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|cause| CliError::Read {
        path: path.to_owned(),
        cause,
    })
}

/// Compiles as an agent on this machine would, or as a chain of programs of that many instructions.
fn inspect<'p>(
    path: &Path,
    program: &'p Program,
    chain: Option<u32>,
) -> Result<Inspection<'p>, CliError> {
    let options = Options {
        program_instructions: chain.map(|instructions| instructions as usize),
        ..Options::new(DEFAULT_CPU_PORT)
    };
    Inspection::new(program, possible_cpus(), options).map_err(|error| {
        let lines = match error {
            PipelineError::Refused(refusals) => refusals.iter().map(ToString::to_string).collect(),
            other => vec![other.to_string()],
        };
        CliError::NotCompiled {
            path: path.to_owned(),
            lines,
        }
    })
}

/// The port that agents take for the control plane if nothing else is said; it is but a number in
/// one instruction.
const DEFAULT_CPU_PORT: u32 = 255;

/// A selection that leaves nothing is a mistake.
fn found(text: String, program: &Program, selection: &Selection) -> Result<String, CliError> {
    if text.is_empty() {
        return Err(CliError::Failed(selection.nothing(program)));
    }
    Ok(text)
}
