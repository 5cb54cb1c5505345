//! Every controller knows every change of every switch once, in its order, and all know the same at the end. Root, or the
//! test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

#[test]
fn controllers_miss_nothing_that_happens_on_a_fabric_and_end_up_with_equal_views() {
    if !switch::privileged() {
        return;
    }
    let mut views = Command::new(env!("CARGO_BIN_EXE_fabric_views"));
    // How soon they know is measured elsewhere: a build for tests is slow.
    let size = [
        "--switches",
        "10",
        "--ports",
        "20",
        "--rate",
        "300",
        "--seconds",
        "3",
    ];
    views.args(size).arg("--controller");
    views.arg(switch::programs().join("pointsman-controller"));
    let output = views.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}
