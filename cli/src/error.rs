//! What can go wrong, in words that say what to do.

use std::io;
use std::path::PathBuf;

use pointsman_model::Problems;
use thiserror::Error;

/// Which server a command talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// The controller.
    Controller(String),
    /// An agent, asked directly.
    Agent(String),
}

impl Peer {
    fn advice(&self) -> &'static str {
        match self {
            Peer::Controller(_) => {
                "Start pointsman-controller, or name running ones with --controller HOST:PORT,... or \
                 the environment variable POINTSMAN_CONTROLLER."
            }
            Peer::Agent(_) => "Start pointsman-agent there, or give another --agent HOST:PORT.",
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Controller(address) => write!(f, "the controller at {address}"),
            Peer::Agent(address) => write!(f, "the agent at {address}"),
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Error)]
pub enum CliError {
    /// The files are wrong, here and here.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A directory has nothing to read.
    #[error("{} has no *.yaml or *.yml files", path.display())]
    EmptyDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The address is none.
    #[error("{address:?} is not an address; give HOST:PORT")]
    BadAddress {
        /// The address.
        address: String,
    },
    /// The files for TLS are no certificates.
    #[error("--agent-ca, --agent-cert or --agent-key: {0}")]
    Credentials(String),
    /// Nobody answers.
    #[error("cannot reach {peer}: {cause}\n{}", peer.advice())]
    Unreachable {
        /// Who.
        peer: Peer,
        /// What the transport said.
        cause: String,
    },
    /// It answered with an error.
    #[error("{peer}: {message}")]
    Refused {
        /// Who.
        peer: Peer,
        /// Its message.
        message: String,
    },
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there, or was refused.
    #[error("{0}")]
    Failed(String),
    /// The compiler does not take a program.
    #[error("the xdp target does not take {}:\n{}", path.display(), lines.join("\n"))]
    NotCompiled {
        /// The program.
        path: PathBuf,
        /// Every reason.
        lines: Vec<String>,
    },
    /// A message holds what no server of this version sends.
    #[error("{peer} sent an objective that this version does not understand: {message}")]
    BadAnswer {
        /// Who.
        peer: Peer,
        /// What is wrong with it.
        message: String,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}
