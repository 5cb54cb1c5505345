//! `pointsman`: the operator's command.
//!
//! Exit codes: 0 when all went well, 1 when something was refused or failed or
//! (for `diff`) differs, 2 when the command line is wrong.

mod args;
mod command;
mod connect;
mod error;
mod files;
mod output;
mod packet;
mod table;
mod view;
mod words;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use error::CliError;
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::new(cli.global.output);
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return report(&CliError::Runtime(error), &output),
    };
    match runtime.block_on(command::run(cli, &mut output)) {
        Ok(code) => code,
        // Whoever reads the output has seen enough.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => report(&error, &output),
    }
}

fn report(error: &CliError, output: &Output) -> ExitCode {
    output.complain(error);
    match error {
        CliError::Usage(_) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}
