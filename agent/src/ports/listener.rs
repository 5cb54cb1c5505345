//! The thread that listens to links. It is one of its own, so that no other task of the agent can be in its way
//! when a link dies, and runs before all ordinary threads.

use std::io;
use std::thread::JoinHandle;

use pointsman_ebpf::sys::be_urgent;
use tokio_util::sync::CancellationToken;

use super::watch::{LinkEvent, WatchError, watch};

/// Reports as [`watch`] does, from a thread that ends when it is cancelled.
///
/// # Errors
/// There is no thread for it.
pub fn listen(
    cancel: CancellationToken,
    report: impl FnMut(LinkEvent) + Send + 'static,
) -> io::Result<JoinHandle<Result<(), WatchError>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("links".to_owned());
    thread.spawn(move || {
        if let Err(error) = be_urgent() {
            tracing::info!(%error, "the thread that sees dead links is no more urgent than others");
        }
        runtime.block_on(watch(cancel, report))
    })
}
