//! Keys: each kind of match, and byte strings, which are the same everywhere.

use super::prelude::*;
use pointsman_proto::p4::v1::field_match::{self, FieldMatchType};

chapter! { "matches":
    Must padded_value, BYTESTRINGS, "a byte string may have leading zeros, any number of them";
    Must shortest_answer, BYTESTRINGS, "the server answers with the shortest byte strings";
    Must padded_is_same_key, BYTESTRINGS, "padded and shortest strings are the same key";
    Must too_large, BYTESTRINGS, "a value that does not fit its width is refused with OUT_OF_RANGE";
    Must odd_width, BYTESTRINGS, "the width counts in bits: 512 does not fit bit<9>";
    Must empty_value, BYTESTRINGS, "an empty byte string is refused with OUT_OF_RANGE";
    Must zero_value, BYTESTRINGS, "zero is one zero byte";
    Must wide_value, BYTESTRINGS, "128 bits are as good as 8";
    Must parameter_too_large, ACTION_SPECIFICATION, "a parameter that does not fit its width is refused";
    Must unknown_field, MATCH_FORMAT, "a field that the table does not have is INVALID_ARGUMENT";
    Must field_without_value, MATCH_FORMAT, "a field without a match is INVALID_ARGUMENT";
    Must field_twice, MATCH_FORMAT, "a field that is there twice is INVALID_ARGUMENT";
    Must wrong_kind, MATCH_FORMAT, "a match of another kind than the field's is INVALID_ARGUMENT";
    Must exact_missing, MATCH_FORMAT, "an exact field cannot be left out";
    Must exact_matches, MATCH_FORMAT, "an exact entry is hit by its key and no other";
    Must lpm_matches, MATCH_FORMAT, "the longest prefix that fits is taken";
    Must lpm_host, MATCH_FORMAT, "a prefix may have all bits";
    Must lpm_zero, MATCH_FORMAT, "a prefix of no bits must be left out";
    Must lpm_left_out, MATCH_FORMAT, "an entry without the prefix matches everything";
    Must lpm_too_long, MATCH_FORMAT, "a prefix longer than the field is INVALID_ARGUMENT";
    Must lpm_negative, MATCH_FORMAT, "a negative prefix length is INVALID_ARGUMENT";
    Must lpm_stray_bits, MATCH_FORMAT, "bits behind the prefix must be zero";
    Must ternary_matches, MATCH_FORMAT, "only the bits of the mask are compared";
    Must ternary_zero_mask, MATCH_FORMAT, "a mask of zeros must be left out";
    Must ternary_stray_bits, MATCH_FORMAT, "bits outside of the mask must be zero";
    Must ternary_left_out, MATCH_FORMAT, "a ternary field that is left out matches everything, and stays left out";
    Must ternary_empty_mask, MATCH_FORMAT, "an empty mask is not a byte string";
    Must range_matches, MATCH_FORMAT, "both ends belong to a range";
    Must range_reversed, MATCH_FORMAT, "a range whose low is above its high is INVALID_ARGUMENT";
    Must range_of_all, MATCH_FORMAT, "a range of all values must be left out";
    Must range_of_one, MATCH_FORMAT, "a range may hold one value";
    Must range_left_out, MATCH_FORMAT, "a range that is left out matches everything";
    Must optional_matches, MATCH_FORMAT, "an optional field matches its value";
    Must optional_left_out, MATCH_FORMAT, "an optional field that is left out matches everything";
    Must optional_empty, MATCH_FORMAT, "an optional field that is there has a value";
    Must any_order, SYMMETRY, "fields may come in any order";
}

/// Both codes: the chapter on byte strings has OUT_OF_RANGE, those on matches INVALID_ARGUMENT.
const NOT_A_VALUE: [Code; 2] = [Code::OutOfRange, Code::InvalidArgument];

async fn padded_value(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let padded = entry("exact_table")
        .exact("k8", [0, 0, 0, 0x63])
        .exact("k16", [0, 0x30, 0x64]);
    c.insert(padded.mark([0, 0, 0, 5])).await.ok()?;
    c.hits(Probe::to(op::EXACT).k8(0x63).k16(0x3064), 5).await
}

async fn shortest_answer(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let padded = entry("exact_table")
        .exact("k8", [0, 0x63])
        .exact("k16", [0, 0x64]);
    c.insert(padded.mark([0, 5])).await.ok()?;
    let shortest = entry("exact_table")
        .exact("k8", [0x63])
        .exact("k16", [0x64]);
    c.read(entry("exact_table")).await.is([shortest.mark([5])])
}

async fn padded_is_same_key(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let padded = entry("exact_table")
        .exact("k8", [0, 1])
        .exact("k16", [0, 2]);
    let shortest = entry("exact_table").exact("k8", [1]).exact("k16", [2]);
    c.insert(shortest.mark(1)).await.ok()?;
    c.insert(padded.clone().mark(1))
        .await
        .refused(Code::AlreadyExists)?;
    c.delete(padded).await.ok()
}

