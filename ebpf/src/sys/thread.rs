//! How urgent the calling thread is.

use std::io;

/// The most urgent of ordinary threads (`nice`).
const MOST_URGENT: libc::c_int = -20;

/// Lets the calling thread run before all ordinary ones, as soon as it has something to do. For one that rarely
/// has.
///
/// # Errors
/// It may not (CAP_SYS_NICE).
pub fn be_urgent() -> io::Result<()> {
    // SAFETY: no memory is passed. On Linux a process of 0 is the calling thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, MOST_URGENT) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
