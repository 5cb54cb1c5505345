//! The agent's start: configuration before anything is touched, state before the port is
//! bound, and a drain at the end.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use pointsman_agent::agent::Agent;
use pointsman_agent::config::{self, Args, Command, Config, ConfigCommand};
use pointsman_agent::discovery::Discovery;
use pointsman_agent::doctor::{self, Severity};
use pointsman_agent::notify::{State, notify};
use pointsman_agent::server::{self, Admission};
use pointsman_agent::{ports, reactive, start};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long open requests may take after a signal to end.
const DRAIN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pointsman-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let config = config::load(args)?;
    match args.command {
        None => {}
        Some(Command::Config(ConfigCommand::Show)) => {
            print!("{config}");
            return Ok(());
        }
        Some(Command::Doctor) => {
            let findings = doctor::examine(&config);
            findings.iter().for_each(|finding| println!("{finding}"));
            let failed = doctor::worst(&findings) == Severity::Failure;
            anyhow::ensure!(!failed, "this machine cannot do what is asked for");
            return Ok(());
        }
        Some(Command::Detach) => {
            let (path, removed) = start::detach(&config)?;
            println!(
                "{} ports taken down; nothing is left in {}",
                removed.ports,
                path.display()
            );
            return Ok(());
        }
    }
    let admission = Admission::load(&config.serving)?;
    let discovery = Discovery::load(&config.discovery)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let started = {
        // The xdp target polls a ring buffer in this runtime.
        let _entered = runtime.enter();
        start::start(&config)?
    };
    runtime.block_on(serve(&config, admission, discovery, started))?;
    // Blocking calls that have not ended by now wait for nothing that matters.
    runtime.shutdown_timeout(DRAIN);
    tracing::info!("stopped");
    Ok(())
}

async fn serve(
    config: &Config,
    admission: Admission,
    discovery: Discovery,
    started: start::Started,
) -> anyhow::Result<()> {
    let agent = Arc::new(started.agent);
    let admission = Arc::new(admission);
    let cancel = CancellationToken::new();
    let links = tokio::spawn(watch_links(agent.clone(), cancel.clone()));
    let packets = tokio::spawn(start::forward_packet_ins(
        agent.clone(),
        started.packet_in,
        cancel.clone(),
    ));
    let notices = tokio::spawn(agent.clone().run_notices(started.learnt, cancel.clone()));
    let lives = tokio::spawn(agent.clone().run_lives(cancel.clone()));
    let tables = tokio::spawn(agent.clone().watch_tables(cancel.clone()));
    let repairs = tokio::spawn(agent.clone().run_repairs(cancel.clone()));
    let events = tokio::spawn(start::run_target(
        started.task,
        agent.clone(),
        cancel.clone(),
    ));
    let files = tokio::spawn({
        let (admission, cancel) = (admission.clone(), cancel.clone());
        async move { admission.watch(cancel).await }
    });
    let discovery = tokio::spawn(discovery.run(agent.clone(), cancel.clone()));
    let policies = config.reactive.clone();
    let policies = tokio::spawn(reactive::shell::run(
        policies,
        agent.clone(),
        cancel.clone(),
    ));
    let listener = server::bind(config.listen).await?;
    tracing::info!(
        name = config.name, device_id = config.device_id, listen = %config.listen,
        target = %config.target, "serving gRPC"
    );
    notify(State::Ready);
    let stop = cancel.clone();
    let server = server::serve(agent.clone(), listener, &admission, async move {
        stop.cancelled().await
    });
    let mut server = std::pin::pin!(server);
    tokio::select! {
        result = &mut server => result?,
        () = signalled() => {
            tracing::info!("stopping");
            notify(State::Stopping);
            cancel.cancel();
            agent.streams.close_all();
            agent.inventory.close();
            match tokio::time::timeout(DRAIN, server).await {
                Ok(result) => result?,
                Err(_) => tracing::warn!("some requests were still open"),
            }
        }
    }
    cancel.cancel();
    links.await.context("the netlink task")?;
    packets.await.context("the packet-in task")?;
    notices
        .await
        .context("the task of digests and idle entries")?;
    lives.await.context("the task of timeouts")?;
    tables.await.context("the task that looks at tables")?;
    repairs.await.context("the task that puts entries right")?;
    files.await.context("the task that reads files again")?;
    events.await.context("the slow path's task")?;
    discovery
        .await
        .context("the task that looks for neighbours")?;
    policies.await.context("the task of local policies")?;
    Ok(())
}

/// Tells the data plane of links that change at once, and the agent when its turn comes.
async fn watch_links(agent: Arc<Agent>, cancel: CancellationToken) {
    let backlog = Arc::new(ports::Backlog::default());
    let follow = {
        let (agent, backlog) = (agent.clone(), backlog.clone());
        // It waits for writes under way.
        async move {
            loop {
                let event = backlog.next().await;
                tokio::task::block_in_place(|| agent.link_event(&event));
            }
        }
    };
    let follow = tokio::spawn(cancel.clone().run_until_cancelled_owned(follow));
    let changed = move |event| {
        agent.live_ports.link_event(&event);
        backlog.push(event);
    };
    let listened = match ports::listen(cancel, changed) {
        Ok(thread) => tokio::task::spawn_blocking(|| thread.join()).await,
        Err(error) => return tracing::error!(%error, "no thread for the state of interfaces"),
    };
    match listened {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::error!(%error, "the state of interfaces is not known"),
        Ok(Err(_)) | Err(_) => tracing::error!("the thread of the state of interfaces has failed"),
    }
    if let Err(error) = follow.await {
        tracing::error!(%error, "the task that follows link events");
    }
}

async fn signalled() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
