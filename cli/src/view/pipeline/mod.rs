//! A compiled pipeline as it is shown: IR, listing and figures, whole or a selection.

pub mod asm;
pub mod ir;
pub mod selection;
pub mod source;
pub mod stats;
#[cfg(test)]
mod tests;
