//! From YAML nodes to the model's types. One file for each part of the format.

mod attributes;
mod device;
mod objective;
mod treatment;

pub(crate) use attributes::{TIMEOUT_FIELDS, read_owner};
pub(crate) use device::{
    DEVICE_FIELDS, NEEDED_OF_DEVICE, read_device, read_device_name, read_pipeline,
};
pub(crate) use objective::{
    BUCKET_FIELDS, FILTER_FIELDS, FORWARD_FIELDS, NEXT_FIELDS, OBJECTIVE_FIELDS, P4, read_objective,
};
pub(crate) use treatment::INSTRUCTIONS;
