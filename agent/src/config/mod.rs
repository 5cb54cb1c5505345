//! Configuration: flag over environment over file over default, checked before anything runs.
//!
//! [`Args`] and [`ConfigFile`] are what operators wrote; [`Config`] is what the agent runs
//! with. The one way from the first to the second is `Config::try_from`.

mod args;
mod discovery;
mod file;
mod load;
mod pins;
mod reactive;
mod serving;
mod upstream;

pub use args::{Args, Command, ConfigCommand};
pub use discovery::{DiscoveryConfig, DiscoverySection, GatewaySection, LldpMode};
pub use file::ConfigFile;
pub use load::load;
pub use pins::{DEFAULT_PIN_DIR, Pins};
pub use reactive::{BridgeSection, HostRoutesSection, ReactiveError, ReactiveSection};
pub use serving::{AuditSection, Serving, TlsSection, Transport};
pub use upstream::{UpstreamConfig, UpstreamSection};

use std::collections::BTreeMap;
use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::path::PathBuf;

use thiserror::Error;

use crate::agent::DriftPolicy;
use crate::limits::LimitError;
use crate::ports::{PortRequest, PortSpecError};
use crate::schema::{ByteStrings, Presentation};
use crate::target::DEFAULT_CPU_PORT;

/// P4Runtime's port.
const DEFAULT_PORT: u16 = 9559;
const DEFAULT_STATE_DIR: &str = "/var/lib/pointsman/agent";
const DEFAULT_PIPELINE: &str = "leaf_spine";

/// What forwards packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// XDP programs in the kernel; needs root.
    Xdp,
    /// The reference interpreter on packet sockets: slow, for tests and teaching.
    Interpreter,
    /// A switch that speaks P4Runtime itself: BMv2's simple_switch_grpc, Stratum.
    #[value(name = "p4runtime")]
    P4Runtime,
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetKind::Xdp => "xdp",
            TargetKind::Interpreter => "interpreter",
            TargetKind::P4Runtime => "p4runtime",
        })
    }
}

/// Which pipeline the agent starts with if it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineChoice {
    /// None: a P4Runtime client will set one.
    None,
    /// One that is built in.
    Embedded(String),
    /// A directory with `bmv2.json`, `p4info.txtpb` and, for objectives, `pipeline.yaml`.
    Directory(PathBuf),
}

/// What the agent runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// For people.
    pub name: String,
    /// P4Runtime's `device_id`.
    pub device_id: u64,
    /// Where the gRPC server listens.
    pub listen: SocketAddr,
    /// On which terms.
    pub serving: Serving,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// What forwards.
    pub target: TargetKind,
    /// Where the target `xdp` keeps what outlives the agent.
    pub pins: Pins,
    /// The server behind it.
    pub upstream: Option<UpstreamConfig>,
    /// What to start with.
    pub pipeline: PipelineChoice,
    /// The ports.
    pub ports: Vec<PortRequest>,
    /// The controller's port in P4 programs.
    pub cpu_port: u32,
    /// How values are written to controllers.
    pub byte_strings: ByteStrings,
    /// What values of translated types stand for.
    pub translations: BTreeMap<String, BTreeMap<String, u64>>,
    /// How the switch looks around itself.
    pub discovery: DiscoveryConfig,
    /// What the switch does by itself for stations that it sees.
    pub reactive: crate::reactive::Settings,
    /// What becomes of what clients write to entries of objectives.
    pub drift: DriftPolicy,
}

