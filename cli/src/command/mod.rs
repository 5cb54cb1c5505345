//! The commands, one module each. A command returns its exit code, or the
//! error that is shown instead.

mod apply;
mod check;
mod cluster;
mod config;
mod delete;
mod diff;
mod drift;
mod explain;
mod fabric;
mod get;
mod history;
mod kv;
mod lock;
mod pipeline;
mod send;
mod status;
mod trace;
mod watch;

use std::process::ExitCode;

use crate::args::{Cli, Command, Format, Global};
use crate::error::CliError;
use crate::output::Output;

pub use trace::port as trace_port;

/// Runs the command that the user gave.
pub async fn run(cli: Cli, output: &mut Output) -> Result<ExitCode, CliError> {
    let Cli { global, command } = cli;
    if global.output == Format::Name && !matches!(command, Command::Get(_)) {
        return Err(CliError::Usage(
            "-o name is for `get`; what other commands say has no names alone".to_owned(),
        ));
    }
    match command {
        Command::Apply(args) => apply::run(&without_agent(global)?, args, output).await,
        Command::Check(args) => check::run(&args, output),
        Command::Diff { files, prune } => {
            diff::run(&without_agent(global)?, &files, prune, output).await
        }
        Command::Get(args) => get::run(&global, args, output).await,
        Command::Watch(args) => watch::run(&without_agent(global)?, &args, output).await,
        Command::Status => status::run(&global, output).await,
        Command::Explain { objective, device } => {
            explain::run(&global, objective.of(device.as_deref()), output).await
        }
        Command::Trace(args) => trace::run(&global, args, output).await,
        Command::Drift { device, foreign } => {
            drift::run(&global, device.as_deref(), foreign, output).await
        }
        Command::Repair { device, objective } => {
            drift::repair(&global, device.as_deref(), objective, output).await
        }
        Command::Delete(args) => delete::run(&without_agent(global)?, args, output).await,
        Command::History(args) => history::history(&without_agent(global)?, args, output).await,
        Command::Rollback(args) => history::rollback(&without_agent(global)?, args, output).await,
        Command::Confirm { revision } => {
            history::confirm(&without_agent(global)?, revision, output).await
        }
        Command::Cluster { command } => {
            cluster::run(&without_agent(global)?, command, output).await
        }
        Command::Kv { command } => kv::run(&without_agent(global)?, command, output).await,
        Command::Config { command } => config::run(&without_agent(global)?, command, output).await,
        Command::Pipeline { command } => pipeline::run(command, output),
        Command::Schema => {
            output.text(&format!("{:#}\n", pointsman_model::json_schema()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Completion { shell } => {
            output.text(&crate::complete::script(shell)?)?;
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
