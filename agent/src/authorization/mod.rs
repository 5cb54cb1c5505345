//! Who may do what: a policy of rules by client identity.
//!
//! | module | what it is |
//! |---|---|
//! | [`permission`] | what can be allowed, and what each RPC needs |
//! | [`policy`] | the rules, as a file and as a decision; pure |
//! | [`layer`] | lets each request through, or not, before it is read |
//! | [`caller`] | who sent a request: what services ask about roles and objects |
//!
//! Without a policy everybody whom TLS lets in may do everything. P4Runtime's roles are another
//! matter: they say which stream may write what, see [`crate::arbitration`].

pub mod caller;
pub mod layer;
pub mod permission;
pub mod policy;

pub use caller::{Caller, Denied};
pub use layer::Gate;
pub use permission::Permission;
pub use policy::{Object, Objects, Policy, PolicyError, PolicyFile};
