//! Facts and constants as the values, matches and arguments of entities.

use pointsman_model::{Field, Match as Criterion, Meter};
use pointsman_p4::dataplane::{Bits, Match};
use pointsman_p4::ir::MatchKind;

use super::Refusal;
use super::facts::{Fact, FactName, Facts};
use super::manifest::{Expression, KeyTemplate, Term, facts_of};

/// A range turns into this many ternary entries at most.
const MAX_MASKS: usize = 64;

/// What the words behind `$` stand for in one objective.
pub(super) struct Values<'a> {
    pub(super) facts: &'a Facts,
    pub(super) priority: u16,
    /// The id of the next that this is, if it is one.
    pub(super) next_id: Option<u32>,
    /// Its multicast group id.
    pub(super) group_id: Option<u32>,
}

/// What an expression gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number(Bits),
    Criterion(Field, Criterion),
    Meter(Meter),
}

impl Values<'_> {
    /// The first term that there is; none if all are optional and missing.
    pub(super) fn evaluate(&self, expression: &Expression) -> Result<Option<Value>, Refusal> {
        let mut wanted = None;
        for term in expression {
            let number = match term {
                Term::Constant(value) => value.clone(),
                Term::NextId => number(self.next_id.expect("only nexts use $next_id")),
                Term::GroupId => number(self.group_id.expect("only nexts use $group_id")),
                Term::Priority => number(self.priority.into()),
                Term::Fact { name, optional } => match self.facts.get(*name) {
                    Some(fact) => return value_of(*name, fact).map(Some),
                    None if *optional => continue,
                    None => {
                        wanted.get_or_insert(*name);
                        continue;
                    }
                },
            };
            return Ok(Some(Value::Number(number)));
        }
        match wanted {
            Some(name) => {
                Err(Refusal::unsupported(format!("{name} is needed")).at(name.to_string()))
            }
            None => Ok(None),
        }
    }

    /// An expression that must give a number of so many bits.
    pub(super) fn number(
        &self,
        expression: &Expression,
        what: &str,
        width: u32,
    ) -> Result<Bits, Refusal> {
        let value = match self.evaluate(expression)? {
            Some(Value::Number(value)) => value,
            Some(Value::Criterion(_, Criterion::Exact(value))) => bits(value),
            Some(Value::Criterion(field, matching)) => {
                let message = format!("{field} must be one value, not {}", field.format(&matching));
                return Err(Refusal::unsupported(message).at(field.name()));
            }
            Some(Value::Meter(_)) | None => {
                return Err(Refusal::unsupported(format!("{what} has no number")));
            }
        };
        if value.bit_length() > width {
            let message = format!("{value} does not fit into the {width} bits of {what}");
            let refusal = Refusal::unsupported(message);
            let mut facts = facts_of(expression);
            return Err(match facts.find(|name| self.facts.get(*name).is_some()) {
                Some(name) => refusal.at(name.to_string()),
                None => refusal,
            });
        }
        Ok(value)
    }

    /// The matches on one part of a key: several where a range becomes masks.
    pub(super) fn matches(&self, key: &KeyTemplate) -> Result<Vec<Match>, Refusal> {
        let value = match &key.value {
            Some(expression) => self.evaluate(expression)?,
            None => None,
        };
        let (field, matching) = match value {
            None => return Ok(vec![anything(key)]),
            Some(Value::Number(value)) => return Ok(vec![exactly(key, value)]),
            Some(Value::Meter(_)) => {
                return Err(Refusal::unsupported(format!("{} is no meter", key.name)));
            }
            Some(Value::Criterion(_, Criterion::Untagged)) if key.untagged.is_some() => {
                let untagged = key.untagged.clone().expect("it was looked at");
                return Ok(vec![exactly(key, untagged)]);
            }
            Some(Value::Criterion(field, matching)) => (field, matching),
        };
        // A prefix of a field is one of the key only where both are equally wide.
        let prefix = matches!(matching, Criterion::Prefix { .. });
        let comparable = !prefix || key.width == field.bits();
        let name = field.name();
        let written = field.format(&matching);
        let matches = matches_of(key, &matching).filter(|_| comparable);
        fitting(key, matches, name, &written).map_err(|refusal| refusal.at(name))
    }
}

