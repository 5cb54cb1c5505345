//! Direct counters and meters, by their own entities and by their table entries.

use super::prelude::*;

chapter! { "direct":
    Must counter_starts_at_zero, DIRECT_RESOURCES, "a counter starts at 0";
    Must counter_given_on_insert, DIRECT_RESOURCES, "INSERT with counter_data starts there";
    Must counter_only_when_asked, DIRECT_RESOURCES, "counter_data is answered only if it was asked for";
    Must counter_kept_on_modify, DIRECT_RESOURCES, "MODIFY without counter_data leaves the counter alone";
    Must counter_set_on_modify, DIRECT_RESOURCES, "MODIFY with counter_data sets the counter";
    Must counter_counts, DIRECT_COUNTER, "the counter counts the packets that hit its entry";
    Must counter_of_table_without, DIRECT_RESOURCES, "counter_data in a table without direct counter is INVALID_ARGUMENT";
    Must counter_entry_modify, DIRECT_COUNTER, "DirectCounterEntry sets the counter";
    Must counter_entry_unset, DIRECT_COUNTER, "DirectCounterEntry without data changes nothing";
    Must counter_entry_read, DIRECT_COUNTER, "DirectCounterEntry reads the counter of one entry";
    Must counter_entry_read_all, DIRECT_COUNTER, "DirectCounterEntry with a table reads the counters of all its entries";
    Must counter_entry_missing, DIRECT_COUNTER, "DirectCounterEntry of an entry that is not there is NOT_FOUND";
    Must counter_entry_insert, DIRECT_COUNTER, "INSERT and DELETE of a DirectCounterEntry are INVALID_ARGUMENT";
    Must counter_is_new, DIRECT_COUNTER, "an entry that comes again does not have the old counter";
    Must counter_of_default, DEFAULT_ENTRY, "the default entry has a counter like any other";
    Must meter_default, DIRECT_RESOURCES, "a meter without config is green, and its config is not answered";
    Must meter_given_on_insert, DIRECT_RESOURCES, "INSERT with meter_config configures the meter";
    Must meter_only_when_asked, DIRECT_RESOURCES, "meter_config is answered only if it was asked for";
    Must meter_reset_on_modify, DIRECT_RESOURCES, "MODIFY without meter_config resets the meter";
    Must meter_set_on_modify, DIRECT_RESOURCES, "MODIFY with meter_config configures the meter";
    Must meter_marks, METERS, "a meter that has run out marks packets red";
    Must meter_of_table_without, DIRECT_RESOURCES, "meter_config in a table without direct meter is INVALID_ARGUMENT";
    Must meter_entry_modify, DIRECT_METER, "DirectMeterEntry configures the meter";
    Must meter_entry_reset, DIRECT_METER, "DirectMeterEntry without config resets the meter";
    Must meter_entry_read, DIRECT_METER, "DirectMeterEntry reads the config of one entry";
    Must meter_entry_missing, DIRECT_METER, "DirectMeterEntry of an entry that is not there is NOT_FOUND";
    Must meter_entry_insert, DIRECT_METER, "INSERT and DELETE of a DirectMeterEntry are INVALID_ARGUMENT";
    Must meter_eburst, METERS, "eburst in a two-rate three-colour meter is INVALID_ARGUMENT";
    May colours_counted, METER_COUNTERS, "packets are counted by colour";
    May colours_not_writable, DIRECT_RESOURCES, "INSERT with counts by colour other than 0 is INVALID_ARGUMENT";
    May colours_reset, DIRECT_RESOURCES, "MODIFY with meter_counter_data resets the counts by colour";
    May colours_entry_reset, DIRECT_METER, "DirectMeterEntry with counter_data resets the counts by colour";
    Must resources_reset_with_default, DEFAULT_ENTRY, "resetting the default entry resets its meter";
}

const PACKET: Probe = Probe {
    op: op::DIRECT,
    k8: 1,
    k16: 0,
    k32: 0,
    k128: 0,
    k9: 0,
};

/// The key of an entry.
fn key(k8: u8) -> Entry {
    entry("direct_table").exact("k8", k8)
}

