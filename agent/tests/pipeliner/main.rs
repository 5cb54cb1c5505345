//! The pipeliner on real pipelines.

mod anything;
mod bench;
mod cases;
mod changes;
mod failover;
mod frame;
mod manifests;
mod packets;
mod portable;
mod support;
mod tagging;
mod tofino;
mod traced;
mod vocabulary;
