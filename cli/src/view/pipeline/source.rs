//! Lines of P4 source to go with what came from them.
//!
//! BMv2 JSON names file, line and column and has the beginning of the text from there. Where the file is
//! found and still says that at that place, the whole line is shown; else what the JSON has.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pointsman_p4::ir::SourceInfo;

/// The P4 files that were found.
#[derive(Debug)]
pub struct Sources {
    directories: Vec<PathBuf>,
    files: HashMap<String, Vec<String>>,
}

impl Sources {
    /// Looks in the directory that was given, or else around the program and where we are.
    pub fn near(program: &Path, given: Option<&Path>) -> Sources {
        let directories = match given {
            Some(directory) => vec![directory.to_owned()],
            None => program
                .ancestors()
                .skip(1)
                .take(2)
                .map(|directory| Path::new(".").join(directory))
                .chain([PathBuf::from(".")])
                .collect(),
        };
        Sources {
            directories,
            files: HashMap::new(),
        }
    }

    /// The text at a place; empty if nobody knows it.
    pub fn text(&mut self, source: &SourceInfo) -> String {
        if source.file.is_empty() {
            return String::new();
        }
        let fragment = source.fragment.trim();
        let lines = self.lines(&source.file);
        let line = (source.line as usize)
            .checked_sub(1)
            .and_then(|i| lines.get(i));
        let begin = fragment.strip_suffix("...").unwrap_or(fragment).trim_end();
        let is_there = |line: &&String| {
            let column = (source.column as usize).saturating_sub(1);
            line.get(column..)
                .is_some_and(|rest| rest.starts_with(begin))
        };
        match line.filter(is_there) {
            Some(line) => line.trim().to_owned(),
            None => fragment.to_owned(),
        }
    }

    fn lines(&mut self, file: &str) -> &[String] {
        let directories = &self.directories;
        self.files.entry(file.to_owned()).or_insert_with(|| {
            let texts = directories
                .iter()
                .map(|directory| std::fs::read_to_string(directory.join(file)));
            let text = texts.flatten().next().unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        })
    }
}
