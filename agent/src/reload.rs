//! Values that are made from files and made again when the files change: certificates and the
//! authorisation policy.
//!
//! What is wrong with new files is said, and the old value stays. Not for the configuration
//! itself, which is read once. [`crate::server`] owns the task that looks.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use thiserror::Error;

/// How a value is made from files.
pub trait Source {
    /// What is made.
    type Value;
    /// Why the files are not good for it.
    type Error: fmt::Display;

    /// The files, in the order in which [`Source::make`] gets them.
    fn files(&self) -> Vec<&Path>;

    /// Makes the value from what the files hold.
    fn make(&self, contents: &[Vec<u8>]) -> Result<Self::Value, Self::Error>;
}

/// Why there is no value.
#[derive(Debug, Error)]
pub enum ReloadError<E: fmt::Display> {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The files hold something else.
    #[error("{0}")]
    Invalid(E),
}

/// A value that follows its files.
#[derive(Debug)]
pub struct Reloaded<S: Source> {
    source: S,
    /// What was last made of the files, or tried: the same is not tried again.
    seen: Mutex<Option<Vec<Vec<u8>>>>,
    value: RwLock<Arc<S::Value>>,
}

impl<S: Source> Reloaded<S> {
    /// Reads the files for the first time.
    pub fn load(source: S) -> Result<Reloaded<S>, ReloadError<S::Error>> {
        let contents = read(&source)?;
        let value = source.make(&contents).map_err(ReloadError::Invalid)?;
        Ok(Reloaded {
            source,
            seen: Mutex::new(Some(contents)),
            value: RwLock::new(Arc::new(value)),
        })
    }

    /// Where it comes from.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The value that was last made.
    pub fn get(&self) -> Arc<S::Value> {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        value.clone()
    }

    /// Reads the files again. `Ok(true)` if there is a new value; after an error the old one
    /// stays, and the same files are not complained of twice.
    pub fn refresh(&self) -> Result<bool, ReloadError<S::Error>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = match read(&self.source) {
            Ok(contents) => contents,
            Err(error) => {
                return match seen.take() {
                    Some(_) => Err(error),
                    None => Ok(false),
                };
            }
        };
        if seen.as_ref() == Some(&contents) {
            return Ok(false);
        }
        let value = self.source.make(&contents);
        *seen = Some(contents);
        let value = Arc::new(value.map_err(ReloadError::Invalid)?);
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value;
        Ok(true)
    }
}

fn read<S: Source>(source: &S) -> Result<Vec<Vec<u8>>, ReloadError<S::Error>> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| ReloadError::Read {
            path: path.to_owned(),
            error,
        })
    };
    source.files().into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Number(PathBuf);

    impl Source for Number {
        type Value = u32;
        type Error = std::num::ParseIntError;

        fn files(&self) -> Vec<&Path> {
            vec![&self.0]
        }

        fn make(&self, contents: &[Vec<u8>]) -> Result<u32, Self::Error> {
            String::from_utf8_lossy(&contents[0]).trim().parse()
        }
    }

    #[test]
    fn a_bad_or_missing_file_is_said_once_and_the_old_value_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("number");
        let write = |text: &str| std::fs::write(&path, text).expect("it can be written");
        write("1");
        let number = Reloaded::load(Number(path.clone())).expect("it is a number");
        assert!(!number.refresh().expect("nothing has changed"));
        write("2");
        assert!(number.refresh().expect("it is a number"));
        write("many");
        assert!(number.refresh().is_err());
        assert!(!number.refresh().expect("this was said"));
        std::fs::remove_file(&path).expect("it is there");
        assert!(number.refresh().is_err());
        assert!(!number.refresh().expect("this was said"));
        assert_eq!(*number.get(), 2);
        write("3");
        assert!(number.refresh().expect("it is a number"));
        assert_eq!(*number.get(), 3);
    }
}
