//! Who this controller is, and how it became that: `init` makes a cluster of one, `join` gets into one that is there.
//!
//! Both fill an empty data directory once; a start finds everything there and draws nothing anew. What is replicated
//! is in the store beside these files (`raft`), and is not looked into here.

mod directory;
mod enter;
mod init;
mod join;
mod restore;

pub use directory::{DirectoryError, Identity, NodeDirectory, NodeFiles};
pub use enter::{Removed, enter, is_in, removal};
pub use init::{InitError, bootstrap, init};
pub use join::{JoinError, join};
pub use restore::{RestoreError, Restored, restore};
