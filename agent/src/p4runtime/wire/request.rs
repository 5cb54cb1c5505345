//! A Write request whose updates stay where they came in.

use std::ops::Range;

use bytes::{Buf, Bytes};
use pointsman_proto::p4::v1 as p4;
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::fields::{Fields, Value};

/// The number of `WriteRequest.updates`.
const UPDATES: u32 = 4;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct WriteRequest {
    /// All but the updates.
    pub head: p4::WriteRequest,
    message: Bytes,
    /// Where each update is in the message.
    updates: Vec<Range<usize>>,
}

impl WriteRequest {
    /// Finds the parts of a request. Updates are not looked into.
    pub fn decode(message: Bytes) -> Result<WriteRequest, DecodeError> {
        let mut head = Vec::new();
        let mut updates = Vec::new();
        let mut fields = Fields::of(&message);
        let mut start = 0;
        while let Some(field) = fields.next() {
            let end = message.len() - fields.len();
            match field {
                Ok((UPDATES, Value::Bytes(update))) => updates.push(end - update.len()..end),
                Ok(_) => head.extend_from_slice(&message[start..end]),
                Err(_) => return Ok(p4::WriteRequest::decode(message)?.into()),
            }
            start = end;
        }
        Ok(WriteRequest {
            head: p4::WriteRequest::decode(head.as_slice())?,
            message,
            updates,
        })
    }

    /// How many updates there are.
    pub fn len(&self) -> usize {
        self.updates.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }

    /// The updates as they came.
    pub fn updates(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.updates.iter().map(|at| &self.message[at.clone()])
    }

    /// The updates as messages.
    pub fn messages(&self) -> impl Iterator<Item = Result<p4::Update, DecodeError>> {
        self.updates().map(p4::Update::decode)
    }

    /// What is wrong with the message, if one of its updates is none.
    pub fn damage(&self) -> Status {
        match p4::WriteRequest::decode(self.message.clone()) {
            Err(error) => malformed(error),
            Ok(_) => Status::internal("an update cannot be read"),
        }
    }
}

impl From<p4::WriteRequest> for WriteRequest {
    fn from(mut request: p4::WriteRequest) -> WriteRequest {
        let mut message = Vec::new();
        let updates = std::mem::take(&mut request.updates).into_iter();
        let updates = updates.map(|update| {
            let start = message.len();
            message.extend(update.encode_to_vec());
            start..message.len()
        });
        WriteRequest {
            updates: updates.collect(),
            head: request,
            message: message.into(),
        }
    }
}

/// The codec of Write.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteCodec;

impl Codec for WriteCodec {
    type Encode = p4::WriteResponse;
    type Decode = WriteRequest;
    type Encoder = ProstEncoder<p4::WriteResponse>;
    type Decoder = WriteCodec;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<p4::WriteResponse, p4::WriteRequest>::default().encoder()
    }

    fn decoder(&mut self) -> WriteCodec {
        WriteCodec
    }
}

impl Decoder for WriteCodec {
    type Item = WriteRequest;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<WriteRequest>, Status> {
        let message = buffer.copy_to_bytes(buffer.remaining());
        WriteRequest::decode(message).map(Some).map_err(malformed)
    }
}

/// As gRPC has it for what is no message.
fn malformed(error: DecodeError) -> Status {
    Status::internal(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request() -> p4::WriteRequest {
        p4::WriteRequest {
            device_id: 7,
            role: "role".to_owned(),
            election_id: Some(p4::Uint128 { high: 1, low: 2 }),
            updates: (0..3)
                .map(|kind| p4::Update {
                    r#type: kind,
                    entity: None,
                })
                .collect(),
            atomicity: 1,
            ..p4::WriteRequest::default()
        }
    }

    fn whole(found: &WriteRequest) -> p4::WriteRequest {
        p4::WriteRequest {
            updates: found.messages().collect::<Result<_, _>>().unwrap(),
            ..found.head.clone()
        }
    }

    #[test]
    fn the_parts_of_a_request_are_those_that_prost_finds() {
        let bytes = Bytes::from(request().encode_to_vec());
        assert_eq!(whole(&WriteRequest::decode(bytes).unwrap()), request());
        assert_eq!(whole(&WriteRequest::from(request())), request());
    }

    #[test]
    fn fields_that_nobody_knows_are_passed_over() {
        let mut bytes = request().encode_to_vec();
        // Number 100, eight bytes.
        bytes.extend([0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
        let found = WriteRequest::decode(bytes.into()).unwrap();
        assert_eq!(whole(&found), request());
    }

    #[test]
    fn what_is_no_request_is_what_prost_says_of_it() {
        let mut bytes = request().encode_to_vec();
        bytes.extend([0x22, 9, 1]);
        let expected = p4::WriteRequest::decode(bytes.as_slice()).unwrap_err();
        let found = WriteRequest::decode(bytes.into()).unwrap_err();
        assert_eq!(found.to_string(), expected.to_string());
    }

    #[test]
    fn an_update_that_is_none_is_noticed_when_it_is_looked_into() {
        let mut bytes = request().encode_to_vec();
        bytes.extend([0x22, 2, 0x12, 9]);
        let expected = p4::WriteRequest::decode(bytes.as_slice()).unwrap_err();
        let found = WriteRequest::decode(bytes.into()).unwrap();
        assert!(found.messages().last().unwrap().is_err());
        assert_eq!(found.damage().message(), expected.to_string());
    }
}
