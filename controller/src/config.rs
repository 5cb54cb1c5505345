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

const DEFAULT_LISTEN: &str = "127.0.0.1:9700";
const DEFAULT_DATA_DIR: &str = "/var/lib/pointsman/controller";
const DEFAULT_LOG: &str = "info,openraft=off";

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
    /// Address and port for the other nodes of the cluster [default: that of --listen with the next port]
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_PEER_LISTEN",
        value_name = "ADDR"
    )]
    pub peer_listen: Option<String>,
    /// Where other nodes reach that port, if not at --peer-listen itself
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_PEER_ADDRESS",
        value_name = "HOST:PORT"
    )]
    pub peer_address: Option<String>,
    /// Where programs reach the API, if not at --listen itself; shown to operators
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_API_ADDRESS",
        value_name = "HOST:PORT"
    )]
    pub api_address: Option<String>,
    /// Make a new cluster of one if the data directory is empty, for tests and containers
    #[arg(
        long,
        global = true,
        env = "POINTSMAN_CONTROLLER_BOOTSTRAP",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub bootstrap: Option<bool>,
    /// What a node that is made now (init, join) is called, for good [default: controller-N]
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
    /// What to log, for example info or pointsman_controller=debug [default: info,openraft=off]
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
    /// Where the other nodes are served.
    pub peer_listen: SocketAddr,
    /// Where those reach it, if not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// Where programs reach the API, if not at `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_address: Option<String>,
    /// The directory of the store.
    pub data_dir: PathBuf,
    /// An empty one becomes a new cluster.
    pub bootstrap: bool,
    /// How a node is called that is made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
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
            peer_listen: self.peer_listen.or(below.peer_listen),
            peer_address: self.peer_address.or(below.peer_address),
            api_address: self.api_address.or(below.api_address),
            bootstrap: self.bootstrap.or(below.bootstrap),
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
        let listen = socket_address(
            "listen",
            settings.listen.as_deref().unwrap_or(DEFAULT_LISTEN),
        )?;
        let peer_listen = match settings.peer_listen {
            Some(peer_listen) => socket_address("peer_listen", &peer_listen)?,
            None => next_to(listen)?,
        };
        if let Some(name) = &settings.node_name
            && !is_usable_name(name)
        {
            let expected = "give 1 to 255 bytes without control characters or surrounding blanks";
            return Err(unusable("node_name", name, expected));
        }
        let data_dir = settings.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into());
        if data_dir.as_os_str().is_empty() {
            return Err(unusable("data_dir", "", "give a directory"));
        }
        let log = settings.log.unwrap_or_else(|| DEFAULT_LOG.to_owned());
        Ok(Self {
            listen,
            peer_listen,
            peer_address: host_and_port("peer_address", settings.peer_address)?,
            api_address: host_and_port("api_address", settings.api_address)?,
            data_dir,
            bootstrap: settings.bootstrap.unwrap_or(false),
            node_name: settings.node_name,
            agent_tls: agent_tls(settings.agent_ca, settings.agent_cert, settings.agent_key)?,
            log,
        })
    }
}

fn unusable(setting: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        setting,
        value: value.to_owned(),
        expected,
    }
}

fn socket_address(setting: &'static str, value: &str) -> Result<SocketAddr, ConfigError> {
    let expected = "give an IP address and a port, for example 0.0.0.0:9700 or [::]:9700";
    value
        .parse()
        .map_err(|_| unusable(setting, value, expected))
}

/// The port after that of the API; any port where that may be any.
fn next_to(listen: SocketAddr) -> Result<SocketAddr, ConfigError> {
    let port = match listen.port() {
        0 => Some(0),
        port => port.checked_add(1),
    };
    let port = port.ok_or(ConfigError::Missing(
        "peer_listen",
        "listen with the last port there is",
    ))?;
    Ok(SocketAddr::new(listen.ip(), port))
}

fn host_and_port(
    setting: &'static str,
    value: Option<String>,
) -> Result<Option<String>, ConfigError> {
    let Some(value) = value else { return Ok(None) };
    let is_usable = value.rsplit_once(':').is_some_and(|(host, port)| {
        let is_plain = |character: char| !character.is_whitespace() && character != '/';
        !host.is_empty()
            && host.chars().all(is_plain)
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if is_usable {
        return Ok(Some(value));
    }
    let expected = "give a host and a port that others can reach, for example 10.0.0.1:9701";
    Err(unusable(setting, &value, expected))
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
        let from_file =
            Settings::from_file(file("listen: 0.0.0.0:9700\nnode_name: ctl-7\n").path());
        let flags = Settings {
            listen: Some("127.0.0.1:1".into()),
            ..Settings::default()
        };
        let config = Config::try_from(flags.over(from_file.expect("valid"))).expect("valid");
        expect_test::expect![[r#"
            listen: 127.0.0.1:1
            peer_listen: 127.0.0.1:2
            data_dir: /var/lib/pointsman/controller
            bootstrap: false
            node_name: ctl-7
            log: info,openraft=off
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
    fn peers_are_served_beside_the_api_unless_it_is_said_where() {
        let peer_listen = |listen: &str, peer: Option<&str>| {
            let settings = Settings {
                listen: Some(listen.into()),
                peer_listen: peer.map(str::to_owned),
                ..Settings::default()
            };
            Config::try_from(settings).map(|config| config.peer_listen.to_string())
        };
        let beside = |listen| peer_listen(listen, None);
        assert_eq!(beside("10.0.0.1:9700").expect("valid"), "10.0.0.1:9701");
        assert_eq!(beside("127.0.0.1:0").expect("valid"), "127.0.0.1:0");
        let message = beside("[::]:65535").expect_err("refused").to_string();
        assert!(message.contains("peer_listen"), "{message}");
        let said = peer_listen("10.0.0.1:9700", Some("10.1.0.1:7"));
        assert_eq!(said.expect("valid"), "10.1.0.1:7");
    }

    #[test]
    fn an_address_for_others_has_a_host_and_a_port() {
        for address in ["10.0.0.1", ":9701", "host:0", "a host:1", "http://host:1"] {
            let settings = Settings {
                peer_address: Some(address.into()),
                ..Settings::default()
            };
            let error = Config::try_from(settings).expect_err("refused").to_string();
            assert!(error.contains("peer_address"), "{error}");
        }
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
