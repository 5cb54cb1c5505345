//! How clients reach the agent: with TLS or, when asked for, without.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Args, ConfigError, ConfigFile};
use crate::audit::AuditOptions;
use crate::limits::Limits;
use crate::tls::TlsFiles;

/// How long the audit log grows.
const AUDIT_BYTES: u64 = 64 << 20;

/// How many logs of that length are kept beside the one that grows.
const AUDIT_FILES: u32 = 8;

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
    /// Where changes are recorded, if they are.
    pub audit: Option<AuditOptions>,
    /// How much is taken.
    pub limits: Limits,
}

impl Serving {
    /// Plain TCP with the default limits.
    pub fn insecure() -> Serving {
        Serving {
            transport: Transport::Insecure,
            authorization: None,
            audit: None,
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

/// The `audit` section of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// The log.
    pub file: PathBuf,
    /// Bytes after which another file is begun.
    pub max_bytes: Option<u64>,
    /// How many older files are kept.
    pub keep: Option<u32>,
}

impl From<AuditSection> for AuditOptions {
    fn from(section: AuditSection) -> AuditOptions {
        AuditOptions {
            file: section.file,
            max_bytes: section.max_bytes.unwrap_or(AUDIT_BYTES),
            keep: section.keep.unwrap_or(AUDIT_FILES),
        }
    }
}

/// Puts the flags about serving over what the file says.
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
    if let Some(log) = &args.audit_log {
        let audit = file.audit.get_or_insert_with(|| AuditSection {
            file: log.clone(),
            max_bytes: None,
            keep: None,
        });
        audit.file.clone_from(log);
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
        if let Some(audit) = &self.audit {
            writeln!(f, "audit:")?;
            writeln!(f, "  file: {:?}", audit.file)?;
            writeln!(f, "  max_bytes: {}", audit.max_bytes)?;
            writeln!(f, "  keep: {}", audit.keep)?;
        }
        self.limits.fmt(f)
    }
}
