//! `cases/*.yaml` on each pipeline: what each objective becomes, or why it is refused. The
//! expected text is `cases/NAME.PIPELINE.txt`; `UPDATE_EXPECT=1` rewrites it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use pointsman_model::Operation;

use super::support::{
    Pipeline, changes, fabric_tna, leaf_spine, onos_basic, onos_fabric, ports, text_of,
};
use pointsman_pipeliner::{Book, Ids, merge};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = root.join("tests/pipeliner/cases");
    let entries = fs::read_dir(directory).expect("the cases are there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable directory").path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    paths
}

/// Applies the changes of a case in order and tells what became of each.
fn outcome(pipeline: &Pipeline, yaml: &str) -> String {
    let mut book = Book::new(Ids::default());
    let mut text = String::new();
    for change in changes(yaml) {
        let id = change.objective.id();
        let staged = match change.operation {
            Operation::Delete => pipeline.pipeliner.delete(&book, &id),
            Operation::Verify => continue,
            Operation::Put => pipeline.pipeliner.put(&book, &ports(), &change.objective),
            Operation::AddToExisting | Operation::RemoveFromExisting | Operation::Modify => {
                merge(book.objective(&id), &change)
                    .and_then(|whole| pipeline.pipeliner.put(&book, &ports(), &whole))
            }
        };
        writeln!(text, "# {id}").expect("writing to a string does not fail");
        match staged {
            Ok(staged) => {
                text += &text_of(&pipeline.schema, &staged.updates());
                book.commit(staged);
            }
            Err(refusal) => {
                let place = refusal.field.as_deref().unwrap_or("-");
                writeln!(text, "{:?} at {place}: {refusal}", refusal.reason)
                    .expect("writing to a string does not fail");
            }
        }
    }
    text
}

fn check(pipeline: &Pipeline) {
    for path in cases() {
        let yaml = fs::read_to_string(&path).expect("a readable case");
        let expected = path.with_extension(format!("{}.txt", pipeline.name));
        expect_file![expected].assert_eq(&outcome(pipeline, &yaml));
    }
}

#[test]
fn objectives_become_entries_of_leaf_spine() {
    check(&leaf_spine());
}

#[test]
fn objectives_become_entries_of_onos_fabric() {
    if let Some(pipeline) = onos_fabric() {
        check(&pipeline);
    }
}

#[test]
fn objectives_become_entries_of_onos_basic() {
    if let Some(pipeline) = onos_basic() {
        check(&pipeline);
    }
}

#[test]
fn objectives_become_entries_of_fabric_tna() {
    check(&fabric_tna());
}
