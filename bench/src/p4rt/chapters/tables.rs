//! Entries of tables: the key, the rest, defaults, constant and initial ones.

use super::prelude::*;

chapter! { "tables":
    Must read_back, SYMMETRY, "an entry is read back as it was written";
    Must metadata_read_back, TABLE_ENTRY, "metadata is returned with the entry";
    Must controller_metadata_read_back, TABLE_ENTRY, "controller_metadata is returned with the entry";
    Must priority_where_needed, TABLE_ENTRY, "an entry of a table with ternary, range or optional fields needs a priority";
    Must priority_where_not_needed, TABLE_ENTRY, "an entry of another table has none";
    Must negative_priority, TABLE_ENTRY, "a negative priority is refused";
    Must higher_priority_wins, TABLE_ENTRY, "the entry with the highest priority is taken";
    Must same_priority, TABLE_ENTRY, "several entries may have the same priority";
    Must priority_is_key, TABLE_ENTRY, "the same match with another priority is another entry";
    Must key_identifies, TABLE_ENTRY, "match and priority identify the entry to modify and to delete";
    Must keyless_insert, TABLE_ENTRY, "INSERT into a table without key is INVALID_ARGUMENT";
    Must const_flag, TABLE_ENTRY, "is_const in a write request is INVALID_ARGUMENT";
    Should fills_up, TABLE_ENTRY, "an entry that does not fit is RESOURCE_EXHAUSTED, and the size of p4info fits";
    Must default_initial, DEFAULT_ENTRY, "the default entry is always there, first as the program has it";
    Must default_modify, DEFAULT_ENTRY, "the default entry can be modified, and is what a miss runs";
    Must default_reset, DEFAULT_ENTRY, "MODIFY of the default entry without action resets it, metadata too";
    Must default_insert, DEFAULT_ENTRY, "INSERT of a default entry is INVALID_ARGUMENT";
    Must default_delete, DEFAULT_ENTRY, "DELETE of a default entry is INVALID_ARGUMENT";
    Must default_with_match, DEFAULT_ENTRY, "a default entry with a match is INVALID_ARGUMENT";
    Must default_with_priority, DEFAULT_ENTRY, "a default entry with a priority is INVALID_ARGUMENT";
    Must default_const, DEFAULT_ENTRY, "a constant default entry cannot be modified: PERMISSION_DENIED";
    Must default_of_keyless, DEFAULT_ENTRY, "the default entry of a table without key can be modified";
    Must default_of_indirect, DEFAULT_ENTRY, "the default entry of an indirect table cannot be changed";
    Must const_entries_read, CONSTANT_TABLES, "the entries of a constant table can be read, with action and priority";
    Must const_priorities, CONSTANT_TABLES, "priorities of constant entries follow their order in the program";
    Must const_entries_match, CONSTANT_TABLES, "packets hit constant entries, the first that fits";
    Must const_insert, CONSTANT_TABLES, "INSERT into a constant table is PERMISSION_DENIED";
    Must const_modify, CONSTANT_TABLES, "MODIFY of a constant entry's action is PERMISSION_DENIED, even of the same";
    Must const_delete, CONSTANT_TABLES, "DELETE from a constant table is PERMISSION_DENIED";
    Must const_counter, CONSTANT_TABLES, "the direct counter of a constant entry may be modified";
    Must const_default, CONSTANT_TABLES, "the default entry of a constant table may be modified if it is not constant itself";
    Must const_is_const, CONSTANT_TABLES, "constant entries are read with is_const";
    Must initial_entries, PREINITIALIZED_TABLES, "initial entries are there when the pipeline is set";
    Must initial_modify, PREINITIALIZED_TABLES, "initial entries that are not constant may be modified";
    Must initial_delete, PREINITIALIZED_TABLES, "initial entries that are not constant may be deleted, and others inserted";
    Must initial_again, PREINITIALIZED_TABLES, "initial entries are back when the pipeline is set again";
}

fn exact(k8: u8, k16: u16) -> Entry {
    entry("exact_table").exact("k8", k8).exact("k16", k16)
}

/// A rule for some bits of k16.
fn rule(value: u16, mask: u16, priority: i32) -> Entry {
    let bits = |n: u16| Value(canonical(n.into()));
    entry("ternary_table")
        .ternary("k16", bits(value), bits(mask))
        .priority(priority)
}

async fn read_back(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = exact(1, 2).action("pair", &[("high", 3), ("low", 4)]);
    c.insert(written.clone()).await.ok()?;
    c.read(entry("exact_table")).await.is([written])
}

async fn metadata_read_back(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = exact(1, 2)
        .mark(3)
        .with(|e| e.metadata = vec![0, 1, 0xff, 0]);
    c.insert(written.clone()).await.ok()?;
    c.read(entry("exact_table")).await.is([written])
}

#[allow(deprecated, reason = "the field is still in the specification")]
async fn controller_metadata_read_back(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = exact(1, 2)
        .mark(3)
        .with(|e| e.controller_metadata = u64::MAX);
    c.insert(written.clone()).await.ok()?;
    c.read(entry("exact_table")).await.is([written])
}

