//! After random changes, rollbacks, restarts, port flaps and foreign writes a switch holds what its objectives want and nothing
//! else: a short run of what `sequences` does at length. Root, or the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

fn run(target: &str, seed: &str) {
    if !switch::privileged() {
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_sequences"))
        .args([
            "--target",
            target,
            "--minutes",
            "0.4",
            "--seed",
            seed,
            "--agent",
        ])
        .arg(switch::agent())
        .output()
        .unwrap();
    let (said, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{said}");
    assert!(output.status.success(), "{said}{error}");
}

#[test]
fn a_switch_in_the_kernel_ends_up_with_what_its_objectives_want() {
    run("xdp", "1");
}

#[test]
fn the_interpreter_ends_up_with_what_its_objectives_want() {
    run("interpreter", "2");
}
