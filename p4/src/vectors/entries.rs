//! `entries.txtpb`: a P4Runtime `WriteRequest` in text format.

use crate::codec::decode_update;
use crate::dataplane::Operation;
use crate::p4info::{Pipeline, parse_write_request};

use super::VectorError;

/// Reads the updates of a `WriteRequest` as operations.
pub fn read_entries(text: &str, pipeline: &Pipeline) -> Result<Vec<Operation>, VectorError> {
    let request = parse_write_request(text)?;
    request
        .updates
        .iter()
        .enumerate()
        .map(|(index, update)| {
            decode_update(pipeline, update).map_err(|error| VectorError::Update { index, error })
        })
        .collect()
}
