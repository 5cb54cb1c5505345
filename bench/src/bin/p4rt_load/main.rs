//! A load generator for P4Runtime servers: writes entries in batches, reads them back, deletes them,
//! and says how fast that went.
//!
//! It knows some tables by name and looks up their ids in the p4info that the server has, so it
//! measures any server that runs the pipeline. By default it sends one request at a time, as most
//! controllers do. Requests are encoded before the clock runs and answers decoded after it has
//! stopped: client and server often share a machine, and it is the server that is measured.

mod baseline;
mod client;
mod report;
mod tables;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::Parser;
use pointsman_proto::p4::v1::update::Type;
use tokio::task::JoinSet;

use baseline::Baseline;
use client::{Client, Program, entities};
use report::{Figures, Phase, Report};
use tables::{Kind, MAX_ENTRIES, Table};

/// Load for a P4Runtime server: entries inserted, read back and deleted in batches
#[derive(Debug, Parser)]
#[command(name = "p4rt_load", version)]
struct Args {
    /// The server
    #[arg(default_value = "127.0.0.1:9559")]
    address: SocketAddr,

    /// P4Runtime's device_id
    #[arg(long, default_value_t = 1)]
    device_id: u64,

    /// The role to become primary of, so that several clients can write at the same time; without, the
    /// default one
    #[arg(long, default_value = "")]
    role: String,

    /// The low half of the election id to become primary with
    #[arg(long, default_value_t = 1)]
    election_id: u64,

    /// Set the pipeline of the tables first, which empties every table
    #[arg(long, default_value_if("million", "true", "true"))]
    set_pipeline: bool,

    /// A million entries for an exact and an lpm table, large batches, a few of them in flight,
    /// beside maps of the kernel: the same as --table flows --table routes --set-pipeline --entries
    /// 1000000 --batch 10000 --in-flight 4 --baseline
    #[arg(long)]
    million: bool,

    /// Which tables, one after the other
    #[arg(long = "table", value_enum)]
    tables: Vec<Kind>,

    /// How many entries for each table
    #[arg(long, default_value_t = 10_000, default_value_if("million", "true", "1000000"),
          value_parser = clap::value_parser!(u32).range(1..=MAX_ENTRIES))]
    entries: u32,

    /// Entries a request
    #[arg(long, default_value_t = 100, default_value_if("million", "true", "10000"),
          value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,

    /// Write requests that wait for their answer at the same time
    #[arg(long, default_value_t = 1, default_value_if("million", "true", "4"),
          value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,

    /// Fill maps of the kernel with the same entries, by a plain loop, before and after; takes root
    #[arg(long, default_value_if("million", "true", "true"))]
    baseline: bool,

    /// Report the memory of this process, too
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn tables(&self) -> Vec<Kind> {
        match self.million {
            _ if !self.tables.is_empty() => self.tables.clone(),
            true => vec![Kind::Flows, Kind::Routes],
            false => vec![Kind::LeafSpineRoutes],
        }
    }

    fn program(&self) -> Program {
        match self.tables().contains(&Kind::LeafSpineRoutes) {
            true => Program::LeafSpine,
            false => Program::Million,
        }
    }

    /// The numbers of the entries of each request.
    fn batches(&self) -> impl Iterator<Item = std::ops::Range<u32>> {
        let (entries, batch) = (self.entries, self.batch);
        let starts = (0..entries).step_by(batch as usize);
        starts.map(move |start| start..start.saturating_add(batch).min(entries))
    }
}

