//! P4Runtime's byte strings, matches and updates, and what a data plane takes.
//!
//! The value rules are those of the specification: any length that fits is accepted, the
//! shortest is answered, don't-care matches are left out. [`decode_update`] turns one `Update`
//! into an [`Operation`](crate::dataplane::Operation) without looking at what the data plane
//! holds; sessions, permissions and existence are the business of a server.

mod error;
mod matching;
mod update;
mod value;

pub use error::CodecError;
pub use matching::{EncodedMatch, RawMatch, decode_match, encode_match};
pub use update::decode_update;
pub use value::{decode, decode_signed, encode, encode_signed};
