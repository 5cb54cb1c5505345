//! P4Runtime 1.5 over gRPC.
//!
//! | module | what it does |
//! |---|---|
//! | [`decode`], [`encode`] | messages to entities of the loaded pipeline, and back |
//! | [`write`](mod@write), [`read`], [`pipeline`] | the RPCs, as synchronous calls on the [`Agent`](crate::agent::Agent) |
//! | [`wire`] | messages whose parts stay bytes |
//! | [`stream`], [`service`] | the asynchronous shells: gRPC on one side, those calls on the other |
//!
//! Prost types of P4Runtime stop in this module, but for the journal, which keeps updates in
//! their P4Runtime form.

mod audited;
pub mod decode;
pub mod encode;
mod notice;
mod objects;
pub mod pipeline;
mod platform;
pub mod read;
mod reason;
mod reconcile;
mod rename;
mod request;
pub(crate) mod role;
mod scope;
mod server;
pub mod service;
pub mod status;
pub mod stream;
mod watched;
pub mod wire;
pub mod write;
