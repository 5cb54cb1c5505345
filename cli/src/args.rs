//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use pointsman_model::PortRef;

use crate::cluster_args::ClusterCommand;
use crate::complete;
use crate::kv_args::{ConfigCommand, KvCommand};
use crate::name::ObjectiveName;
use crate::view::pipeline::selection::SourceLine;

/// The environment variable that names controllers.
pub const CONTROLLER_VARIABLE: &str = "POINTSMAN_CONTROLLER";
/// The controller that is asked if nobody names one.
pub const DEFAULT_CONTROLLER: &str = "127.0.0.1:9700";

/// Describe switches and their flow objectives, and see how they fare
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 all went well; 1 something was refused or failed, or differs \
                        (diff); 2 the command line is wrong, or diff could not find out"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
pub struct Global {
    /// The controller to talk to, or several of one cluster with commas between them: the first that answers
    #[arg(
        long,
        global = true,
        env = CONTROLLER_VARIABLE,
        default_value = DEFAULT_CONTROLLER,
        value_name = "HOST:PORT,..."
    )]
    pub controller: String,
    /// Ask this agent directly, without a controller (get, explain, status, trace, drift, repair)
    #[arg(long, global = true, env = "POINTSMAN_AGENT", value_name = "HOST:PORT")]
    pub agent: Option<String>,
    #[command(flatten)]
    pub agent_tls: AgentTls,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// When to print in colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// When answers are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Nowhere
    Never,
}

/// How to talk TLS to an agent. Without these it is asked without TLS.
#[derive(Debug, Args)]
pub struct AgentTls {
    /// Talk TLS to the agent, and believe it if this certificate vouches for it (PEM)
    #[arg(long, global = true, env = "POINTSMAN_AGENT_CA", value_name = "FILE")]
    pub agent_ca: Option<PathBuf>,
    /// The certificate to show to the agent, if it asks for one (PEM)
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_AGENT_CERT",
        value_name = "FILE",
        requires = "agent_key"
    )]
    pub agent_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_AGENT_KEY",
        value_name = "FILE",
        requires = "agent_cert"
    )]
    pub agent_key: Option<PathBuf>,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// The same with more of them
    Wide,
    /// One JSON document
    Json,
    /// YAML; `get devices` and `get objectives` print files that can be applied again
    Yaml,
    /// Names alone, one a line, as other commands take them
    Name,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring devices and objectives to what files say, all or nothing
    Apply(ApplyArgs),
    /// Check files without asking anyone, also against the pipeline that they are for
    Check(CheckArgs),
    /// Show what applying files would change
    Diff {
        #[command(flatten)]
        files: Files,
        /// Also show what --prune would delete
        #[arg(long)]
        prune: bool,
    },
    /// Show devices, objectives, ports, links, hosts, the topology, paths, tables or controller nodes
    Get(GetArgs),
    /// Show what happens to ports, links and hosts, as it happens
    Watch(WatchArgs),
    /// Show how everything fares, and what is wrong
    Status,
    /// Show one objective: what it says, how it fares, what uses it, what it became
    Explain {
        /// [DEVICE/]KIND/NAME, for example forward/rack2 or leaf1/forward/rack2
        #[arg(value_name = "[DEVICE/]KIND/NAME", add = ArgValueCompleter::new(complete::objectives))]
        objective: ObjectiveName,
        /// The device, if more than one has such an objective
        #[arg(short, long, add = ArgValueCompleter::new(complete::devices))]
        device: Option<String>,
    },
    /// Show what would happen to a packet: every table that it meets, the entry, whose it is, and why it is dropped
    #[command(
        override_usage = "pointsman trace DEVICE --port PORT PACKET\n       \
                          pointsman --agent HOST:PORT trace --port PORT PACKET",
        after_help = "Nothing is sent, counted or learnt. A packet is given\n  \
                      in hexadecimal   ffffffffffff 020000000001 0806 ...\n  \
                      by its fields    ipv4_dst=10.0.2.1 udp_dst=80 vlan=10 (names of criteria)\n  \
                      out of a file    --pcap FILE --number N"
    )]
    Trace(TraceArgs),
    /// Show entries of objectives that somebody else has changed or deleted, and who did
    #[command(
        after_help = "Exit codes: 0 all is as objectives want it; 1 something is not, or is not known"
    )]
    Drift {
        /// Only this device
        #[arg(add = ArgValueCompleter::new(complete::devices))]
        device: Option<String>,
        /// Also show the entries that are no objective's
        #[arg(long)]
        foreign: bool,
    },
    /// Put entries of objectives right that somebody else has changed or deleted
    Repair {
        /// On which device (not with --agent)
        #[arg(add = ArgValueCompleter::new(complete::devices))]
        device: Option<String>,
        /// Only what is this objective's: [DEVICE/]KIND/NAME, for example forward/rack2
        #[arg(long, value_name = "[DEVICE/]KIND/NAME", add = ArgValueCompleter::new(complete::objectives))]
        objective: Option<ObjectiveName>,
    },
    /// Delete objectives or devices
    Delete(DeleteArgs),
    /// Show what was changed, when, by whom and why
    History(HistoryArgs),
    /// Make devices and objectives what they were at an earlier revision
    Rollback(RollbackArgs),
    /// Keep what `apply --try` put on trial
    Confirm {
        /// The revision that it has to be
        #[arg(add = ArgValueCompleter::new(complete::revisions))]
        revision: Option<u64>,
    },
    /// Read, write and watch keys of applications, and hold locks
    Kv {
        #[command(subcommand)]
        command: KvCommand,
    },
    /// Look at and change the settings of the cluster
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look after the controllers themselves: nodes, leadership, masters, backups
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Compile a P4 program here and show what became of it; asks nobody
    Pipeline {
        #[command(subcommand)]
        command: PipelineCommand,
    },
    /// Print the JSON schema of the YAML files, for editors
    Schema,
    /// Print a completion script for a shell; it completes what exists, asking the controller
    Completion {
        /// The shell
        shell: complete::Shell,
    },
}

