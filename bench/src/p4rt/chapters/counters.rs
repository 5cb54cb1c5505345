//! Indexed counters and meters.

use super::prelude::*;
use crate::p4rt::entry::index;

chapter! { "counters":
    Must start_at_zero, COUNTER, "cells start at 0";
    Must written, COUNTER, "MODIFY sets a cell, and nothing else";
    Must unset_data, COUNTER, "MODIFY without data changes nothing";
    Must all_cells, COUNTER, "MODIFY without index sets all cells";
    Must counted, COUNTER, "packets are counted in the cell that they name";
    Must insert_and_delete, COUNTER, "INSERT and DELETE are INVALID_ARGUMENT";
    Must negative_index, COUNTER, "a negative index is INVALID_ARGUMENT";
    Must index_too_large, COUNTER, "an index beyond the size is OUT_OF_RANGE";
    Must read_negative_index, COUNTER, "a Read of a negative index is INVALID_ARGUMENT";
    Must read_index_too_large, COUNTER, "a Read of an index beyond the size is OUT_OF_RANGE";
    Must index_zero, DEFAULT_VALUES, "an index that is set to 0 is one cell, one that is unset is all";
    Must read_array, COUNTER, "a counter without index reads all of its cells";
    Must read_all, COUNTER, "counter_id 0 reads the cells of all counters";
    Must unknown, COUNTER, "a counter that p4info does not have is refused";
    Must meter_default, METER, "a meter that was not configured is green for all packets";
    Must meter_written, METER, "MODIFY configures a cell, and it is read back";
    Must meter_reset, METER, "MODIFY without config resets the cell";
    Must meter_all_cells, METER, "MODIFY without index configures all cells";
    Must meter_marks, METERS, "a meter that has run out marks packets red";
    Must meter_insert_and_delete, METER, "INSERT and DELETE are INVALID_ARGUMENT";
    Must meter_negative_index, METER, "a negative index is INVALID_ARGUMENT";
    Must meter_index_too_large, METER, "an index beyond the size is OUT_OF_RANGE";
    Must meter_read_array, METER, "a meter without index reads all of its cells";
    Must meter_read_all, METER, "meter_id 0 reads the cells of all meters";
    Must two_rate_eburst, METERS, "a two-rate three-colour meter with eburst is INVALID_ARGUMENT";
    Must single_rate_peak, METERS, "a single-rate meter whose peak differs from its committed rate is INVALID_ARGUMENT";
    Must single_rate_eburst, METERS, "a single-rate three-colour meter takes eburst";
    Must two_colours_eburst, METERS, "a two-colour meter with eburst is INVALID_ARGUMENT";
    Must two_colours_fit_all, METERS, "a two-colour config fits meters of all three types";
    May meter_colours, METER_COUNTERS, "packets are counted by colour, and read when asked for";
    May meter_colours_reset, METER, "counter_data in a MODIFY resets the counts by colour";
}

fn cell(index: Option<p4::Index>, data: Option<p4::CounterData>) -> p4::CounterEntry {
    p4::CounterEntry {
        counter_id: ENTITIES.id("counts"),
        index,
        data,
    }
}

fn counts(packets: i64, bytes: i64) -> Option<p4::CounterData> {
    Some(p4::CounterData {
        packet_count: packets,
        byte_count: bytes,
    })
}

fn counter(entry: p4::CounterEntry) -> Entity {
    Entity::CounterEntry(entry)
}

/// The cells that a filter lets through, by index.
async fn cells(c: &mut Client, filter: p4::CounterEntry) -> Outcome<Vec<(i64, i64)>> {
    let entities = c.read(counter(filter)).await.ok()?;
    let mut cells: Vec<_> = entities
        .into_iter()
        .filter_map(|entity| match entity {
            Entity::CounterEntry(cell) => Some((
                cell.index.map_or(-1, |index| index.index),
                cell.data.map_or(-1, |data| data.packet_count),
            )),
            _ => None,
        })
        .collect();
    cells.sort_unstable();
    Ok(cells)
}

async fn start_at_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let expected: Vec<_> = (0..8).map(|index| (index, 0)).collect();
    same(
        "the cells",
        cells(&mut c, cell(None, None)).await?,
        expected,
    )
}

