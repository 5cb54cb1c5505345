//! How the switch looks around itself.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Args, ConfigError, ConfigFile};
use crate::hosts::{Gateway, Mac, Settings};

const INTERVAL: Duration = Duration::from_secs(5);
const HOSTS_PER_PORT: usize = 16_384;
const HOST_IDLE: Duration = Duration::from_secs(300);

/// Whether LLDP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LldpMode {
    /// Enabled while the switch follows objectives. A pipeline that P4Runtime clients run on their own sees the frames, too: they
    /// may look for links by them.
    #[default]
    Auto,
    /// Frames to the group addresses of LLDP are the agent's alone; no bridge forwards them.
    Enabled,
    /// The pipeline sees them, too.
    Shared,
    /// None are sent, and those that come are the pipeline's.
    Disabled,
}

impl fmt::Display for LldpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LldpMode::Auto => "auto",
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
    /// Whether and how hosts are learnt.
    pub hosts: Option<Settings>,
}

impl Default for DiscoveryConfig {
    fn default() -> DiscoveryConfig {
        DiscoveryConfig {
            lldp: LldpMode::default(),
            interval: INTERVAL,
            cluster_key: None,
            hosts: Some(Settings {
                per_port: HOSTS_PER_PORT,
                idle: HOST_IDLE,
                gateways: Vec::new(),
                proxy: false,
            }),
        }
    }
}

/// The `discovery` section of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoverySection {
    /// `auto`, `enabled`, `shared` or `disabled`.
    pub lldp: Option<LldpMode>,
    /// Seconds from one LLDP frame to the next.
    pub interval_seconds: Option<u32>,
    /// The file with the keys of the cluster.
    pub cluster_key: Option<PathBuf>,
    /// Whether hosts are learnt.
    pub hosts: Option<bool>,
    /// How many a port may have.
    pub hosts_per_port: Option<usize>,
    /// Seconds for which a host may be silent.
    pub host_idle_seconds: Option<u32>,
    /// Addresses that the switch answers for.
    pub gateways: Option<Vec<GatewaySection>>,
    /// Whether it answers for known hosts, too.
    pub proxy: Option<bool>,
}

/// An address that the switch answers for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySection {
    /// The address.
    pub ip: IpAddr,
    /// What is answered, for example `00:00:00:00:01:00`.
    pub mac: String,
    /// Only in this VLAN; 0 is frames without a tag.
    pub vlan: Option<u16>,
}

impl TryFrom<GatewaySection> for Gateway {
    type Error = ConfigError;

    fn try_from(section: GatewaySection) -> Result<Gateway, ConfigError> {
        let octets = section.mac.split(':').map(|o| u8::from_str_radix(o, 16));
        let octets: Option<Vec<_>> = octets.map(Result::ok).collect();
        let mac = octets.and_then(|octets| octets.try_into().ok()).map(Mac);
        let mac = mac.filter(|mac| mac.is_station());
        let is_vlan = section.vlan.is_none_or(|vlan| vlan < 4095);
        match mac {
            Some(mac) if is_vlan => Ok(Gateway {
                ip: section.ip,
                mac,
                vlan: section.vlan,
            }),
            _ => Err(ConfigError::Gateway(section.ip)),
        }
    }
}

impl TryFrom<DiscoverySection> for DiscoveryConfig {
    type Error = ConfigError;

    fn try_from(section: DiscoverySection) -> Result<DiscoveryConfig, ConfigError> {
        let interval = match section.interval_seconds {
            None => INTERVAL,
            Some(seconds @ 1..=3600) => Duration::from_secs(seconds.into()),
            Some(other) => return Err(ConfigError::LldpInterval(other)),
        };
        let idle = match section.host_idle_seconds {
            None => HOST_IDLE,
            Some(seconds @ 1..=86_400) => Duration::from_secs(seconds.into()),
            Some(other) => return Err(ConfigError::HostIdle(other)),
        };
        let gateways = section.gateways.unwrap_or_default().into_iter();
        let hosts = Settings {
            per_port: section.hosts_per_port.unwrap_or(HOSTS_PER_PORT),
            idle,
            gateways: gateways.map(TryInto::try_into).collect::<Result<_, _>>()?,
            proxy: section.proxy.unwrap_or(false),
        };
        Ok(DiscoveryConfig {
            lldp: section.lldp.unwrap_or_default(),
            interval,
            cluster_key: section.cluster_key,
            hosts: section.hosts.unwrap_or(true).then_some(hosts),
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
        let Some(hosts) = &self.hosts else {
            return writeln!(f, "  hosts: false");
        };
        writeln!(f, "  hosts: true")?;
        writeln!(f, "  hosts_per_port: {}", hosts.per_port)?;
        writeln!(f, "  host_idle_seconds: {}", hosts.idle.as_secs())?;
        writeln!(f, "  proxy: {}", hosts.proxy)?;
        if !hosts.gateways.is_empty() {
            writeln!(f, "  gateways:")?;
        }
        for Gateway { ip, mac, vlan } in &hosts.gateways {
            let vlan = vlan.map_or_else(String::new, |vlan| format!(", vlan: {vlan}"));
            writeln!(f, "    - {{ ip: \"{ip}\", mac: \"{mac}\"{vlan} }}")?;
        }
        Ok(())
    }
}
