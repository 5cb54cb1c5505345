//! Every recorded file is read: p4info against its program, entries, golden and STF files.

use pointsman_p4::vectors::{self, Case};

#[test]
fn every_recorded_file_is_read() {
    let Some(root) = vectors::directory() else {
        println!("skipped: no shared vectors");
        return;
    };
    let mut problems = Vec::new();
    for parent in ["vectors/stf", "vectors/load", "pipelines"] {
        for directory in vectors::directories(&root.join(parent)).unwrap() {
            if let Err(problem) = read_all(&directory) {
                problems.push(format!("{}: {problem}", directory.display()));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

fn read_all(directory: &std::path::Path) -> Result<(), vectors::VectorError> {
    let case = Case::read(directory)?;
    if directory.join("test.stf").exists() {
        case.stf()?;
    }
    for file in ["golden.jsonl", "golden-entries.jsonl"] {
        if directory.join(file).exists() {
            case.golden(&directory.join(file))?;
        }
    }
    let golden = directory.join("golden");
    if golden.is_dir() {
        for set in vectors::directories(&golden)? {
            case.golden(&set.join("golden.jsonl"))?;
            case.entries(&set.join("entries.txtpb"))?;
        }
    }
    Ok(())
}
