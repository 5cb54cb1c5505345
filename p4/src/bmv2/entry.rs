//! The keys of entries that a program declares.

use num_bigint::BigUint;

use crate::ir::{ConstKey, Key, MatchKind};

use super::cursor::{Cursor, Read};

/// Whether a table with such a part in its key orders its entries by priority.
pub(super) fn has_priority(kind: MatchKind) -> bool {
    matches!(
        kind,
        MatchKind::Ternary | MatchKind::Optional | MatchKind::Range
    )
}

/// Reads the key of an entry of a table with this key.
pub(super) fn read_key(item: &Cursor, key: &[Key]) -> Read<Vec<ConstKey>> {
    let parts = item.items()?;
    if parts.len() != key.len() {
        return Err(item.invalid(format!(
            "{} values for a table key of {} parts",
            parts.len(),
            key.len()
        )));
    }
    parts
        .iter()
        .zip(key)
        .map(|(part, key)| read_part(part, key))
        .collect()
}

fn read_part(item: &Cursor, key: &Key) -> Read<ConstKey> {
    let number = |name: &'static str| -> Read<BigUint> {
        let member = item.get(name);
        let value = match member.value().as_bool() {
            Some(valid) => BigUint::from(u8::from(valid)),
            None => member.uint()?,
        };
        if value.bits() > u64::from(key.width) {
            return Err(member.invalid(format!(
                "{value:#x} does not fit the {} bits of {:?}",
                key.width, key.name
            )));
        }
        Ok(value)
    };
    let kind = item.get("match_type");
    Ok(match (kind.str()?, key.kind) {
        ("exact" | "valid", MatchKind::Exact) => ConstKey::Exact(number("key")?),
        ("lpm", MatchKind::Lpm) => {
            let length = item.get("prefix_length");
            let prefix_len = length.u32()?;
            if prefix_len > key.width {
                return Err(length.invalid(format!(
                    "a prefix of {prefix_len} bits of {:?}, which has {}",
                    key.name, key.width
                )));
            }
            ConstKey::Lpm {
                value: number("key")?,
                prefix_len,
            }
        }
        ("ternary" | "optional", MatchKind::Ternary | MatchKind::Optional) => ConstKey::Ternary {
            value: number("key")?,
            mask: number("mask")?,
        },
        ("range", MatchKind::Range) => ConstKey::Range {
            low: number("start")?,
            high: number("end")?,
        },
        (text, _) => {
            return Err(kind.invalid(format!(
                "a match of kind {text:?} on {:?}, which is {:?}",
                key.name, key.kind
            )));
        }
    })
}
