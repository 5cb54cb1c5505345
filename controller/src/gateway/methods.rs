//! The methods that there are, by their descriptors.

use pointsman_proto::FILE_DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use serde_json::{Value, json};

use super::aliases::ALIASES;
use super::error::HttpError;

/// The package whose services may be named without it.
const PACKAGE: &str = "pointsman.controller.v1.";
/// Methods whose names begin like this change nothing, so that a GET may ask for them.
const READS: [&str; 5] = ["Get", "List", "Watch", "Trace", "Check"];

/// A method without a stream of requests.
pub type Unary = MethodDescriptor;

/// May a GET ask for it?
pub fn changes_nothing(method: &MethodDescriptor) -> bool {
    READS.iter().any(|word| method.name().starts_with(word))
}

/// All services of the controller.
pub struct Methods {
    pool: DescriptorPool,
}

impl Methods {
    /// Reads the descriptors that are part of the program.
    pub fn new() -> Self {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET);
        Self {
            pool: pool.expect("the descriptors are made with the program"),
        }
    }

    /// The method of a name.
    pub fn find(&self, service: &str, name: &str) -> Result<Unary, HttpError> {
        let full = match service.contains('.') {
            true => service.to_owned(),
            false => format!("{PACKAGE}{service}"),
        };
        let found = self.pool.get_service_by_name(&full);
        let found = found.filter(|_| full.starts_with(PACKAGE));
        let found = found.ok_or_else(|| HttpError::no_such_service(service, &self.services()))?;
        let mut methods = found.methods();
        let method = methods.find(|method| method.name() == name && !method.is_client_streaming());
        method.ok_or_else(|| {
            let names: Vec<_> = found
                .methods()
                .map(|method| method.name().to_owned())
                .collect();
            HttpError::no_such_method(service, name, &names)
        })
    }

    fn services(&self) -> Vec<String> {
        let services = self.pool.services().filter_map(|service| {
            let name = service.full_name().strip_prefix(PACKAGE)?;
            Some(name.to_owned())
        });
        services.collect()
    }

    /// What there is, for whoever looks around.
    pub fn index(&self) -> Value {
        let services = self.pool.services();
        let services = services.filter(|service| service.full_name().starts_with(PACKAGE));
        let methods = services.flat_map(|service| {
            let methods: Vec<_> = service.methods().collect();
            methods.into_iter().map(move |method| {
                json!({
                    "path": format!("/v1/{}/{}", service.name(), method.name()),
                    "request": method.input().full_name(),
                    "response": method.output().full_name(),
                    "events": method.is_server_streaming(),
                })
            })
        });
        let aliases = ALIASES.iter().map(|alias| {
            json!({
                "verb": alias.verb,
                "path": format!("/v1/{}", alias.path),
                "method": format!("{}/{}", alias.service, alias.method),
            })
        });
        json!({
            "methods": methods.collect::<Vec<_>>(),
            "aliases": aliases.collect::<Vec<_>>(),
        })
    }
}
