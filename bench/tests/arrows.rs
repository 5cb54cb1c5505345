//! The arrows of the workspace: who may depend on whom, and who never does.
//!
//! `proto <- p4 <- ebpf <- {agent, cli}`, `proto <- model <- {agent, controller, cli}`, `{p4, model} <- pipeliner
//! <- {agent, cli}`. What a crate needs only for its tests counts too: a test that reaches upwards hides a cycle.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

/// Each crate with those that may stand below it. A bench may look at all of them.
const BELOW: &[(&str, &[&str])] = &[
    ("pointsman-proto", &[]),
    ("pointsman-p4", &["pointsman-proto"]),
    ("pointsman-ebpf", &["pointsman-proto", "pointsman-p4"]),
    ("pointsman-model", &["pointsman-proto"]),
    (
        "pointsman-pipeliner",
        &["pointsman-proto", "pointsman-p4", "pointsman-model"],
    ),
    (
        "pointsman-agent",
        &[
            "pointsman-proto",
            "pointsman-p4",
            "pointsman-ebpf",
            "pointsman-model",
            "pointsman-pipeliner",
        ],
    ),
    (
        "pointsman-controller",
        &["pointsman-proto", "pointsman-model"],
    ),
    (
        "pointsman",
        &[
            "pointsman-proto",
            "pointsman-p4",
            "pointsman-ebpf",
            "pointsman-model",
            "pointsman-pipeliner",
        ],
    ),
];
const UNBOUND: &str = "pointsman-bench";

/// What `cargo metadata` says of the workspace, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// The members' manifests as cargo itself reads them.
fn members() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .args(["--manifest-path", env!("CARGO_MANIFEST_PATH")])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {complaint}");
    let metadata: Metadata = serde_json::from_slice(&output.stdout).unwrap();
    metadata.packages
}

#[test]
fn arrows_between_crates_go_one_way() {
    let below: BTreeMap<&str, &[&str]> = BELOW.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in members().iter().filter(|p| p.name != UNBOUND) {
        let name = &package.name;
        let Some(below) = below.get(name.as_str()) else {
            wrong.push(format!("{name} has no place in the order: give it one"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let wanted = &dependency.name;
            if !below.contains(&wanted.as_str()) {
                let kind = dependency.kind.as_deref().unwrap_or("normal");
                wrong.push(format!(
                    "{name} depends on {wanted} ({kind} dependency), but may depend only on {below:?}"
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows against the order (ARCHITECTURE.md, code map):\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_crate_of_the_order_exists() {
    let members = members();
    for (name, _) in BELOW {
        assert!(
            members.iter().any(|p| p.name == *name),
            "{name} is not in the workspace"
        );
    }
}
