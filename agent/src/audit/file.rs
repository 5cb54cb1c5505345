//! The file of the audit log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::AuditOptions;

/// An open log. Only its owner may read it: entities may hold addresses of customers.
#[derive(Debug)]
pub struct LogFile {
    options: AuditOptions,
    file: File,
    bytes: u64,
}

impl LogFile {
    /// Opens the log to append to it.
    pub fn open(options: AuditOptions) -> io::Result<LogFile> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&options.file)?;
        let bytes = file.metadata()?.len();
        Ok(LogFile {
            options,
            file,
            bytes,
        })
    }

    /// Appends lines, in a new file if this one would grow too long. A line is never cut in two.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let grown = self.bytes + lines.len() as u64;
        if self.bytes > 0 && grown > self.options.max_bytes {
            self.rotate()?;
        }
        match self.file.write_all(lines) {
            Ok(()) => {
                self.bytes += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What went in of them is taken back, so that they can be written again.
                self.file.set_len(self.bytes)?;
                Err(error)
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.options.keep == 0 {
            self.file.set_len(0)?;
            self.bytes = 0;
            return Ok(());
        }
        for number in (1..self.options.keep).rev() {
            match std::fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.options.file, self.numbered(1))?;
        *self = LogFile::open(self.options.clone())?;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.options.file.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_rotated_by_size_and_no_more_than_asked_for_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("audit.jsonl");
        let options = AuditOptions {
            file: file.clone(),
            max_bytes: 8,
            keep: 2,
        };
        let mut log = LogFile::open(options.clone()).expect("it opens");
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            log.append(line.as_bytes()).expect("it is written");
        }
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).ok();
        assert_eq!(read("audit.jsonl").as_deref(), Some("five\n"));
        assert_eq!(read("audit.jsonl.1").as_deref(), Some("four\n"));
        assert_eq!(read("audit.jsonl.2").as_deref(), Some("three\n"));
        assert_eq!(read("audit.jsonl.3"), None);
        // A log that is opened again goes on where it was.
        drop(log);
        let mut log = LogFile::open(options).expect("it opens");
        log.append(b"6\n").expect("it is written");
        assert_eq!(read("audit.jsonl").as_deref(), Some("five\n6\n"));
    }
}