/// The matches on one part of a key that an objective names itself.
pub(super) fn own_matches(key: &KeyTemplate, matching: &Criterion) -> Result<Vec<Match>, Refusal> {
    let written = match matching {
        Criterion::Masked { value, mask } => format!("{value:#x}/{mask:#x}"),
        Criterion::Range { low, high } => format!("{low}-{high}"),
        Criterion::Exact(value) => value.to_string(),
        _ => "a value of another kind".to_owned(),
    };
    fitting(key, matches_of(key, matching), &key.name, &written).map_err(|refusal| refusal.at("p4"))
}

/// The matches, unless there are none of this kind or they are too wide.
fn fitting(
    key: &KeyTemplate,
    matches: Option<Vec<Match>>,
    name: &str,
    written: &str,
) -> Result<Vec<Match>, Refusal> {
    let matches = matches.ok_or_else(|| {
        let accepted = match key.kind {
            MatchKind::Exact | MatchKind::Optional => "one value",
            MatchKind::Lpm => "one value or a prefix",
            MatchKind::Ternary => "a value, a prefix, a masked value or a smaller range",
            MatchKind::Range => "one value or a range",
        };
        Refusal::unsupported(format!("{name} must be {accepted} here, not {written}"))
    })?;
    let fits = |value: &Bits| value.bit_length() <= key.width;
    if matches
        .iter()
        .all(|found| bounds(found).iter().all(|value| fits(value)))
    {
        return Ok(matches);
    }
    let message = format!(
        "{name} is {written}, which does not fit into the {} bits of {}",
        key.width, key.name
    );
    Err(Refusal::unsupported(message))
}

fn value_of(name: FactName, fact: &Fact) -> Result<Value, Refusal> {
    Ok(match (name, fact) {
        (FactName::Criterion(field), Fact::Match(matching)) => {
            Value::Criterion(field, matching.clone())
        }
        (_, Fact::Number(value)) => Value::Number(bits(*value)),
        (_, Fact::Meter(meter)) => Value::Meter(*meter),
        (_, Fact::Flag) => Value::Number(bits(1)),
        (_, Fact::Differs { .. }) => {
            let message = format!("all buckets must have the same {name}");
            return Err(Refusal::unsupported(message).at(name.to_string()));
        }
        (_, Fact::Match(_)) => unreachable!("only criteria are matches"),
    })
}

fn bits(value: u128) -> Bits {
    Bits::from_be_bytes(&value.to_be_bytes())
}

fn number(value: u32) -> Bits {
    Bits::from(u64::from(value))
}

fn anything(key: &KeyTemplate) -> Match {
    match key.kind {
        MatchKind::Exact => unreachable!("a manifest gives every exact part of a key a value"),
        MatchKind::Lpm => Match::Lpm {
            value: Bits::zero(),
            prefix_len: 0,
        },
        MatchKind::Ternary => Match::Ternary {
            value: Bits::zero(),
            mask: Bits::zero(),
        },
        MatchKind::Optional => Match::Optional(None),
        MatchKind::Range => Match::Range {
            low: Bits::zero(),
            high: Bits::ones(key.width),
        },
    }
}

fn exactly(key: &KeyTemplate, value: Bits) -> Match {
    match key.kind {
        MatchKind::Exact => Match::Exact(value),
        MatchKind::Lpm => Match::Lpm {
            value,
            prefix_len: key.width,
        },
        MatchKind::Ternary => Match::Ternary {
            value,
            mask: Bits::ones(key.width),
        },
        MatchKind::Optional => Match::Optional(Some(value)),
        MatchKind::Range => Match::Range {
            low: value.clone(),
            high: value,
        },
    }
}

