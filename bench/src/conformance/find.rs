//! Where the programs and their packets are.
//!
//! ```text
//! DIR/bmv2.json  DIR/p4info.txtpb     a program
//! DIR/test.stf                        p4c's packets for it
//! DIR/golden*.jsonl                   packets with BMv2's outputs
//! DIR/*/*/golden*.jsonl               the same for entries of P4Runtime, in the
//! DIR/*/*/entries.txtpb               file beside them
//! ```

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ConformanceError;

/// How far above its packets a program may be.
const LEVELS_ABOVE: usize = 2;

/// A program and one directory of packets for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// The path of the packets below the directory that was searched.
    pub name: String,
    /// Where `bmv2.json` is.
    pub program: PathBuf,
    /// The packets; none if the program only has to load.
    pub files: Vec<VectorFile>,
}

/// A file of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorFile {
    /// What is in it.
    pub kind: Kind,
    /// The file.
    pub path: PathBuf,
    /// The entries to write before, if they are in a file of their own.
    pub entries: Option<PathBuf>,
}

/// What there is to do with a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Run p4c's packets and expectations.
    Stf,
    /// Run packets and compare with BMv2's outputs.
    Golden,
    /// Load it; there are no packets.
    Load,
}

/// All that is in a directory and below, sorted by path.
pub fn find(directory: &Path) -> Result<Vec<Suite>, ConformanceError> {
    let above = directory.ancestors().skip(1).take(LEVELS_ABOVE);
    let program = above.into_iter().find(|d| is_program(d));
    let mut found = Vec::new();
    walk(directory, directory, program, &mut found)?;
    if found.is_empty() {
        return Err(ConformanceError::NoProgram {
            path: directory.display().to_string(),
        });
    }
    Ok(found)
}

fn walk(
    root: &Path,
    directory: &Path,
    program: Option<&Path>,
    found: &mut Vec<Suite>,
) -> Result<(), ConformanceError> {
    let (files, directories) = list(directory)?;
    let program_is_here = is_program(directory);
    let program = if program_is_here {
        Some(directory)
    } else {
        program
    };
    let files = vector_files(&files);
    if let Some(program) = program
        && (program_is_here || !files.is_empty())
    {
        found.push(Suite {
            name: name(root, directory),
            program: program.to_owned(),
            files,
        });
    }
    for directory in directories {
        walk(root, &directory, program, found)?;
    }
    Ok(())
}

fn is_program(directory: &Path) -> bool {
    directory.join("bmv2.json").is_file() && directory.join("p4info.txtpb").is_file()
}

/// The files and the directories of a directory, each sorted.
fn list(directory: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), ConformanceError> {
    let failed = |error| ConformanceError::Directory {
        path: directory.display().to_string(),
        error,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths.into_iter().partition(|path| !path.is_dir()))
}

fn vector_files(files: &[PathBuf]) -> Vec<VectorFile> {
    let named = |path: &Path, wanted: &str| path.file_name().is_some_and(|name| name == wanted);
    let entries = files.iter().find(|file| named(file, "entries.txtpb"));
    let file = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        if name == "test.stf" {
            return Some(VectorFile {
                kind: Kind::Stf,
                path: path.clone(),
                entries: None,
            });
        }
        (name.starts_with("golden") && name.ends_with(".jsonl")).then(|| VectorFile {
            kind: Kind::Golden,
            path: path.clone(),
            entries: entries.cloned(),
        })
    };
    files.iter().filter_map(file).collect()
}

fn name(root: &Path, directory: &Path) -> String {
    let below = directory.strip_prefix(root).unwrap_or(directory);
    if below.as_os_str().is_empty() {
        let last = root.file_name().unwrap_or(root.as_os_str());
        return last.to_string_lossy().into_owned();
    }
    below.display().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    fn names(root: &Path) -> Vec<(String, usize)> {
        let suites = find(root).unwrap();
        suites
            .into_iter()
            .map(|s| (s.name, s.files.len()))
            .collect()
    }

    #[test]
    fn a_directory_of_programs_is_walked_in_order() {
        let root = tree(&[
            "b/bmv2.json",
            "b/p4info.txtpb",
            "a/bmv2.json",
            "a/p4info.txtpb",
            "a/test.stf",
            "a/golden.jsonl",
            "a/golden-entries.jsonl",
            "notes/readme",
        ]);
        let expected = [("a".to_owned(), 3), ("b".to_owned(), 0)];
        assert_eq!(names(root.path()), expected);
    }

    #[test]
    fn packets_belong_to_the_program_two_levels_up() {
        let root = tree(&[
            "fabric/bmv2.json",
            "fabric/p4info.txtpb",
            "fabric/golden/routing/golden.jsonl",
            "fabric/golden/routing/entries.txtpb",
        ]);
        let routing = root.path().join("fabric/golden/routing");
        let suites = find(&routing).unwrap();
        assert_eq!(suites.len(), 1);
        assert_eq!(suites[0].program, root.path().join("fabric"));
        let entries = suites[0].files[0].entries.clone();
        assert_eq!(entries, Some(routing.join("entries.txtpb")));
        assert_eq!(
            names(&root.path().join("fabric")),
            [("fabric".to_owned(), 0), ("golden/routing".to_owned(), 1)]
        );
    }

    #[test]
    fn a_directory_without_a_program_is_an_error() {
        let root = tree(&["test.stf"]);
        let error = find(root.path()).unwrap_err();
        assert!(
            matches!(error, ConformanceError::NoProgram { .. }),
            "{error}"
        );
    }
}
