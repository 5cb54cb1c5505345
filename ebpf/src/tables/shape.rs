//! A P4Runtime key in the shape that a structure takes: packed words, a prefix, or values under masks.

use pointsman_p4::dataplane::{Bits, DataPlaneError, EntryKey, Match};
use pointsman_p4::ir::{MatchKind, Table};
use smallvec::{SmallVec, smallvec};

use super::bitvec::{Pattern, Patterns};
use super::key::{KeyLayout, KeyWords};
use super::range::prefixes;
use super::trie::Prefix;

/// The most values under masks that the ranges of one entry may become.
const MAX_PATTERNS: usize = 1024;

/// An entry's key in the shape of its structure.
#[derive(Debug)]
pub enum Shaped {
    /// For exact matches.
    Words(KeyWords),
    /// For a lone lpm.
    Prefix(Prefix),
    /// For everything else, with a priority.
    Patterns(Patterns, i32),
}

/// What a structure takes.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// No key.
    Keyless,
    /// Packed words.
    Words,
    /// A prefix.
    Prefix,
    /// Values under masks, and a priority.
    Patterns,
}

/// How the keys of a table are shaped.
#[derive(Debug)]
pub struct Shape {
    table: String,
    kinds: Vec<(MatchKind, u32)>,
    layout: KeyLayout,
    form: Form,
}

impl Shape {
    /// Shapes the keys of a table.
    pub fn new(table: &Table, layout: &KeyLayout, form: Form) -> Shape {
        Shape {
            table: table.name.clone(),
            kinds: table.key.iter().map(|k| (k.kind, k.width)).collect(),
            layout: layout.clone(),
            form,
        }
    }

    /// Shapes a key.
    pub fn key(&self, key: &EntryKey) -> Result<Shaped, DataPlaneError> {
        match self.form {
            Form::Keyless => Err(DataPlaneError::Unsupported {
                what: format!("an entry in table {}", self.table),
                why: "it has no key; set its default action".to_owned(),
            }),
            Form::Words => {
                let mut mismatch = None;
                let values = key.matches.views().map_while(|part| match part {
                    Match::Exact(value) => Some(value),
                    other => {
                        mismatch = Some(self.mismatch(&other.map(Bits::from_be_bytes)));
                        None
                    }
                });
                let words = self.layout.pack(values);
                match mismatch {
                    None => Ok(Shaped::Words(words)),
                    Some(mismatch) => Err(mismatch),
                }
            }
            Form::Prefix => match key.matches.views().next() {
                Some(Match::Lpm { value, prefix_len }) => {
                    let words = self.layout.pack([value]);
                    let bytes = words.iter().flat_map(|w| w.to_be_bytes()).collect();
                    Ok(Shaped::Prefix(Prefix {
                        len: prefix_len,
                        bytes,
                    }))
                }
                other => {
                    let other = other.map(|part| part.map(Bits::from_be_bytes));
                    Err(self.mismatch(&other.unwrap_or(Match::Optional(None))))
                }
            },
            Form::Patterns => self.patterns(key),
        }
    }

    fn mismatch(&self, found: &Match) -> DataPlaneError {
        DataPlaneError::Unsupported {
            what: format!("the match {found:?} in table {}", self.table),
            why: "the key of this table is matched in another way".to_owned(),
        }
    }

    fn patterns(&self, key: &EntryKey) -> Result<Shaped, DataPlaneError> {
        let mut combined: Vec<(Vec<Bits>, Vec<Bits>)> = vec![(Vec::new(), Vec::new())];
        let mut prefix_bits = 0;
        for (part, (_, width)) in key.matches.iter().zip(&self.kinds) {
            let choices = self.choices(&part, *width)?;
            if let Match::Lpm { prefix_len, .. } = part {
                prefix_bits += prefix_len as i32;
            }
            combined = combined
                .iter()
                .flat_map(|(values, masks)| {
                    choices.iter().map(|(value, mask)| {
                        let (mut values, mut masks) = (values.clone(), masks.clone());
                        values.push(value.clone());
                        masks.push(mask.clone());
                        (values, masks)
                    })
                })
                .collect();
            if combined.len() > MAX_PATTERNS {
                return Err(DataPlaneError::Unsupported {
                    what: format!("an entry with these ranges in table {}", self.table),
                    why: format!("they are more than {MAX_PATTERNS} prefixes together"),
                });
            }
        }
        let patterns = combined.iter().map(|(values, masks)| Pattern {
            value: self.layout.pack(values),
            mask: self.layout.pack(masks),
        });
        // Without priorities the longest prefix wins.
        let by_priority = self.kinds.iter().any(|(kind, _)| {
            matches!(
                kind,
                MatchKind::Ternary | MatchKind::Optional | MatchKind::Range
            )
        });
        let priority = if by_priority {
            key.priority
        } else {
            prefix_bits
        };
        Ok(Shaped::Patterns(patterns.collect(), priority))
    }

    /// A match as values under masks.
    fn choices(
        &self,
        part: &Match,
        width: u32,
    ) -> Result<SmallVec<[(Bits, Bits); 1]>, DataPlaneError> {
        Ok(match part {
            Match::Exact(value) | Match::Optional(Some(value)) => {
                smallvec![(value.clone(), Bits::ones(width))]
            }
            Match::Optional(None) => smallvec![(Bits::zero(), Bits::zero())],
            Match::Lpm { value, prefix_len } => {
                smallvec![(value.clone(), Bits::prefix_mask(*prefix_len, width))]
            }
            Match::Ternary { value, mask } => smallvec![(value.clone(), mask.clone())],
            Match::Range { low, high } => match (low.to_u64(), high.to_u64()) {
                (Some(low), Some(high)) if width <= 64 && low <= high => prefixes(low, high, width)
                    .into_iter()
                    .map(|(value, mask)| (Bits::from(value), Bits::from(mask)))
                    .collect(),
                _ => return Err(self.mismatch(part)),
            },
        })
    }
}