async fn written(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = counter(cell(index(3), counts(5, 500)));
    c.modify(written.clone()).await.ok()?;
    c.read(counter(cell(index(3), None))).await.is([written])?;
    same(
        "its neighbour",
        cells(&mut c, cell(index(4), None)).await?,
        vec![(4, 0)],
    )
}

async fn unset_data(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = counter(cell(index(3), counts(5, 500)));
    c.modify(written.clone()).await.ok()?;
    c.modify(counter(cell(index(3), None))).await.ok()?;
    c.read(counter(cell(index(3), None))).await.is([written])
}

async fn all_cells(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(counter(cell(None, counts(6, 60)))).await.ok()?;
    let expected: Vec<_> = (0..8).map(|index| (index, 6)).collect();
    same(
        "the cells",
        cells(&mut c, cell(None, None)).await?,
        expected,
    )
}

async fn counted(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    for _ in 0..3 {
        c.probe(Probe::to(op::COUNT).k8(2)).await?;
    }
    let expected: Vec<_> = (0..8).map(|n| (n, if n == 2 { 3 } else { 0 })).collect();
    same(
        "the cells",
        cells(&mut c, cell(None, None)).await?,
        expected,
    )
}

async fn insert_and_delete(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = counter(cell(index(3), counts(5, 500)));
    c.insert(written.clone())
        .await
        .refused(Code::InvalidArgument)?;
    c.delete(written).await.refused(Code::InvalidArgument)
}

async fn negative_index(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = counter(cell(index(-1), counts(5, 500)));
    c.modify(wrong).await.refused(Code::InvalidArgument)
}

async fn index_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = counter(cell(index(8), counts(5, 500)));
    c.modify(wrong).await.refused(Code::OutOfRange)
}

async fn read_negative_index(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = counter(cell(index(-1), None));
    c.read(wrong).await.refused_with(&[Code::InvalidArgument])
}

async fn read_index_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = counter(cell(index(8), None));
    c.read(wrong).await.refused_with(&[Code::OutOfRange])
}

async fn index_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    same(
        "cells at 0",
        cells(&mut c, cell(index(0), None)).await?,
        vec![(0, 0)],
    )
}

async fn read_array(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    same("cells", cells(&mut c, cell(None, None)).await?.len(), 8)
}

async fn read_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    same(
        "cells",
        cells(&mut c, p4::CounterEntry::default()).await?.len(),
        8,
    )
}

async fn unknown(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = p4::CounterEntry {
        counter_id: 0x12ff_fff1,
        ..cell(index(1), counts(1, 1))
    };
    let codes = [Code::InvalidArgument, Code::NotFound];
    c.modify(counter(nothing)).await.refused_with(&codes)
}

fn meter(name: &str, index: Option<p4::Index>, config: Option<p4::MeterConfig>) -> Entity {
    Entity::MeterEntry(p4::MeterEntry {
        meter_id: ENTITIES.id(name),
        index,
        config,
        counter_data: None,
    })
}

/// One rate and burst for all.
fn rate(rate: i64, burst: i64) -> p4::MeterConfig {
    p4::MeterConfig {
        cir: rate,
        cburst: burst,
        pir: rate,
        pburst: burst,
        eburst: 0,
    }
}

/// A packet for cell 1 of `rates`.
fn packet() -> Probe {
    Probe::to(op::METER).k8(1)
}

async fn meter_default(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    for _ in 0..5 {
        same("the colour", c.probe(packet()).await?.value, 0)?;
    }
    let unset = meter("rates", index(1), None);
    c.read(unset.clone()).await.is([unset])
}

async fn meter_written(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let config = p4::MeterConfig {
        cir: 1000,
        cburst: 10,
        pir: 2000,
        pburst: 20,
        eburst: 0,
    };
    let written = meter("rates", index(1), Some(config));
    c.modify(written.clone()).await.ok()?;
    c.read(meter("rates", index(1), None)).await.is([written])
}

async fn meter_reset(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(meter("rates", index(1), Some(rate(10, 20))))
        .await
        .ok()?;
    let unset = meter("rates", index(1), None);
    c.modify(unset.clone()).await.ok()?;
    c.read(unset.clone()).await.is([unset])
}

async fn meter_all_cells(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(meter("rates", None, Some(rate(10, 20))))
        .await
        .ok()?;
    let cells = (0..4).map(|n| meter("rates", index(n), Some(rate(10, 20))));
    c.read(meter("rates", None, None)).await.is(cells)
}

