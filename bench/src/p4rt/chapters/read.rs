//! The Read RPC: filters, errors beside answers, and what a reader may rely on.

use super::prelude::*;
use crate::p4rt::client::read;
use crate::p4rt::writer::Writer;

chapter! { "read":
    Must unknown_device, READ, "a device that the server does not have is NOT_FOUND";
    Must needs_no_stream, READ, "a Read needs neither a stream nor an election id";
    Must no_entity, READ_WILDCARDS, "an entity without a filter is INVALID_ARGUMENT";
    Must empty_request, READ_BATCHES, "a Read without filters answers nothing and succeeds";
    Must unknown_id, READ_BATCHES, "a filter with an id that p4info does not have is an error";
    Must all_tables, TABLE_WILDCARDS, "table_id 0 reads the entries of all tables";
    Must one_table, TABLE_WILDCARDS, "a table_id reads the entries of that table only";
    Must by_key, TABLE_WILDCARDS, "a key reads the entry with exactly that key";
    Must missing_key, TABLE_WILDCARDS, "a key that no entry has reads nothing";
    Must by_action, TABLE_WILDCARDS, "an action_id reads the entries with that action";
    Must by_priority, TABLE_WILDCARDS, "a priority reads the entries with that priority";
    Must by_controller_metadata, TABLE_WILDCARDS, "controller_metadata reads the entries with that value";
    Must by_metadata, TABLE_WILDCARDS, "metadata reads the entries with that value";
    Must default_is_apart, TABLE_WILDCARDS, "a wildcard leaves default entries out; is_default_action reads only them";
    Must const_tables_too, TABLE_WILDCARDS, "a wildcard over all tables has the entries of constant tables";
    Must all_of_it, READ_WILDCARDS, "the whole state is read by one filter for each kind of entity";
    Must errors_beside_answers, READ_BATCHES, "valid filters are answered though others are not valid";
    Must errors_one_to_one, READ_BATCHES, "the error is UNKNOWN with one p4.Error for each filter, in order";
    Must concurrent_reads, READ_BATCHES, "several Reads may be open at the same time";
    Must whole_batches, PARALLELISM, "a Read sees all of a concurrent Write or nothing of it";
    Must many_entries, READ, "a Read of many entries is answered, in as many messages as it takes";
    Should slow_reader, READ, "a client that does not read its answer holds up nobody else";
}

fn exact(k8: u8, k16: u16) -> Entry {
    entry("exact_table").exact("k8", k8).exact("k16", k16)
}

async fn unknown_device(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.device_id += 1_000_003;
    c.read(entry("exact_table"))
        .await
        .refused_with(&[Code::NotFound])
}

async fn needs_no_stream(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact(1, 2).mark(3)).await.ok()?;
    let request = p4::ReadRequest {
        device_id: t.device_id(),
        entities: vec![p4::Entity {
            entity: Some(entry("exact_table").into()),
        }],
        ..Default::default()
    };
    let mut rpc = t.connect().await?;
    read(&mut rpc, request).await.is([exact(1, 2).mark(3)])
}

async fn no_entity(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.read_all([None])
        .await
        .refused_with(&[Code::InvalidArgument])
}

async fn empty_request(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.read_all([]).await.is_nothing()
}

async fn unknown_id(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = entry("exact_table").with(|entry| entry.table_id = 0x02ff_fff1);
    c.read(nothing)
        .await
        .refused_with(&[Code::InvalidArgument, Code::NotFound])
}

async fn all_tables(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let route = entry("lpm_table").lpm("k32", [10, 0, 0, 0], 8).mark(2);
    c.write([insert(exact(1, 2).mark(3)), insert(route.clone())])
        .await
        .ok()?;
    let entries = c
        .read(Entity::TableEntry(p4::TableEntry::default()))
        .await
        .entries()?;
    let tables = [exact(1, 2).message.table_id, route.message.table_id];
    let mut seen: Vec<_> = entries.iter().map(|entry| entry.table_id).collect();
    seen.retain(|id| tables.contains(id));
    seen.sort_unstable();
    let mut expected = tables.to_vec();
    expected.sort_unstable();
    same("entries of both tables", seen, expected)
}

