//! Files that are read: every good one comes back from its own printing, every
//! bad one gives all its mistakes with their carets. `UPDATE_EXPECT=1` rewrites
//! the expected texts.

use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use pointsman_model::{Model, Objective, diff, json_schema, to_yaml};

fn files(directory: &str) -> Vec<(PathBuf, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(directory);
    let mut paths: Vec<_> = fs::read_dir(directory)
        .expect("the cases are there")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable case");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn rendered(error: &dyn Diagnostic) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(120)
        .render_report(&mut text, error)
        .expect("writing to a string does not fail");
    text
}

#[test]
fn bad_files_show_every_mistake_in_its_place() {
    for (path, text) in files("bad") {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a UTF-8 name");
        let problems = Model::parse(name, &text).expect_err(name);
        expect_file![path.with_extension("txt")].assert_eq(&rendered(&problems));
    }
}

#[test]
fn good_files_come_back_from_their_own_printing() {
    for (path, text) in files("good") {
        let model = Model::parse("good.yaml", &text).expect("a good file");
        let before: Vec<Objective> = objectives(&model);
        let printed = to_yaml("leaf1", &before);
        expect_file![path.with_extension("printed")].assert_eq(&printed);
        let after =
            objectives(&Model::parse("printed.yaml", &printed).expect("printed YAML is good"));
        assert_eq!(before, after);
        assert!(diff(&before, &after).is_empty());
    }
}

fn objectives(model: &Model) -> Vec<Objective> {
    model
        .objectives
        .iter()
        .map(|located| located.value.change.objective.clone())
        .collect()
}

#[test]
fn an_unknown_next_is_a_mistake_unless_the_device_has_it() {
    let text = "device: leaf1\nobjectives:\n  - forward: rack2\n    flag: specific\n    \
                selector: { ipv4_dst: 10.0.2.0/24 }\n    next: spines\n";
    let model = Model::parse("leaf1.yaml", text).expect("a good file");
    assert!(
        model
            .check_nexts(|device, next| device == "leaf1" && next.as_str() == "spines")
            .is_ok()
    );
    let problems = model
        .check_nexts(|_, _| false)
        .expect_err("spines is nowhere");
    let positions: Vec<_> = problems.iter().map(|problem| problem.position()).collect();
    assert_eq!(positions, [(6, 11)]);
}

#[test]
fn an_error_of_the_switch_is_shown_at_the_objective_and_field() {
    let (_, text) = &files("good")[0];
    let model = Model::parse("design.yaml", text).expect("a good file");
    assert_eq!(model.locate(1, None), Some(("design.yaml", 7, 11)));
    assert_eq!(
        model.locate(1, Some("buckets[1].output")),
        Some(("design.yaml", 11, 84))
    );
    assert_eq!(
        model.locate(2, Some("ipv4_dst")),
        Some(("design.yaml", 14, 43))
    );
    let problem = model.objective_problem(1, Some("buckets[1].output"), "there is no port swp50");
    assert!(rendered(&problem.expect("it is there")).contains("design.yaml:11:84"));
}

#[test]
fn the_committed_schema_is_the_one_that_the_reader_follows() {
    let schema = serde_json::to_string_pretty(&json_schema()).expect("a schema is JSON") + "\n";
    expect_file!["../schema/pointsman.schema.json"].assert_eq(&schema);
}

#[test]
fn a_thousand_routes_are_read_in_no_time() {
    let mut text = "device: leaf1\nobjectives:\n".to_owned();
    for index in 0..1000 {
        text += &format!(
            "  - forward: route-{index}\n    flag: specific\n    \
             selector: {{ eth_type: ipv4, ipv4_dst: 10.{}.{}.0/24 }}\n    next: spines\n",
            index / 256,
            index % 256
        );
    }
    let start = std::time::Instant::now();
    let model = Model::parse("routes.yaml", &text).expect("a good file");
    let elapsed = start.elapsed();
    assert_eq!(model.objectives.len(), 1000);
    println!("1000 routes: {elapsed:?}");
    // Ten times what a slow machine needs: this catches a quadratic reader, not a busy machine.
    assert!(elapsed.as_secs() < 3, "{elapsed:?}");
}

#[test]
fn the_readme_names_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(path).expect("the README is there");
    for field in pointsman_model::Field::all() {
        assert!(readme.contains(&format!("`{field}`")), "{field} is missing");
    }
}

#[test]
fn the_examples_of_the_readme_are_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(path).expect("the README is there");
    let examples = readme.split("```").skip(1).step_by(2);
    let documents = examples.filter(|yaml| yaml.contains("device: "));
    let documents = documents.map(|yaml| {
        let yaml = yaml.strip_prefix("yaml\n").expect("it is YAML");
        let model = Model::parse("README.md", yaml).expect("it is good");
        (model.devices.len(), model.objectives.len())
    });
    assert_eq!(documents.collect::<Vec<_>>(), [(1, 3), (0, 2), (0, 2)]);
}
