//! TLS for the gRPC port: certificates from files, and who a client's certificate says it is.
//!
//! Here are no sockets: [`crate::server`] shakes hands with what [`Credentials`] holds. A
//! connection keeps what it was made with, so that new files disturb nobody.

mod identity;

pub use identity::{Identity, identity};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::reload::Source;

/// Where certificates are. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of this agent, and those between it and a root.
    pub cert: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// With it, clients have to show certificates that one of these vouches for.
    pub client_ca: Option<PathBuf>,
}

/// What the agent shows to clients, and whom it believes.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// For handshakes.
    pub config: Arc<ServerConfig>,
    /// The agent's own certificate.
    pub certificate: Summary,
}

/// What the log says of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whose it is.
    pub subject: String,
    /// When it ends.
    pub not_after: String,
    /// Whether it is valid now.
    pub is_valid: bool,
}

/// Why files are no credentials.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Not PEM, or not of this kind.
    #[error("{}: no {what} in PEM form: {error}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        error: pem::Error,
    },
    /// Not a certificate.
    #[error("{}: not an X.509 certificate: {error}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{} and {}: {error}", cert.display(), key.display())]
    Pair {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// No client could be verified.
    #[error("{}: clients cannot be verified with it: {error}", path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
}

impl Source for TlsFiles {
    type Value = Credentials;
    type Error = TlsError;

    fn files(&self) -> Vec<&Path> {
        let own: [&Path; 2] = [&self.cert, &self.key];
        own.into_iter().chain(self.client_ca.as_deref()).collect()
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<Credentials, TlsError> {
        let chain = certificates(&self.cert, &contents[0])?;
        let key = PrivateKeyDer::from_pem_slice(&contents[1]).map_err(|error| TlsError::Pem {
            path: self.key.clone(),
            what: "private key",
            error,
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for every version");
        let builder = match self.client_ca.as_ref().zip(contents.get(2)) {
            None => builder.with_no_client_auth(),
            Some((path, contents)) => {
                let refuse = |error: String| TlsError::ClientCa {
                    path: path.clone(),
                    error,
                };
                let mut roots = RootCertStore::empty();
                for root in certificates(path, contents)? {
                    roots.add(root).map_err(|error| refuse(error.to_string()))?;
                }
                // Who shows none gets as far as a status that says so, see
                // `crate::authorization`; a certificate that is shown has to be good.
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .allow_unauthenticated()
                        .build()
                        .map_err(|error| refuse(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let certificate = summary(&self.cert, &chain[0])?;
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| TlsError::Pair {
            cert: self.cert.clone(),
            key: self.key.clone(),
            error,
        })?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Credentials {
            config: Arc::new(config),
            certificate,
        })
    }
}

fn certificates(path: &Path, contents: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refuse = |error| TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
        error,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(contents).collect();
    match found.map_err(refuse)? {
        none if none.is_empty() => Err(refuse(pem::Error::NoItemsFound)),
        found => Ok(found),
    }
}

fn summary(path: &Path, der: &CertificateDer<'_>) -> Result<Summary, TlsError> {
    let parsed = X509Certificate::from_der(der.as_ref());
    let (_, certificate) = parsed.map_err(|error| TlsError::Certificate {
        path: path.to_owned(),
        error: error.to_string(),
    })?;
    Ok(Summary {
        subject: certificate.subject().to_string(),
        not_after: certificate.validity().not_after.to_string(),
        is_valid: certificate.validity().is_valid(),
    })
}
