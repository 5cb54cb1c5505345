//! Records as they are in the file: see [`super`].

use pointsman_proto::pointsman::agent::v1::StateRecord;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// Bytes before a payload.
pub(super) const FRAME: usize = 8;

/// The field of a [`StateRecord`] that has updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdatesOf {
    /// Of the pipeline that forwards.
    Running = 3,
    /// Of the pipeline that is saved.
    Saved = 21,
}

/// A record in its frame.
#[derive(Debug)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// Of a record.
    pub fn of(record: &StateRecord) -> Frame {
        let length = record.encoded_len();
        Frame::new(length, |out| {
            record.encode_raw(out);
        })
    }

    /// Says that everything before it is on the disk.
    pub(super) fn mark() -> Frame {
        Frame::of(&StateRecord {
            mark: true,
            ..StateRecord::default()
        })
    }

    /// Of a record with nothing but updates, which are taken as they came. `None` if there are none.
    pub fn of_updates<'u>(
        field: UpdatesOf,
        updates: impl Iterator<Item = &'u [u8]> + Clone,
    ) -> Option<Frame> {
        let field = field as u32;
        let length =
            |update: &[u8]| key_len(field) + encoded_len_varint(update.len() as u64) + update.len();
        let length: usize = updates.clone().map(length).sum();
        (length > 0).then(|| {
            Frame::new(length, |out| {
                for update in updates {
                    encode_key(field, WireType::LengthDelimited, out);
                    encode_varint(update.len() as u64, out);
                    out.extend_from_slice(update);
                }
            })
        })
    }

    fn new(length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Frame {
        let mut bytes = Vec::with_capacity(FRAME + length);
        bytes.extend_from_slice(&[0; FRAME]);
        write(&mut bytes);
        let payload = &bytes[FRAME..];
        let head = [payload.len() as u32, crc32(payload)].map(u32::to_le_bytes);
        bytes[..FRAME].copy_from_slice(head.as_flattened());
        Frame(bytes)
    }

    /// Head and payload.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// CRC-32 (IEEE 802.3), which tells a torn or damaged record from a whole one.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use pointsman_proto::p4::v1::Update;

    use super::*;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn updates_are_in_the_field_of_their_pipeline() {
        let updates = [
            Update {
                r#type: 1,
                entity: None,
            },
            Update::default(),
        ];
        let read = |field| {
            let updates: Vec<_> = updates.iter().map(Message::encode_to_vec).collect();
            let updates = updates.iter().map(Vec::as_slice);
            let frame = Frame::of_updates(field, updates).expect("there are updates");
            StateRecord::decode(&frame.bytes()[FRAME..]).expect("it is a record")
        };
        let of_running = StateRecord {
            updates: updates.to_vec(),
            ..StateRecord::default()
        };
        assert_eq!(read(UpdatesOf::Running), of_running);
        assert_eq!(read(UpdatesOf::Saved).saved_updates, updates);
        assert!(Frame::of_updates(UpdatesOf::Running, std::iter::empty()).is_none());
    }
}
