//! Value sets of parsers.

use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};

use super::prelude::*;

chapter! { "value_sets":
    Must written, VALUE_SET, "MODIFY sets the members, and packets meet them in the parser";
    Must replaced, VALUE_SET, "MODIFY replaces all members";
    Must emptied, VALUE_SET, "MODIFY without members empties the set";
    Must read_back, VALUE_SET, "members are read back";
    Must starts_empty, VALUE_SET, "a set starts without members";
    Must insert_and_delete, VALUE_SET, "INSERT and DELETE are INVALID_ARGUMENT";
    Must too_many, VALUE_SET, "more members than the size are RESOURCE_EXHAUSTED";
    Must duplicates, VALUE_SET, "duplicate members are ALREADY_EXISTS";
    Must of_structs, VALUE_SET, "a member of a set of structs has a match for each field, and all have to fit";
    Must field_missing, VALUE_SET, "matches of members follow the rules of table entries";
    Must value_too_large, BYTESTRINGS, "values of members follow the rules of byte strings";
    Must unknown, VALUE_SET, "a set that p4info does not have is refused";
    Must read_all, READ_WILDCARDS, "value_set_id 0 reads all sets";
}

/// The chapter on matches has INVALID_ARGUMENT, that of byte strings OUT_OF_RANGE.
const NOT_A_VALUE: [Code; 2] = [Code::OutOfRange, Code::InvalidArgument];

fn exact(field_id: u32, value: impl Into<Value>) -> p4::FieldMatch {
    let value = value.into().0;
    p4::FieldMatch {
        field_id,
        field_match_type: Some(FieldMatchType::Exact(field_match::Exact { value })),
    }
}

fn set(name: &str, members: impl IntoIterator<Item = Vec<p4::FieldMatch>>) -> Entity {
    let members = members
        .into_iter()
        .map(|r#match| p4::ValueSetMember { r#match });
    Entity::ValueSetEntry(p4::ValueSetEntry {
        value_set_id: ENTITIES.id(name),
        members: members.collect(),
    })
}

fn kinds(values: impl IntoIterator<Item = u16>) -> Entity {
    set(
        "kinds",
        values.into_iter().map(|value| vec![exact(1, value)]),
    )
}

/// Whether a packet's k16 is among the kinds.
async fn is_a_kind(c: &mut Client, k16: u16) -> Outcome<bool> {
    Ok(c.probe(Probe::to(op::VALUE_SET).k16(k16)).await?.hit)
}

async fn written(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(kinds([0x22f3, 0x893b])).await.ok()?;
    same("0x22f3 is one", is_a_kind(&mut c, 0x22f3).await?, true)?;
    same("0x893b is one", is_a_kind(&mut c, 0x893b).await?, true)?;
    same("0x893c is one", is_a_kind(&mut c, 0x893c).await?, false)
}

async fn replaced(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(kinds([1, 2])).await.ok()?;
    c.modify(kinds([2, 3])).await.ok()?;
    same("1 is one", is_a_kind(&mut c, 1).await?, false)?;
    same("3 is one", is_a_kind(&mut c, 3).await?, true)
}

async fn emptied(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(kinds([1, 2])).await.ok()?;
    c.modify(kinds([])).await.ok()?;
    same("1 is one", is_a_kind(&mut c, 1).await?, false)
}

async fn read_back(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(kinds([1, 0x0203])).await.ok()?;
    c.read(kinds([])).await.is([kinds([1, 0x0203])])
}

async fn starts_empty(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    same("0 is one", is_a_kind(&mut c, 0).await?, false)?;
    let seen = c.read(kinds([])).await.ok()?;
    let empty = seen.is_empty() || seen == [kinds([])];
    holds("the set", "without members", empty, seen)
}

async fn insert_and_delete(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(kinds([1])).await.refused(Code::InvalidArgument)?;
    c.delete(kinds([1])).await.refused(Code::InvalidArgument)
}

async fn too_many(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(kinds(1..=4)).await.ok()?;
    c.modify(kinds(1..=5))
        .await
        .refused(Code::ResourceExhausted)
}

async fn duplicates(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(kinds([1, 1])).await.refused(Code::AlreadyExists)
}

fn flow(kind: impl Into<Value>, id: impl Into<Value>) -> Vec<p4::FieldMatch> {
    vec![exact(1, kind), exact(2, id)]
}

async fn of_structs(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(set("flows", [flow(7, 0x0102)])).await.ok()?;
    let packet = |kind, id| Probe::to(op::VALUE_SET).k8(kind).k16(id);
    same("both fit", c.probe(packet(7, 0x0102)).await?.mark, 1)?;
    same("one fits", c.probe(packet(7, 0x0103)).await?.mark, 0)
}

async fn field_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let half = set("flows", [vec![exact(1, 7)]]);
    c.modify(half).await.refused(Code::InvalidArgument)
}

async fn value_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let large = set("flows", [flow([1, 0], 1)]);
    c.modify(large).await.refused_with(&NOT_A_VALUE)
}

async fn unknown(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = Entity::ValueSetEntry(p4::ValueSetEntry {
        value_set_id: 0x03ff_fff1,
        members: Vec::new(),
    });
    c.modify(nothing)
        .await
        .refused_with(&[Code::InvalidArgument, Code::NotFound])
}

async fn read_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(kinds([1])).await.ok()?;
    c.modify(set("flows", [flow(7, 8)])).await.ok()?;
    let all = Entity::ValueSetEntry(p4::ValueSetEntry::default());
    c.read(all)
        .await
        .is([kinds([1]), set("flows", [flow(7, 8)])])
}
