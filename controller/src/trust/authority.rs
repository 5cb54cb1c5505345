//! The certificate authority of a cluster, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::peer_tls::{ANY_NODE, host_of};
use crate::state::NodeId;

/// A good authority before anything else is known of it: the first half of the SHA-256 of its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(certificate).into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }
}

/// What is wrong with keys or certificates.
#[derive(Debug, Error)]
pub enum TrustError {
    /// What should be a key or certificate in PEM is none.
    #[error("{what} is not usable: {message}")]
    Unusable {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// It could not be made.
    #[error("cannot make {what}: {message}")]
    NotMade {
        /// What.
        what: &'static str,
        /// Why.
        message: String,
    },
}

fn unusable(what: &'static str) -> impl Fn(rcgen::Error) -> TrustError {
    move |error| TrustError::Unusable {
        what,
        message: error.to_string(),
    }
}

fn not_made(what: &'static str) -> impl Fn(rcgen::Error) -> TrustError {
    move |error| TrustError::NotMade {
        what,
        message: error.to_string(),
    }
}

/// A certificate in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate(pub String);

/// The key of a node, which never leaves it, and the request to have it certified.
pub struct NodeKey {
    /// PEM.
    pub key: String,
    /// PEM.
    pub signing_request: String,
}

impl NodeKey {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn generate() -> Result<Self, TrustError> {
        let key = KeyPair::generate().map_err(not_made("a key"))?;
        let request = CertificateParams::default()
            .serialize_request(&key)
            .and_then(|request| request.pem())
            .map_err(not_made("a signing request"))?;
        Ok(Self {
            key: key.serialize_pem(),
            signing_request: request,
        })
    }
}

/// The authority with its key: whoever has it decides who is a node of the cluster.
pub struct Authority {
    /// PEM.
    pub certificate: Certificate,
    /// PEM.
    pub key: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, for the cluster of that id.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn generate(cluster_id: &str) -> Result<Self, TrustError> {
        const WHAT: &str = "the certificate authority";
        let key = KeyPair::generate().map_err(not_made(WHAT))?;
        let mut params = everlasting();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = format!("pointsman cluster {cluster_id}");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).map_err(not_made(WHAT))?;
        Self::from_pem(certificate.pem(), key.serialize_pem())
    }

    /// The one that was kept.
    ///
    /// # Errors
    /// When either is not PEM, or not of this kind.
    pub fn from_pem(certificate: String, key: String) -> Result<Self, TrustError> {
        let pair =
            KeyPair::from_pem(&key).map_err(unusable("the key of the certificate authority"))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, pair);
        Ok(Self {
            issuer: issuer.map_err(unusable("the certificate of the certificate authority"))?,
            certificate: Certificate(certificate),
            key,
        })
    }

    /// By which a new node knows it.
    pub fn fingerprint(&self) -> Fingerprint {
        let certificate = CertificateDer::from_pem_slice(self.certificate.0.as_bytes());
        Fingerprint::of(&certificate.expect("the issuer was made of this certificate"))
    }

    /// Certifies that a key is that of a node. Nothing else of the request counts.
    ///
    /// # Errors
    /// When the request is not usable or not signed by its own key.
    pub fn sign(&self, node: NodeId, signing_request: &str) -> Result<Certificate, TrustError> {
        let mut request = CertificateSigningRequestParams::from_pem(signing_request)
            .map_err(unusable("the certificate signing request"))?;
        let mut params = everlasting();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        for host in [host_of(node), ANY_NODE.to_owned()] {
            let host = host.try_into().expect("these names are ASCII");
            params.subject_alt_names.push(SanType::DnsName(host));
        }
        let name = format!("pointsman node {node}");
        params.distinguished_name.push(DnType::CommonName, name);
        request.params = params;
        let certificate = request.signed_by(&self.issuer);
        let certificate = certificate.map_err(not_made("a certificate"))?;
        Ok(Certificate(certificate.pem()))
    }
}

/// Valid for any clock that a node may have. The end is how RFC 5280, 4.1.2.5, writes that there is none.
fn everlasting() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_was_kept_goes_on_signing() {
        let made = Authority::generate("c0ffee").unwrap();
        let kept = Authority::from_pem(made.certificate.0.clone(), made.key.clone()).unwrap();
        assert_eq!(made.fingerprint(), kept.fingerprint());
        let node = NodeKey::generate().unwrap();
        kept.sign(7, &node.signing_request).unwrap();
    }

    #[test]
    fn a_request_that_another_key_signed_is_refused() {
        let authority = Authority::generate("c0ffee").unwrap();
        let mut request = NodeKey::generate().unwrap().signing_request;
        // One digit of the signature at its end.
        let place = request.find("\n-----END").unwrap() - 6;
        let digit = if &request[place..=place] == "A" {
            "B"
        } else {
            "A"
        };
        request.replace_range(place..=place, digit);
        assert!(authority.sign(7, &request).is_err());
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let made = Authority::generate("c0ffee").unwrap();
        let error = Authority::from_pem(made.certificate.0, "no key".into()).err();
        let message = error.expect("refused").to_string();
        assert!(
            message.contains("key of the certificate authority"),
            "{message}"
        );
    }
}
