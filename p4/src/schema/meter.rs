//! What kind of marker a meter is.

use pointsman_proto::p4::config::v1::{self as p4info, meter_spec};

/// What kind of marker a meter is (`MeterSpec.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MeterType {
    /// Two rates, three colours (RFC 2698).
    #[default]
    TwoRateThreeColor,
    /// One rate with an excess burst, three colours (RFC 2697).
    SingleRateThreeColor,
    /// One rate, green and red.
    SingleRateTwoColor,
}

impl MeterType {
    /// From p4info. Compilers that do not know the types still write the annotations that stand for them.
    pub(super) fn new(spec: Option<&p4info::MeterSpec>, preamble: &p4info::Preamble) -> MeterType {
        let annotated = |name: &str| preamble.annotations.iter().any(|a| a.starts_with(name));
        match spec.map(p4info::MeterSpec::r#type) {
            Some(meter_spec::Type::SingleRateThreeColor) => MeterType::SingleRateThreeColor,
            Some(meter_spec::Type::SingleRateTwoColor) => MeterType::SingleRateTwoColor,
            _ if annotated("@single_rate_three_color") => MeterType::SingleRateThreeColor,
            _ if annotated("@single_rate_two_color") => MeterType::SingleRateTwoColor,
            _ => MeterType::TwoRateThreeColor,
        }
    }
}
