//! Types that controllers see otherwise than the data plane: ports, wider numbers, names.
//!
//! The specification leaves it to the switch's configuration which number stands for which. So these
//! tests ask only what holds for any mapping, and take a port's number for its SDN port number.

use std::collections::HashMap;

use super::prelude::*;

chapter! { "translation":
    Must pipeline, USER_TYPES, "a pipeline with translated types is accepted";
    Must names_read_back, MATCH_TRANSLATION, "a key of a type that is translated to strings is read back as it was written";
    Must names_in_actions, PARAMETER_TRANSLATION, "a parameter that is a name is what a key with that name matches";
    Must names_are_distinct, TRANSLATION, "different names are different values";
    Must names_in_packets, PACKET_TRANSLATION, "a name in a packet-in is the name that the controller gave";
    Must numbers_read_back, MATCH_TRANSLATION, "a key of a type that is translated to numbers is read back as it was written";
    Must numbers_in_actions, PARAMETER_TRANSLATION, "a parameter is what a key with the same controller's number matches";
    Must numbers_in_packets, PACKET_TRANSLATION, "a number in a packet-in is the controller's";
    Must too_wide, BYTESTRINGS, "a number that does not fit the controller's type is refused";
    Must port_in_key, PORT_TRANSLATION, "a port in a key has 32 bits, and is hit by a packet with that port";
    Must port_zero, PORT_TRANSLATION, "port 0 is no SDN port";
    Must port_cpu, PORT_TRANSLATION, "0xfffffffd is the port of the controller";
    Must port_optional, MATCH_TRANSLATION, "a port that is optional can be matched or left out";
    Must port_in_packets, PACKET_TRANSLATION, "a port in a packet-in is an SDN port";
    Must port_as_index, INDEX_TRANSLATION, "a counter whose index is a port is read by SDN port";
}

fn table(name: &str) -> Entry {
    Entry::of(&TRANSLATION, name)
}

async fn switch(t: &Test) -> Outcome<Client> {
    t.switch_with(&TRANSLATION).await
}

/// An entry that gives packets with this k8 these values.
fn give(k8: u8, name: &str, wide: u32, port: u32) -> Entry {
    let values = [
        ("name", Value::from(name)),
        ("wide", Value::from(wide)),
        ("port", Value::from(port)),
    ];
    table("give_table").exact("k8", k8).action("give", &values)
}

fn no_action(entry: Entry) -> Entry {
    entry.action::<i32>("NoAction", &[])
}

/// What the program does after it has given values.
#[derive(Clone, Copy)]
enum Look {
    Nowhere = 0,
    ForName = 1,
    ForWide = 2,
    ForPort = 3,
    Count = 4,
}

/// Sends a packet and returns the metadata of what comes back.
async fn ask(c: &mut Client, look: Look, k8: u8, port: u32) -> Outcome<HashMap<String, Vec<u8>>> {
    let sent = payload(64);
    let fields = [
        ("op", Value::from(look as u8)),
        ("k8", Value::from(k8)),
        ("name", Value::from("nobody")),
        ("wide", Value::from(1_u32)),
        ("port", Value::from(port)),
        ("unused", Value::from(0)),
    ];
    let packet = c.packet(&fields, sent.clone());
    c.send(packet).await?;
    let back = c.back(&sent).await?;
    Ok(c.metadata(&back))
}

async fn hit(c: &mut Client, look: Look, k8: u8, port: u32) -> Outcome<bool> {
    let metadata = ask(c, look, k8, port).await?;
    Ok(metadata.get("hit").is_some_and(|hit| hit == &[1]))
}

async fn pipeline(t: Test) -> Outcome {
    switch(&t).await.map(drop)
}

async fn names_read_back(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let entry = no_action(table("name_table").exact("name", "nexthop-1"));
    c.insert(entry.clone()).await.ok()?;
    c.read(table("name_table")).await.is([entry])?;
    c.insert(give(1, "a", 5, t.port())).await.ok()?;
    c.read(table("give_table"))
        .await
        .is([give(1, "a", 5, t.port())])
}

