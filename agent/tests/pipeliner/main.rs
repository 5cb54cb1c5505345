//! The pipeliner on real pipelines.

mod anything;
mod bench;
mod cases;
mod changes;
mod failover;
mod frame;
mod manifests;
mod packets;
mod support;
mod tagging;
mod traced;
mod vocabulary;
