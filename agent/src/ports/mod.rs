//! The ports of the switch: which Linux interface has which P4 number, and whether it works.
//!
//! [`Ports`] is a pure core: link facts go in, what to tell the target comes out. The facts
//! come from [`watch`], which listens to netlink on a thread of its own ([`listen`]); nothing polls. Attaching to an interface is
//! the [target](crate::target)'s part. What groups of ports must know of a dead link at once is told by
//! [`Liveness`], also pure; all else may wait for writes under way, in a [`Backlog`].

mod backlog;
mod core;
mod listener;
mod liveness;
mod pattern;
mod spec;
mod watch;

pub use self::backlog::Backlog;
pub use self::core::{Origin, Port, PortCommand, PortError, PortState, Ports};
pub use listener::listen;
pub use liveness::{Liveness, Turned};
pub use pattern::{PortPattern, PortRequest};
pub use spec::{PortSpec, PortSpecError};
pub use watch::{Link, LinkCounters, LinkEvent, WatchError, links, watch};
