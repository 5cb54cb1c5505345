//! The configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::discovery::DiscoverySection;
use super::reactive::ReactiveSection;
use super::serving::{AuditSection, TlsSection};
use super::upstream::UpstreamSection;
use super::{ConfigError, TargetKind};
use crate::agent::DriftPolicy;
use crate::limits::Limits;
use crate::schema::ByteStrings;

/// What stands in the file; everything may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The switch's name, for people.
    pub name: Option<String>,
    /// P4Runtime's `device_id`.
    pub device_id: Option<u64>,
    /// `ADDRESS:PORT`.
    pub listen: Option<String>,
    /// The gRPC port speaks TLS with these.
    pub tls: Option<TlsSection>,
    /// It does not, and that is meant.
    pub insecure: Option<bool>,
    /// The file that says who may do what.
    pub authorization: Option<PathBuf>,
    /// Where changes are recorded.
    pub audit: Option<AuditSection>,
    /// How much clients may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// Where state is kept.
    pub state_dir: Option<PathBuf>,
    /// What forwards packets.
    pub target: Option<TargetKind>,
    /// `auto`, `none`, or a directory on a BPF file system.
    pub pins: Option<String>,
    /// The server behind the agent, for the target `p4runtime`.
    pub upstream: Option<UpstreamSection>,
    /// A built-in pipeline, a directory, or `none`.
    pub pipeline: Option<String>,
    /// `INTERFACE`, `NUMBER=INTERFACE` or `NUMBER:NAME=INTERFACE`; or a pattern of interface names: `swp*`.
    pub ports: Option<Vec<String>>,
    /// The controller's port in P4 programs.
    pub cpu_port: Option<u32>,
    /// `canonical` or `padded`.
    pub byte_strings: Option<ByteStrings>,
    /// By the name or URI of a translated type: the program's number for a value of controllers.
    pub translations: Option<BTreeMap<String, BTreeMap<String, u64>>>,
    /// How the switch looks around itself.
    pub discovery: Option<DiscoverySection>,
    /// What it does by itself for stations that it sees.
    pub reactive: Option<ReactiveSection>,
    /// `refuse`, `repair` or `keep` what clients write to entries of objectives.
    pub drift: Option<DriftPolicy>,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<ConfigFile, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    text.and_then(|text| parse(&text))
        .map_err(|error| ConfigError::File {
            path: path.to_owned(),
            error,
        })
}

/// Reads the text of a file.
pub(super) fn parse(text: &str) -> Result<ConfigFile, String> {
    if text.trim().is_empty() {
        return Ok(ConfigFile::default());
    }
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}
