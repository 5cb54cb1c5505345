//! Random numbers that nobody can foresee: ids of nodes and clusters, secrets of join tokens.

use std::fs::File;
use std::io::{self, Read};

use thiserror::Error;

/// The operating system gives no random numbers.
#[derive(Debug, Error)]
#[error("cannot read /dev/urandom: {0}; ids and secrets are drawn from it, so nothing was created")]
pub struct NoRandom(#[from] io::Error);

/// So many random bytes.
///
/// # Errors
/// When /dev/urandom cannot be read.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
