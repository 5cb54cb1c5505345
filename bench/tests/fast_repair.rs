//! Packets leave a port that goes down at once, and return with its link: a short run of what `fast_repair`
//! measures at length. Root, or the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

#[test]
fn packets_leave_a_port_that_goes_down_and_return_with_its_link() {
    if !switch::privileged() {
        return;
    }
    // A busy machine is slow; how fast it is, is measured elsewhere.
    let mut cut = Command::new(env!("CARGO_BIN_EXE_fast_repair"));
    cut.args(["--trials", "5", "--limit", "1000000", "--agent"])
        .arg(switch::agent());
    let output = cut.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}
