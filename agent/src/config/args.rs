//! The command line.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};

use super::{LldpMode, TargetKind};
use crate::agent::DriftPolicy;
use crate::schema::ByteStrings;
use crate::target::p4runtime::Policy;

/// The agent of one switch: its data plane, P4Runtime server and flow objectives.
#[derive(Debug, Clone, Parser)]
#[command(name = "pointsman-agent", version)]
pub struct Args {
    /// A YAML file with the same options; flags and environment go before it
    #[arg(long, env = "POINTSMAN_AGENT_CONFIG", global = true)]
    pub config: Option<PathBuf>,

    /// The name of the switch, for people [default: deviceN]
    #[arg(long, env = "POINTSMAN_AGENT_NAME", global = true)]
    pub name: Option<String>,

    /// P4Runtime's device_id [default: 1]
    #[arg(long, env = "POINTSMAN_AGENT_DEVICE_ID", global = true)]
    pub device_id: Option<u64>,

    /// Where to serve gRPC [default: 127.0.0.1:9559]
    #[arg(
        long,
        env = "POINTSMAN_AGENT_LISTEN",
        global = true,
        value_name = "ADDRESS:PORT"
    )]
    pub listen: Option<String>,

    /// The certificate to serve gRPC with, and those between it and a root (PEM)
    #[arg(
        long,
        env = "POINTSMAN_AGENT_TLS_CERT",
        global = true,
        value_name = "FILE"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(
        long,
        env = "POINTSMAN_AGENT_TLS_KEY",
        global = true,
        value_name = "FILE"
    )]
    pub tls_key: Option<PathBuf>,

    /// Ask clients for certificates that one of these vouches for (PEM)
    #[arg(
        long,
        env = "POINTSMAN_AGENT_TLS_CLIENT_CA",
        global = true,
        value_name = "FILE"
    )]
    pub tls_client_ca: Option<PathBuf>,

    /// Serve without TLS: whoever reaches the port may do everything
    #[arg(long, env = "POINTSMAN_AGENT_INSECURE", global = true)]
    pub insecure: bool,

    /// A YAML file that says which clients may do what; without it, all may do everything
    #[arg(
        long,
        env = "POINTSMAN_AGENT_AUTHORIZATION",
        global = true,
        value_name = "FILE"
    )]
    pub authorization: Option<PathBuf>,

    /// A file to record changes in, with who made them, as JSON lines
    #[arg(
        long,
        env = "POINTSMAN_AGENT_AUDIT_LOG",
        global = true,
        value_name = "FILE"
    )]
    pub audit_log: Option<PathBuf>,

    /// Where to keep state [default: /var/lib/pointsman/agent]
    #[arg(
        long,
        env = "POINTSMAN_AGENT_STATE_DIR",
        global = true,
        value_name = "DIR"
    )]
    pub state_dir: Option<PathBuf>,

    /// What forwards packets [default: xdp]
    #[arg(long, env = "POINTSMAN_AGENT_TARGET", global = true)]
    pub target: Option<TargetKind>,

    /// Where programs of the target xdp are pinned, so that they forward without the agent: a directory on a
    /// BPF file system, none, or auto: /sys/fs/bpf/pointsman if that is on one [default: auto]
    #[arg(
        long,
        env = "POINTSMAN_AGENT_PINS",
        global = true,
        value_name = "DIR|none|auto"
    )]
    pub pins: Option<String>,

    /// The pipeline to start with: leaf_spine, none, or a directory with bmv2.json,
    /// p4info.txtpb and, for objectives, pipeline.yaml [default: leaf_spine]
    #[arg(long, env = "POINTSMAN_AGENT_PIPELINE", global = true)]
    pub pipeline: Option<String>,

    /// A port: eth1, 1=eth1 or 1:uplink=eth1, or one for every interface there is or will be with such a name:
    /// 'swp*'; repeat it for more
    #[arg(
        long = "port",
        env = "POINTSMAN_AGENT_PORTS",
        value_delimiter = ',',
        global = true
    )]
    pub ports: Vec<String>,

    /// The port of the controller in P4 programs [default: 255]
    #[arg(long, env = "POINTSMAN_AGENT_CPU_PORT", global = true)]
    pub cpu_port: Option<u32>,

    /// How values are written to controllers: padded ones are as long as their type, for clients that
    /// compare them byte for byte [default: canonical]
    #[arg(long, env = "POINTSMAN_AGENT_BYTE_STRINGS", global = true, value_parser = byte_strings())]
    pub byte_strings: Option<ByteStrings>,

    /// Whether LLDP is spoken, and whether the pipeline sees it, too [default: auto]
    #[arg(long, env = "POINTSMAN_AGENT_LLDP", global = true)]
    pub lldp: Option<LldpMode>,

    /// A file with the key by which agents of a cluster know each other; a second line may have the
    /// key before it [default: a key that everybody knows]
    #[arg(
        long,
        env = "POINTSMAN_AGENT_CLUSTER_KEY",
        global = true,
        value_name = "FILE"
    )]
    pub cluster_key: Option<PathBuf>,

    /// What becomes of what P4Runtime clients write to entries of objectives: it is refused, taken and put
    /// right, or kept and shown [default: refuse]
    #[arg(long, env = "POINTSMAN_AGENT_DRIFT", global = true)]
    pub drift: Option<DriftPolicy>,

    /// The switch behind the agent, for the target p4runtime
    #[command(flatten)]
    pub upstream: UpstreamArgs,

    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The switch behind the agent, for the target p4runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct UpstreamArgs {
    /// The P4Runtime server of the switch, for the target p4runtime
    #[arg(
        long,
        env = "POINTSMAN_AGENT_UPSTREAM",
        global = true,
        value_name = "HOST:PORT"
    )]
    pub upstream: Option<String>,

    /// The switch's device_id at that server [default: 1]
    #[arg(long, env = "POINTSMAN_AGENT_UPSTREAM_DEVICE_ID", global = true)]
    pub upstream_device_id: Option<u64>,

    /// The election id to claim that switch with; higher ones follow if another client takes
    /// over [default: the seconds since 1970]
    #[arg(long, env = "POINTSMAN_AGENT_UPSTREAM_ELECTION_ID", global = true)]
    pub upstream_election_id: Option<u64>,

    /// What to do where the switch differs from what is stored [default: repair]
    #[arg(long, env = "POINTSMAN_AGENT_UPSTREAM_POLICY", global = true)]
    pub upstream_policy: Option<Policy>,

    /// Speak TLS to that server if one of these vouches for it (PEM)
    #[arg(
        long,
        env = "POINTSMAN_AGENT_UPSTREAM_CA",
        global = true,
        value_name = "FILE"
    )]
    pub upstream_ca: Option<PathBuf>,

    /// The agent's certificate for that server (PEM)
    #[arg(
        long,
        env = "POINTSMAN_AGENT_UPSTREAM_CERT",
        global = true,
        value_name = "FILE"
    )]
    pub upstream_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(
        long,
        env = "POINTSMAN_AGENT_UPSTREAM_KEY",
        global = true,
        value_name = "FILE"
    )]
    pub upstream_key: Option<PathBuf>,
}

impl UpstreamArgs {
    /// Whether none is given.
    pub fn is_empty(&self) -> bool {
        *self == UpstreamArgs::default()
    }
}

/// What to do instead of running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Say whether this machine can do what the configuration asks for, and what to do if not
    Doctor,
    /// Take down what an agent has left forwarding: its ports become ordinary interfaces again.
    /// What it has in its state directory stays
    Detach,
}

/// What to do with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print what flags, environment, file and defaults come to
    Show,
}

/// The two forms of values by their words.
fn byte_strings() -> impl TypedValueParser<Value = ByteStrings> {
    let forms = [ByteStrings::Canonical, ByteStrings::Padded];
    PossibleValuesParser::new(forms.map(ByteStrings::word)).map(move |word| {
        let form = forms.into_iter().find(|form| form.word() == word);
        form.expect("only these words are accepted")
    })
}
