//! Reads the YAML that a command is about.

use std::io::Read;
use std::path::{Path, PathBuf};

use pointsman_model::Model;

use crate::error::CliError;

/// Reads files, directories and standard input as one model.
pub fn read(paths: &[PathBuf]) -> Result<Model, CliError> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|cause| CliError::Read {
                path: path.clone(),
                cause,
            })?;
            texts.push(("<stdin>".to_owned(), text));
        } else if path.is_dir() {
            for file in files_of(path)? {
                texts.push(read_file(&file)?);
            }
        } else {
            texts.push(read_file(path)?);
        }
    }
    let files = texts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()));
    Ok(Model::read(files)?)
}

fn read_file(path: &Path) -> Result<(String, String), CliError> {
    let text = std::fs::read_to_string(path).map_err(|cause| CliError::Read {
        path: path.to_owned(),
        cause,
    })?;
    Ok((path.display().to_string(), text))
}

/// The YAML files of a directory, by name; those in directories below it are not read.
fn files_of(directory: &Path) -> Result<Vec<PathBuf>, CliError> {
    let cannot_read = |cause| CliError::Read {
        path: directory.to_owned(),
        cause,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot_read)? {
        let path = entry.map_err(cannot_read)?.path();
        let is_yaml = path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml");
        if is_yaml && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(CliError::EmptyDirectory {
            path: directory.to_owned(),
        });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "devices: [ { name: NAME, address: 'h:1', device_id: ID } ]\n";

    fn device(name: &str, id: u64) -> String {
        DEVICE.replace("NAME", name).replace("ID", &id.to_string())
    }

    #[test]
    fn a_directory_is_read_in_the_order_of_its_names_and_only_its_yaml() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).expect("writes");
        };
        write("b.yaml", &device("second", 2));
        write("a.yml", &device("first", 1));
        write("notes.txt", "not: [ yaml");
        let model = read(&[directory.path().to_owned()]).expect("valid");
        let names: Vec<_> = model
            .devices
            .iter()
            .map(|located| located.value.name.as_str())
            .collect();
        assert_eq!(names, ["first", "second"]);
    }

    #[test]
    fn a_directory_without_yaml_and_a_file_that_is_not_there_are_named() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let error = read(&[directory.path().to_owned()]).expect_err("refused");
        assert!(matches!(error, CliError::EmptyDirectory { .. }), "{error}");
        let missing = directory.path().join("missing.yaml");
        let error = read(&[missing]).expect_err("refused").to_string();
        assert!(error.contains("missing.yaml"), "{error}");
    }
}
