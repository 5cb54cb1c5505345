//! The pipeliner on real pipelines.

mod cases;
mod changes;
mod manifests;
mod packets;
mod support;
