//! Certificates for tests: an authority, and what it vouches for, as files.

use std::path::{Path, PathBuf};

use pointsman_agent::tls::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// Somebody who vouches for others.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Authority { issuer }
    }

    /// Certificate and key of the loopback address, under this common name.
    pub fn server(&self, common_name: &str) -> (String, String) {
        let loopback = SanType::IpAddress("127.0.0.1".parse().expect("an address"));
        self.issue(common_name, vec![loopback])
    }

    /// Certificate and key of a client.
    pub fn client(&self, common_name: &str) -> (String, String) {
        self.issue(common_name, Vec::new())
    }

    fn issue(&self, common_name: &str, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("it is signed");
        (certificate.pem(), key.serialize_pem())
    }

    /// What a client needs to believe servers of this authority.
    pub fn trusted(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.issuer.pem()))
    }

    /// The same for a client that has a name.
    pub fn trusted_by(&self, common_name: &str) -> ClientTlsConfig {
        let (certificate, key) = self.client(common_name);
        self.trusted()
            .identity(Identity::from_pem(certificate, key))
    }

    /// Writes what an agent needs; clients are asked for certificates if `mutual`.
    pub fn files(&self, directory: &Path, mutual: bool) -> TlsFiles {
        let files = TlsFiles {
            cert: directory.join("agent.pem"),
            key: directory.join("agent.key"),
            client_ca: mutual.then(|| directory.join("clients.pem")),
        };
        self.write_server(&files, "agent");
        if let Some(client_ca) = &files.client_ca {
            write(client_ca, &self.issuer.pem());
        }
        files
    }

    /// Gives the agent another certificate.
    pub fn write_server(&self, files: &TlsFiles, common_name: &str) {
        let (certificate, key) = self.server(common_name);
        write(&files.cert, &certificate);
        write(&files.key, &key);
    }
}

fn write(path: &PathBuf, text: &str) {
    std::fs::write(path, text).expect("it can be written");
}
