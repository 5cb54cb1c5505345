//! How clients reach the agent: with TLS or, when asked for, without.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Args, ConfigError, ConfigFile};
use crate::limits::Limits;
use crate::tls::TlsFiles;

/// What the gRPC port speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP: whoever reaches the port may do everything that a policy gives to anybody.
    Insecure,
    /// TLS.
    Tls(TlsFiles),
}

/// On which terms clients are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// What is spoken.
    pub transport: Transport,
    /// Who may do what; everybody everything without it.
    pub authorization: Option<PathBuf>,
    /// How much is taken.
    pub limits: Limits,
}

impl Serving {
    /// Plain TCP with the default limits.
    pub fn insecure() -> Serving {
        Serving {
            transport: Transport::Insecure,
            authorization: None,
            limits: Limits::default(),
        }
    }
}

/// The `tls` section of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The agent's certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Who vouches for clients.
    pub client_ca: Option<PathBuf>,
}

/// Puts the flags about TLS over what the file says.
pub(super) fn overlay(args: &Args, file: &mut ConfigFile) {
    let flags = [&args.tls_cert, &args.tls_key, &args.tls_client_ca];
    if flags.iter().any(|flag| flag.is_some()) {
        let tls = file.tls.get_or_insert_default();
        for (flag, field) in
            flags
                .into_iter()
                .zip([&mut tls.cert, &mut tls.key, &mut tls.client_ca])
        {
            if flag.is_some() {
                field.clone_from(flag);
            }
        }
        file.insecure = None;
    } else if args.insecure {
        file.tls = None;
    }
    if args.insecure {
        file.insecure = Some(true);
    }
}

/// What flags and file come to.
pub(super) fn transport(
    insecure: Option<bool>,
    tls: Option<TlsSection>,
) -> Result<Transport, ConfigError> {
    match (insecure.unwrap_or(false), tls) {
        (true, Some(_)) => Err(ConfigError::TlsAndInsecure),
        (true, None) => Ok(Transport::Insecure),
        (false, None) => Err(ConfigError::NoTransport),
        (false, Some(tls)) => match (tls.cert, tls.key) {
            (Some(cert), Some(key)) => Ok(Transport::Tls(TlsFiles {
                cert,
                key,
                client_ca: tls.client_ca,
            })),
            (None, _) => Err(ConfigError::TlsLacks("cert")),
            (_, None) => Err(ConfigError::TlsLacks("key")),
        },
    }
}

/// As part of a configuration file.
impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.transport {
            Transport::Insecure => writeln!(f, "insecure: true")?,
            Transport::Tls(files) => {
                writeln!(f, "tls:")?;
                writeln!(f, "  cert: {:?}", files.cert)?;
                writeln!(f, "  key: {:?}", files.key)?;
                if let Some(client_ca) = &files.client_ca {
                    writeln!(f, "  client_ca: {client_ca:?}")?;
                }
            }
        }
        if let Some(authorization) = &self.authorization {
            writeln!(f, "authorization: {authorization:?}")?;
        }
        self.limits.fmt(f)
    }
}
