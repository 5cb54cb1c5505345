//! Controllers that are killed, cut off and shut down lose nothing that was acknowledged, and packets go on: a short run
//! of what `fail_over` measures at length. Root, or the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

#[test]
fn controllers_that_end_in_any_way_lose_nothing_and_disturb_no_packet() {
    if !switch::privileged() {
        return;
    }
    let mut disturb = Command::new(env!("CARGO_BIN_EXE_fail_over"));
    // How fast it is, is measured elsewhere: a build for tests is slow.
    disturb
        .args(["--trials", "3", "--programs"])
        .arg(switch::programs());
    let output = disturb.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}
