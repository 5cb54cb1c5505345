//! `pointsman-controller`: the controller as a daemon.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use pointsman_controller::config::{Config, Settings};
use pointsman_controller::logging;
use pointsman_controller::node::{self, Identity};
use pointsman_controller::server::Server;
use pointsman_controller::trust::JoinToken;
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
    /// Make an empty data directory a node of a cluster that is there; start it afterwards
    Join {
        /// What `pointsman cluster add` printed
        token: JoinToken,
    },
    /// Make a new cluster of one node of a backup, in an empty data directory; start it afterwards
    Restore {
        /// What `pointsman cluster snapshot` wrote
        file: PathBuf,
    },
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
            Some(CliCommand::Init) => initialize(&config),
            Some(CliCommand::Join { token }) => join(config, &token).await,
            Some(CliCommand::Restore { file }) => restore(&config, &file),
            Some(CliCommand::Config {
                command: ConfigCommand::Show,
            }) => {
                print!("{config}");
                Ok(())
            }
        }
    })
}

fn initialize(config: &Config) -> anyhow::Result<()> {
    let Identity {
        name, cluster_id, ..
    } = node::init(config)?;
    println!("made cluster {cluster_id} with the node {name}");
    say_how_to_start(config);
    Ok(())
}

async fn join(config: Config, token: &JoinToken) -> anyhow::Result<()> {
    let Identity {
        name, cluster_id, ..
    } = node::join(&config, token).await?;
    println!("admitted to cluster {cluster_id} as {name}; it takes part once it is started");
    say_how_to_start(&config);
    Ok(())
}

fn restore(config: &Config, file: &Path) -> anyhow::Result<()> {
    let restored = node::restore(config, file)?;
    println!(
        "made cluster {} of revision {} of cluster {}, with the node {}; the switches follow it once it is started, and refuse what is left of the other one",
        restored.identity.cluster_id, restored.revision, restored.of, restored.identity.name
    );
    say_how_to_start(config);
    Ok(())
}

fn say_how_to_start(config: &Config) {
    println!(
        "start it with\n  pointsman-controller --data-dir {} --listen {} --peer-listen {}",
        config.data_dir.display(),
        config.listen,
        config.peer_listen
    );
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let mut stopped = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    // A node that has joined waits until it is let in, which nobody may want to wait for.
    let mut server = tokio::select! {
        started = Server::start(config) => started?,
        () = stopped() => return Ok(()),
    };
    let failure = tokio::select! {
        () = stopped() => None,
        reason = server.ended() => Some(reason),
    };
    match failure {
        None => {
            tracing::info!("shutting down");
            server.shutdown().await;
            Ok(())
        }
        // Nothing is handed over: what failed is what it would take.
        Some(reason) => anyhow::bail!("{reason}"),
    }
}