async fn too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let large = entry("exact_table")
        .exact("k8", [1, 0x63])
        .exact("k16", 1)
        .mark(1);
    c.insert(large).await.refused_with(&NOT_A_VALUE)?;
    let large = entry("exact_table")
        .exact("k8", 1)
        .exact("k16", [1, 0, 0x63])
        .mark(1);
    c.insert(large).await.refused_with(&NOT_A_VALUE)
}

async fn odd_width(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wide = |k9: [u8; 2]| entry("wide_table").exact("k128", 1).exact("k9", k9).mark(1);
    c.insert(wide([1, 0xff])).await.ok()?;
    c.insert(wide([2, 0])).await.refused_with(&NOT_A_VALUE)
}

async fn empty_value(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let empty = entry("exact_table").exact("k8", []).exact("k16", 1).mark(1);
    c.insert(empty).await.refused_with(&NOT_A_VALUE)?;
    let empty = entry("exact_table").exact("k8", 1).exact("k16", 1);
    c.insert(empty.mark([])).await.refused_with(&NOT_A_VALUE)
}

async fn zero_value(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let zero = entry("exact_table")
        .exact("k8", [0])
        .exact("k16", [0])
        .mark([0]);
    c.insert(zero.clone()).await.ok()?;
    c.read(entry("exact_table")).await.is([zero])
}

async fn wide_value(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let key = u128::MAX - 5;
    let wide = entry("wide_table")
        .exact("k128", key)
        .exact("k9", 0x1ff)
        .mark(3);
    c.insert(wide.clone()).await.ok()?;
    let packet = Probe {
        op: op::WIDE,
        k128: key,
        k9: 0x1ff,
        ..Probe::default()
    };
    c.hits(packet, 3).await?;
    c.misses(
        Probe {
            k128: key - 1,
            ..packet
        },
        0,
    )
    .await?;
    c.read(entry("wide_table")).await.is([wide])
}

async fn parameter_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let entry = entry("exact_table").exact("k8", 1).exact("k16", 1);
    let narrow = |value: [u8; 2]| entry.clone().action("narrow", &[("value", value)]);
    c.insert(narrow([2, 0])).await.refused_with(&NOT_A_VALUE)?;
    c.insert(narrow([1, 0xff])).await.ok()
}

fn prefix(value: impl Into<Value>, length: i32) -> Entry {
    entry("lpm_table").lpm("k32", value, length).mark(1)
}

