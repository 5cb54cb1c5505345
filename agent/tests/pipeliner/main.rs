//! The pipeliner on real pipelines.

mod anything;
mod bench;
mod cases;
mod changes;
mod failover;
mod manifests;
mod packets;
mod support;
mod tagging;
mod traced;
