//! One call through the gRPC routes of this process, with messages that are known by their descriptors alone.

use std::str::FromStr;

use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::service::Routes;
use tonic::{Request, Status, Streaming};

/// Answers hold whole fabrics. They come from this process.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// Calls a method that answers once.
///
/// # Errors
/// What the method says.
pub async fn unary(
    routes: Routes,
    method: &MethodDescriptor,
    message: DynamicMessage,
) -> Result<DynamicMessage, Status> {
    let codec = DynamicCodec(method.output());
    let mut client = client(routes);
    let answer = client.unary(Request::new(message), path(method), codec);
    Ok(answer.await?.into_inner())
}

/// Calls a method that answers with a stream.
///
/// # Errors
/// What the method says before its first message.
pub async fn streaming(
    routes: Routes,
    method: &MethodDescriptor,
    message: DynamicMessage,
) -> Result<Streaming<DynamicMessage>, Status> {
    let codec = DynamicCodec(method.output());
    let mut client = client(routes);
    let answer = client.server_streaming(Request::new(message), path(method), codec);
    Ok(answer.await?.into_inner())
}

fn client(routes: Routes) -> Grpc<Routes> {
    Grpc::new(routes)
        .max_decoding_message_size(MAX_ANSWER_BYTES)
        .max_encoding_message_size(MAX_ANSWER_BYTES)
}

fn path(method: &MethodDescriptor) -> PathAndQuery {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    PathAndQuery::from_str(&path)
        .expect("names of services and methods are letters, digits and dots")
}

/// Writes messages of any kind, and reads those of one.
struct DynamicCodec(MessageDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = DynamicEncoder;
    type Decoder = DynamicDecoder;

    fn encoder(&mut self) -> DynamicEncoder {
        DynamicEncoder
    }

    fn decoder(&mut self) -> DynamicDecoder {
        DynamicDecoder(self.0.clone())
    }
}

struct DynamicEncoder;

impl Encoder for DynamicEncoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let written = message.encode(to);
        written.map_err(|error| Status::internal(format!("the request cannot be written: {error}")))
    }
}

struct DynamicDecoder(MessageDescriptor);

impl Decoder for DynamicDecoder {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.clone(), from);
        let message = message.map_err(|error| {
            Status::internal(format!(
                "the answer is not what its descriptor says: {error}"
            ))
        })?;
        Ok(Some(message))
    }
}