async fn one_table(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let route = entry("lpm_table").lpm("k32", [10, 0, 0, 0], 8).mark(2);
    c.write([insert(exact(1, 2).mark(3)), insert(route.clone())])
        .await
        .ok()?;
    c.read(entry("lpm_table")).await.is([route])
}

async fn by_key(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.write([insert(exact(1, 2).mark(3)), insert(exact(1, 3).mark(4))])
        .await
        .ok()?;
    c.read(exact(1, 3)).await.is([exact(1, 3).mark(4)])
}

async fn missing_key(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact(1, 2).mark(3)).await.ok()?;
    c.read(exact(1, 9)).await.is_nothing()
}

async fn by_action(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let narrow = exact(1, 3).action("narrow", &[("value", 4)]);
    c.write([insert(exact(1, 2).mark(3)), insert(narrow.clone())])
        .await
        .ok()?;
    let filter = entry("exact_table").action::<i32>("narrow", &[]);
    c.read(filter).await.is([narrow])
}

async fn by_priority(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let rule = |k16: i32, priority| {
        entry("ternary_table")
            .ternary("k16", k16, [0xff, 0xff])
            .priority(priority)
            .mark(1)
    };
    c.write([
        insert(rule(1, 11)),
        insert(rule(2, 12)),
        insert(rule(3, 11)),
    ])
    .await
    .ok()?;
    let found = c.read(entry("ternary_table").priority(11)).await;
    found.is([rule(1, 11), rule(3, 11)])
}

#[allow(deprecated, reason = "the field is still in the specification")]
async fn by_controller_metadata(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let noted = |k16, cookie| {
        exact(1, k16)
            .mark(3)
            .with(|e| e.controller_metadata = cookie)
    };
    c.write([
        insert(noted(1, 7)),
        insert(noted(2, 8)),
        insert(noted(3, 0)),
    ])
    .await
    .ok()?;
    let filter = entry("exact_table").with(|e| e.controller_metadata = 8);
    c.read(filter).await.is([noted(2, 8)])
}

async fn by_metadata(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let noted = |k16, note: &str| exact(1, k16).mark(3).with(|e| e.metadata = note.into());
    c.write([
        insert(noted(1, "a")),
        insert(noted(2, "b")),
        insert(noted(3, "")),
    ])
    .await
    .ok()?;
    let filter = entry("exact_table").with(|e| e.metadata = b"b".to_vec());
    c.read(filter).await.is([noted(2, "b")])
}

async fn default_is_apart(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact(1, 2).mark(3)).await.ok()?;
    c.modify(entry("exact_table").default_entry().mark(9))
        .await
        .ok()?;
    c.read(entry("exact_table"))
        .await
        .is([exact(1, 2).mark(3)])?;
    let default = entry("exact_table").default_entry();
    c.read(default.clone()).await.is([default.mark(9)])
}

async fn const_tables_too(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let entries = c
        .read(Entity::TableEntry(p4::TableEntry::default()))
        .await
        .entries()?;
    let table = entry("const_table").message.table_id;
    let found = entries
        .iter()
        .filter(|entry| entry.table_id == table)
        .count();
    same("entries of the constant table", found, 3)
}

async fn all_of_it(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact(1, 2).mark(3)).await.ok()?;
    let everything = [
        Entity::TableEntry(p4::TableEntry::default()),
        Entity::CounterEntry(p4::CounterEntry::default()),
        Entity::MeterEntry(p4::MeterEntry::default()),
        Entity::ActionProfileMember(p4::ActionProfileMember::default()),
        Entity::ActionProfileGroup(p4::ActionProfileGroup::default()),
        crate::p4rt::entry::multicast_entity(p4::MulticastGroupEntry::default()),
        crate::p4rt::entry::clone_entity(p4::CloneSessionEntry::default()),
        Entity::RegisterEntry(p4::RegisterEntry::default()),
        Entity::ValueSetEntry(p4::ValueSetEntry::default()),
        Entity::DigestEntry(p4::DigestEntry::default()),
    ];
    let entities = c.read_all(everything.map(Some)).await.ok()?;
    let cells = entities
        .iter()
        .filter(|e| matches!(e, Entity::CounterEntry(_)))
        .count();
    same("cells of counters", cells, 8)
}

