//! TLS between nodes: both sides show certificates of the cluster's authority.

use rustls::pki_types::CertificateDer;
use tonic::Request;
use tonic::transport::{Certificate as PemCertificate, ClientTlsConfig, Identity, ServerTlsConfig};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::Certificate;
use crate::state::NodeId;

/// The name that every node's certificate bears, for who does not know yet whom it will meet.
pub(super) const ANY_NODE: &str = "peer.pointsman";

const PREFIX: &str = "node-";
const SUFFIX: &str = ".pointsman";

/// The name that only the certificate of that node bears.
pub(super) fn host_of(node: NodeId) -> String {
    format!("{PREFIX}{node}{SUFFIX}")
}

fn node_of(host: &str) -> Option<NodeId> {
    let id = host.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    id.parse().ok()
}

/// What a node shows to the others, and whom it believes.
#[derive(Clone)]
pub struct PeerTls {
    authority: PemCertificate,
    identity: Identity,
}

impl PeerTls {
    /// Of a node's certificate, the key of that, and the authority's certificate.
    pub fn new(authority: &Certificate, certificate: &Certificate, key: &str) -> Self {
        // The authority's goes along, for those who know it by its fingerprint alone.
        let chain = format!("{}{}", certificate.0, authority.0);
        Self {
            authority: PemCertificate::from_pem(&authority.0),
            identity: Identity::from_pem(chain, key),
        }
    }

    /// For the peer port. Who shows no certificate gets as far as a service, which asks [`caller`]:
    /// a node that joins has none yet. A certificate of another authority ends the handshake.
    pub fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.identity.clone())
            .client_ca_root(self.authority.clone())
            .client_auth_optional(true)
    }

    /// For a connection to that node: no other will do, whoever answers at its address.
    pub fn client(&self, node: NodeId) -> ClientTlsConfig {
        self.client_of(host_of(node))
    }

    /// For a connection to whichever node of the cluster answers.
    pub fn client_of_any(&self) -> ClientTlsConfig {
        self.client_of(ANY_NODE.to_owned())
    }

    fn client_of(&self, host: String) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .ca_certificate(self.authority.clone())
            .identity(self.identity.clone())
            .domain_name(host)
    }
}

/// Which node sent a request of the peer port, by the certificate that it showed.
pub fn caller<T>(request: &Request<T>) -> Option<NodeId> {
    let certificates = request.peer_certs()?;
    node_in(certificates.first()?)
}

fn node_in(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names
        .value
        .general_names
        .iter()
        .find_map(|name| match name {
            GeneralName::DNSName(host) => node_of(host),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::super::{Authority, NodeKey};
    use super::*;

    #[test]
    fn a_certificate_names_its_node() {
        let authority = Authority::generate("c0ffee").unwrap();
        for node in [1, NodeId::MAX >> 1] {
            let key = NodeKey::generate().unwrap();
            let certificate = authority.sign(node, &key.signing_request).unwrap();
            let der = CertificateDer::from_pem_slice(certificate.0.as_bytes()).unwrap();
            assert_eq!(node_in(&der), Some(node));
        }
    }

    #[test]
    fn the_authority_is_no_node() {
        let authority = Authority::generate("c0ffee").unwrap();
        let der = CertificateDer::from_pem_slice(authority.certificate.0.as_bytes()).unwrap();
        assert_eq!(node_in(&der), None);
    }
}