/// An entry.
fn direct(k8: u8) -> Entry {
    key(k8).action("metered", &[("value", 1)])
}

fn counts(packets: i64, bytes: i64) -> p4::CounterData {
    p4::CounterData {
        packet_count: packets,
        byte_count: bytes,
    }
}

/// Packets a second, and how many at once.
fn rate(rate: i64, burst: i64) -> p4::MeterConfig {
    p4::MeterConfig {
        cir: rate,
        cburst: burst,
        pir: rate,
        pburst: burst,
        eburst: 0,
    }
}

fn counting(entry: Entry) -> Entry {
    entry.with(|e| e.counter_data = Some(p4::CounterData::default()))
}

fn metering(entry: Entry) -> Entry {
    entry.with(|e| e.meter_config = Some(p4::MeterConfig::default()))
}

async fn counter(c: &mut Client, entry: Entry) -> Outcome<Option<p4::CounterData>> {
    Ok(c.read(counting(entry)).await.entry()?.counter_data)
}

async fn meter(c: &mut Client, entry: Entry) -> Outcome<Option<p4::MeterConfig>> {
    Ok(c.read(metering(entry)).await.entry()?.meter_config)
}

async fn counter_starts_at_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    same(
        "the counter",
        counter(&mut c, key(1)).await?,
        Some(counts(0, 0)),
    )
}

async fn counter_given_on_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.counter_data = Some(counts(5, 500))))
        .await
        .ok()?;
    same(
        "the counter",
        counter(&mut c, key(1)).await?,
        Some(counts(5, 500)),
    )
}

async fn counter_only_when_asked(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    let entry = c.read(key(1)).await.entry()?;
    same("the counter, not asked for", entry.counter_data, None)
}

async fn counter_kept_on_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.counter_data = Some(counts(5, 500))))
        .await
        .ok()?;
    c.modify(direct(1)).await.ok()?;
    same(
        "the counter",
        counter(&mut c, key(1)).await?,
        Some(counts(5, 500)),
    )
}

async fn counter_set_on_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    c.modify(direct(1).with(|e| e.counter_data = Some(counts(7, 700))))
        .await
        .ok()?;
    same(
        "the counter",
        counter(&mut c, key(1)).await?,
        Some(counts(7, 700)),
    )
}

async fn counter_counts(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    c.insert(direct(2)).await.ok()?;
    for _ in 0..3 {
        c.hits(PACKET, 1).await?;
    }
    let seen = counter(&mut c, key(1)).await?.unwrap_or_default();
    same("packets", seen.packet_count, 3)?;
    holds(
        "bytes",
        "three packets' or more",
        seen.byte_count >= 3 * 64,
        seen,
    )?;
    same(
        "the other entry's counter",
        counter(&mut c, key(2)).await?,
        Some(counts(0, 0)),
    )
}

fn exact() -> Entry {
    entry("exact_table").exact("k8", 1).exact("k16", 2).mark(1)
}

async fn counter_of_table_without(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let counted = exact().with(|e| e.counter_data = Some(counts(1, 1)));
    c.insert(counted).await.refused(Code::InvalidArgument)
}

fn counter_entry(entry: Entry, data: Option<p4::CounterData>) -> Entity {
    Entity::DirectCounterEntry(p4::DirectCounterEntry {
        table_entry: Some(entry.message),
        data,
    })
}

async fn counter_entry_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    c.modify(counter_entry(key(1), Some(counts(9, 900))))
        .await
        .ok()?;
    same(
        "the counter",
        counter(&mut c, key(1)).await?,
        Some(counts(9, 900)),
    )
}

async fn counter_entry_unset(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.counter_data = Some(counts(5, 500))))
        .await
        .ok()?;
    c.modify(counter_entry(key(1), None)).await.ok()?;
    same(
        "the counter",
        counter(&mut c, key(1)).await?,
        Some(counts(5, 500)),
    )
}

async fn counter_entry_read(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.counter_data = Some(counts(5, 500))))
        .await
        .ok()?;
    match c.read(counter_entry(key(1), None)).await.one()? {
        Entity::DirectCounterEntry(seen) => same("the counter", seen.data, Some(counts(5, 500))),
        other => Err(Failure::differs(
            "a Read",
            "a DirectCounterEntry",
            format!("{other:?}"),
        )),
    }
}