async fn errors_beside_answers(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact(1, 2).mark(3)).await.ok()?;
    let nothing = entry("exact_table").with(|entry| entry.table_id = 0x02ff_fff1);
    let filters = [nothing, entry("exact_table")].map(|filter| Some(filter.into()));
    let answer = c.read_all(filters).await;
    holds(
        "the Read",
        "ends with an error",
        answer.end.is_err(),
        &answer.end,
    )?;
    same("entities answered", answer.entities.len(), 1)
}

async fn errors_one_to_one(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let filters = [
        Some(entry("exact_table").into()),
        None,
        Some(entry("lpm_table").into()),
    ];
    let answer = c.read_all(filters).await;
    answer.each(&[Code::Ok, Code::InvalidArgument, Code::Ok])
}

async fn concurrent_reads(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact(1, 2).mark(3)).await.ok()?;
    let request = p4::ReadRequest {
        device_id: t.device_id(),
        entities: vec![p4::Entity {
            entity: Some(entry("exact_table").into()),
        }],
        ..Default::default()
    };
    let readers = (0..8).map(|_| {
        let (mut rpc, request) = (c.rpc.clone(), request.clone());
        tokio::spawn(async move { read(&mut rpc, request).await })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader
            .await
            .expect("it does not panic")
            .is([exact(1, 2).mark(3)])?;
    }
    Ok(())
}

async fn whole_batches(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let both = |n: u16| {
        let second = entry("second_table").exact("k8", 1);
        let second = second.action("set_base", &[("value", n)]);
        [entry("first_table").exact("k8", 1).mark(n), second]
    };
    c.write(both(1).map(insert)).await.ok()?;
    let batch = move |n| both(n).map(modify);
    let writer = Writer::start(&c, Atomicity::ContinueOnError, batch);
    let mut torn = Vec::new();
    for _ in 0..300 {
        let both = [entry("first_table"), entry("second_table")].map(|e| Some(e.into()));
        let entries = c.read_all(both).await.entries()?;
        let numbers: Vec<_> = entries.iter().filter_map(argument).collect();
        if numbers.windows(2).any(|pair| pair[0] != pair[1]) {
            torn.push(numbers);
        }
    }
    writer.finish().await?;
    same("Reads that saw half of a batch", torn, Vec::new())
}

/// The first argument of an entry's action.
fn argument(entry: &p4::TableEntry) -> Option<Vec<u8>> {
    match entry.action.as_ref()?.r#type.as_ref()? {
        p4::table_action::Type::Action(action) => Some(action.params.first()?.value.clone()),
        _ => None,
    }
}

async fn many_entries(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let keys = (0..60).map(|n| insert(exact(n, 7).mark(3).with(|e| e.metadata = vec![1; 60_000])));
    c.write(keys).await.ok()?;
    let entries = c.read(entry("exact_table")).await.entries()?;
    same("entries", entries.len(), 60)
}

async fn slow_reader(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let keys = (0..60).map(|n| insert(exact(n, 7).mark(3).with(|e| e.metadata = vec![1; 60_000])));
    c.write(keys).await.ok()?;
    let mut rpc = t.connect().await?;
    let request = p4::ReadRequest {
        device_id: t.device_id(),
        entities: vec![p4::Entity {
            entity: Some(entry("exact_table").into()),
        }],
        ..Default::default()
    };
    // An answer of megabytes that nobody takes.
    let _unread = accepted("a Read", rpc.read(request).await)?;
    let write = c.insert(exact(200, 1).mark(1));
    match tokio::time::timeout(t.server.patience, write).await {
        Ok(written) => written.ok(),
        Err(_) => Err(Failure::differs("a Write beside it", "OK", "no answer")),
    }
}
