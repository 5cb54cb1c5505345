//! The headers that carry metadata between a program and its controller.

use std::sync::Arc;

use crate::dataplane::Bits;

use super::Translation;

/// A controller header: its fields in the order they are on the wire.
#[derive(Debug, Clone, Default)]
pub struct PacketHeader {
    /// In wire order.
    pub fields: Vec<PacketField>,
}

/// A field of a controller header.
#[derive(Debug, Clone)]
pub struct PacketField {
    /// Its p4info id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Bits.
    pub width: u32,
    /// Controllers see other values than the program.
    pub translation: Option<Arc<Translation>>,
    /// Padding is not shown to controllers (`@padding`).
    pub padding: bool,
}

impl PacketHeader {
    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        (self.fields.iter().map(|f| f.width).sum::<u32>() as usize).div_ceil(8)
    }

    /// Whether the header has no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Takes the header off a packet: one value for each field, and the rest of the packet.
    /// `None` if the packet is too short.
    pub fn split<'p>(&self, packet: &'p [u8]) -> Option<(Vec<Bits>, &'p [u8])> {
        let (header, payload) = packet.split_at_checked(self.len())?;
        let mut at = 0;
        let values = self.fields.iter().map(|field| {
            let value = read_bits(header, at, field.width);
            at += field.width;
            value
        });
        Some((values.collect(), payload))
    }

    /// Puts the header before a packet. There is one value for each field, and each fits.
    pub fn join(&self, values: &[Bits], payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; self.len()];
        let mut at = 0;
        for (field, value) in self.fields.iter().zip(values) {
            write_bits(&mut packet, at, field.width, value);
            at += field.width;
        }
        packet.extend_from_slice(payload);
        packet
    }
}

/// `width` bits from bit `at`, counted from the first byte's highest.
fn read_bits(bytes: &[u8], at: u32, width: u32) -> Bits {
    let mut out = vec![0u8; width.div_ceil(8) as usize];
    let pad = out.len() as u32 * 8 - width;
    for bit in 0..width {
        let from = at + bit;
        if bytes[(from / 8) as usize] & (0x80 >> (from % 8)) != 0 {
            let to = pad + bit;
            out[(to / 8) as usize] |= 0x80 >> (to % 8);
        }
    }
    Bits::from_be_bytes(&out)
}

/// Sets those of `width` bits from bit `at` that are one in `value`; they were zero.
fn write_bits(bytes: &mut [u8], at: u32, width: u32, value: &Bits) {
    let mut source = vec![0u8; width.div_ceil(8) as usize];
    value.write_be(&mut source);
    let pad = source.len() as u32 * 8 - width;
    for bit in 0..width {
        let from = pad + bit;
        if source[(from / 8) as usize] & (0x80 >> (from % 8)) != 0 {
            let to = at + bit;
            bytes[(to / 8) as usize] |= 0x80 >> (to % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_do_not_start_at_bytes_survive_a_round_trip() {
        let field = |id, width| PacketField {
            id,
            name: String::new(),
            width,
            translation: None,
            padding: false,
        };
        let header = PacketHeader {
            fields: vec![field(1, 9), field(2, 7), field(3, 16)],
        };
        let values = [Bits::from(0x1fd), Bits::from(0), Bits::from(0xabc)];
        let packet = header.join(&values, b"rest");
        assert_eq!(packet, b"\xfe\x80\x0a\xbcrest");
        let (read, payload) = header.split(&packet).expect("long enough");
        assert_eq!(read, values);
        assert_eq!(payload, b"rest");
        assert_eq!(header.split(b"abc"), None);
    }
}
