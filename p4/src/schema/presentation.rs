//! How a switch shows itself to controllers: what the configuration says of values.
//!
//! Read by [`Schema::build`](super::Schema::build), which makes [`Translation`]s of it.

use std::collections::BTreeMap;
use std::fmt;

use pointsman_proto::p4::config::v1::P4NewTypeTranslation;
use pointsman_proto::p4::config::v1::p4_new_type_translation::SdnType;
use serde::Deserialize;

use super::translation::{SDN_PORT_CPU, Translation};

/// How values are written to controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByteStrings {
    /// As short as they can be, as P4Runtime 1.4 and later demand.
    #[default]
    Canonical,
    /// As long as their type, for clients that compare them byte for byte.
    Padded,
}

impl ByteStrings {
    /// The word in configurations.
    pub fn word(self) -> &'static str {
        match self {
            ByteStrings::Canonical => "canonical",
            ByteStrings::Padded => "padded",
        }
    }
}

impl fmt::Display for ByteStrings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the configuration says of values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presentation {
    /// How values are written.
    pub byte_strings: ByteStrings,
    /// The controller's port in programs.
    pub cpu_port: u32,
    /// Names of ports, for types of ports that are translated to strings.
    pub port_names: Vec<(String, u32)>,
    /// By the name or URI of a translated type: which number of the program a controller's value
    /// stands for. A type of numbers has its keys in decimal.
    pub translations: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Presentation {
    /// How a type of the program, of `width` bits, is translated.
    pub fn translation(
        &self,
        name: &str,
        translated: &P4NewTypeTranslation,
        width: u32,
    ) -> Translation {
        let mut configured = [name, translated.uri.as_str()].into_iter();
        let configured = configured.find_map(|key| self.translations.get(key));
        let pairs = configured.into_iter().flatten();
        let is_port = is_port(name, &translated.uri);
        match &translated.sdn_type {
            Some(SdnType::SdnBitwidth(sdn_width)) => {
                let mut fixed = Vec::new();
                if is_port {
                    fixed.push((u64::from(SDN_PORT_CPU), u64::from(self.cpu_port)));
                }
                let pairs = pairs.filter_map(|(key, number)| Some((key.parse().ok()?, *number)));
                fixed.extend(pairs);
                Translation::numbers(width, sdn_width.unsigned_abs(), is_port, &fixed)
            }
            Some(SdnType::SdnString(_)) | None => {
                let mut fixed = Vec::new();
                if is_port {
                    let names = self.port_names.iter();
                    fixed.extend(names.map(|(name, port)| (name.clone(), u64::from(*port))));
                }
                fixed.extend(pairs.map(|(key, number)| (key.clone(), *number)));
                Translation::strings(width, &fixed)
            }
        }
    }
}

/// Whether a type is one of ports, as P4.org's architectures and SONiC's programs name it:
/// `PortId_t`, `PortIdInHeader_t`, `port_id_t`, by itself or at the end of the URI.
pub fn is_port(name: &str, uri: &str) -> bool {
    let of_uri = uri.rsplit('/').next().unwrap_or_default();
    [name, of_uri].into_iter().any(|name| {
        let plain = name.replace('_', "").to_lowercase();
        plain.starts_with("portid")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_ports_are_known_by_their_name_or_uri() {
        assert!(is_port("PortId_t", ""));
        assert!(is_port("port_id_t", ""));
        assert!(is_port("Mine", "p4.org/psa/v1/PortIdInHeader_t"));
        assert!(!is_port("vrf_id_t", "p4.org/psa/v1/ClassOfService_t"));
    }
}
