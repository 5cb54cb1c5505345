//! Backups: everything that is replicated, in one file that says whether it is whole.
//!
//! ```text
//! "pointsman backup\n"   17 bytes
//! format                 u32, little endian
//! length of the head     u32, little endian
//! head                   CBOR: Head
//! body                   CBOR: State
//! check                  32 bytes: SHA-256 of all before
//! ```
//!
//! It holds no keys. What is made of it is another cluster, with another authority, in which no node of the old one
//! is; its epoch is higher, so that the switches follow it and refuse whatever is left of the old one.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::state::{Cluster, State};

const MAGIC: &[u8] = b"pointsman backup\n";
const FORMAT: u32 = 1;
const CHECK_BYTES: usize = 32;

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The cluster.
    pub cluster: Cluster,
    /// Its revision.
    pub revision: u64,
    /// What its nodes understood.
    pub level: u32,
    /// The version of the program that wrote it.
    pub version: String,
    /// When, in seconds since 1970.
    pub taken: u64,
}

/// Why a file is no backup.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackupError {
    /// It is something else.
    #[error("it is no backup of a cluster; `pointsman cluster snapshot FILE` makes one")]
    NotABackup,
    /// It is not as it was written.
    #[error("it is damaged or cut off: its checksum does not fit; use another backup")]
    Damaged,
    /// A later version wrote it.
    #[error(
        "it has format {0}, and this version reads format {FORMAT} only; use the version that wrote it"
    )]
    OtherFormat(u32),
    /// Its contents are of a level that this version does not understand.
    #[error(
        "it needs level {needed}, and this version understands level {understood}; use the version that wrote it, {version}"
    )]
    OtherLevel {
        /// What is needed.
        needed: u32,
        /// What there is.
        understood: u32,
        /// Who wrote it.
        version: String,
    },
    /// Its check fits, and yet it cannot be read.
    #[error("its contents cannot be read: {0}; use the version that wrote it")]
    Unreadable(String),
}

/// A backup of a state.
pub fn write(state: &State, version: &str, taken: u64) -> Vec<u8> {
    let head = Head {
        cluster: state.cluster().clone(),
        revision: state.revision().0,
        level: state.level(),
        version: version.to_owned(),
        taken,
    };
    let head = encode(&head);
    let length = u32::try_from(head.len()).expect("a head is a few hundred bytes");
    let mut file = MAGIC.to_vec();
    file.extend(FORMAT.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(head);
    file.extend(encode(state));
    let check = Sha256::digest(&file);
    file.extend(check);
    file
}

/// What a backup is of, and the state in it.
///
/// # Errors
/// See [`BackupError`].
pub fn read(file: &[u8]) -> Result<(Head, State), BackupError> {
    let rest = file.strip_prefix(MAGIC).ok_or(BackupError::NotABackup)?;
    let checked = file.len().checked_sub(CHECK_BYTES);
    let (contents, check) = file.split_at(checked.ok_or(BackupError::Damaged)?);
    if Sha256::digest(contents).as_slice() != check {
        return Err(BackupError::Damaged);
    }
    let rest = &rest[..rest.len().saturating_sub(CHECK_BYTES)];
    let (format, rest) = number(rest)?;
    if format != FORMAT {
        return Err(BackupError::OtherFormat(format));
    }
    let (length, rest) = number(rest)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (head, body) = rest.split_at_checked(length).ok_or(BackupError::Damaged)?;
    let head: Head = decode(head)?;
    if head.level > crate::level::LEVEL {
        return Err(BackupError::OtherLevel {
            needed: head.level,
            understood: crate::level::LEVEL,
            version: head.version,
        });
    }
    let state: State = decode(body)?;
    Ok((head, state.reindexed()))
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), BackupError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(BackupError::Damaged)?;
    Ok((u32::from_le_bytes(*number), rest))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).expect("writing to memory does not fail");
    bytes
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, BackupError> {
    ciborium::from_reader(bytes).map_err(|error| BackupError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{ChangeSet, Command, DeviceChange, DeviceSpec};

    fn state() -> State {
        let mut state = State::default();
        state.apply(Command::Initialize(Cluster {
            id: "c0ffee".into(),
            epoch: 7,
        }));
        let device = DeviceSpec {
            name: "leaf1".into(),
            address: "127.0.0.1:1".into(),
            device_id: 1,
        };
        state.apply(Command::Apply(ChangeSet {
            devices: vec![DeviceChange::Put(device)],
            ..ChangeSet::default()
        }));
        state
    }

    #[test]
    fn what_is_written_is_read() {
        let file = write(&state(), "0.1.0", 42);
        let (head, read) = read(&file).unwrap();
        assert_eq!(read, state());
        assert_eq!((head.revision, head.taken), (state().revision().0, 42));
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_refused() {
        let file = write(&state(), "0.1.0", 42);
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "{length} bytes");
        }
        for place in 0..file.len() {
            let mut changed = file.clone();
            changed[place] ^= 0x40;
            assert!(read(&changed).is_err(), "byte {place}");
        }
    }

    #[test]
    fn another_file_is_told_from_a_damaged_one() {
        assert_eq!(read(b"hello").unwrap_err(), BackupError::NotABackup);
        let file = write(&state(), "0.1.0", 42);
        assert_eq!(read(&file[..40]).unwrap_err(), BackupError::Damaged);
    }
}
