//! Packet-outs and packet-ins, and the errors that a stream reports.

use pointsman_proto::p4::v1::stream_error::Details;
use pointsman_proto::p4::v1::stream_message_request::Update as Request;
use pointsman_proto::p4::v1::stream_message_response::Update as Event;

use super::prelude::*;

chapter! { "packet_io":
    Must out_and_in, PACKET_IO, "a packet-out goes into the data plane, and what it sends to the controller is a packet-in";
    Must payload_is_whole, PACKET_IO, "the payload is the whole packet, to the byte";
    Must all_metadata, PACKET_IO, "a packet-in has each metadata field of p4info exactly once";
    Must shortest_metadata, PACKET_IO, "metadata of packet-ins are the shortest byte strings";
    Must padded_metadata, PACKET_IO, "metadata of packet-outs may have leading zeros";
    Must metadata_missing, PACKET_IO, "a packet-out that lacks a metadata field is dropped";
    Must metadata_twice, PACKET_IO, "a packet-out with a metadata field twice is dropped";
    Must metadata_unknown, PACKET_IO, "a packet-out with a metadata field that p4info does not have is dropped";
    Must metadata_too_large, PACKET_IO, "a packet-out whose metadata does not fit its width is dropped";
    Must backup_is_dropped, PACKET_IO, "a backup's packet-out is dropped";
    Must only_primary_gets, REPLICATION, "packet-ins go to the primary, not to backups";
    May error_metadata, STREAM_ERRORS, "a packet-out with wrong metadata is reported with INVALID_ARGUMENT and packet_out";
    May error_permission, STREAM_ERRORS, "a packet-out that is not allowed is reported with PERMISSION_DENIED";
    May error_has_packet, STREAM_ERRORS, "the error carries the packet-out that caused it";
    May error_digest_ack, STREAM_ERRORS, "an acknowledgement for a digest that p4info does not have is INVALID_ARGUMENT";
    May error_other, STREAM_ERRORS, "a message of an unknown kind is reported with `other`";
    Must errors_keep_stream, STREAM_ERRORS, "the stream goes on after an error";
    Must empty_packet, PACKET_IO, "an empty packet-out harms nobody";
    Must many_packets, PACKET_IO, "packets come in the order in which the primary sent them";
}

async fn out_and_in(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let seen = c.probe(Probe::to(op::ECHO)).await?;
    same("the packet was hit", seen.hit, false)
}

async fn payload_is_whole(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    for length in [60, 61, 1000, 1400] {
        let sent = payload(length);
        let packet = c.packet(&Probe::to(op::ECHO).fields(), sent.clone());
        c.send(packet).await?;
        let back = c.back(&sent).await?;
        same("the payload", back.payload, sent)?;
    }
    Ok(())
}

async fn all_metadata(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let sent = payload(64);
    let packet = c.packet(&Probe::to(op::ECHO).fields(), sent.clone());
    c.send(packet).await?;
    let back = c.back(&sent).await?;
    let mut seen: Vec<_> = back.metadata.iter().map(|m| m.metadata_id).collect();
    seen.sort_unstable();
    let mut wanted: Vec<_> = ENTITIES.header("packet_in").iter().map(|m| m.id).collect();
    wanted.sort_unstable();
    same("metadata ids", seen, wanted)
}

async fn shortest_metadata(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.modify(entry("keyless_table").default_entry().mark(0x12))
        .await
        .ok()?;
    let sent = payload(64);
    let packet = c.packet(&Probe::to(op::KEYLESS).fields(), sent.clone());
    c.send(packet).await?;
    let back = c.back(&sent).await?;
    let metadata = c.metadata(&back);
    same("mark", metadata.get("mark").cloned(), Some(vec![0x12]))?;
    same("base", metadata.get("base").cloned(), Some(vec![0]))
}

async fn padded_metadata(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.insert(entry("lpm_table").lpm("k32", [0, 0, 0, 7], 32).mark(1))
        .await
        .ok()?;
    let sent = payload(64);
    let mut packet = c.packet(&Probe::to(op::LPM).k32(7).fields(), sent.clone());
    for field in &mut packet.metadata {
        field.value.splice(..0, [0, 0, 0]);
    }
    c.send(packet).await?;
    let back = c.back(&sent).await?;
    same(
        "mark",
        c.metadata(&back).get("mark").cloned(),
        Some(vec![1]),
    )
}

/// A packet-out that is changed before it is sent does not come back.
async fn dropped(t: Test, change: impl FnOnce(&mut p4::PacketOut)) -> Outcome {
    let mut c = t.switch().await?;
    let sent = payload(64);
    let mut packet = c.packet(&Probe::to(op::ECHO).fields(), sent.clone());
    change(&mut packet);
    c.send(packet).await?;
    c.probe(Probe::to(op::ECHO)).await?;
    let came = c
        .stream
        .has(|event| matches!(event, Event::Packet(p) if p.payload == sent));
    same("the packet came back", came, false)
}

async fn metadata_missing(t: Test) -> Outcome {
    dropped(t, |packet| drop(packet.metadata.pop())).await
}

async fn metadata_twice(t: Test) -> Outcome {
    dropped(t, |packet| packet.metadata.push(packet.metadata[0].clone())).await
}