async fn counter_entry_read_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.write([insert(direct(1)), insert(direct(2))]).await.ok()?;
    let all = counter_entry(entry("direct_table"), None);
    same("counters", c.read(all).await.ok()?.len(), 2)
}

async fn counter_entry_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let missing = counter_entry(key(9), Some(counts(1, 1)));
    c.modify(missing.clone()).await.refused(Code::NotFound)?;
    c.read(missing).await.refused_with(&[Code::NotFound])
}

async fn counter_entry_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    let counter = counter_entry(key(1), Some(counts(1, 1)));
    c.insert(counter.clone())
        .await
        .refused(Code::InvalidArgument)?;
    c.delete(counter).await.refused(Code::InvalidArgument)
}

async fn counter_is_new(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.counter_data = Some(counts(5, 500))))
        .await
        .ok()?;
    c.delete(key(1)).await.ok()?;
    c.insert(direct(1)).await.ok()?;
    same(
        "the counter",
        counter(&mut c, key(1)).await?,
        Some(counts(0, 0)),
    )
}

async fn counter_of_default(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("direct_table").default_entry();
    c.misses(PACKET, 0).await?;
    let seen = counter(&mut c, default).await?.unwrap_or_default();
    same("packets that missed", seen.packet_count, 1)
}

async fn meter_default(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    same("the config", meter(&mut c, key(1)).await?, None)?;
    same("the colour", c.probe(PACKET).await?.value, 0)
}

async fn meter_given_on_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.meter_config = Some(rate(10, 20))))
        .await
        .ok()?;
    same(
        "the config",
        meter(&mut c, key(1)).await?,
        Some(rate(10, 20)),
    )
}

async fn meter_only_when_asked(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.meter_config = Some(rate(10, 20))))
        .await
        .ok()?;
    let entry = c.read(key(1)).await.entry()?;
    same("the config, not asked for", entry.meter_config, None)
}

async fn meter_reset_on_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.meter_config = Some(rate(10, 20))))
        .await
        .ok()?;
    c.modify(direct(1)).await.ok()?;
    same("the config", meter(&mut c, key(1)).await?, None)
}

async fn meter_set_on_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    c.modify(direct(1).with(|e| e.meter_config = Some(rate(30, 40))))
        .await
        .ok()?;
    same(
        "the config",
        meter(&mut c, key(1)).await?,
        Some(rate(30, 40)),
    )
}

async fn meter_marks(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.meter_config = Some(rate(1, 2))))
        .await
        .ok()?;
    let mut colours = Vec::new();
    for _ in 0..8 {
        colours.push(c.probe(PACKET).await?.value);
    }
    let right = colours[0] == 0 && colours.contains(&2);
    holds(
        "the colours",
        "green (0) first, then red (2)",
        right,
        colours,
    )
}

async fn meter_of_table_without(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let metered = exact().with(|e| e.meter_config = Some(rate(1, 1)));
    c.insert(metered).await.refused(Code::InvalidArgument)
}

fn meter_entry(entry: Entry, config: Option<p4::MeterConfig>) -> Entity {
    Entity::DirectMeterEntry(p4::DirectMeterEntry {
        table_entry: Some(entry.message),
        config,
        counter_data: None,
    })
}

async fn meter_entry_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    c.modify(meter_entry(key(1), Some(rate(30, 40))))
        .await
        .ok()?;
    same(
        "the config",
        meter(&mut c, key(1)).await?,
        Some(rate(30, 40)),
    )
}

async fn meter_entry_reset(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.meter_config = Some(rate(10, 20))))
        .await
        .ok()?;
    c.modify(meter_entry(key(1), None)).await.ok()?;
    same("the config", meter(&mut c, key(1)).await?, None)
}

