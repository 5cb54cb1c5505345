//! The parts of a table's key.

use crate::ir::{Key, KeySource, LValue, MatchKind};

use super::cursor::{Cursor, Read};
use super::shapes::{FieldName, Shapes};

/// Reads one part of a table's key.
pub(super) fn read(item: &Cursor, shapes: &Shapes) -> Read<Key> {
    let kind = item.get("match_type");
    let target = item.get("target");
    let (kind, source, width) = match kind.str()? {
        "valid" => {
            let header = crate::ir::HeaderRef::Header(shapes.header(&target)?);
            (MatchKind::Exact, KeySource::Valid(header), 1)
        }
        text => {
            let kind = match text {
                "exact" => MatchKind::Exact,
                "lpm" => MatchKind::Lpm,
                "ternary" => MatchKind::Ternary,
                "optional" => MatchKind::Optional,
                "range" => MatchKind::Range,
                other => return Err(kind.unsupported(format!("the match kind {other:?}"))),
            };
            match shapes.field_name(&target)? {
                FieldName::Field(field) => (
                    kind,
                    KeySource::Field(LValue::Field(field)),
                    shapes.width(field),
                ),
                FieldName::Valid(header) => (
                    kind,
                    KeySource::Valid(crate::ir::HeaderRef::Header(header)),
                    1,
                ),
                FieldName::UnionValid(union) => (kind, KeySource::UnionValid(union), 1),
            }
        }
    };
    let name = match item.get("name").opt_str()? {
        Some(name) => name.to_owned(),
        None if target.value().is_array() => {
            format!("{}.{}", target.at(0).str()?, target.at(1).str()?)
        }
        None => target.str()?.to_owned(),
    };
    Ok(Key {
        name,
        kind,
        source,
        width,
        mask: item.get("mask").opt_uint()?,
    })
}
