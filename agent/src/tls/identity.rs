//! Who a verified certificate says a client is.

use std::fmt;
use std::sync::Arc;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The name of a client, as its certificate has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub Arc<str>);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity in a certificate: the first URI among its alternative names (SPIFFE puts one
/// there), else the first DNS name, else the common name of its subject. `None` if it has
/// none of these.
pub fn identity(der: &[u8]) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.map_or(&[][..], |names| &names.value.general_names);
    let uri = names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let dns = names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    let mut subjects = certificate.subject().iter_common_name();
    let common = subjects.next().and_then(|name| name.as_str().ok());
    let name = uri.or(dns).or(common).filter(|name| !name.is_empty())?;
    Some(Identity(name.into()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn of(common: Option<&str>, names: &[SanType]) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        identity(certificate.der()).map(|identity| identity.to_string())
    }

    #[test]
    fn a_uri_goes_before_a_dns_name_and_that_before_the_common_name() {
        let dns = SanType::DnsName("controller-1.example".try_into().expect("ASCII"));
        let uri = SanType::URI("spiffe://example/controller-1".try_into().expect("ASCII"));
        let all = of(Some("common"), &[dns.clone(), uri]);
        assert_eq!(all.as_deref(), Some("spiffe://example/controller-1"));
        let two = of(Some("common"), &[dns]);
        assert_eq!(two.as_deref(), Some("controller-1.example"));
        assert_eq!(of(Some("common"), &[]).as_deref(), Some("common"));
        assert_eq!(of(None, &[]), None);
    }
}
