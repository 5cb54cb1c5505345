//! The state directory: its lock, and reading and replacing the state file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pointsman_proto::pointsman::agent::v1::{StateHeader, StateRecord};
use prost::Message;

use super::error::JournalError;
use super::frame::{FRAME, Frame, crc32};

const FORMAT: u32 = 1;

/// A directory that this agent, and no other, keeps its state in.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    device_id: u64,
    _lock: File,
}

impl StateDirectory {
    /// Takes a directory, making it if need be.
    pub fn open(path: &Path, device_id: u64) -> Result<StateDirectory, JournalError> {
        std::fs::create_dir_all(path)
            .map_err(|e| JournalError::io(path, "create the directory", e))?;
        let lock_path = path.join("LOCK");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|e| JournalError::io(&lock_path, "open", e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked { path: lock_path }),
            Err(TryLockError::Error(e)) => return Err(JournalError::io(lock_path, "lock", e)),
        }
        Ok(StateDirectory {
            path: path.to_owned(),
            device_id,
            _lock: lock,
        })
    }

    /// All records, oldest first, without the header. None if there is no file yet.
    pub fn read(&self) -> Result<Vec<StateRecord>, JournalError> {
        let path = self.state();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(JournalError::io(path, "read", e)),
        };
        let damaged = |offset: usize, what: String| JournalError::Damaged {
            path: path.clone(),
            offset: offset as u64,
            what,
        };
        let mut records = Vec::new();
        let mut offset = 0;
        while offset < bytes.len() {
            let rest = &bytes[offset..];
            let Some((payload, crc)) = frame(rest) else {
                tracing::warn!(
                    path = %path.display(), offset,
                    "the last record of the state file is unfinished; it was never acknowledged and is left out"
                );
                break;
            };
            let end = offset + FRAME + payload.len();
            if crc32(payload) != crc {
                if end == bytes.len() {
                    tracing::warn!(path = %path.display(), offset, "the last record is torn; left out");
                    break;
                }
                return Err(damaged(offset, "the checksum does not fit".to_owned()));
            }
            let record =
                StateRecord::decode(payload).map_err(|e| damaged(offset, e.to_string()))?;
            records.push(record);
            offset = end;
        }
        if records.is_empty() {
            return Err(damaged(0, "there is no header".to_owned()));
        }
        let header = records.remove(0).header;
        let header =
            header.ok_or_else(|| damaged(0, "the first record is no header".to_owned()))?;
        if header.format != FORMAT {
            let what = format!("format {}, but this agent knows {FORMAT}", header.format);
            return Err(damaged(0, what));
        }
        if header.device_id != self.device_id {
            return Err(JournalError::OtherDevice {
                path,
                found: header.device_id,
                configured: self.device_id,
            });
        }
        Ok(records)
    }

    /// Replaces the file by one with these records, atomically, and opens it to append.
    pub(super) fn replace(&self, records: &[StateRecord]) -> Result<(File, u64), JournalError> {
        let new = self.path.join("state.new");
        let header = StateRecord {
            header: Some(StateHeader {
                format: FORMAT,
                device_id: self.device_id,
            }),
            ..StateRecord::default()
        };
        let records = std::iter::once(&header).chain(records);
        let mut length = 0;
        let state = self.state();
        let replace = || -> io::Result<File> {
            let mut file = File::create(&new)?;
            for record in records {
                let frame = Frame::of(record);
                file.write_all(frame.bytes())?;
                length += frame.bytes().len() as u64;
            }
            file.sync_all()?;
            std::fs::rename(&new, &state)?;
            File::open(&self.path)?.sync_all()?;
            Ok(file)
        };
        match replace() {
            Ok(file) => Ok((file, length)),
            Err(e) => Err(JournalError::io(new, "replace the state by", e)),
        }
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

/// Splits a frame into payload and checksum; `None` if it is not whole.
fn frame(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    Some((payload, u32::from_le_bytes(*crc)))
}
