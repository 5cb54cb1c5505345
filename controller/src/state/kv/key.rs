//! Names of entries and locks.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

const MAX_NAMESPACE_BYTES: usize = 64;
const MAX_KEY_BYTES: usize = 512;

/// A key within its namespace. Ordered by namespace, then by key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryKey {
    namespace: String,
    key: String,
}

/// Why something is no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The namespace is none.
    #[error(
        "the namespace {0:?} is not usable; give 1 to {MAX_NAMESPACE_BYTES} letters, digits, dots, dashes and underscores, for example \"routing\""
    )]
    Namespace(String),
    /// The key is none.
    #[error(
        "the key {0:?} is not usable; give 1 to {MAX_KEY_BYTES} bytes without control characters, for example \"tenants/blue\""
    )]
    Key(String),
}

impl EntryKey {
    /// The key, if both parts can be used.
    ///
    /// # Errors
    /// Says which part is not usable, and what would be.
    pub fn new(namespace: &str, key: &str) -> Result<Self, KeyError> {
        check_namespace(namespace)?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES || key.chars().any(char::is_control) {
            return Err(KeyError::Key(key.to_owned()));
        }
        Ok(Self::first(namespace, key))
    }

    /// Whatever begins with `prefix` in a namespace comes at or after this.
    pub fn first(namespace: &str, prefix: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            key: prefix.to_owned(),
        }
    }

    /// The application's own room.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in it.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn bytes(&self) -> usize {
        self.namespace.len() + self.key.len()
    }
}

/// Is this a namespace?
///
/// # Errors
/// Says what would be one.
pub fn check_namespace(namespace: &str) -> Result<(), KeyError> {
    let is_usable = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let length = 1..=MAX_NAMESPACE_BYTES;
    match length.contains(&namespace.len()) && namespace.bytes().all(is_usable) {
        true => Ok(()),
        false => Err(KeyError::Namespace(namespace.to_owned())),
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.key)
    }
}
