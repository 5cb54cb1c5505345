//! Where the `xdp` target keeps what outlives the agent.

use std::fmt;
use std::path::PathBuf;

/// Where BPF objects usually have names.
pub const DEFAULT_PIN_DIR: &str = "/sys/fs/bpf/pointsman";

/// Where programs, maps and links are pinned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pins {
    /// In [`DEFAULT_PIN_DIR`] if a BPF file system is there, else nowhere.
    #[default]
    Auto,
    /// Nowhere: forwarding ends with the agent.
    None,
    /// In this directory, which has to be on a BPF file system.
    Directory(PathBuf),
}

impl From<String> for Pins {
    fn from(text: String) -> Pins {
        match text.as_str() {
            "auto" => Pins::Auto,
            "none" => Pins::None,
            _ => Pins::Directory(text.into()),
        }
    }
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pins::Auto => f.write_str("auto"),
            Pins::None => f.write_str("none"),
            Pins::Directory(path) => write!(f, "{path:?}"),
        }
    }
}
