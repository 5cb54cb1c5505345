//! `pointsman`: the operator's command.
//!
//! Exit codes: 0 when all went well, 1 when something was refused or failed or
//! (for `diff`) differs, 2 when the command line is wrong or `diff` could not find out.

mod args;
mod cluster_args;
mod command;
mod complete;
mod connect;
mod error;
mod files;
mod kv_args;
mod name;
mod output;
mod packet;
mod pipelines;
mod table;
mod view;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;

use args::{Cli, Command};
use error::CliError;
use output::Output;

fn main() -> ExitCode {
    // Ends here if a shell asks what could come next.
    CompleteEnv::with_factory(Cli::command)
        .var(complete::VARIABLE)
        .complete();
    let cli = Cli::parse();
    let failure = match cli.command {
        // As diff(1) and kubectl have it: 1 is an answer, and more than that is none.
        Command::Diff { .. } => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    };
    let mut output = Output::new(cli.global.output, cli.global.color);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return report(&CliError::Runtime(error), failure, &output),
    };
    match runtime.block_on(command::run(cli, &mut output)) {
        Ok(code) => code,
        // Whoever reads the output has seen enough.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => report(&error, failure, &output),
    }
}

fn report(error: &CliError, failure: ExitCode, output: &Output) -> ExitCode {
    output.complain(error);
    match error {
        CliError::Usage(_) => ExitCode::from(2),
        _ => failure,
    }
}
