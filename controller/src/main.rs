//! `pointsman-controller`: the controller as a daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use pointsman_controller::config::{Config, Settings};
use pointsman_controller::logging;
use pointsman_controller::node::{self, Identity};
use pointsman_controller::server::Server;
use tokio::signal::unix::{SignalKind, signal};

/// Distributes flow objectives to the agents of its switches.
#[derive(Parser)]
#[command(name = "pointsman-controller", version)]
struct Cli {
    /// YAML file with settings; flags and environment win over it
    #[arg(
        long,
        env = "POINTSMAN_CONTROLLER_CONFIG",
        value_name = "FILE",
        global = true
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Make a new cluster of one node in an empty data directory; start it afterwards
    Init,
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the configuration that the controller would run with
    Show,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pointsman-controller: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cli
        .config
        .as_deref()
        .map(Settings::from_file)
        .transpose()?
        .unwrap_or_default();
    let config = Config::try_from(cli.settings.over(file))?;
    logging::init(&config.log)
        .with_context(|| format!("the log filter {:?} is not usable", config.log))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        match cli.command {
            None => serve(config).await,
            Some(CliCommand::Init) => initialize(config).await,
            Some(CliCommand::Config {
                command: ConfigCommand::Show,
            }) => {
                print!("{config}");
                Ok(())
            }
        }
    })
}

async fn initialize(config: Config) -> anyhow::Result<()> {
    let Identity {
        name, cluster_id, ..
    } = node::init(&config).await?;
    println!("made cluster {cluster_id} with the node {name}; start it with");
    println!(
        "  pointsman-controller --data-dir {}",
        config.data_dir.display()
    );
    Ok(())
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut server = Server::start(config).await?;
    let ended_by_itself = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = server.ended() => true,
    };
    if ended_by_itself {
        anyhow::bail!("the API is no longer served; see the log above");
    }
    tracing::info!("shutting down");
    server.shutdown().await;
    Ok(())
}
