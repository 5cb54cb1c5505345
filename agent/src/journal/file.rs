//! The state directory: its lock, and reading and replacing the state file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pointsman_proto::pointsman::agent::v1::{StateHeader, StateRecord};
use prost::Message;

use super::error::JournalError;
use super::frame::{FRAME, Frame, crc32};
use super::writer::Snapshot;

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
            let payload = match whole(&bytes[offset..]) {
                Ok(payload) => payload,
                Err(what) if has_mark(&bytes[offset..]) => {
                    return Err(damaged(offset, what.to_owned()));
                }
                Err(_) => {
                    tracing::warn!(
                        path = %path.display(), offset,
                        "the end of the state file is unfinished; it was never acknowledged and is left out"
                    );
                    break;
                }
            };
            let record =
                StateRecord::decode(payload).map_err(|e| damaged(offset, e.to_string()))?;
            records.push(record);
            offset += FRAME + payload.len();
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

    /// Writes a file with the records of a snapshot beside the one in use. Returns it with its length.
    pub(super) fn write_new(&self, snapshot: Snapshot) -> Result<(File, u64), JournalError> {
        let header = StateRecord {
            header: Some(StateHeader {
                format: FORMAT,
                device_id: self.device_id,
            }),
            ..StateRecord::default()
        };
        let mut length = 0;
        let write = || -> io::Result<File> {
            let mut file = File::create(self.new_state())?;
            let mut append = |frame: Frame| {
                length += frame.bytes().len() as u64;
                file.write_all(frame.bytes())
            };
            append(Frame::of(&header))?;
            snapshot(&mut append)?;
            append(Frame::mark())?;
            file.sync_data()?;
            Ok(file)
        };
        match write() {
            Ok(file) => Ok((file, length)),
            Err(e) => Err(JournalError::io(self.new_state(), "write", e)),
        }
    }

    /// Adds what the file in use has from `start` on to the new one.
    pub(super) fn copy_tail(&self, start: u64, new: &mut File) -> Result<u64, JournalError> {
        let mut copy = || -> io::Result<u64> {
            let mut state = File::open(self.state())?;
            state.seek(SeekFrom::Start(start))?;
            io::copy(&mut state, new)
        };
        copy().map_err(|e| JournalError::io(self.state(), "copy the end of", e))
    }

    /// Puts the new file in the place of the one in use, atomically.
    pub(super) fn adopt(&self, new: &File) -> Result<(), JournalError> {
        let adopt = || -> io::Result<()> {
            new.sync_all()?;
            std::fs::rename(self.new_state(), self.state())?;
            File::open(&self.path)?.sync_all()
        };
        adopt().map_err(|e| JournalError::io(self.new_state(), "replace the state by", e))
    }

    fn new_state(&self) -> PathBuf {
        self.path.join("state.new")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path.join("state")
    }
}

/// The payload of the first frame, or why there is none.
fn whole(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let (payload, crc) = frame(bytes).ok_or("it ends before the record does")?;
    match crc32(payload) == crc {
        true => Ok(payload),
        false => Err("the checksum does not fit"),
    }
}

/// Whether all that comes before some part of this was on the disk.
fn has_mark(bytes: &[u8]) -> bool {
    let mark = Frame::mark();
    let mark = mark.bytes();
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// Splits a frame into payload and checksum; `None` if it is not whole.
fn frame(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let payload = rest.get(..u32::from_le_bytes(*length) as usize)?;
    Some((payload, u32::from_le_bytes(*crc)))
}