async fn names_in_actions(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(give(1, "nexthop-1", 5, t.port())).await.ok()?;
    c.insert(no_action(table("name_table").exact("name", "nexthop-1")))
        .await
        .ok()?;
    same(
        "the name is found",
        hit(&mut c, Look::ForName, 1, t.port()).await?,
        true,
    )
}

async fn names_are_distinct(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(give(1, "nexthop-1", 5, t.port())).await.ok()?;
    c.insert(no_action(table("name_table").exact("name", "nexthop-2")))
        .await
        .ok()?;
    same(
        "another name is found",
        hit(&mut c, Look::ForName, 1, t.port()).await?,
        false,
    )
}

async fn names_in_packets(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(give(1, "nexthop-1", 5, t.port())).await.ok()?;
    let metadata = ask(&mut c, Look::Nowhere, 1, t.port()).await?;
    same(
        "the name",
        metadata.get("name").cloned(),
        Some(b"nexthop-1".to_vec()),
    )
}

async fn numbers_read_back(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let entry = no_action(table("wide_table").exact("wide", 0x1234));
    c.insert(entry.clone()).await.ok()?;
    c.read(table("wide_table")).await.is([entry])
}

async fn numbers_in_actions(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(give(1, "a", 0x1234, t.port())).await.ok()?;
    c.insert(no_action(table("wide_table").exact("wide", 0x1234)))
        .await
        .ok()?;
    same(
        "the number is found",
        hit(&mut c, Look::ForWide, 1, t.port()).await?,
        true,
    )
}

async fn numbers_in_packets(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    c.insert(give(1, "a", 0x1234, t.port())).await.ok()?;
    let metadata = ask(&mut c, Look::Nowhere, 1, t.port()).await?;
    same(
        "the number",
        metadata.get("wide").cloned(),
        Some(vec![0x12, 0x34]),
    )
}

async fn too_wide(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let wide = no_action(table("wide_table").exact("wide", [1, 0, 0, 0, 0]));
    c.insert(wide)
        .await
        .refused_with(&[Code::OutOfRange, Code::InvalidArgument])
}

async fn port_in_key(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let entry = no_action(table("port_table").exact("port", t.port()));
    c.insert(entry.clone()).await.ok()?;
    same(
        "the port is found",
        hit(&mut c, Look::ForPort, 1, t.port()).await?,
        true,
    )?;
    c.read(table("port_table")).await.is([entry])
}

async fn port_zero(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let entry = no_action(table("port_table").exact("port", 0));
    let codes = [Code::InvalidArgument, Code::OutOfRange, Code::NotFound];
    c.insert(entry).await.refused_with(&codes)
}

async fn port_cpu(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let entry = no_action(table("port_table").exact("port", 0xffff_fffd_u32));
    c.insert(entry.clone()).await.ok()?;
    c.read(table("port_table")).await.is([entry])
}

async fn port_optional(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let any = no_action(table("optional_port_table")).priority(1);
    let one = no_action(table("optional_port_table").optional("port", t.port())).priority(2);
    c.write([insert(any.clone()), insert(one.clone())])
        .await
        .ok()?;
    c.read(table("optional_port_table")).await.is([any, one])
}

async fn port_in_packets(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    let metadata = ask(&mut c, Look::Nowhere, 1, t.port()).await?;
    let expected = canonical(t.port().into());
    same("the port", metadata.get("port").cloned(), Some(expected))
}

async fn port_as_index(t: Test) -> Outcome {
    let mut c = switch(&t).await?;
    ask(&mut c, Look::Count, 1, t.port()).await?;
    let cell = Entity::CounterEntry(p4::CounterEntry {
        counter_id: TRANSLATION.id("port_counts"),
        index: crate::p4rt::entry::index(t.port().into()),
        data: None,
    });
    match c.read(cell).await.one()? {
        Entity::CounterEntry(cell) => {
            same(
                "the cell's index",
                cell.index.map(|i| i.index),
                Some(t.port().into()),
            )?;
            same("packets", cell.data.map(|data| data.packet_count), Some(1))
        }
        other => Err(Failure::differs(
            "a Read",
            "a CounterEntry",
            format!("{other:?}"),
        )),
    }
}