impl Config {
    /// How the switch shows itself to controllers.
    pub fn presentation(&self) -> Presentation {
        let ports = self.ports.iter().filter_map(|request| {
            let PortRequest::One(port) = request else {
                return None;
            };
            let name = port.name.clone().unwrap_or_else(|| port.interface.clone());
            Some((name, port.number?))
        });
        Presentation {
            byte_strings: self.byte_strings,
            cpu_port: self.cpu_port,
            port_names: ports.collect(),
            translations: self.translations.clone(),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why, with line and column where it is about the content.
        error: String,
    },
    /// Zero is not a device.
    #[error("device-id 0 is not valid in P4Runtime; choose 1 or more")]
    DeviceId,
    /// Not an address.
    #[error("listen {text:?}: {error}; write ADDRESS:PORT, for example 127.0.0.1:9559")]
    Listen {
        /// What was given.
        text: String,
        /// What the parser says.
        error: AddrParseError,
    },
    /// Neither TLS nor leave to do without.
    #[error(
        "the agent serves gRPC with TLS: give --tls-cert FILE and --tls-key FILE (in the \
         configuration file, tls: {{ cert: FILE, key: FILE }}), or let whoever reaches the port \
         do everything with --insecure (insecure: true)"
    )]
    NoTransport,
    /// Both.
    #[error("TLS and insecure exclude each other; leave one out")]
    TlsAndInsecure,
    /// Half of what TLS needs.
    #[error("tls has no {0}; it needs both cert and key (--tls-cert, --tls-key)")]
    TlsLacks(&'static str),
    /// A limit that lets nobody do anything.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A port is not understood.
    #[error(transparent)]
    Port(#[from] PortSpecError),
    /// Not a pipeline.
    #[error(
        "pipeline {name:?}: not built in, and no directory with bmv2.json and p4info.txtpb; \
         built in are: {known}, none"
    )]
    Pipeline {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// The target has nothing to talk to.
    #[error(
        "the target p4runtime needs the switch's server: --upstream HOST:PORT (in the configuration \
         file, upstream: {{ address: HOST:PORT }})"
    )]
    NoUpstream,
    /// The target has no server.
    #[error(
        "the target {0} has no server behind it; leave upstream out, or choose the target p4runtime"
    )]
    UpstreamOfOtherTarget(TargetKind),
    /// Half of what the agent needs to show itself.
    #[error(
        "a certificate for the switch's server needs --upstream-cert, --upstream-key and --upstream-ca"
    )]
    UpstreamHalfIdentity,
    /// A policy is not possible.
    #[error(transparent)]
    Reactive(#[from] ReactiveError),
    /// Hosts would be asked all the time, or never.
    #[error("discovery: host_idle_seconds {0} is not possible; 1 to 86400 are")]
    HostIdle(u32),
    /// A gateway cannot be answered for.
    #[error(
        "discovery: gateway {0} needs the MAC address of a station, for example 00:00:00:00:01:00, and a \
         vlan below 4095 or none"
    )]
    Gateway(IpAddr),
    /// LLDP would be sent too often or too seldom.
    #[error("discovery: interval_seconds {0} is not possible; 1 to 3600 are")]
    LldpInterval(u32),
    /// The CPU port is no port.
    #[error("cpu-port {0} is not a port number; 1 to 510 are")]
    CpuPort(u32),
}

impl TryFrom<ConfigFile> for Config {
    type Error = ConfigError;

    fn try_from(raw: ConfigFile) -> Result<Config, ConfigError> {
        let device_id = raw.device_id.unwrap_or(1);
        if device_id == 0 {
            return Err(ConfigError::DeviceId);
        }
        let cpu_port = raw.cpu_port.unwrap_or(DEFAULT_CPU_PORT);
        if !(1..=510).contains(&cpu_port) {
            return Err(ConfigError::CpuPort(cpu_port));
        }
        let listen = match raw.listen {
            None => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), DEFAULT_PORT),
            Some(text) => text
                .parse()
                .map_err(|error| ConfigError::Listen { text, error })?,
        };
        raw.limits.check()?;
        let serving = Serving {
            transport: serving::transport(raw.insecure, raw.tls)?,
            authorization: raw.authorization,
            audit: raw.audit.map(Into::into),
            limits: raw.limits,
        };
        let target = raw.target.unwrap_or(TargetKind::Xdp);
        let upstream = upstream::upstream(target, raw.upstream)?;
        let mut discovery: DiscoveryConfig = raw.discovery.unwrap_or_default().try_into()?;
        let reactive = raw.reactive.unwrap_or_default().try_into()?;
        reactive::complete(&reactive, &mut discovery)?;
        let ports = raw.ports.unwrap_or_default();
        let ports = ports.iter().map(|port| port.parse());
        Ok(Config {
            name: raw.name.unwrap_or_else(|| format!("device{device_id}")),
            device_id,
            listen,
            serving,
            state_dir: raw.state_dir.unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
            target,
            pins: raw.pins.map(Pins::from).unwrap_or_default(),
            upstream,
            pipeline: pipeline(raw.pipeline.as_deref().unwrap_or(DEFAULT_PIPELINE))?,
            ports: ports.collect::<Result<_, _>>()?,
            cpu_port,
            byte_strings: raw.byte_strings.unwrap_or_default(),
            translations: raw.translations.unwrap_or_default(),
            discovery,
            reactive,
            drift: raw.drift.unwrap_or_default(),
        })
    }
}

fn pipeline(name: &str) -> Result<PipelineChoice, ConfigError> {
    if name == "none" {
        return Ok(PipelineChoice::None);
    }
    if pointsman_p4::programs::embedded(name).is_some() {
        return Ok(PipelineChoice::Embedded(name.to_owned()));
    }
    let directory = PathBuf::from(name);
    let is_pipeline = |file| directory.join(file).is_file();
    if is_pipeline("bmv2.json") && is_pipeline("p4info.txtpb") {
        return Ok(PipelineChoice::Directory(directory));
    }
    let known = pointsman_p4::programs::EMBEDDED.iter().map(|p| p.name);
    Err(ConfigError::Pipeline {
        name: name.to_owned(),
        known: known.collect::<Vec<_>>().join(", "),
    })
}

