//! A load generator for P4Runtime servers: writes routes in batches, reads them back, deletes them,
//! and says how fast that went.
//!
//! One client and one request at a time, as most controllers work. It knows the tables of
//! leaf_spine by name and looks up their ids in the p4info that the server has, so it measures any
//! server that runs that pipeline.

mod client;
mod report;
mod routes;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use pointsman_proto::p4::v1::update::Type;

use client::Client;
use report::{Phase, Report};
use routes::{MAX_ROUTES, Routes};

/// Load for a P4Runtime server: routes inserted, read back and deleted in batches
#[derive(Debug, Parser)]
#[command(name = "p4rt_load", version)]
struct Args {
    /// The server
    #[arg(default_value = "127.0.0.1:9559")]
    address: SocketAddr,

    /// P4Runtime's device_id
    #[arg(long, default_value_t = 1)]
    device_id: u64,

    /// The low half of the election id to become primary with
    #[arg(long, default_value_t = 1)]
    election_id: u64,

    /// Set the leaf_spine pipeline first, which empties every table
    #[arg(long)]
    set_pipeline: bool,

    /// How many routes
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=MAX_ROUTES))]
    entries: u32,

    /// Routes a request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
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
    let mut client = Client::connect(args.address, args.device_id, args.election_id).await?;
    let mut phases = Vec::new();
    if args.set_pipeline {
        let mut phase = Phase::begin("set pipeline");
        let start = Instant::now();
        client.set_leaf_spine().await?;
        phase.record(1, start);
        phases.push(phase.end());
    }
    let routes = Routes::new(&client.p4info().await?)?;
    phases.push(write(&mut client, "insert", Type::Insert, &routes, args).await?);
    phases.push(read(&mut client, &routes, args).await?);
    phases.push(read_all(&mut client, &routes, args).await?);
    phases.push(write(&mut client, "delete", Type::Delete, &routes, args).await?);
    Ok(Report {
        address: args.address,
        device_id: args.device_id,
        entries: args.entries,
        batch: args.batch,
        phases,
    })
}

/// The numbers of the routes of each request.
fn batches(args: &Args) -> impl Iterator<Item = std::ops::Range<u32>> {
    let (entries, batch) = (args.entries, args.batch);
    let starts = (0..entries).step_by(batch as usize);
    starts.map(move |start| start..start.saturating_add(batch).min(entries))
}

async fn write(
    client: &mut Client,
    name: &'static str,
    kind: Type,
    routes: &Routes,
    args: &Args,
) -> Result<report::Figures> {
    let mut phase = Phase::begin(name);
    for batch in batches(args) {
        let entities = batch.clone().map(|n| routes.entry(n)).collect();
        let start = Instant::now();
        let written = client.write(kind, entities).await;
        written.with_context(|| format!("{name} of routes {batch:?}"))?;
        phase.record(batch.len(), start);
    }
    Ok(phase.end())
}

/// Reads each route by its key.
async fn read(client: &mut Client, routes: &Routes, args: &Args) -> Result<report::Figures> {
    let mut phase = Phase::begin("read");
    for batch in batches(args) {
        let filters = batch.clone().map(|n| routes.key(n)).collect();
        let start = Instant::now();
        let found = client.read(filters).await?;
        ensure!(
            found == batch.len(),
            "{found} routes read back of {batch:?}: the server says it has them all"
        );
        phase.record(found, start);
    }
    Ok(phase.end())
}

/// Reads the table as a whole.
async fn read_all(client: &mut Client, routes: &Routes, args: &Args) -> Result<report::Figures> {
    let mut phase = Phase::begin("read all");
    let start = Instant::now();
    let found = client.read(vec![routes.all()]).await?;
    ensure!(
        found >= args.entries as usize,
        "the table has {found} entries after {} were inserted",
        args.entries
    );
    phase.record(found, start);
    Ok(phase.end())
}