async fn metadata_unknown(t: Test) -> Outcome {
    dropped(t, |packet| {
        packet.metadata.push(p4::PacketMetadata {
            metadata_id: 77,
            value: vec![1],
        });
    })
    .await
}

async fn metadata_too_large(t: Test) -> Outcome {
    dropped(t, |packet| packet.metadata[0].value = vec![1, 0]).await
}

async fn backup_is_dropped(t: Test) -> Outcome {
    let low = t.next_id();
    let mut primary = t.switch().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let sent = payload(64);
    let packet = backup.packet(&Probe::to(op::ECHO).fields(), sent.clone());
    backup.send(packet).await?;
    // Whatever the server did with it, it has done it when it answers this.
    backup.arbitrate(backup.hello()).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    primary.probe(Probe::to(op::ECHO)).await?;
    for client in [&mut primary, &mut backup] {
        let came = client
            .stream
            .has(|event| matches!(event, Event::Packet(p) if p.payload == sent));
        same("the packet came back", came, false)?;
    }
    Ok(())
}

async fn only_primary_gets(t: Test) -> Outcome {
    let low = t.next_id();
    let mut primary = t.switch().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    primary.probe(Probe::to(op::ECHO)).await?;
    backup.arbitrate(backup.hello()).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let came = backup.stream.has(|event| matches!(event, Event::Packet(_)));
    same("the backup got a packet", came, false)
}

/// The next error on the stream; a server that reports none does not offer it.
async fn error(c: &mut Client) -> Outcome<p4::StreamError> {
    let pick = |event: &Event| match event {
        Event::Error(error) => Some(error.clone()),
        _ => None,
    };
    match c.stream.next("an error", pick).await {
        Ok(error) => Ok(error),
        Err(_) => Err(Failure::NotOffered("errors on the stream".to_owned())),
    }
}

/// A packet-out without metadata.
async fn bare_packet(c: &mut Client) -> Outcome<p4::PacketOut> {
    let packet = p4::PacketOut {
        payload: payload(64),
        metadata: Vec::new(),
    };
    c.send(packet.clone()).await?;
    Ok(packet)
}

async fn error_metadata(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    bare_packet(&mut c).await?;
    let error = error(&mut c).await?;
    same(
        "the code",
        Code::from_i32(error.canonical_code),
        Code::InvalidArgument,
    )?;
    let right = matches!(error.details, Some(Details::PacketOut(_)));
    holds("the details", "packet_out", right, &error.details)
}

async fn error_permission(t: Test) -> Outcome {
    let low = t.next_id();
    let _primary = t.switch().await?;
    let mut backup = t.client(Some(low)).await?;
    backup.arbitrated(Code::AlreadyExists).await?;
    let packet = backup.packet(&Probe::to(op::ECHO).fields(), payload(64));
    backup.send(packet).await?;
    let error = error(&mut backup).await?;
    same(
        "the code",
        Code::from_i32(error.canonical_code),
        Code::PermissionDenied,
    )
}

async fn error_has_packet(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let packet = bare_packet(&mut c).await?;
    match error(&mut c).await?.details {
        Some(Details::PacketOut(p4::PacketOutError { packet_out })) => {
            same("the packet in the error", packet_out, Some(packet))
        }
        other => Err(Failure::differs(
            "the details",
            "packet_out",
            format!("{other:?}"),
        )),
    }
}

async fn error_digest_ack(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let ack = p4::DigestListAck {
        digest_id: 0x17ff_fff1,
        list_id: 1,
    };
    c.stream.send(Request::DigestAck(ack)).await?;
    let error = error(&mut c).await?;
    same(
        "the code",
        Code::from_i32(error.canonical_code),
        Code::InvalidArgument,
    )?;
    let right = matches!(error.details, Some(Details::DigestListAck(_)));
    holds("the details", "digest_list_ack", right, &error.details)
}

async fn error_other(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let other = prost_types::Any {
        type_url: "type.googleapis.com/conformance.Nonsense".to_owned(),
        value: Vec::new(),
    };
    c.stream.send(Request::Other(other)).await?;
    let error = error(&mut c).await?;
    let right = matches!(error.details, Some(Details::Other(_)));
    holds("the details", "other", right, &error.details)
}

async fn errors_keep_stream(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    bare_packet(&mut c).await?;
    c.probe(Probe::to(op::ECHO)).await.map(drop)
}

async fn empty_packet(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let packet = c.packet(&Probe::to(op::ECHO).fields(), Vec::new());
    c.send(packet).await?;
    c.probe(Probe::to(op::ECHO)).await.map(drop)
}

async fn many_packets(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    let sent: Vec<_> = (0..100).map(|_| payload(64)).collect();
    for payload in &sent {
        let packet = c.packet(&Probe::to(op::ECHO).fields(), payload.clone());
        c.send(packet).await?;
    }
    let mut came = Vec::new();
    for _ in &sent {
        let pick = |event: &Event| match event {
            Event::Packet(packet) => Some(packet.payload.clone()),
            _ => None,
        };
        came.push(c.stream.next("a packet", pick).await?);
    }
    holds("the packets", "in order", came == sent, "another order")
}
