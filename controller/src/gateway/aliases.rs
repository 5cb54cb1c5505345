//! Readable names of some methods: what is in braces becomes a field of the request, and what is in the query, too.

use http::Method;

use super::error::HttpError;
use super::fields::Fields;
use super::methods::{Methods, Unary};

/// A name of a method.
pub struct Alias {
    /// GET, PUT or DELETE.
    pub verb: &'static str,
    /// Below /v1: words, {field} for one segment and {field*} for the rest.
    pub path: &'static str,
    /// The service.
    pub service: &'static str,
    /// Its method.
    pub method: &'static str,
    /// The field that is the body, as it is.
    body: Option<&'static str>,
}

const fn get(path: &'static str, service: &'static str, method: &'static str) -> Alias {
    Alias {
        verb: "GET",
        path,
        service,
        method,
        body: None,
    }
}

/// All of them. The first that fits counts.
pub static ALIASES: &[Alias] = &[
    get("status", "Controller", "GetStatus"),
    get("devices", "Controller", "GetDevices"),
    get("devices/{device}/objectives", "Controller", "GetObjectives"),
    get("devices/{device}/ports", "Controller", "GetPorts"),
    get("devices/{device}/tables", "Controller", "GetTables"),
    get("devices/{device}/drift", "Controller", "GetDrift"),
    get("objectives", "Controller", "GetObjectives"),
    get("ports", "Controller", "GetPorts"),
    get("tables", "Controller", "GetTables"),
    get("history", "Controller", "GetHistory"),
    get("history/{revision}", "Controller", "GetHistory"),
    get("cluster", "Cluster", "GetCluster"),
    get("inventory", "Topology", "GetInventory"),
    get("links", "Topology", "GetLinks"),
    get("hosts", "Topology", "GetHosts"),
    get("graph", "Topology", "GetGraph"),
    get("paths", "Topology", "GetPaths"),
    get("watch/topology", "Topology", "Watch"),
    get("watch/kv", "Kv", "Watch"),
    get("watch/kv/{namespace}", "Kv", "Watch"),
    get("watch/kv/{namespace}/{prefix*}", "Kv", "Watch"),
    get("kv", "Kv", "List"),
    get("kv/{namespace}", "Kv", "List"),
    get("kv/{namespace}/{key*}", "Kv", "Get"),
    Alias {
        verb: "PUT",
        body: Some("value"),
        ..get("kv/{namespace}/{key*}", "Kv", "Put")
    },
    Alias {
        verb: "DELETE",
        ..get("kv/{namespace}/{key*}", "Kv", "Delete")
    },
    get("leases", "Kv", "GetLeases"),
    get("locks", "Kv", "GetLocks"),
    get("locks/{namespace}", "Kv", "GetLocks"),
    get("settings", "Configuration", "GetSettings"),
    get("settings/{prefix}", "Configuration", "GetSettings"),
];

/// What a request means.
pub struct Target {
    /// The method.
    pub method: Unary,
    /// The field that the body is.
    pub body: Option<&'static str>,
    /// What path and query say.
    pub fields: Fields,
}

/// The target of a readable name; `None` if it is none.
pub fn find(
    methods: &Methods,
    verb: &Method,
    path: &[&str],
    fields: &Fields,
) -> Result<Option<Target>, HttpError> {
    let found = ALIASES.iter().find_map(|alias| {
        let named = (alias.verb == verb.as_str()).then(|| matches(alias.path, path))?;
        Some((alias, named?))
    });
    let Some((alias, named)) = found else {
        return Ok(None);
    };
    let mut fields = fields.clone();
    fields.extend(named);
    Ok(Some(Target {
        method: methods.find(alias.service, alias.method)?,
        body: alias.body,
        fields,
    }))
}

/// The fields that a path names, if it fits.
fn matches(template: &str, path: &[&str]) -> Option<Vec<(String, String)>> {
    let mut rest = path;
    let mut named = Vec::new();
    for word in template.split('/') {
        let field = word
            .strip_prefix('{')
            .and_then(|word| word.strip_suffix('}'));
        let (first, others) = rest.split_first()?;
        match field.map(|field| (field, field.strip_suffix('*'))) {
            Some((_, Some(field))) => {
                let all = rest.join("/");
                return (!all.is_empty()).then(|| {
                    named.push((field.to_owned(), all));
                    named
                });
            }
            Some((field, None)) => named.push((field.to_owned(), (*first).to_owned())),
            None if word == *first => {}
            None => return None,
        }
        rest = others;
    }
    matches!(rest, [] | [""]).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_leads_to_a_method_and_names_fields_of_its_request() {
        let methods = Methods::new();
        for alias in ALIASES {
            let method = methods.find(alias.service, alias.method);
            let input = method.unwrap_or_else(|_| panic!("{}", alias.path)).input();
            let fields = alias.path.split('/');
            let fields = fields.filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
            for field in fields.chain(alias.body) {
                let field = field.trim_end_matches('*');
                assert!(
                    input.get_field_by_name(field).is_some(),
                    "{}: {field}",
                    alias.path
                );
            }
        }
    }

    #[test]
    fn the_rest_of_a_path_may_have_slashes_and_one_segment_may_not() {
        let named = |template, path: &[&str]| matches(template, path);
        let both = |rest: &str| {
            let fields = [("namespace", "app"), ("key", rest)];
            Some(
                fields
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .to_vec(),
            )
        };
        let template = "kv/{namespace}/{key*}";
        assert_eq!(named(template, &["kv", "app", "a"]), both("a"));
        assert_eq!(named(template, &["kv", "app", "a", "b"]), both("a/b"));
        assert_eq!(named(template, &["kv", "app", "a", ""]), both("a/"));
        assert_eq!(named(template, &["kv", "app"]), None);
        assert_eq!(named(template, &["kv", "app", ""]), None);
        assert_eq!(named("links", &["links", ""]), Some(vec![]));
        assert_eq!(named("history/{revision}", &["history", "1", "2"]), None);
    }
}
