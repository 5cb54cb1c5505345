//! Fuzzes a P4Runtime server: random requests against a model of the specification, or clients that fight for
//! being primary. What it finds it says with the seed that leads there, and exits with 1.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use pointsman_bench::p4rt_fuzz::history::Outcome;
use pointsman_bench::p4rt_fuzz::mastership::{self, Arena, Fight};
use pointsman_bench::p4rt_fuzz::{Client, Feature, Options, Tally, Wires, run};
use pointsman_p4::p4info::parse_p4info;
use pointsman_proto::p4::v1 as p4;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;

/// Ports that a switch has to have if no wires are given: what replicas and watched members name.
const PORTS: [u32; 3] = [1, 2, 3];

/// Random requests to a P4Runtime server, held to a model of the specification
#[derive(Debug, Parser)]
#[command(name = "p4rt_fuzz", version)]
struct Args {
    /// The server: HOST:PORT
    address: String,

    /// A directory with bmv2.json and p4info.txtpb
    program: PathBuf,

    /// P4Runtime's device_id
    #[arg(long, default_value_t = 1)]
    device_id: u64,

    /// How long
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,

    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,

    #[command(subcommand)]
    game: Game,
}

#[derive(Debug, Subcommand)]
enum Game {
    /// Reads and writes, and packets if ports are given
    State {
        /// PORT=INTERFACE: an interface at the other end of one of the switch's ports; repeat it for more. Without any,
        /// the switch has to have ports 1, 2 and 3
        #[arg(long = "wire", value_parser = wire)]
        wires: Vec<(u32, String)>,

        /// The controller's port in the program
        #[arg(long, default_value_t = 255)]
        cpu_port: u32,

        /// A counter of the program that counts each packet by the port that it enters
        #[arg(long, default_value = "port_counter")]
        port_counter: String,

        /// What the server lacks; repeat it for more
        #[arg(long)]
        without: Vec<Feature>,
    },
    /// Clients that fight for being primary
    Mastership {
        /// How many
        #[arg(long, default_value_t = 2)]
        contenders: u64,
    },
}

fn wire(text: &str) -> Result<(u32, String)> {
    let (port, interface) = text.split_once('=').context("write PORT=INTERFACE")?;
    Ok((port.parse()?, interface.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    match play(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("p4rt_fuzz: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(args: Args) -> Result<()> {
    let read = |name| {
        let path = args.program.join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let p4info = parse_p4info(&read("p4info.txtpb")?)?;
    let device_config = read("bmv2.json")?.into_bytes();
    let duration = Duration::from_secs_f64(args.minutes * 60.0);
    match args.game {
        Game::State {
            wires,
            cpu_port,
            port_counter,
            without,
        } => {
            let ports = match wires.is_empty() {
                true => PORTS.to_vec(),
                false => wires.iter().map(|(port, _)| *port).collect(),
            };
            let mut wires = match wires.is_empty() {
                true => None,
                false => Some(Wires::open(&wires)?),
            };
            let counters = p4info.counters.iter().filter_map(|c| c.preamble.as_ref());
            let counter = counters
                .clone()
                .find(|c| c.alias == port_counter || c.name == port_counter);
            let port_counter = match counter {
                Some(counter) => counter.id,
                None if wires.is_none() => 0,
                None => {
                    bail!("the program has no counter {port_counter}; give it by --port-counter")
                }
            };
            let options = Options {
                address: args.address,
                device_id: args.device_id,
                seed: args.seed,
                duration,
                cpu_port,
                port_counter,
                without: without.into_iter().collect(),
                ports,
                p4info,
                device_config,
            };
            let mut tally = Tally::default();
            let found = run(&options, &mut wires, &mut tally).await?;
            println!("{tally}");
            match found {
                Some(difference) => bail!("{difference}"),
                None => Ok(()),
            }
        }
        Game::Mastership { contenders } => {
            let arena = Arena::find(&p4info)
                .context("the program has no table with one exact field of 48 bits or more")?;
            let config = p4::ForwardingPipelineConfig {
                p4info: Some(p4info),
                p4_device_config: device_config,
                cookie: None,
            };
            let deadline = Instant::now() + duration;
            // A bout ends when the table is full; the next one begins with an empty one.
            for bout in 0.. {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let highest = Client::highest(&args.address, args.device_id).await?;
                let mut client =
                    Client::primary(&args.address, args.device_id, highest + 1).await?;
                client
                    .set_pipeline(Action::VerifyAndCommit, Some(config.clone()))
                    .await?;
                drop(client);
                let history = mastership::fight(&Fight {
                    address: args.address.clone(),
                    device_id: args.device_id,
                    contenders,
                    seed: args.seed + bout,
                    duration: left,
                    election_base: highest + 2,
                    arena: arena.clone(),
                })
                .await?;
                println!(
                    "{} times primary; {} writes acknowledged, {} refused, {} unknown; {} reads",
                    history.crowned.len(),
                    history.count(Outcome::Acknowledged),
                    history.count(Outcome::Refused),
                    history.count(Outcome::Unknown),
                    history.looks.len()
                );
                history.check().map_err(|what| anyhow::anyhow!(what))?;
            }
            Ok(())
        }
    }
}