/// How a change is asked for.
#[derive(Debug, Args)]
pub struct Asking {
    /// Seconds to wait for the switches; with 0, accepted is enough
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=600))]
    pub wait: u32,
    /// Why, for the history
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub against: Against,
}

/// The pipeline that objectives are checked against.
#[derive(Debug, Args)]
pub struct Against {
    /// Say what this pipeline cannot do, for example leaf_spine; without it, what the files say of
    /// their devices counts (`pipeline:`)
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// The p4info of the pipeline, in text format, if it does not come with Pointsman
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub p4info: Option<PathBuf>,
    /// The manifest of the pipeline (pipeline.yaml); without it, the one that fits the p4info
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub manifest: Option<PathBuf>,
}

/// Where the YAML is.
#[derive(Debug, Args)]
pub struct Files {
    /// Files, directories of *.yaml and *.yml, or - for standard input
    #[arg(short, long = "file", required = true, num_args = 1.., value_name = "FILE|DIR")]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub files: Files,
    /// Ask whether everything would be accepted, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Delete the objectives of the files' devices that the files do not name; only those of the owners that the
    /// files name, or of none if they name none
    #[arg(long)]
    pub prune: bool,
    /// Change also objectives that belong to other applications; they belong to the files' owner then
    #[arg(long)]
    pub take_over: bool,
    /// Take it back after so many seconds, unless `pointsman confirm` is run before
    #[arg(long = "try", value_name = "SECONDS", conflicts_with = "dry_run", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub try_seconds: Option<u32>,
    #[command(flatten)]
    pub asking: Asking,
}

#[derive(Debug, Subcommand)]
pub enum PipelineCommand {
    /// Show what becomes of a program: its IR, its instructions or its figures
    #[command(
        after_help = "Exit codes: 0 the xdp target takes the program (with --emit ir: it can be \
                      read); 1 it does not, and every reason is a line on standard error; \
                      2 the command line is wrong"
    )]
    Compile(CompileArgs),
    /// Say whether the xdp target takes a program, by the exit code; reasons are on standard error
    Check {
        #[command(flatten)]
        files: PipelineFiles,
    },
}

