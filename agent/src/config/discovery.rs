//! How the switch looks around itself.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Args, ConfigError, ConfigFile};

const INTERVAL: Duration = Duration::from_secs(5);

/// Whether LLDP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LldpMode {
    /// Frames to the group addresses of LLDP are the agent's alone; no bridge forwards them.
    #[default]
    Enabled,
    /// The pipeline sees them, too.
    Shared,
    /// None are sent, and those that come are the pipeline's.
    Disabled,
}

impl fmt::Display for LldpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LldpMode::Enabled => "enabled",
            LldpMode::Shared => "shared",
            LldpMode::Disabled => "disabled",
        })
    }
}

/// How the switch looks around itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Whether LLDP is spoken.
    pub lldp: LldpMode,
    /// How often a frame is sent.
    pub interval: Duration,
    /// The file with the keys of the cluster; without it the key is one that everybody knows.
    pub cluster_key: Option<PathBuf>,
}

impl Default for DiscoveryConfig {
    fn default() -> DiscoveryConfig {
        DiscoveryConfig {
            lldp: LldpMode::default(),
            interval: INTERVAL,
            cluster_key: None,
        }
    }
}

/// The `discovery` section of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoverySection {
    /// `enabled`, `shared` or `disabled`.
    pub lldp: Option<LldpMode>,
    /// Seconds from one LLDP frame to the next.
    pub interval_seconds: Option<u32>,
    /// The file with the keys of the cluster.
    pub cluster_key: Option<PathBuf>,
}

impl TryFrom<DiscoverySection> for DiscoveryConfig {
    type Error = ConfigError;

    fn try_from(section: DiscoverySection) -> Result<DiscoveryConfig, ConfigError> {
        let interval = match section.interval_seconds {
            None => INTERVAL,
            Some(seconds @ 1..=3600) => Duration::from_secs(seconds.into()),
            Some(other) => return Err(ConfigError::LldpInterval(other)),
        };
        Ok(DiscoveryConfig {
            lldp: section.lldp.unwrap_or_default(),
            interval,
            cluster_key: section.cluster_key,
        })
    }
}

/// Puts the flags over what the file says.
pub(super) fn overlay(args: &Args, file: &mut ConfigFile) {
    if args.lldp.is_none() && args.cluster_key.is_none() {
        return;
    }
    let section = file.discovery.take().unwrap_or_default();
    file.discovery = Some(DiscoverySection {
        lldp: args.lldp.or(section.lldp),
        cluster_key: args.cluster_key.clone().or(section.cluster_key),
        ..section
    });
}

/// As part of a configuration file.
impl fmt::Display for DiscoveryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "discovery:")?;
        writeln!(f, "  lldp: {}", self.lldp)?;
        writeln!(f, "  interval_seconds: {}", self.interval.as_secs())?;
        if let Some(cluster_key) = &self.cluster_key {
            writeln!(f, "  cluster_key: {cluster_key:?}")?;
        }
        Ok(())
    }
}
