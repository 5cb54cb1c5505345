//! The replicated controller: who is master of a switch, and which flow
//! objectives each switch shall hold. It compiles nothing and looks into no
//! objective; what is observed of switches it reads from their agents.

pub mod agents;
pub mod backup;
pub mod clock;
pub mod config;
pub mod dial;
pub mod distribution;
mod encoded;
pub mod gateway;
pub mod hex;
pub mod kv;
pub mod level;
pub mod liveness;
pub mod logging;
pub mod metrics;
pub mod node;
pub mod objective;
pub mod raft;
pub mod random;
pub mod server;
pub mod service;
#[cfg(test)]
mod simulation;
pub mod state;
pub mod status;
pub mod trials;
pub mod trust;
pub mod view;
