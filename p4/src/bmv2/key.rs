//! The parts of a table's key.

use crate::ir::{Expr, Key, KeySource, LValue, MatchKind};

use super::cursor::{Cursor, Read};
use super::expr::Exprs;
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
            if target.value().is_object() {
                return computed(item, kind, &target, shapes);
            }
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

/// `stack[index].field`, which p4c writes as an expression.
fn computed(item: &Cursor, kind: MatchKind, target: &Cursor, shapes: &Shapes) -> Read<Key> {
    let exprs = Exprs::new(shapes);
    let value = exprs.value(target)?;
    let width = exprs.width(&value);
    let width = width.ok_or_else(|| target.unsupported("this expression as a match key"))?;
    let source = match value {
        Expr::FieldOf { header, field } => KeySource::Field(LValue::FieldOf { header, field }),
        Expr::Valid(header) => KeySource::Valid(header),
        _ => return Err(target.unsupported("this expression as a match key")),
    };
    Ok(Key {
        name: item.get("name").str()?.to_owned(),
        kind,
        source,
        width,
        mask: item.get("mask").opt_uint()?,
    })
}