async fn priority_where_needed(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    for entry in [
        rule(1, 0xffff, 0),
        entry("range_table").range("k16", 1, 2),
        entry("optional_table").optional("k16", 1).exact("k8", 1),
    ] {
        c.insert(entry.mark(1))
            .await
            .refused(Code::InvalidArgument)?;
    }
    Ok(())
}

async fn priority_where_not_needed(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(exact(1, 2).mark(1).priority(1))
        .await
        .refused(Code::InvalidArgument)?;
    let route = entry("lpm_table").lpm("k32", [10, 0, 0, 0], 8).mark(1);
    c.insert(route.priority(1))
        .await
        .refused(Code::InvalidArgument)
}

async fn negative_priority(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(rule(1, 0xffff, -1).mark(1))
        .await
        .refused(Code::InvalidArgument)
}

async fn higher_priority_wins(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let packet = Probe::to(op::TERNARY).k16(0x0102);
    c.insert(rule(0x0100, 0xff00, 5).mark(1)).await.ok()?;
    c.insert(rule(0x0002, 0x00ff, 9).mark(2)).await.ok()?;
    c.hits(packet, 2).await?;
    c.insert(rule(0x0102, 0xffff, 7).mark(3)).await.ok()?;
    c.hits(packet, 2).await?;
    c.delete(rule(0x0002, 0x00ff, 9)).await.ok()?;
    c.hits(packet, 3).await
}

async fn same_priority(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let rules = [
        rule(0x0100, 0xff00, 5).mark(1),
        rule(0x0002, 0x00ff, 5).mark(2),
    ];
    c.write(rules.clone().map(insert)).await.ok()?;
    c.read(entry("ternary_table")).await.is(rules)
}

async fn priority_is_key(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let rules = [rule(1, 0xffff, 5).mark(1), rule(1, 0xffff, 6).mark(2)];
    c.write(rules.clone().map(insert)).await.ok()?;
    c.read(entry("ternary_table")).await.is(rules)
}

async fn key_identifies(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(rule(1, 0xffff, 5).mark(1)).await.ok()?;
    c.modify(rule(1, 0xffff, 6).mark(2))
        .await
        .refused(Code::NotFound)?;
    c.delete(rule(1, 0x00ff, 5)).await.refused(Code::NotFound)?;
    c.modify(rule(1, 0xffff, 5).mark(2)).await.ok()?;
    c.delete(rule(1, 0xffff, 5)).await.ok()
}

async fn keyless_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(entry("keyless_table").mark(1))
        .await
        .refused(Code::InvalidArgument)
}

async fn const_flag(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let flagged = exact(1, 2).mark(1).with(|e| e.is_const = true);
    c.insert(flagged.clone())
        .await
        .refused(Code::InvalidArgument)?;
    c.insert(exact(1, 2).mark(1)).await.ok()?;
    c.modify(flagged.clone())
        .await
        .refused(Code::InvalidArgument)?;
    c.delete(flagged).await.refused(Code::InvalidArgument)
}

async fn fills_up(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.write((0..16).map(|n| insert(direct(n)))).await.ok()?;
    // The table has a size of 16; a server may have more room, but not without end.
    for n in 16..=255 {
        let written = c.insert(direct(n)).await;
        if written.result.is_err() {
            return written.refused(Code::ResourceExhausted);
        }
    }
    Ok(())
}

fn direct(k8: u8) -> Entry {
    let entry = entry("direct_table").exact("k8", k8);
    entry.action("metered", &[("value", 1)])
}

async fn default_initial(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("lpm_table").default_entry();
    c.read(default.clone()).await.is([default.mark(0xffff)])?;
    c.misses(Probe::to(op::LPM), 0xffff).await
}

async fn default_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("exact_table").default_entry().mark(8);
    c.modify(default.clone()).await.ok()?;
    c.misses(Probe::to(op::EXACT), 8).await?;
    c.read(entry("exact_table").default_entry())
        .await
        .is([default])
}

async fn default_reset(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("lpm_table").default_entry();
    let changed = default
        .clone()
        .mark(8)
        .with(|e| e.metadata = b"note".to_vec());
    c.modify(changed).await.ok()?;
    c.modify(default.clone()).await.ok()?;
    c.misses(Probe::to(op::LPM), 0xffff).await?;
    c.read(default.clone()).await.is([default.mark(0xffff)])
}

async fn default_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("exact_table").default_entry().mark(8);
    c.insert(default).await.refused(Code::InvalidArgument)
}

async fn default_delete(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("exact_table").default_entry();
    c.delete(default).await.refused(Code::InvalidArgument)
}

async fn default_with_match(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = exact(1, 2).default_entry().mark(8);
    c.modify(default).await.refused(Code::InvalidArgument)
}

async fn default_with_priority(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("ternary_table").default_entry().mark(8).priority(1);
    c.modify(default).await.refused(Code::InvalidArgument)
}

