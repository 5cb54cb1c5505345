//! Fields of a request as a path and a query say them: text by name, `a.b` for a field of a field, several of one name for
//! a list.

use percent_encoding::percent_decode_str;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};

use super::error::HttpError;

/// Names and values, in order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

/// The parts of a path, without what escapes them. A slash at the end leaves an empty one.
pub fn segments(path: &str) -> Result<Vec<String>, HttpError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(decoded).collect()
}

/// Sets a field to bytes as they are.
pub fn set_bytes(message: &mut DynamicMessage, field: &str, bytes: Vec<u8>) {
    message.set_field_by_name(field, Value::Bytes(bytes.into()));
}

fn decoded(text: &str) -> Result<String, HttpError> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| HttpError::bad_escapes())
}

impl Fields {
    /// Reads a query.
    pub fn parse(query: &str) -> Result<Self, HttpError> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
            Ok((decoded(name)?, decoded(&value.replace('+', " "))?))
        });
        Ok(Self(pairs.collect::<Result<_, HttpError>>()?))
    }

    /// Adds what a path says.
    pub fn extend(&mut self, named: Vec<(String, String)>) {
        self.0.extend(named);
    }

    /// Sets all of them in a message.
    pub fn put(self, message: &mut DynamicMessage) -> Result<(), HttpError> {
        for (name, text) in self.0 {
            put(message, &name, &name, &text)?;
        }
        Ok(())
    }
}

fn put(message: &mut DynamicMessage, whole: &str, name: &str, text: &str) -> Result<(), HttpError> {
    let (first, inner) = match name.split_once('.') {
        Some((first, inner)) => (first, Some(inner)),
        None => (name, None),
    };
    let descriptor = message.descriptor();
    let field = descriptor.get_field_by_name(first);
    let field = field.or_else(|| descriptor.get_field_by_json_name(first));
    let field = field.ok_or_else(|| {
        let known: Vec<_> = descriptor
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        HttpError::no_such_field(whole, &known)
    })?;
    let fault = || HttpError::bad_field(whole, text, &expected(&field.kind()));
    if let Some(inner) = inner {
        return match message.get_field_mut(&field) {
            Value::Message(message) => put(message, whole, inner, text),
            _ => Err(HttpError::no_such_field(whole, &[])),
        };
    }
    let value = value(&field, text).ok_or_else(fault)?;
    if !field.is_list() {
        message.set_field(&field, value);
        return Ok(());
    }
    match message.get_field_mut(&field) {
        Value::List(list) => list.push(value),
        _ => return Err(fault()),
    }
    Ok(())
}

fn value(field: &FieldDescriptor, text: &str) -> Option<Value> {
    Some(match field.kind() {
        Kind::String => Value::String(text.to_owned()),
        Kind::Bytes => Value::Bytes(text.as_bytes().to_vec().into()),
        Kind::Bool => Value::Bool(text.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(text.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(text.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(text.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(text.parse().ok()?),
        Kind::Float => Value::F32(text.parse().ok()?),
        Kind::Double => Value::F64(text.parse().ok()?),
        Kind::Enum(kind) => {
            let wanted = text.to_uppercase();
            // CONSISTENCY_STALE, or just stale.
            let mut values = kind.values();
            let found = values.find(|value| {
                let end = value.name().strip_suffix(&wanted);
                end.is_some_and(|start| start.is_empty() || start.ends_with('_'))
            });
            Value::EnumNumber(found?.number())
        }
        Kind::Message(_) => return None,
    })
}

fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Enum(kind) => {
            let names = kind.values().map(|value| value.name().to_lowercase());
            let names: Vec<_> = names.collect();
            // CONSISTENCY_UNSPECIFIED is nothing to give, and says what the others begin with.
            let start = names
                .iter()
                .find_map(|name| name.strip_suffix("unspecified"));
            let start = start.unwrap_or_default();
            let names = names.iter().filter_map(|name| name.strip_prefix(start));
            let names = names.filter(|name| *name != "unspecified");
            names.collect::<Vec<_>>().join(", ")
        }
        Kind::Message(message) => format!("a message; POST {} as JSON", message.name()),
        Kind::Float | Kind::Double => "a number".to_owned(),
        _ => "a whole number that fits".to_owned(),
    }
}
