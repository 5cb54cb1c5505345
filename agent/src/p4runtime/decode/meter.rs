//! Meters: their configuration, by their type, and the resetting of what they have counted.

use pointsman_p4::dataplane::{ColorCounts, CounterData, MeterConfig};
use pointsman_proto::p4::v1 as p4;

use super::error::{DecodeError, invalid};
use super::resource::{counter_data, index, meter_schema, modify_only};
use super::table::{direct, direct_entry};
use crate::entity::{DirectMeter, Entity, MeterCell, Operation};
use crate::schema::{MeterType, Schema};

pub(super) fn meter(
    schema: &Schema,
    operation: Operation,
    entry: &p4::MeterEntry,
) -> Result<Entity, DecodeError> {
    modify_only("meter entry", operation)?;
    let meter = meter_schema(schema, entry.meter_id)?;
    let meter_type = schema.meter_type(meter.id);
    let config = entry.config.as_ref();
    let counts = entry.counter_data.as_ref();
    Ok(Entity::Meter(Box::new(MeterCell {
        meter: meter.ir,
        index: index(meter, entry.index.as_ref())?,
        config: config
            .map(|config| meter_config(&meter.name, meter_type, config))
            .transpose()?,
        counts: counts
            .map(|counts| reset_counts(&meter.name, counts))
            .transpose()?,
    })))
}

pub(super) fn direct_meter(
    schema: &Schema,
    operation: Operation,
    entry: &p4::DirectMeterEntry,
) -> Result<Entity, DecodeError> {
    modify_only("direct meter entry", operation)?;
    let (entry_name, table) = direct_entry(schema, entry.table_entry.as_ref())?;
    direct(table, table.direct_meter, "direct meter")?;
    let meter_type = schema.meter_type(table.direct_meter.unwrap_or_default());
    let config = entry.config.as_ref();
    let counts = entry.counter_data.as_ref();
    Ok(Entity::DirectMeter(Box::new(DirectMeter {
        entry: entry_name,
        config: config
            .map(|config| meter_config(&table.name, meter_type, config))
            .transpose()?,
        counts: counts
            .map(|counts| reset_counts(&table.name, counts))
            .transpose()?,
    })))
}

/// The configuration of a meter. Each type has the fields that it uses, and no others.
pub(super) fn meter_config(
    place: &str,
    meter_type: MeterType,
    config: &p4::MeterConfig,
) -> Result<MeterConfig, DecodeError> {
    let number = |number: i64, what| {
        u64::try_from(number).map_err(|_| invalid(place, format!("{what} {number} is negative")))
    };
    let config = MeterConfig {
        committed_rate: number(config.cir, "cir")?,
        committed_burst: number(config.cburst, "cburst")?,
        peak_rate: number(config.pir, "pir")?,
        peak_burst: number(config.pburst, "pburst")?,
        excess_burst: number(config.eburst, "eburst")?,
    };
    if meter_type != MeterType::SingleRateThreeColor && config.excess_burst != 0 {
        let what = format!(
            "eburst {} is given, which only a single rate three color marker has; leave it out",
            config.excess_burst
        );
        return Err(invalid(place, what));
    }
    let is_single =
        (config.peak_rate, config.peak_burst) == (config.committed_rate, config.committed_burst);
    if meter_type != MeterType::TwoRateThreeColor && !is_single {
        let what = format!(
            "pir {} and pburst {} differ from cir {} and cburst {}; it has a single rate, \
             which both pairs must be",
            config.peak_rate, config.peak_burst, config.committed_rate, config.committed_burst
        );
        return Err(invalid(place, what));
    }
    if config.peak_rate < config.committed_rate {
        let what = format!(
            "pir {} is less than cir {}; the peak rate is at least the committed rate",
            config.peak_rate, config.committed_rate
        );
        return Err(invalid(place, what));
    }
    Ok(config)
}

/// What meters have counted can be set to 0, and to nothing else.
pub(super) fn reset_counts(
    place: &str,
    counts: &p4::MeterCounterData,
) -> Result<ColorCounts, DecodeError> {
    let colors = [&counts.green, &counts.yellow, &counts.red];
    for data in colors.into_iter().flatten() {
        if counter_data(place, data)? != CounterData::default() {
            let what = "the counts of a meter's colors can only be reset; leave them 0";
            return Err(invalid(place, what));
        }
    }
    Ok(ColorCounts::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cir cburst pir pburst eburst`
    fn taken(meter_type: MeterType, [cir, cburst, pir, pburst, eburst]: [i64; 5]) -> bool {
        let config = p4::MeterConfig {
            cir,
            cburst,
            pir,
            pburst,
            eburst,
        };
        meter_config("meter", meter_type, &config).is_ok()
    }

    #[test]
    fn a_meter_of_two_rates_has_no_excess_burst() {
        let two_rates = |config| taken(MeterType::TwoRateThreeColor, config);
        assert!(two_rates([1, 2, 3, 4, 0]));
        assert!(!two_rates([1, 2, 3, 4, 5]));
        assert!(!two_rates([3, 2, 1, 4, 0]));
        assert!(!two_rates([-1, 2, 3, 4, 0]));
    }

    #[test]
    fn a_meter_of_a_single_rate_has_that_rate_as_its_peak() {
        let three_colors = |config| taken(MeterType::SingleRateThreeColor, config);
        assert!(three_colors([1, 2, 1, 2, 5]));
        assert!(!three_colors([1, 2, 3, 2, 5]));
        assert!(!three_colors([1, 2, 1, 4, 5]));
        assert!(!three_colors([1, 2, 1, 2, -5]));
        let two_colors = |config| taken(MeterType::SingleRateTwoColor, config);
        assert!(two_colors([1, 2, 1, 2, 0]));
        assert!(!two_colors([1, 2, 1, 2, 5]));
        assert!(!two_colors([1, 2, 2, 2, 0]));
    }

    #[test]
    fn counts_of_colors_can_only_be_reset() {
        let counts = |packet_count| p4::MeterCounterData {
            yellow: Some(p4::CounterData {
                packet_count,
                byte_count: 0,
            }),
            ..p4::MeterCounterData::default()
        };
        assert_eq!(
            reset_counts("meter", &counts(0)),
            Ok(ColorCounts::default())
        );
        assert!(reset_counts("meter", &counts(1)).is_err());
    }
}