async fn meter_marks(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(meter("rates", index(1), Some(rate(1, 2))))
        .await
        .ok()?;
    let mut colours = Vec::new();
    for _ in 0..8 {
        colours.push(c.probe(packet()).await?.value);
    }
    let right = colours[0] == 0 && colours.contains(&2);
    holds(
        "the colours",
        "green (0) first, then red (2)",
        right,
        colours,
    )
}

async fn meter_insert_and_delete(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = meter("rates", index(1), Some(rate(10, 20)));
    c.insert(written.clone())
        .await
        .refused(Code::InvalidArgument)?;
    c.delete(written).await.refused(Code::InvalidArgument)
}

async fn meter_negative_index(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = meter("rates", index(-1), Some(rate(10, 20)));
    c.modify(wrong).await.refused(Code::InvalidArgument)
}

async fn meter_index_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = meter("rates", index(4), Some(rate(10, 20)));
    c.modify(wrong).await.refused(Code::OutOfRange)
}

async fn meter_read_array(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    same(
        "cells",
        c.read(meter("rates", None, None)).await.ok()?.len(),
        4,
    )
}

async fn meter_read_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let all = Entity::MeterEntry(p4::MeterEntry::default());
    same("cells", c.read(all).await.ok()?.len(), 12)
}

/// A config that is refused.
async fn refused_config(t: Test, name: &str, config: p4::MeterConfig) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = meter(name, index(1), Some(config));
    c.modify(wrong).await.refused(Code::InvalidArgument)
}

async fn two_rate_eburst(t: Test) -> Outcome {
    let config = p4::MeterConfig {
        eburst: 5,
        ..rate(10, 20)
    };
    refused_config(t, "rates", config).await
}

async fn single_rate_peak(t: Test) -> Outcome {
    let config = p4::MeterConfig {
        pir: 20,
        ..rate(10, 20)
    };
    refused_config(t, "single_rates", config).await
}

async fn single_rate_eburst(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let config = p4::MeterConfig {
        eburst: 5,
        ..rate(10, 20)
    };
    let written = meter("single_rates", index(1), Some(config));
    c.modify(written.clone()).await.ok()?;
    c.read(meter("single_rates", index(1), None))
        .await
        .is([written])
}

async fn two_colours_eburst(t: Test) -> Outcome {
    let config = p4::MeterConfig {
        eburst: 5,
        ..rate(10, 20)
    };
    refused_config(t, "two_colours", config).await
}

async fn two_colours_fit_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    for name in ["rates", "single_rates", "two_colours"] {
        c.modify(meter(name, index(1), Some(rate(10, 20))))
            .await
            .ok()?;
    }
    Ok(())
}

/// Packets by colour of cell 1, which the server may not count.
async fn colours(c: &mut Client) -> Outcome<[i64; 3]> {
    let asking = Entity::MeterEntry(p4::MeterEntry {
        meter_id: ENTITIES.id("rates"),
        index: index(1),
        config: None,
        counter_data: Some(p4::MeterCounterData::default()),
    });
    match c.read(asking).await.ok_if_offered()?.pop() {
        Some(Entity::MeterEntry(p4::MeterEntry {
            counter_data: Some(counts),
            ..
        })) => {
            let colours = [counts.green, counts.yellow, counts.red];
            Ok(colours.map(|count| count.map_or(0, |count| count.packet_count)))
        }
        other => {
            let seen = format!("{other:?}");
            Err(Failure::differs(
                "counter_data",
                "set, as it was asked for",
                seen,
            ))
        }
    }
}

async fn meter_colours(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(meter("rates", index(1), Some(rate(1, 2))))
        .await
        .ok()?;
    let mut expected = [0; 3];
    for _ in 0..8 {
        let colour = c.probe(packet()).await?.value;
        expected[usize::from(u8::try_from(colour).unwrap_or(0)).min(2)] += 1;
    }
    same("packets by colour", colours(&mut c).await?, expected)
}

async fn meter_colours_reset(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.probe(packet()).await?;
    same("packets by colour", colours(&mut c).await?, [1, 0, 0])?;
    let reset = Entity::MeterEntry(p4::MeterEntry {
        meter_id: ENTITIES.id("rates"),
        index: index(1),
        config: None,
        counter_data: Some(p4::MeterCounterData::default()),
    });
    c.modify(reset).await.ok_if_offered()?;
    same("after the reset", colours(&mut c).await?, [0, 0, 0])
}
