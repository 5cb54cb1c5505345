//! Packets get to a consumer in the agent, to a client and back, and make entries: a short run of what `packet_io`
//! measures at length. Root, or the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

#[test]
fn packets_come_to_those_who_decide_and_what_they_decide_is_installed() {
    if !switch::privileged() {
        return;
    }
    // A busy machine is slow, and so is a program that is not optimised; how fast it is, is measured elsewhere.
    let mut measured = Command::new(env!("CARGO_BIN_EXE_packet_io"));
    measured
        .args(["--rounds", "2", "--phase", "100", "--share", "0.01"])
        .args(["--trips", "100", "--entries", "200", "--agent"])
        .arg(switch::agent());
    let output = measured.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}
