//! Registers, counters and meters.

use crate::dataplane::{Bits, CounterData, MeterConfig, Operation};
use crate::ir::{CounterId, MeterId, Program, RegisterId};

use super::value::{masked, number};
use super::{Parsed, by_suffix};

/// What a command that writes cells does.
pub(super) fn written(program: &Program, command: &str, rest: &str) -> Parsed<Vec<Operation>> {
    let mut words = rest.split_whitespace();
    let name = words.next().ok_or("expected a name")?;
    let mut word = |what: &str| words.next().ok_or_else(|| format!("expected {what}"));
    Ok(match command {
        "register_write" => {
            let register = register(program, name)?;
            let index = number(word("an index")?)?;
            let width = program.registers[register.index()].width;
            let (value, _) = masked(word("a value")?, width)?;
            vec![Operation::SetRegister {
                register,
                index,
                value: Bits::from(&value),
            }]
        }
        "register_reset" => {
            let register = register(program, name)?;
            let cells = 0..program.registers[register.index()].size;
            let reset = cells.map(|index| Operation::SetRegister {
                register,
                index,
                value: Bits::zero(),
            });
            reset.collect()
        }
        "counter_write" => {
            let counter = counter(program, name)?;
            vec![Operation::SetCounter {
                counter,
                index: number(word("an index")?)?,
                data: CounterData {
                    packets: number(word("packets")?)?.into(),
                    bytes: number(word("bytes")?)?.into(),
                },
            }]
        }
        "meter_set_rates" => {
            let meter = meter(program, name)?;
            let index = number(word("an index")?)?;
            let config = config(word("RATE:BURST")?, word("RATE:BURST")?)?;
            vec![set_meter(meter, index, config)]
        }
        _ => {
            let meter = meter(program, name)?;
            let config = config(word("RATE:BURST")?, word("RATE:BURST")?)?;
            let cells = 0..program.meters[meter.index()].size;
            cells.map(|index| set_meter(meter, index, config)).collect()
        }
    })
}

/// The counter of that name.
pub(super) fn counter(program: &Program, name: &str) -> Parsed<CounterId> {
    by_suffix(program.counters.iter().map(|c| c.name.as_str()), name)
        .map(|i| CounterId(i as u32))
        .ok_or_else(|| format!("there is no counter {name:?}"))
}

fn register(program: &Program, name: &str) -> Parsed<RegisterId> {
    by_suffix(program.registers.iter().map(|r| r.name.as_str()), name)
        .map(|i| RegisterId(i as u32))
        .ok_or_else(|| format!("there is no register {name:?}"))
}

fn meter(program: &Program, name: &str) -> Parsed<MeterId> {
    by_suffix(program.meters.iter().map(|m| m.name.as_str()), name)
        .map(|i| MeterId(i as u32))
        .ok_or_else(|| format!("there is no meter {name:?}"))
}

fn set_meter(meter: MeterId, index: u32, config: MeterConfig) -> Operation {
    Operation::SetMeter {
        meter,
        index,
        config: Some(config),
    }
}

fn config(committed: &str, peak: &str) -> Parsed<MeterConfig> {
    let (committed_rate, committed_burst) = rate(committed)?;
    let (peak_rate, peak_burst) = rate(peak)?;
    Ok(MeterConfig {
        committed_rate,
        committed_burst,
        peak_rate,
        peak_burst,
        excess_burst: 0,
    })
}

/// `RATE:BURST`, the rate in units a microsecond.
fn rate(text: &str) -> Parsed<(u64, u64)> {
    let (rate, burst) = text.split_once(':').ok_or("expected RATE:BURST")?;
    let rate: f64 = rate.parse().map_err(|e| format!("{rate:?}: {e}"))?;
    Ok(((rate * 1e6).round() as u64, number(burst)?.into()))
}
