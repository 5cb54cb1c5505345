//! A hundred thousand objectives in one apply are taken whole, again for nothing, and one by one after that. Root, or
//! the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

#[test]
fn a_hundred_thousand_objectives_are_taken_in_one_apply_and_not_written_again() {
    if !switch::privileged() {
        return;
    }
    let mut apply = Command::new(env!("CARGO_BIN_EXE_many_objectives"));
    // How fast it is, is measured elsewhere: a build for tests is slow.
    apply
        .args(["--routes", "100000", "--programs"])
        .arg(switch::programs());
    let output = apply.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}