fn matches_of(key: &KeyTemplate, matching: &Criterion) -> Option<Vec<Match>> {
    let ternary = |value: u128, mask: u128| Match::Ternary {
        value: bits(value),
        mask: bits(mask),
    };
    Some(match (matching, key.kind) {
        (Criterion::Exact(value), _) => vec![exactly(key, bits(*value))],
        (Criterion::Prefix { length: 0, .. }, MatchKind::Ternary | MatchKind::Optional) => {
            vec![anything(key)]
        }
        (Criterion::Prefix { value, length }, MatchKind::Lpm) => {
            vec![Match::Lpm {
                value: bits(*value),
                prefix_len: (*length).into(),
            }]
        }
        (Criterion::Prefix { value, length }, MatchKind::Ternary) => {
            let mask = Bits::prefix_mask((*length).into(), key.width);
            vec![Match::Ternary {
                value: bits(*value),
                mask,
            }]
        }
        (Criterion::Masked { value, mask }, MatchKind::Ternary) => vec![ternary(*value, *mask)],
        // The pipeline's own words have no prefixes: a mask without holes is one.
        (Criterion::Masked { value, mask }, MatchKind::Lpm) => {
            vec![Match::Lpm {
                value: bits(*value),
                prefix_len: prefix_length(*mask, key.width)?,
            }]
        }
        (Criterion::Masked { value, mask }, MatchKind::Range) => {
            prefix_length(*mask, key.width)?;
            let rest = !mask & (u128::MAX >> (128 - key.width));
            vec![Match::Range {
                low: bits(*value),
                high: bits(value | rest),
            }]
        }
        (Criterion::Range { low, high }, MatchKind::Range) => {
            vec![Match::Range {
                low: bits(*low),
                high: bits(*high),
            }]
        }
        (Criterion::Range { low, high }, MatchKind::Ternary) => {
            let masks = masks_of_range(*low, *high, key.width);
            (masks.len() <= MAX_MASKS).then_some(())?;
            masks
                .into_iter()
                .map(|(value, mask)| ternary(value, mask))
                .collect()
        }
        _ => return None,
    })
}

/// How many leading bits a mask leaves, if it is one of leading bits.
fn prefix_length(mask: u128, width: u32) -> Option<u32> {
    let length = mask.count_ones();
    let is_prefix = width <= 128 && bits(mask) == Bits::prefix_mask(length, width);
    is_prefix.then_some(length)
}

/// The fewest masked values that together are `low..=high`, at most two for each bit.
fn masks_of_range(mut low: u128, high: u128, width: u32) -> Vec<(u128, u128)> {
    let all = u128::MAX >> (128 - width);
    let mut masks = Vec::new();
    loop {
        // The largest block that starts at `low` and does not go beyond `high`.
        let mut bits = low.trailing_zeros().min(width);
        while bits > 0 && low + ((1 << bits) - 1) > high {
            bits -= 1;
        }
        let block = (1_u128 << bits) - 1;
        masks.push((low, all & !block));
        if low + block >= high {
            return masks;
        }
        low += block + 1;
    }
}

fn bounds(found: &Match) -> Vec<&Bits> {
    match found {
        Match::Exact(value) | Match::Lpm { value, .. } | Match::Optional(Some(value)) => {
            vec![value]
        }
        Match::Ternary { value, mask } => vec![value, mask],
        Match::Range { low, high } => vec![low, high],
        Match::Optional(None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_masks_of_a_range_are_exactly_the_range() {
        for (low, high) in [
            (0, 65535),
            (8000, 8100),
            (1, 65534),
            (7, 7),
            (1024, 65535),
            (0, 1),
        ] {
            let masks = masks_of_range(low, high, 16);
            assert!(masks.len() <= 30, "{masks:?}");
            for value in 0..=65535_u128 {
                let hits = masks
                    .iter()
                    .filter(|(wanted, mask)| value & mask == *wanted)
                    .count();
                assert_eq!(
                    hits,
                    usize::from((low..=high).contains(&value)),
                    "{value} of {low}-{high}"
                );
            }
        }
    }
}