async fn default_const(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("fixed_table").default_entry();
    c.modify(default.clone().mark(8))
        .await
        .refused(Code::PermissionDenied)?;
    c.modify(default.clone())
        .await
        .refused(Code::PermissionDenied)?;
    c.misses(Probe::to(op::FIXED), 9).await
}

async fn default_of_keyless(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.misses(Probe::to(op::KEYLESS), 7).await?;
    c.modify(entry("keyless_table").default_entry().mark(8))
        .await
        .ok()?;
    c.misses(Probe::to(op::KEYLESS), 8).await
}

async fn default_of_indirect(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let default = entry("member_table").default_entry().mark(8);
    let codes = [Code::InvalidArgument, Code::PermissionDenied];
    c.modify(default).await.refused_with(&codes)
}

/// The constant table's entries in the order of the program, without what servers may choose.
async fn constant(c: &mut Client) -> Outcome<Vec<p4::TableEntry>> {
    let mut entries = c.read(entry("const_table")).await.entries()?;
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.priority));
    Ok(entries)
}

async fn const_entries_read(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let entries = constant(&mut c).await?;
    same("entries", entries.len(), 3)?;
    for entry in entries {
        let complete = !entry.r#match.is_empty()
            && entry.action.is_some()
            && entry.priority > 0
            && !entry.is_default_action;
        holds(
            "a constant entry",
            "match, action and priority",
            complete,
            &entry,
        )?;
    }
    Ok(())
}

async fn const_priorities(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let entries = constant(&mut c).await?;
    let table = entry("const_table");
    let actions = entries.iter().map(|entry| entry.action.clone());
    let expected = [1, 2, 3].map(|n| table.clone().mark(n).message.action);
    same(
        "actions by falling priority",
        actions.collect::<Vec<_>>(),
        expected.to_vec(),
    )
}

async fn const_entries_match(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    for (k16, mark) in [(0x0001, 1), (0x0002, 2), (0x0100, 3)] {
        c.hits(Probe::to(op::CONST).k16(k16), mark).await?;
    }
    c.misses(Probe::to(op::CONST).k16(0x0200), 0).await
}

/// The entry for 1, with nothing but its key.
async fn first_constant(c: &mut Client) -> Outcome<Entry> {
    let entries = constant(c).await?;
    let Some(first) = entries.into_iter().next() else {
        return Err(Failure::differs("the constant table", "entries", "none"));
    };
    Ok(entry("const_table").with(|entry| {
        entry.r#match = first.r#match;
        entry.priority = first.priority;
    }))
}

async fn const_insert(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let new = entry("const_table")
        .ternary("k16", 9, [0xff, 0xff])
        .priority(50)
        .mark(1);
    c.insert(new).await.refused(Code::PermissionDenied)
}

async fn const_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let first = first_constant(&mut c).await?;
    c.modify(first.clone().mark(5))
        .await
        .refused(Code::PermissionDenied)?;
    c.modify(first.mark(1))
        .await
        .refused(Code::PermissionDenied)
}

async fn const_delete(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let first = first_constant(&mut c).await?;
    c.delete(first).await.refused(Code::PermissionDenied)
}

async fn const_counter(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let counted = first_constant(&mut c).await?.with(|entry| {
        entry.counter_data = Some(p4::CounterData {
            byte_count: 500,
            packet_count: 5,
        });
    });
    c.modify(counted.clone()).await.ok()?;
    let seen = c.read(counted.clone()).await.entry()?;
    same(
        "the counter",
        seen.counter_data,
        counted.message.counter_data,
    )
}

async fn const_default(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(entry("const_table").default_entry().mark(8))
        .await
        .ok()?;
    c.misses(Probe::to(op::CONST).k16(0x0200), 8).await
}

async fn const_is_const(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let flags = constant(&mut c)
        .await?
        .into_iter()
        .map(|entry| entry.is_const);
    same("is_const", flags.collect::<Vec<_>>(), vec![true; 3])
}

fn initial(k8: i32) -> Entry {
    entry("initial_table").exact("k8", k8)
}

async fn initial_entries(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let all = [1, 2, 3, 4].map(|n| initial(n).mark(10 + n));
    c.read(entry("initial_table")).await.is(all)?;
    c.hits(Probe::to(op::INITIAL).k8(2), 12).await
}

async fn initial_modify(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(initial(2).mark(50)).await.ok()?;
    c.hits(Probe::to(op::INITIAL).k8(2), 50).await
}

async fn initial_delete(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.delete(initial(2)).await.ok()?;
    c.misses(Probe::to(op::INITIAL).k8(2), 0).await?;
    c.insert(initial(9).mark(60)).await.ok()?;
    c.hits(Probe::to(op::INITIAL).k8(9), 60).await
}

async fn initial_again(t: Test) -> Outcome {
    use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;
    let mut c = t.switch().await?;
    c.delete(initial(2)).await.ok()?;
    let set = c
        .set(Action::VerifyAndCommit, Some(ENTITIES.config()))
        .await;
    accepted("setting the pipeline again", set)?;
    c.hits(Probe::to(op::INITIAL).k8(2), 12).await
}
