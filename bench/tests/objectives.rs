//! Objectives get to switches through several controllers, by whichever is asked, and each is acknowledged: a short run of
//! what `objectives` measures. Root, or the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

#[test]
fn controllers_bring_objectives_to_all_switches_in_batches_and_one_by_one() {
    if !switch::privileged() {
        return;
    }
    let mut objectives = Command::new(env!("CARGO_BIN_EXE_objectives"));
    // How fast it is, is measured elsewhere: a build for tests is slow.
    let size = "--switches 3 --batch 100 --objectives 1000 --singles 20 --rounds 1";
    objectives.args(size.split(' ')).arg("--controller");
    objectives.arg(switch::programs().join("pointsman-controller"));
    let output = objectives.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let stages = Command::new(env!("CARGO_BIN_EXE_objectives"))
        .arg("--stages")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stages.stdout);
    assert!(said.contains("applied to the state"), "{said}");
}
