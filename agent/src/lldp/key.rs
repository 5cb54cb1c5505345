//! The cluster's keys: what frames are signed with, and which signatures are believed.

use std::fmt;

use ring::hmac;
use thiserror::Error;

use super::claim::Signature;

/// Shorter keys could be guessed.
const MIN_KEY_BYTES: usize = 16;
const FINGERPRINT_OF: &[u8] = b"pointsman cluster fingerprint";

/// Says which key signs, without saying anything else of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The file says nothing.
    #[error("it has no key; write one of at least {MIN_KEY_BYTES} characters on a line of its own")]
    None,
    /// One can be guessed.
    #[error("the key in line {line} has {length} characters; at least {MIN_KEY_BYTES} are needed")]
    Short {
        /// Counted from 1.
        line: usize,
        /// Its characters.
        length: usize,
    },
}

/// The keys of a cluster. The first signs; all are believed, so that a cluster can go from one to the next.
#[derive(Debug, Clone)]
pub struct ClusterKeys {
    keys: Vec<Key>,
    are_secret: bool,
}

#[derive(Debug, Clone)]
struct Key {
    fingerprint: Fingerprint,
    hmac: hmac::Key,
}

impl Key {
    fn new(secret: &[u8]) -> Key {
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut fingerprint = Fingerprint([0; 8]);
        let tag = hmac::sign(&hmac, FINGERPRINT_OF);
        fingerprint.0.copy_from_slice(&tag.as_ref()[..8]);
        Key { fingerprint, hmac }
    }
}

impl ClusterKeys {
    /// The keys of all agents that were given none. Everybody knows them: frames are held together by
    /// them, and nothing is proved.
    pub fn open() -> ClusterKeys {
        ClusterKeys {
            keys: vec![Key::new(b"")],
            are_secret: false,
        }
    }

    /// Keys from a file: one a line; empty lines and those that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<ClusterKeys, KeyError> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys = lines.map(|(index, key)| match key.len() {
            length if length < MIN_KEY_BYTES => Err(KeyError::Short {
                line: index + 1,
                length,
            }),
            _ => Ok(Key::new(key.as_bytes())),
        });
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        match keys.is_empty() {
            true => Err(KeyError::None),
            false => Ok(ClusterKeys {
                keys,
                are_secret: true,
            }),
        }
    }

    /// Whether a signature proves anything.
    pub fn are_secret(&self) -> bool {
        self.are_secret
    }

    /// Of the key that signs.
    pub fn fingerprint(&self) -> Fingerprint {
        self.signing().fingerprint
    }

    fn signing(&self) -> &Key {
        self.keys.first().expect("there is at least one key")
    }

    /// Signs.
    pub fn sign(&self, data: &[u8]) -> Signature {
        let mut signature = Signature::default();
        signature.copy_from_slice(hmac::sign(&self.signing().hmac, data).as_ref());
        signature
    }

    /// Whether we have the key of a fingerprint.
    pub fn has(&self, fingerprint: Fingerprint) -> bool {
        self.keys.iter().any(|key| key.fingerprint == fingerprint)
    }

    /// Whether the key of that fingerprint has signed that. Takes as long for any wrong signature.
    pub fn verify(&self, fingerprint: Fingerprint, data: &[u8], signature: &[u8]) -> bool {
        let keys = self.keys.iter();
        keys.filter(|key| key.fingerprint == fingerprint)
            .any(|key| hmac::verify(&key.hmac, data, signature).is_ok())
    }
}
