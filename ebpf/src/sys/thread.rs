//! How urgent the calling thread is.

use std::io;

/// Before all ordinary threads, and after every other one that is more than ordinary.
static URGENT: libc::sched_param = libc::sched_param { sched_priority: 1 };

/// Lets the calling thread run before all ordinary ones, as soon as it has something to do (`SCHED_FIFO`). For one
/// that rarely has, and never for long: of an ordinary one, however nice, those that run may finish their slice first,
/// which takes milliseconds.
///
/// # Errors
/// It may not (CAP_SYS_NICE).
pub fn be_urgent() -> io::Result<()> {
    // SAFETY: the parameters outlive the call, which only reads them. A process of 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const URGENT) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