async fn meter_entry_read(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.meter_config = Some(rate(10, 20))))
        .await
        .ok()?;
    match c.read(meter_entry(key(1), None)).await.one()? {
        Entity::DirectMeterEntry(seen) => same("the config", seen.config, Some(rate(10, 20))),
        other => Err(Failure::differs(
            "a Read",
            "a DirectMeterEntry",
            format!("{other:?}"),
        )),
    }
}

async fn meter_entry_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let missing = meter_entry(key(9), Some(rate(1, 1)));
    c.modify(missing.clone()).await.refused(Code::NotFound)?;
    c.read(missing).await.refused_with(&[Code::NotFound])
}

async fn meter_entry_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    let meter = meter_entry(key(1), Some(rate(1, 1)));
    c.insert(meter.clone())
        .await
        .refused(Code::InvalidArgument)?;
    c.delete(meter).await.refused(Code::InvalidArgument)
}

async fn meter_eburst(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let config = p4::MeterConfig {
        eburst: 5,
        ..rate(10, 20)
    };
    let metered = direct(1).with(|e| e.meter_config = Some(config));
    c.insert(metered).await.refused(Code::InvalidArgument)
}

/// Packets by colour of entry 1, which the server may not count.
async fn colours(c: &mut Client) -> Outcome<[i64; 3]> {
    let asking = key(1).with(|e| e.meter_counter_data = Some(p4::MeterCounterData::default()));
    let entities = c.read(asking).await.ok_if_offered()?;
    let Some(Entity::TableEntry(entry)) = entities.into_iter().next() else {
        return Err(Failure::differs("a Read", "one entry", "none"));
    };
    let Some(counts) = entry.meter_counter_data else {
        return Err(Failure::differs(
            "meter_counter_data",
            "set, as it was asked for",
            "unset",
        ));
    };
    let colours = [counts.green, counts.yellow, counts.red];
    Ok(colours.map(|count| count.map_or(0, |count| count.packet_count)))
}

async fn colours_counted(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1).with(|e| e.meter_config = Some(rate(1, 2))))
        .await
        .ok()?;
    let mut expected = [0; 3];
    for _ in 0..8 {
        let colour = c.probe(PACKET).await?.value;
        expected[usize::from(u8::try_from(colour).unwrap_or(0)).min(2)] += 1;
    }
    same("packets by colour", colours(&mut c).await?, expected)
}

async fn colours_not_writable(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let counted = direct(1).with(|e| {
        e.meter_counter_data = Some(p4::MeterCounterData {
            green: Some(counts(1, 1)),
            ..Default::default()
        });
    });
    c.insert(counted)
        .await
        .offered()?
        .refused(Code::InvalidArgument)
}

async fn colours_reset(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    c.hits(PACKET, 1).await?;
    same("packets by colour", colours(&mut c).await?, [1, 0, 0])?;
    c.modify(direct(1)).await.ok()?;
    same(
        "after MODIFY without them",
        colours(&mut c).await?,
        [1, 0, 0],
    )?;
    let reset = direct(1).with(|e| e.meter_counter_data = Some(p4::MeterCounterData::default()));
    c.modify(reset).await.ok_if_offered()?;
    same("after MODIFY with them", colours(&mut c).await?, [0, 0, 0])
}

async fn colours_entry_reset(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(direct(1)).await.ok()?;
    c.hits(PACKET, 1).await?;
    same("packets by colour", colours(&mut c).await?, [1, 0, 0])?;
    let reset = Entity::DirectMeterEntry(p4::DirectMeterEntry {
        table_entry: Some(key(1).message),
        config: None,
        counter_data: Some(p4::MeterCounterData::default()),
    });
    c.modify(reset).await.ok_if_offered()?;
    same("after the reset", colours(&mut c).await?, [0, 0, 0])
}

async fn resources_reset_with_default(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("direct_table").default_entry();
    let metered = default.clone().action("metered", &[("value", 3)]);
    c.modify(metered.with(|e| e.meter_config = Some(rate(10, 20))))
        .await
        .ok()?;
    same(
        "the config",
        meter(&mut c, default.clone()).await?,
        Some(rate(10, 20)),
    )?;
    c.modify(default.clone()).await.ok()?;
    same(
        "the config after the reset",
        meter(&mut c, default).await?,
        None,
    )
}
