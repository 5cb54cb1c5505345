//! Configuration: flags over environment over file over defaults.
//!
//! Clap merges flags and environment into [`Settings`]; the file is the same
//! struct read from YAML; [`Config`] is what comes of both, validated once.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dial::{AgentTls, OwnCertificate};
use crate::objective::is_usable_name;
use crate::state::NodeId;

const DEFAULT_LISTEN: &str = "127.0.0.1:9700";
const DEFAULT_DATA_DIR: &str = "/var/lib/pointsman/controller";
const DEFAULT_NODE_ID: NodeId = 1;
const DEFAULT_LOG: &str = "info,openraft=warn";

/// What may be set in the file, in the environment and by flags. Nothing has to be.
#[derive(Debug, Default, Clone, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port to serve the API on [default: 127.0.0.1:9700]
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_LISTEN",
        value_name = "ADDR"
    )]
    pub listen: Option<String>,
    /// Directory of the replicated store [default: /var/lib/pointsman/controller]
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_DATA_DIR",
        value_name = "DIR"
    )]
    pub data_dir: Option<PathBuf>,
    /// Number of this node in its cluster; never reused, never changed [default: 1]
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_NODE_ID",
        value_name = "N"
    )]
    pub node_id: Option<NodeId>,
    /// Name of this node in displays [default: controller-N]
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_NODE_NAME",
        value_name = "NAME"
    )]
    pub node_name: Option<String>,
    /// Talk TLS to agents, and believe those that these certificates vouch for (PEM)
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_AGENT_CA",
        value_name = "FILE"
    )]
    pub agent_ca: Option<PathBuf>,
    /// The certificate to show to agents that ask for one (PEM)
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_AGENT_CERT",
        value_name = "FILE"
    )]
    pub agent_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_AGENT_KEY",
        value_name = "FILE"
    )]
    pub agent_key: Option<PathBuf>,
    /// What to log, for example info or pointsman_controller=debug [default: info,openraft=warn]
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_LOG",
        value_name = "FILTER"
    )]
    pub log: Option<String>,
}

/// The configuration that the controller runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Where the API is served.
    pub listen: SocketAddr,
    /// The directory of the store.
    pub data_dir: PathBuf,
    /// This node.
    pub node_id: NodeId,
    /// How it is called.
    pub node_name: String,
    /// How to talk TLS to agents.
    #[serde(flatten)]
    pub agent_tls: Option<AgentTls>,
    /// The log filter.
    pub log: String,
}

/// Why there is no valid configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is not valid; the message has line and column.
    #[error("the configuration {} is not valid: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// Settings that need each other.
    #[error("{0} is missing; {1} is of no use without it")]
    Missing(&'static str, &'static str),
    /// A value is not usable.
    #[error("{setting} is {value:?}, which is not usable: {expected}")]
    Value {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
}

impl Settings {
    /// Reads settings from a YAML file.
    ///
    /// # Errors
    /// When it cannot be read, or holds anything but settings.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| ConfigError::Read {
            path: path.to_owned(),
            cause,
        })?;
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string(),
        })
    }

    /// These settings, and those of `below` where these say nothing.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            data_dir: self.data_dir.or(below.data_dir),
            node_id: self.node_id.or(below.node_id),
            node_name: self.node_name.or(below.node_name),
            agent_ca: self.agent_ca.or(below.agent_ca),
            agent_cert: self.agent_cert.or(below.agent_cert),
            agent_key: self.agent_key.or(below.agent_key),
            log: self.log.or(below.log),
        }
    }
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        let node_id = settings.node_id.unwrap_or(DEFAULT_NODE_ID);
        let refuse = |setting, value: String, expected| {
            Err(ConfigError::Value {
                setting,
                value,
                expected,
            })
        };
        if node_id == 0 {
            return refuse("node_id", node_id.to_string(), "node ids start at 1");
        }
        let listen = settings.listen.unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
        let Ok(listen) = listen.parse() else {
            return refuse(
                "listen",
                listen,
                "give an IP address and a port, for example 0.0.0.0:9700 or [::]:9700",
            );
        };
        let node_name = settings
            .node_name
            .unwrap_or_else(|| format!("controller-{node_id}"));
        if !is_usable_name(&node_name) {
            return refuse(
                "node_name",
                node_name,
                "give 1 to 255 bytes without control characters or surrounding blanks",
            );
        }
        let data_dir = settings.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        if data_dir.as_os_str().is_empty() {
            return refuse("data_dir", String::new(), "give a directory");
        }
        let log = settings.log.unwrap_or_else(|| DEFAULT_LOG.to_owned());
        Ok(Self {
            listen,
            data_dir,
            node_id,
            node_name,
            agent_tls: agent_tls(settings.agent_ca, settings.agent_cert, settings.agent_key)?,
            log,
        })
    }
}

fn agent_tls(
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<AgentTls>, ConfigError> {
    let identity = match (cert, key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(OwnCertificate { cert, key }),
        (Some(_), None) => return Err(ConfigError::Missing("agent_key", "agent_cert")),
        (None, Some(_)) => return Err(ConfigError::Missing("agent_cert", "agent_key")),
    };
    match (ca, identity) {
        (Some(ca), identity) => Ok(Some(AgentTls { ca, identity })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ConfigError::Missing("agent_ca", "agent_cert")),
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_saphyr::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("writes");
        file
    }

    #[test]
    fn what_is_set_closer_to_the_user_wins_and_defaults_fill_the_rest() {
        let from_file = Settings::from_file(file("listen: 0.0.0.0:9700\nnode_id: 7\n").path());
        let flags = Settings {
            listen: Some("127.0.0.1:1".into()),
            ..Settings::default()
        };
        let config = Config::try_from(flags.over(from_file.expect("valid"))).expect("valid");
        expect_test::expect![[r#"
            listen: 127.0.0.1:1
            data_dir: /var/lib/pointsman/controller
            node_id: 7
            node_name: controller-7
            log: info,openraft=warn
        "#]]
        .assert_eq(&config.to_string());
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place() {
        let file = file("listen: 127.0.0.1:1\nlissen: 127.0.0.1:2\n");
        let error = Settings::from_file(file.path())
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("lissen") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        let settings = Settings::from_file(file("# nothing yet\n\n").path()).expect("valid");
        assert!(settings.listen.is_none());
    }

    #[test]
    fn a_listen_address_without_port_is_refused_with_an_example() {
        let settings = Settings {
            listen: Some("0.0.0.0".into()),
            ..Settings::default()
        };
        let error = Config::try_from(settings).expect_err("refused").to_string();
        assert!(error.contains("0.0.0.0:9700"), "{error}");
    }

    #[test]
    fn what_is_shown_of_tls_can_be_given_back() {
        let text = "agent_ca: ca.pem\nagent_cert: c.pem\nagent_key: c.key\n";
        let settings = Settings::from_file(file(text).path()).expect("valid");
        let shown = Config::try_from(settings).expect("valid").to_string();
        assert!(shown.contains(text), "{shown}");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let settings = Settings {
            agent_ca: Some("ca.pem".into()),
            agent_cert: Some("c.pem".into()),
            ..Settings::default()
        };
        let error = Config::try_from(settings).expect_err("refused").to_string();
        assert!(error.contains("agent_key"), "{error}");
    }
}
