//! The commands, one module each. A command returns its exit code, or the
//! error that is shown instead.

mod apply;
mod delete;
mod diff;
mod drift;
mod explain;
mod get;
mod history;
mod pipeline;
mod send;
mod status;
mod trace;

use std::process::ExitCode;

use clap::CommandFactory;
use pointsman_model::Problems;

use crate::args::{Cli, Command, Files, Global};
use crate::error::CliError;
use crate::files;
use crate::output::Output;
use crate::words;

pub use trace::port as trace_port;

/// Runs the command that the user gave.
pub async fn run(cli: Cli, output: &mut Output) -> Result<ExitCode, CliError> {
    let Cli { global, command } = cli;
    match command {
        Command::Apply(args) => apply::run(&without_agent(global)?, args, output).await,
        Command::Check { files } => check(&files, output),
        Command::Diff { files, prune } => {
            diff::run(&without_agent(global)?, &files, prune, output).await
        }
        Command::Get(args) => get::run(&global, args, output).await,
        Command::Status => status::run(&global, output).await,
        Command::Explain { objective, device } => {
            explain::run(&global, &objective, device.as_deref(), output).await
        }
        Command::Trace(args) => trace::run(&global, args, output).await,
        Command::Drift { device, foreign } => {
            drift::run(&global, device.as_deref(), foreign, output).await
        }
        Command::Repair { device, objective } => {
            drift::repair(&global, device.as_deref(), objective.as_deref(), output).await
        }
        Command::Delete(args) => delete::run(&without_agent(global)?, args, output).await,
        Command::History(args) => history::history(&without_agent(global)?, args, output).await,
        Command::Rollback(args) => history::rollback(&without_agent(global)?, args, output).await,
        Command::Confirm { revision } => {
            history::confirm(&without_agent(global)?, revision, output).await
        }
        Command::Pipeline { command } => pipeline::run(command, output),
        Command::Schema => {
            output.text(&format!("{:#}\n", pointsman_model::json_schema()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pointsman", &mut script);
            output.text(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Objectives are changed through a controller only: two writers would undo each other's work.
fn without_agent(global: Global) -> Result<Global, CliError> {
    match global.agent {
        None => Ok(global),
        Some(_) => Err(CliError::Usage(
            "objectives are changed through the controller; --agent only shows what one agent holds"
                .to_owned(),
        )),
    }
}

/// Reads the files and says what is in them. Asks nobody, so nexts that are on a
/// device already cannot be told from nexts that do not exist.
fn check(files: &Files, output: &mut Output) -> Result<ExitCode, CliError> {
    let model = files::read(&files.files)?;
    if let Err(unknown) = model.check_nexts(|_, _| false) {
        remark_unknown_nexts(&unknown, output);
    }
    let devices = words::count(model.devices.len(), "device");
    let changes = words::count(model.objectives.len(), "objective");
    output.text(&format!("{devices} and {changes}, all in order\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn remark_unknown_nexts(unknown: &Problems, output: &Output) {
    for problem in unknown.iter() {
        let (line, column) = problem.position();
        output.remark(&format!(
            "{}:{line}:{column}: {} in these files; it must be on the device already",
            problem.file(),
            problem.message()
        ));
    }
}
