//! Packets between P4Runtime messages, as the server speaks, and bytes with a controller header, as all targets
//! have them.

use pointsman_p4::dataplane::Bits;
use pointsman_proto::p4::v1 as p4;

use crate::schema::{PacketField, Schema};

/// A packet-in as it would leave at the CPU port. None if its metadata are not those of the pipeline.
pub(super) fn to_bytes(schema: &Schema, packet: p4::PacketIn) -> Option<Vec<u8>> {
    let Some(header) = &schema.packet_in else {
        return Some(packet.payload);
    };
    let value = |field: &PacketField| {
        let mut metadata = packet.metadata.iter();
        let given = metadata.find(|m| m.metadata_id == field.id);
        let value = match (given, &field.translation) {
            (None, _) => Bits::zero(),
            (Some(given), None) => Bits::from_be_bytes(&given.value),
            (Some(given), Some(translation)) => translation.to_program(&given.value).ok()?,
        };
        (value.bit_length() <= field.width).then_some(value)
    };
    let values: Option<Vec<Bits>> = header.fields.iter().map(value).collect();
    Some(header.join(&values?, &packet.payload))
}

/// Bytes that enter at the CPU port as a packet-out. None if they are too short for its header.
pub(super) fn to_message(schema: &Schema, bytes: &[u8]) -> Option<p4::PacketOut> {
    let Some(header) = &schema.packet_out else {
        return Some(p4::PacketOut {
            payload: bytes.to_vec(),
            metadata: Vec::new(),
        });
    };
    let (values, payload) = header.split(bytes)?;
    let metadata = header.fields.iter().zip(values);
    Some(p4::PacketOut {
        payload: payload.to_vec(),
        metadata: metadata
            .map(|(field, value)| p4::PacketMetadata {
                metadata_id: field.id,
                value: schema.bytes(&value, field.width, field.translation.as_deref()),
            })
            .collect(),
    })
}
