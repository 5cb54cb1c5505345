//! Protobuf text format, the form in which p4info and recorded requests are kept in files.

use std::sync::LazyLock;

use pointsman_proto::p4::config::v1::P4Info;
use pointsman_proto::p4::v1::WriteRequest;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};

use super::P4InfoError;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(pointsman_proto::FILE_DESCRIPTOR_SET)
        .expect("the descriptors were compiled with the crate")
});

/// Reads a p4info in text format.
pub fn parse_p4info(text: &str) -> Result<P4Info, P4InfoError> {
    parse("p4.config.v1.P4Info", text)
}

/// Reads a `WriteRequest` in text format.
pub fn parse_write_request(text: &str) -> Result<WriteRequest, P4InfoError> {
    parse("p4.v1.WriteRequest", text)
}

fn parse<M: Message + Default>(message: &'static str, text: &str) -> Result<M, P4InfoError> {
    let refuse = |error: String| P4InfoError::Text { message, error };
    let descriptor = POOL
        .get_message_by_name(message)
        .expect("the message is in the descriptors");
    let dynamic =
        DynamicMessage::parse_text_format(descriptor, text).map_err(|e| refuse(e.to_string()))?;
    dynamic.transcode_to().map_err(|e| refuse(e.to_string()))
}
