//! Whom nodes of a cluster believe: its certificate authority, their certificates, and the tokens with which a
//! new node gets one.
//!
//! A cluster makes an authority of its own when it is initialized, and every node has its key, so that whichever
//! are left can admit the next. A certificate names a node by its id. It does not expire: a cluster that nobody
//! looks at has to go on, and who is removed is refused by id. Nothing here opens a socket or a file; `node` keeps
//! these things in the data directory, `raft` and the peer port's services talk with [`PeerTls`].

mod authority;
mod peer_tls;
mod pinned;
mod token;

pub use authority::{Authority, Certificate, Fingerprint, NodeKey, TrustError};
pub use peer_tls::{PeerTls, caller};
pub use pinned::pinned;
pub use token::{JoinToken, Secret, TokenError};
