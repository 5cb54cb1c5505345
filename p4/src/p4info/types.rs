//! How wide the types of a p4info are, and how its fields are matched.

use pointsman_proto::p4::config::v1 as proto;
use pointsman_proto::p4::config::v1::match_field::{Match, MatchType};
use pointsman_proto::p4::config::v1::p4_bitstring_like_type_spec::TypeSpec as Bitstring;
use pointsman_proto::p4::config::v1::p4_data_type_spec::TypeSpec;
use pointsman_proto::p4::config::v1::p4_new_type_spec::Representation;
use pointsman_proto::p4::config::v1::p4_new_type_translation::SdnType;

use crate::ir::MatchKind;

/// Bits of a type that P4Runtime translates to strings, where the program does not say.
pub(super) const STRING_BITS: u32 = 32;
/// Bits of an `error` or an `enum`, which P4Runtime gives no number.
const ENUM_BITS: u32 = 32;

/// Bits of a type that is one number; none for structs and the like.
pub(super) fn width(info: &proto::P4Info, spec: &proto::P4DataTypeSpec) -> Option<u32> {
    let types = info.type_info.as_ref();
    Some(match spec.type_spec.as_ref()? {
        TypeSpec::Bitstring(string) => bits(string)?,
        TypeSpec::Bool(_) => 1,
        TypeSpec::Error(_) | TypeSpec::Enum(_) => ENUM_BITS,
        TypeSpec::SerializableEnum(named) => {
            let found = types?.serializable_enums.get(&named.name)?;
            found.underlying_type.as_ref()?.bitwidth.unsigned_abs()
        }
        TypeSpec::NewType(named) => {
            match types?.new_types.get(&named.name)?.representation.as_ref()? {
                Representation::OriginalType(original) => return width(info, original),
                Representation::TranslatedType(translated) => match translated.sdn_type {
                    Some(SdnType::SdnBitwidth(bits)) => bits.unsigned_abs(),
                    Some(SdnType::SdnString(_)) | None => STRING_BITS,
                },
            }
        }
        TypeSpec::Tuple(_)
        | TypeSpec::Struct(_)
        | TypeSpec::Header(_)
        | TypeSpec::HeaderUnion(_)
        | TypeSpec::HeaderStack(_)
        | TypeSpec::HeaderUnionStack(_) => return None,
    })
}

fn bits(spec: &proto::P4BitstringLikeTypeSpec) -> Option<u32> {
    Some(match spec.type_spec.as_ref()? {
        Bitstring::Bit(bit) => bit.bitwidth.unsigned_abs(),
        Bitstring::Int(int) => int.bitwidth.unsigned_abs(),
        Bitstring::Varbit(varbit) => varbit.max_bitwidth.unsigned_abs(),
    })
}

/// Bits of each number that a type consists of, in order.
pub(super) fn members(info: &proto::P4Info, spec: &proto::P4DataTypeSpec) -> Vec<u32> {
    let types = info.type_info.as_ref();
    let parts: Vec<&proto::P4DataTypeSpec> = match &spec.type_spec {
        Some(TypeSpec::Tuple(tuple)) => tuple.members.iter().collect(),
        Some(TypeSpec::Struct(named)) => {
            let found = types.and_then(|types| types.structs.get(&named.name));
            let members = found.into_iter().flat_map(|found| &found.members);
            members.filter_map(|m| m.type_spec.as_ref()).collect()
        }
        Some(TypeSpec::Header(named)) => {
            let found = types.and_then(|types| types.headers.get(&named.name));
            let fields = found.into_iter().flat_map(|found| &found.members);
            let widths = fields.filter_map(|field| bits(field.type_spec.as_ref()?));
            return widths.collect();
        }
        _ => return width(info, spec).into_iter().collect(),
    };
    parts
        .into_iter()
        .flat_map(|part| members(info, part))
        .collect()
}

/// How a field is matched; none for kinds that v1model lacks.
pub(super) fn match_kind(field: &proto::MatchField) -> Option<MatchKind> {
    let Some(Match::MatchType(kind)) = &field.r#match else {
        return None;
    };
    match MatchType::try_from(*kind) {
        Ok(MatchType::Exact) => Some(MatchKind::Exact),
        Ok(MatchType::Lpm) => Some(MatchKind::Lpm),
        Ok(MatchType::Ternary) => Some(MatchKind::Ternary),
        Ok(MatchType::Range) => Some(MatchKind::Range),
        Ok(MatchType::Optional) => Some(MatchKind::Optional),
        Ok(MatchType::Unspecified) | Err(_) => None,
    }
}
