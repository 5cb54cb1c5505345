//! Tells the service manager how the agent is (`sd_notify(3)`): one datagram to the socket that it names.
//!
//! Called by `main`. Without a service manager nobody is told anything.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The state is restored, and clients are served.
    Ready,
    /// The agent is coming to its end.
    Stopping,
}

impl State {
    fn message(self) -> &'static str {
        match self {
            State::Ready => "READY=1",
            State::Stopping => "STOPPING=1",
        }
    }
}

/// Tells the service manager, if there is one. That it cannot be told is logged and no reason to stop.
pub fn notify(state: State) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let socket = socket.to_string_lossy();
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, socket = %socket, "the service manager was not told that {state:?}");
    }
}

fn send(socket: &str, state: State) -> io::Result<()> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let message = state.message().as_bytes();
    UnixDatagram::unbound()?.send_to_addr(message, &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_is_told_by_a_path_or_an_abstract_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let name = format!("@pointsman-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name[1..]).expect("a name");
        let sockets = [
            (UnixDatagram::bind(&path), path.display().to_string()),
            (UnixDatagram::bind_addr(&abstract_name), name),
        ];
        for (manager, socket) in sockets {
            let manager = manager.expect("a socket");
            send(&socket, State::Ready).expect("it is sent");
            let mut message = [0; 32];
            let length = manager.recv(&mut message).expect("it arrives");
            assert_eq!(&message[..length], b"READY=1");
        }
        assert!(send("/nowhere/at/all", State::Stopping).is_err());
    }
}
