//! Messages as they are on the wire, where it pays not to make structures of all their parts first.
//!
//! A Write of table entries is most of what a switch is told. Its updates stay bytes ([`WriteRequest`]) until
//! they are read in one pass each ([`UpdateReader`]), and the journal keeps those bytes as they are. What is
//! not common is left to prost, so nothing here decides what is an error.
//!
//! Entries are saved the same way back ([`UpdateWriter`]). Called by the Write RPC, and by [`crate::agent`] when it
//! saves what is there and restores what was saved.

mod fields;
mod request;
#[cfg(test)]
mod tests;
mod update;
mod writer;

pub use request::{WriteCodec, WriteRequest};
pub use update::UpdateReader;
pub use writer::UpdateWriter;