/// A compiled P4 program.
#[derive(Debug, Args)]
pub struct PipelineFiles {
    /// BMv2 JSON, as `p4c --target bmv2` writes it
    #[arg(value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
    /// The p4info of the same compilation, in text format: has to fit the program
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub p4info: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CompileArgs {
    #[command(flatten)]
    pub files: PipelineFiles,
    /// What to show
    #[arg(long, value_enum, default_value_t = Emit::Stats)]
    pub emit: Emit,
    /// Only this table, by its name or the end of it
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// Only this action
    #[arg(long, value_name = "NAME")]
    pub action: Option<String>,
    /// Only what came from this line of the P4 source (ir, simplified, asm)
    #[arg(long, value_name = "FILE:LINE")]
    pub line: Option<SourceLine>,
    /// As a chain of programs of about that many instructions each (asm, stats), which the agent
    /// makes of a program that the kernel does not take whole
    #[arg(long, value_name = "INSTRUCTIONS", value_parser = clap::value_parser!(u32).range(1..))]
    pub chain: Option<u32>,
    /// Where the P4 files are; without it, they are looked for around FILE
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub source: Option<PathBuf>,
}

/// The stages of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// The typed program, much like P4
    Ir,
    /// The same without what makes no difference, as it is compiled
    Simplified,
    /// Its instructions, under the statements that they were made for
    Asm,
    /// Instructions, tables and memory in numbers
    Stats,
}

#[derive(Debug, Args)]
pub struct TraceArgs {
    /// The device (not with --agent), then the packet: hexadecimal, or NAME=VALUE for each field
    #[arg(value_name = "DEVICE|PACKET", add = ArgValueCompleter::new(complete::devices))]
    pub words: Vec<String>,
    /// Where the packet comes in: the number or the name of a port
    #[arg(short, long, value_name = "NAME|N", value_parser = crate::command::trace_port)]
    pub port: Option<PortRef>,
    /// A packet of this capture (pcap or pcapng)
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub pcap: Option<PathBuf>,
    /// Which packet of the capture
    #[arg(long, value_name = "N", default_value_t = 1, requires = "pcap")]
    pub number: usize,
}

#[derive(Debug, Args)]
pub struct GetArgs {
    /// What to show
    #[arg(value_enum)]
    pub what: What,
    /// Only these: devices (nodes of `get nodes`), and of `get objectives` also [DEVICE/]KIND/NAME; of `get paths` where
    /// they begin and end, each a device or the MAC or IP address of a host
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(complete::devices_and_objectives))]
    pub names: Vec<String>,
    /// Only of this device
    #[arg(short, long, add = ArgValueCompleter::new(complete::devices))]
    pub device: Option<String>,
    /// Also the pipeline's entries (objectives, tables)
    #[arg(long)]
    pub entries: bool,
    /// So many paths at most
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub most: u32,
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Only these devices
    #[arg(value_name = "DEVICE", add = ArgValueCompleter::new(complete::devices))]
    pub devices: Vec<String>,
    /// Show what there is now, and end
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    #[value(alias = "device")]
    Devices,
    #[value(alias = "objective")]
    Objectives,
    #[value(alias = "port")]
    Ports,
    /// Who is at the other end of ports
    #[value(alias = "link")]
    Links,
    /// The stations behind ports
    #[value(alias = "host")]
    Hosts,
    /// How devices are connected, and which of them are heard of
    Topology,
    /// The shortest paths between two devices or hosts
    #[value(alias = "path")]
    Paths,
    #[value(alias = "table")]
    Tables,
    #[value(alias = "node")]
    Nodes,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).args(["names", "files"]))]
pub struct DeleteArgs {
    /// [DEVICE/]KIND/NAME with filter, forward or next as the kind, or device/NAME
    #[arg(value_name = "[DEVICE/]KIND/NAME", add = ArgValueCompleter::new(complete::objectives))]
    pub names: Vec<String>,
    /// The objectives that these files put
    #[arg(short, long = "file", num_args = 1.., value_name = "FILE|DIR", conflicts_with = "device")]
    pub files: Vec<PathBuf>,
    /// The device of the objectives
    #[arg(short, long, add = ArgValueCompleter::new(complete::devices))]
    pub device: Option<String>,
    /// Delete also what belongs to another application
    #[arg(long)]
    pub take_over: bool,
    #[command(flatten)]
    pub asking: Asking,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Show all that one change did: that which led to this revision
    #[arg(add = ArgValueCompleter::new(complete::revisions))]
    pub revision: Option<u64>,
    /// Show so many of the newest; 0 is all
    #[arg(short = 'n', long, default_value_t = 20, value_name = "NUMBER")]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// A revision that `history` shows
    #[arg(add = ArgValueCompleter::new(complete::revisions))]
    pub revision: u64,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub asking: Asking,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