async fn unknown_field(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let unknown = prefix([10, 0, 0, 0], 8).with(|e| e.r#match[0].field_id = 77);
    c.insert(unknown).await.refused(Code::InvalidArgument)
}

async fn field_without_value(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = prefix([10, 0, 0, 0], 8).with(|e| e.r#match[0].field_match_type = None);
    c.insert(nothing).await.refused(Code::InvalidArgument)
}

async fn field_twice(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let twice = entry("exact_table")
        .exact("k8", 1)
        .exact("k8", 1)
        .exact("k16", 1);
    c.insert(twice.mark(1)).await.refused(Code::InvalidArgument)
}

async fn wrong_kind(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = entry("lpm_table").exact("k32", [10, 0, 0, 0]).mark(1);
    c.insert(wrong).await.refused(Code::InvalidArgument)?;
    let wrong = entry("exact_table")
        .exact("k8", 1)
        .lpm("k16", [1, 0], 8)
        .mark(1);
    c.insert(wrong).await.refused(Code::InvalidArgument)
}

async fn exact_missing(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let half = entry("exact_table").exact("k8", 1).mark(1);
    c.insert(half).await.refused(Code::InvalidArgument)
}

async fn exact_matches(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let key = entry("exact_table").exact("k8", 1).exact("k16", 0x0102);
    c.insert(key.mark(5)).await.ok()?;
    c.hits(Probe::to(op::EXACT).k8(1).k16(0x0102), 5).await?;
    c.misses(Probe::to(op::EXACT).k8(1).k16(0x0103), 0).await?;
    c.misses(Probe::to(op::EXACT).k8(2).k16(0x0102), 0).await
}

async fn lpm_matches(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(prefix([10, 0, 0, 0], 8).mark(1)).await.ok()?;
    c.insert(prefix([10, 1, 0, 0], 16).mark(2)).await.ok()?;
    c.insert(prefix([10, 1, 128, 0], 17).mark(3)).await.ok()?;
    let packet = |address: u32| Probe::to(op::LPM).k32(address);
    c.hits(packet(0x0a02_0001), 1).await?;
    c.hits(packet(0x0a01_0001), 2).await?;
    c.hits(packet(0x0a01_8001), 3).await?;
    c.misses(packet(0x0b00_0000), 0xffff).await
}

async fn lpm_host(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(prefix([10, 0, 0, 7], 32).mark(1)).await.ok()?;
    c.hits(Probe::to(op::LPM).k32(0x0a00_0007), 1).await?;
    c.misses(Probe::to(op::LPM).k32(0x0a00_0006), 0xffff).await
}

async fn lpm_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(prefix([0], 0))
        .await
        .refused(Code::InvalidArgument)
}

async fn lpm_left_out(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let everything = entry("lpm_table").mark(4);
    c.insert(everything.clone()).await.ok()?;
    c.hits(Probe::to(op::LPM).k32(77), 4).await?;
    c.read(entry("lpm_table")).await.is([everything])
}

async fn lpm_too_long(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(prefix([10, 0, 0, 0], 33))
        .await
        .refused(Code::InvalidArgument)
}

async fn lpm_negative(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(prefix([10, 0, 0, 0], -8))
        .await
        .refused(Code::InvalidArgument)
}

async fn lpm_stray_bits(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(prefix([10, 1, 0, 0], 8))
        .await
        .refused(Code::InvalidArgument)
}

fn rule(value: impl Into<Value>, mask: impl Into<Value>) -> Entry {
    entry("ternary_table")
        .ternary("k16", value, mask)
        .priority(5)
        .mark(1)
}

async fn ternary_matches(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(rule([0x10, 0x02], [0xf0, 0x0f])).await.ok()?;
    c.hits(Probe::to(op::TERNARY).k16(0x1ff2), 1).await?;
    c.misses(Probe::to(op::TERNARY).k16(0x1ff3), 0).await?;
    c.misses(Probe::to(op::TERNARY).k16(0x2ff2), 0).await
}

async fn ternary_zero_mask(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(rule([0], [0]))
        .await
        .refused(Code::InvalidArgument)
}

async fn ternary_stray_bits(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(rule([1, 1], [1, 0]))
        .await
        .refused(Code::InvalidArgument)
}

async fn ternary_left_out(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let any = entry("ternary_table")
        .ternary("k8", 1, 0xff)
        .priority(5)
        .mark(1);
    c.insert(any.clone()).await.ok()?;
    c.hits(Probe::to(op::TERNARY).k8(1).k16(0x1234), 1).await?;
    c.read(entry("ternary_table")).await.is([any])
}

async fn ternary_empty_mask(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(rule([1], [])).await.refused_with(&NOT_A_VALUE)
}

fn range(low: impl Into<Value>, high: impl Into<Value>) -> Entry {
    entry("range_table")
        .range("k16", low, high)
        .priority(5)
        .mark(1)
}

async fn range_matches(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(range(0x0100, 0x01ff)).await.ok()?;
    c.hits(Probe::to(op::RANGE).k16(0x0100), 1).await?;
    c.hits(Probe::to(op::RANGE).k16(0x01ff), 1).await?;
    c.misses(Probe::to(op::RANGE).k16(0x00ff), 0).await?;
    c.misses(Probe::to(op::RANGE).k16(0x0200), 0).await
}

async fn range_reversed(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(range(6, 5)).await.refused(Code::InvalidArgument)
}

async fn range_of_all(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(range([0], [0xff, 0xff]))
        .await
        .refused(Code::InvalidArgument)
}

async fn range_of_one(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(range(5, 5)).await.ok()?;
    c.hits(Probe::to(op::RANGE).k16(5), 1).await?;
    c.read(entry("range_table")).await.is([range(5, 5)])
}

async fn range_left_out(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let any = entry("range_table").priority(5).mark(1);
    c.insert(any.clone()).await.ok()?;
    c.hits(Probe::to(op::RANGE).k16(0x1234), 1).await?;
    c.read(entry("range_table")).await.is([any])
}

async fn optional_matches(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let one = entry("optional_table")
        .optional("k16", 5)
        .exact("k8", 1)
        .priority(5)
        .mark(1);
    c.insert(one.clone()).await.ok()?;
    c.hits(Probe::to(op::OPTIONAL).k8(1).k16(5), 1).await?;
    c.misses(Probe::to(op::OPTIONAL).k8(1).k16(6), 0).await?;
    c.read(entry("optional_table")).await.is([one])
}

async fn optional_left_out(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let any = entry("optional_table").exact("k8", 1).priority(5).mark(1);
    c.insert(any.clone()).await.ok()?;
    c.hits(Probe::to(op::OPTIONAL).k8(1).k16(6), 1).await?;
    c.read(entry("optional_table")).await.is([any])
}

async fn optional_empty(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let empty = FieldMatchType::Optional(field_match::Optional::default());
    let empty = entry("optional_table")
        .matching("k16", empty)
        .exact("k8", 1);
    c.insert(empty.priority(5).mark(1))
        .await
        .refused_with(&NOT_A_VALUE)
}

async fn any_order(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let forwards = entry("exact_table").exact("k8", 1).exact("k16", 2);
    let backwards = entry("exact_table").exact("k16", 2).exact("k8", 1);
    c.insert(forwards.mark(5)).await.ok()?;
    c.insert(backwards.clone().mark(5))
        .await
        .refused(Code::AlreadyExists)?;
    c.delete(backwards).await.ok()
}
