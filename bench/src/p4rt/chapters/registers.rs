//! Registers, whose cells are also where signed numbers are seen.

use pointsman_proto::p4::v1::p4_data::Data;

use super::prelude::*;
use crate::p4rt::entry::{bits, index};

chapter! { "registers":
    Must start_at_zero, REGISTER, "cells start at 0";
    Must written, REGISTER, "MODIFY sets a cell, and packets read it";
    Must read_back, REGISTER, "what packets write is read";
    Must all_cells, REGISTER, "MODIFY without index sets all cells";
    Must read_array, REGISTER, "a register without index reads all of its cells";
    Must negative_index, REGISTER, "a negative index is INVALID_ARGUMENT";
    Must index_too_large, REGISTER, "an index beyond the size is OUT_OF_RANGE";
    Must read_negative_index, REGISTER, "a Read of a negative index is INVALID_ARGUMENT";
    Must read_index_too_large, REGISTER, "a Read of an index beyond the size is OUT_OF_RANGE";
    Must wrong_type, REGISTER, "data of another type than the register's is INVALID_ARGUMENT";
    Must too_large, BYTESTRINGS, "data that does not fit is refused";
    Must insert_and_delete, WRITE, "INSERT and DELETE of a cell are INVALID_ARGUMENT";
    Must unknown, REGISTER, "a register that p4info does not have is refused";
    Must signed_negative, BYTESTRINGS, "a negative number is in two's complement";
    Must signed_shortest, BYTESTRINGS, "signed numbers are answered in the shortest form";
    Must signed_extended, BYTESTRINGS, "signed numbers may be sign-extended, any number of bytes";
    Must signed_too_large, BYTESTRINGS, "a signed number that does not fit is refused";
    Must signed_zero, BYTESTRINGS, "zero is one zero byte";
}

fn cell(name: &str, index: Option<p4::Index>, data: Option<p4::P4Data>) -> Entity {
    Entity::RegisterEntry(p4::RegisterEntry {
        register_id: ENTITIES.id(name),
        index,
        data,
    })
}

/// A packet that adds to cell 2 and brings back what was there.
fn adding(number: u32) -> Probe {
    Probe::to(op::REGISTER).k8(2).k32(number)
}

async fn start_at_zero(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let zeros = (0..8).map(|n| cell("cells", index(n), Some(bits([0]))));
    c.read(cell("cells", None, None)).await.is(zeros)
}

async fn written(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = cell("cells", index(2), Some(bits(0x1234)));
    c.modify(written.clone()).await.ok()?;
    c.read(cell("cells", index(2), None)).await.is([written])?;
    same(
        "what a packet reads",
        c.probe(adding(0)).await?.value,
        0x1234,
    )
}

async fn read_back(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.probe(adding(0x10)).await?;
    c.probe(adding(0x01)).await?;
    let written = cell("cells", index(2), Some(bits([0x11])));
    c.read(cell("cells", index(2), None)).await.is([written])
}

async fn all_cells(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(cell("cells", None, Some(bits(7)))).await.ok()?;
    let sevens = (0..8).map(|n| cell("cells", index(n), Some(bits(7))));
    c.read(cell("cells", None, None)).await.is(sevens)
}

async fn read_array(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    same(
        "cells",
        c.read(cell("cells", None, None)).await.ok()?.len(),
        8,
    )
}

async fn negative_index(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = cell("cells", index(-1), Some(bits(7)));
    c.modify(wrong).await.refused(Code::InvalidArgument)
}

async fn index_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let wrong = cell("cells", index(8), Some(bits(7)));
    c.modify(wrong).await.refused(Code::OutOfRange)
}

async fn read_negative_index(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.read(cell("cells", index(-1), None))
        .await
        .refused_with(&[Code::InvalidArgument])
}

async fn read_index_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.read(cell("cells", index(8), None))
        .await
        .refused_with(&[Code::OutOfRange])
}

async fn wrong_type(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let truth = p4::P4Data {
        data: Some(Data::Bool(true)),
    };
    c.modify(cell("cells", index(2), Some(truth)))
        .await
        .refused(Code::InvalidArgument)
}

/// The register's chapter has INVALID_ARGUMENT, that of byte strings OUT_OF_RANGE.
const NOT_A_VALUE: [Code; 2] = [Code::OutOfRange, Code::InvalidArgument];

async fn too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let large = cell("cells", index(2), Some(bits([1, 0, 0, 0, 0])));
    c.modify(large).await.refused_with(&NOT_A_VALUE)
}

async fn insert_and_delete(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let written = cell("cells", index(2), Some(bits(7)));
    c.insert(written.clone())
        .await
        .refused(Code::InvalidArgument)?;
    c.delete(written).await.refused(Code::InvalidArgument)
}

async fn unknown(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let nothing = Entity::RegisterEntry(p4::RegisterEntry {
        register_id: 0x16ff_fff1,
        index: index(0),
        data: Some(bits(1)),
    });
    c.modify(nothing)
        .await
        .refused_with(&[Code::InvalidArgument, Code::NotFound])
}

fn signed<const N: usize>(bytes: [u8; N]) -> Entity {
    cell("signed_cells", index(2), Some(bits(bytes)))
}

/// Writes a signed number in one form and reads it in another.
async fn signed_form<const N: usize, const M: usize>(
    t: Test,
    sent: [u8; N],
    read: [u8; M],
) -> Outcome<Client> {
    let mut c = t.switch().await?;
    c.modify(signed(sent)).await.ok()?;
    c.read(cell("signed_cells", index(2), None))
        .await
        .is([signed(read)])?;
    Ok(c)
}

async fn signed_negative(t: Test) -> Outcome {
    let mut c = signed_form(t, [0xfd, 0x1d], [0xfd, 0x1d]).await?;
    let packet = Probe::to(op::REGISTER).k8(2).k16(1);
    same(
        "what a packet reads",
        c.probe(packet).await?.value,
        0xffff_fd1d,
    )
}

async fn signed_shortest(t: Test) -> Outcome {
    signed_form(t, [0xff, 0x9d], [0x9d]).await.map(drop)
}

async fn signed_extended(t: Test) -> Outcome {
    signed_form(t, [0xff, 0xff, 0xff, 0x80, 0x00], [0x80, 0x00])
        .await
        .map(drop)
}

async fn signed_too_large(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(signed([0, 0x80, 0]))
        .await
        .refused_with(&NOT_A_VALUE)?;
    c.modify(signed([0xff, 0x7f, 0xff]))
        .await
        .refused_with(&NOT_A_VALUE)
}

async fn signed_zero(t: Test) -> Outcome {
    signed_form(t, [0, 0], [0]).await.map(drop)
}
