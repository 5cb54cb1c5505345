//! What becomes of a batch of which something fails, and what packets see of it.

use super::prelude::*;
use crate::p4rt::writer::Writer;

chapter! { "atomicity":
    May rollback_restores, BATCH_ATOMICITY, "ROLLBACK_ON_ERROR: after an error all is as before the batch";
    May rollback_applies, BATCH_ATOMICITY, "ROLLBACK_ON_ERROR: a batch without errors is applied";
    May rollback_restores_all_kinds, BATCH_ATOMICITY, "ROLLBACK_ON_ERROR takes back inserts, changes and deletions";
    May rollback_restores_data_plane, BATCH_ATOMICITY, "ROLLBACK_ON_ERROR takes back what packets see";
    May rollback_names_the_error, WRITE_ERRORS, "ROLLBACK_ON_ERROR: the update that failed has its own code";
    May atomic_restores, BATCH_ATOMICITY, "DATAPLANE_ATOMIC: after an error all is as before the batch";
    May atomic_applies, BATCH_ATOMICITY, "DATAPLANE_ATOMIC: a batch without errors is applied";
    May atomic_is_seen_whole, BATCH_ATOMICITY, "DATAPLANE_ATOMIC: a packet sees all of a batch or none of it";
    Must unknown_mode, BATCH_ATOMICITY, "an atomicity that is not defined is refused";
}

fn route(n: u8) -> Entry {
    entry("lpm_table").lpm("k32", [10, n, 0, 0], 16).mark(n + 1)
}

async fn restores(t: Test, atomicity: Atomicity) -> Outcome {
    let mut c = t.switch().await?;
    let written = c.write_as(
        atomicity,
        [insert(route(1)), delete(route(9)), insert(route(2))],
    );
    let written = written.await.offered()?;
    holds(
        "the batch",
        "fails",
        written.result.is_err(),
        &written.result,
    )?;
    c.read(entry("lpm_table")).await.is_nothing()
}

async fn applies(t: Test, atomicity: Atomicity) -> Outcome {
    let mut c = t.switch().await?;
    let written = c.write_as(atomicity, [insert(route(1)), insert(route(2))]);
    written.await.ok_if_offered()?;
    c.read(entry("lpm_table")).await.is([route(1), route(2)])
}

async fn rollback_restores(t: Test) -> Outcome {
    restores(t, Atomicity::RollbackOnError).await
}

async fn rollback_applies(t: Test) -> Outcome {
    applies(t, Atomicity::RollbackOnError).await
}

async fn rollback_restores_all_kinds(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let noted = route(1).with(|entry| entry.metadata = b"first".to_vec());
    c.write([insert(noted.clone()), insert(route(2))])
        .await
        .ok()?;
    let batch = [
        modify(route(1).mark(70)),
        delete(route(2)),
        insert(route(3)),
        delete(route(9)),
    ];
    let written = c
        .write_as(Atomicity::RollbackOnError, batch)
        .await
        .offered()?;
    holds(
        "the batch",
        "fails",
        written.result.is_err(),
        &written.result,
    )?;
    c.read(entry("lpm_table")).await.is([noted, route(2)])
}

async fn rollback_restores_data_plane(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(route(1)).await.ok()?;
    let batch = [
        modify(route(1).mark(70)),
        insert(route(3)),
        delete(route(9)),
    ];
    let written = c
        .write_as(Atomicity::RollbackOnError, batch)
        .await
        .offered()?;
    holds(
        "the batch",
        "fails",
        written.result.is_err(),
        &written.result,
    )?;
    c.hits(Probe::to(op::LPM).k32(0x0a01_0000), 2).await?;
    c.misses(Probe::to(op::LPM).k32(0x0a03_0000), 0xffff).await
}

async fn rollback_names_the_error(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let batch = [insert(route(1)), delete(route(9))];
    let written = c
        .write_as(Atomicity::RollbackOnError, batch)
        .await
        .offered()?;
    let code = written.errors()?[1].canonical_code;
    same(
        "the second update's code",
        Code::from_i32(code),
        Code::NotFound,
    )
}

async fn atomic_restores(t: Test) -> Outcome {
    restores(t, Atomicity::DataplaneAtomic).await
}

async fn atomic_applies(t: Test) -> Outcome {
    applies(t, Atomicity::DataplaneAtomic).await
}

/// Both tables that a packet goes through, with the same number.
fn pair(number: u16) -> [p4::Update; 2] {
    let first = entry("first_table").exact("k8", 1).mark(number);
    let second = entry("second_table").exact("k8", 1);
    let second = second.action("set_base", &[("value", number)]);
    [modify(first), modify(second)]
}

async fn atomic_is_seen_whole(t: Test) -> Outcome {
    const PACKETS: usize = 2000;
    let mut c = t.switch().await?;
    let inserts = pair(0).map(|update| p4::Update {
        r#type: Type::Insert.into(),
        ..update
    });
    c.write(inserts).await.ok()?;
    c.write_as(Atomicity::DataplaneAtomic, pair(1))
        .await
        .ok_if_offered()?;
    let writer = Writer::start(&c, Atomicity::DataplaneAtomic, pair);
    let mut torn = Vec::new();
    for _ in 0..PACKETS {
        let seen = c.probe(Probe::to(op::PAIR).k8(1)).await?;
        if seen.mark != seen.base {
            torn.push((seen.mark, seen.base));
        }
    }
    writer.finish().await?;
    same("packets that saw half of a batch", torn, Vec::new())
}

async fn unknown_mode(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let mut request = c.request(Atomicity::ContinueOnError, [insert(route(1))]);
    request.atomicity = 17;
    let result = c.send_write(request).await.result;
    refused(
        "atomicity 17",
        result,
        &[Code::InvalidArgument, Code::Unimplemented],
    )
}
