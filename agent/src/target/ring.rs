//! Reading the ring buffers of the `xdp` target, beside other tasks.
//!
//! What is read is handled elsewhere ([`super::xdp`]).

use std::os::fd::AsRawFd;

use pointsman_ebpf::front::{Frames, LocalFrame};
use pointsman_ebpf::switch::events::{Event, Events};
use tokio::io::unix::AsyncFd;

/// Records handled before other tasks get their turn.
const RECORDS_A_TURN: usize = 64;

/// A ring buffer of records.
pub(super) trait Ring: AsRawFd {
    type Record;

    /// Somebody looks from now on.
    fn wake(&mut self) {}

    fn next(&mut self) -> Option<Self::Record>;

    /// Nobody looks until its descriptor is readable. Not so if this says no.
    fn sleep(&mut self) -> bool {
        true
    }
}

impl Ring for Events {
    type Record = Event;

    fn wake(&mut self) {
        Events::wake(self);
    }

    fn next(&mut self) -> Option<Event> {
        self.next_event()
    }

    fn sleep(&mut self) -> bool {
        Events::sleep(self)
    }
}

impl Ring for Frames {
    type Record = LocalFrame;

    fn next(&mut self) -> Option<LocalFrame> {
        self.next_frame()
    }
}

/// Reads a ring buffer until it is dropped, and lets other tasks have their turn.
pub(super) async fn drain<R: Ring>(
    ring: &mut AsyncFd<R>,
    handle: impl Fn(R::Record),
) -> std::io::Result<()> {
    loop {
        let inner = ring.get_mut();
        inner.wake();
        let records = std::iter::from_fn(|| inner.next()).take(RECORDS_A_TURN);
        let handled = records.map(&handle).count();
        if handled < RECORDS_A_TURN && inner.sleep() {
            ring.readable_mut().await?.clear_ready();
        }
        tokio::task::yield_now().await;
    }
}