// The connection has a thread of its own: the server looks whether we are alive while we fill maps.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args)
        .await
        .and_then(|report| print(&report, args.json))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("p4rt_load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print(report: &Report, as_json: bool) -> Result<()> {
    if as_json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

async fn run(args: &Args) -> Result<Report> {
    let mut client =
        Client::connect(args.address, args.device_id, &args.role, args.election_id).await?;
    let mut phases = Vec::new();
    if args.set_pipeline {
        let mut phase = Phase::begin("", "set pipeline");
        let start = Instant::now();
        client.set_pipeline(args.program()).await?;
        phase.record(1, start);
        phases.push(phase.end(args.server_pid));
    }
    let info = client.p4info().await?;
    for kind in args.tables() {
        let table = Table::new(kind, &info)?;
        let baseline = args
            .baseline
            .then(|| Baseline::new(kind, args.entries, args.batch));
        phases.extend(measure(baseline.as_ref())?);
        phases.push(write(&mut client, "insert", Type::Insert, &table, args).await?);
        phases.push(write(&mut client, "modify", Type::Modify, &table, args).await?);
        phases.push(read(&mut client, &table, args).await?);
        phases.push(read_all(&mut client, &table, args).await?);
        phases.push(write(&mut client, "delete", Type::Delete, &table, args).await?);
        phases.extend(measure(baseline.as_ref())?);
    }
    Ok(Report {
        address: args.address,
        device_id: args.device_id,
        entries: args.entries,
        batch: args.batch,
        in_flight: args.in_flight as usize,
        phases,
    })
}

fn measure(baseline: Option<&Baseline>) -> Result<Vec<Figures>> {
    baseline.map_or_else(|| Ok(Vec::new()), Baseline::measure)
}

async fn write(
    client: &mut Client,
    name: &'static str,
    kind: Type,
    table: &Table,
    args: &Args,
) -> Result<Figures> {
    // A modification changes something.
    let offset = if kind == Type::Modify { 1 } else { 0 };
    let requests: Vec<_> = args
        .batches()
        .map(|batch| {
            let entities = batch.clone().map(|n| table.entry(n, offset)).collect();
            (batch, client.write_request(kind, entities))
        })
        .collect();
    let mut phase = Phase::begin(table.kind().name(), name);
    let mut waiting = JoinSet::new();
    for (batch, request) in requests {
        if waiting.len() == args.in_flight as usize {
            record(&mut phase, waiting.join_next().await)?;
        }
        let write = client.write(request);
        waiting.spawn(async move {
            let start = Instant::now();
            let written = write.await;
            written.with_context(|| format!("{name} of entries {batch:?}"))?;
            Ok((batch.len(), start))
        });
    }
    while let Some(done) = waiting.join_next().await {
        record(&mut phase, Some(done))?;
    }
    Ok(phase.end(args.server_pid))
}

type Written = Result<Result<(usize, Instant)>, tokio::task::JoinError>;

fn record(phase: &mut Phase, done: Option<Written>) -> Result<()> {
    if let Some(done) = done {
        let (entries, start) = done.context("a request was not awaited")??;
        phase.record(entries, start);
    }
    Ok(())
}

/// Reads each entry by its key.
async fn read(client: &mut Client, table: &Table, args: &Args) -> Result<Figures> {
    let requests: Vec<(_, Bytes)> = args
        .batches()
        .map(|batch| {
            let filters = batch.clone().map(|n| table.key(n)).collect();
            (batch, client.read_request(filters))
        })
        .collect();
    let mut answers = Vec::with_capacity(requests.len());
    let mut phase = Phase::begin(table.kind().name(), "read");
    for (batch, request) in requests {
        let start = Instant::now();
        let answer = client.read(request).await?;
        phase.record(batch.len(), start);
        answers.push((batch, answer));
    }
    let figures = phase.end(args.server_pid);
    for (batch, answer) in answers {
        let found = entities(answer)?;
        ensure!(
            found == batch.len(),
            "{found} entries read back of {batch:?}: the server says it has them all"
        );
    }
    Ok(figures)
}

/// Reads the table as a whole.
async fn read_all(client: &mut Client, table: &Table, args: &Args) -> Result<Figures> {
    let request = client.read_request(vec![table.all()]);
    let mut phase = Phase::begin(table.kind().name(), "read all");
    let start = Instant::now();
    let answer = client.read(request).await?;
    phase.record(args.entries as usize, start);
    let figures = phase.end(args.server_pid);
    let found = entities(answer)?;
    ensure!(
        found >= args.entries as usize,
        "the table has {found} entries after {} were inserted",
        args.entries
    );
    Ok(figures)
}
