//! What stands in `examples/` is accepted as it stands.

use std::fs;
use std::path::{Path, PathBuf};

use pointsman_model::{Kind, Model};

fn read(directory: &str) -> Model {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(directory);
    let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
        .expect("the directory is there")
        .map(|file| file.expect("readable").path())
        .collect();
    paths.sort();
    let files: Vec<(String, String)> = paths
        .iter()
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(path).expect("text"),
            )
        })
        .collect();
    Model::read(
        files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str())),
    )
    .unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn the_leaf_spine_example_describes_four_devices() {
    let model = read("leaf-spine");
    let devices: Vec<&str> = model
        .devices
        .iter()
        .map(|device| device.value.name.as_str())
        .collect();
    assert_eq!(devices, ["leaf1", "leaf2", "spine1", "spine2"]);
    for device in devices {
        let objectives = model
            .objectives
            .iter()
            .filter(|objective| objective.value.device == device);
        assert!(
            objectives.count() > 5,
            "{device} has no objectives to speak of"
        );
    }
}

#[test]
fn draining_a_spine_changes_nexts_only() {
    let model = read("leaf-spine-drain");
    assert!(
        model
            .objectives
            .iter()
            .all(|objective| objective.value.change.objective.kind() == Kind::Next)
    );
}
