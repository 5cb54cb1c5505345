//! Which server is behind the agent, where the target is `p4runtime`.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Args, ConfigError, ConfigFile, TargetKind};
use crate::target::p4runtime::Policy;

/// The server behind the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// `HOST:PORT`.
    pub address: String,
    /// P4Runtime's `device_id` there.
    pub device_id: u64,
    /// What to claim mastership with; `None` is the time of the start, so that a restarted agent is
    /// not refused for its own earlier id.
    pub election_id: Option<u64>,
    /// What to do where it differs from what is stored.
    pub policy: Policy,
    /// TLS, with the certificates that vouch for the server.
    pub ca: Option<PathBuf>,
    /// The agent's own certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The `upstream` section of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSection {
    /// `HOST:PORT`.
    pub address: Option<String>,
    /// P4Runtime's `device_id` there.
    pub device_id: Option<u64>,
    /// What to claim mastership with.
    pub election_id: Option<u64>,
    /// `repair` or `report`.
    pub policy: Option<Policy>,
    /// Who vouches for the server.
    pub ca: Option<PathBuf>,
    /// The agent's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// Puts the flags about the server over what the file says.
pub(super) fn overlay(args: &Args, file: &mut ConfigFile) {
    let flags = &args.upstream;
    if flags.is_empty() {
        return;
    }
    let section = file.upstream.take().unwrap_or_default();
    file.upstream = Some(UpstreamSection {
        address: flags.upstream.clone().or(section.address),
        device_id: flags.upstream_device_id.or(section.device_id),
        election_id: flags.upstream_election_id.or(section.election_id),
        policy: flags.upstream_policy.or(section.policy),
        ca: flags.upstream_ca.clone().or(section.ca),
        cert: flags.upstream_cert.clone().or(section.cert),
        key: flags.upstream_key.clone().or(section.key),
    });
}

/// What flags and file come to, for a target.
pub(super) fn upstream(
    target: TargetKind,
    section: Option<UpstreamSection>,
) -> Result<Option<UpstreamConfig>, ConfigError> {
    let section = match (target, section) {
        (TargetKind::P4Runtime, Some(section)) => section,
        (TargetKind::P4Runtime, None) => return Err(ConfigError::NoUpstream),
        (_, None) => return Ok(None),
        (_, Some(_)) => return Err(ConfigError::UpstreamOfOtherTarget(target)),
    };
    let identity = match (section.cert, section.key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(ConfigError::UpstreamHalfIdentity),
    };
    if identity.is_some() && section.ca.is_none() {
        return Err(ConfigError::UpstreamHalfIdentity);
    }
    Ok(Some(UpstreamConfig {
        address: section.address.ok_or(ConfigError::NoUpstream)?,
        device_id: section.device_id.unwrap_or(1),
        election_id: section.election_id,
        policy: section.policy.unwrap_or_default(),
        ca: section.ca,
        identity,
    }))
}

/// As part of a configuration file.
impl fmt::Display for UpstreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "upstream:")?;
        writeln!(f, "  address: {:?}", self.address)?;
        writeln!(f, "  device_id: {}", self.device_id)?;
        if let Some(election_id) = self.election_id {
            writeln!(f, "  election_id: {election_id}")?;
        }
        writeln!(f, "  policy: {}", self.policy)?;
        if let Some(ca) = &self.ca {
            writeln!(f, "  ca: {ca:?}")?;
        }
        if let Some((cert, key)) = &self.identity {
            writeln!(f, "  cert: {cert:?}")?;
            writeln!(f, "  key: {key:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_and_the_target_p4runtime_belong_together() {
        let section = UpstreamSection {
            address: Some("switch:9559".to_owned()),
            ..UpstreamSection::default()
        };
        let config = upstream(TargetKind::P4Runtime, Some(section.clone()));
        let config = config.expect("it is valid").expect("there is one");
        assert_eq!((config.device_id, config.policy), (1, Policy::Repair));
        assert!(upstream(TargetKind::P4Runtime, None).is_err());
        assert!(upstream(TargetKind::Xdp, Some(section.clone())).is_err());
        assert_eq!(
            upstream(TargetKind::Xdp, None).expect("none is needed"),
            None
        );
        let half = UpstreamSection {
            cert: Some("agent.pem".into()),
            ..section
        };
        assert!(upstream(TargetKind::P4Runtime, Some(half)).is_err());
    }
}