/// As a configuration file that would give the same.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name: {:?}", self.name)?;
        writeln!(f, "device_id: {}", self.device_id)?;
        writeln!(f, "listen: \"{}\"", self.listen)?;
        self.serving.fmt(f)?;
        writeln!(f, "state_dir: {:?}", self.state_dir)?;
        writeln!(f, "target: {}", self.target)?;
        writeln!(f, "pins: {}", self.pins)?;
        if let Some(upstream) = &self.upstream {
            upstream.fmt(f)?;
        }
        match &self.pipeline {
            PipelineChoice::None => writeln!(f, "pipeline: none")?,
            PipelineChoice::Embedded(name) => writeln!(f, "pipeline: {name}")?,
            PipelineChoice::Directory(path) => writeln!(f, "pipeline: {path:?}")?,
        }
        writeln!(f, "cpu_port: {}", self.cpu_port)?;
        writeln!(f, "byte_strings: {}", self.byte_strings)?;
        if !self.translations.is_empty() {
            writeln!(f, "translations:")?;
        }
        for (name, values) in &self.translations {
            writeln!(f, "  {name:?}:")?;
            for (value, number) in values {
                writeln!(f, "    {value:?}: {number}")?;
            }
        }
        self.discovery.fmt(f)?;
        self.reactive.fmt(f)?;
        writeln!(f, "drift: {}", self.drift)?;
        if self.ports.is_empty() {
            return writeln!(f, "ports: []");
        }
        writeln!(f, "ports:")?;
        for port in &self.ports {
            writeln!(f, "  - \"{port}\"")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insecure() -> ConfigFile {
        ConfigFile {
            insecure: Some(true),
            ..ConfigFile::default()
        }
    }

    #[test]
    fn the_defaults_are_valid_and_local() {
        let config = Config::try_from(insecure()).expect("defaults are valid");
        assert!(config.listen.ip().is_loopback());
        assert_eq!(
            config.pipeline,
            PipelineChoice::Embedded("leaf_spine".to_owned())
        );
        assert_eq!(config.device_id, 1);
    }

    #[test]
    fn what_is_shown_gives_the_same_configuration() {
        let file = ConfigFile {
            ports: Some(vec!["1:uplink=eth1".to_owned(), "eth2".to_owned()]),
            device_id: Some(7),
            audit: Some(AuditSection {
                file: "audit.jsonl".into(),
                max_bytes: None,
                keep: Some(2),
            }),
            authorization: Some("authorization.yaml".into()),
            pins: Some("/run/bpf/pointsman".to_owned()),
            drift: Some(DriftPolicy::Keep),
            discovery: Some(DiscoverySection {
                lldp: Some(LldpMode::Shared),
                interval_seconds: Some(30),
                cluster_key: Some("cluster.key".into()),
                hosts: None,
                hosts_per_port: Some(7),
                host_idle_seconds: Some(60),
                proxy: Some(true),
                gateways: Some(vec![GatewaySection {
                    ip: IpAddr::from([10, 0, 1, 1]),
                    mac: "00:00:00:00:01:00".to_owned(),
                    vlan: Some(10),
                }]),
            }),
            reactive: Some(ReactiveSection {
                frames_per_second: Some(70),
                bridges: Some(vec![BridgeSection {
                    vlan: 10,
                    untagged: Some(vec!["swp[1-4]".to_owned(), "uplink".to_owned()]),
                    tagged: None,
                    stations_per_port: Some(5),
                    idle_seconds: Some(60),
                }]),
                host_routes: Some(vec![HostRoutesSection {
                    vlan: 10,
                    gateway: "10.0.10.1/24".to_owned(),
                    mac: "02:00:00:00:00:fe".to_owned(),
                    untagged: Some(vec!["swp*".to_owned()]),
                    tagged: None,
                    max_hosts: Some(9),
                }]),
            }),
            ..insecure()
        };
        let config = Config::try_from(file).expect("it is valid");
        let again = file::parse(&config.to_string()).expect("what is shown is YAML");
        assert_eq!(Config::try_from(again).expect("it is valid"), config);
    }

    #[test]
    fn a_pipeline_that_is_nowhere_is_refused_with_what_there_is() {
        let file = ConfigFile {
            pipeline: Some("leafspine".to_owned()),
            ..insecure()
        };
        let error = Config::try_from(file).expect_err("there is none");
        assert!(error.to_string().contains("leaf_spine"), "{error}");
    }
}
