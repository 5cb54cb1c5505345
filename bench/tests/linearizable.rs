//! The key-value store and mastership keep their promises under kills, partitions and clocks that jump: a short run of
//! `linearizable`, with another seed each time. Root, or the test says aloud that it was skipped.
#![allow(clippy::unwrap_used)]

mod switch;

use std::process::Command;

#[test]
fn keys_locks_and_mastership_are_linearizable_in_trouble() {
    if !switch::privileged() {
        return;
    }
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = seed.unwrap().as_secs().to_string();
    let mut trouble = Command::new(env!("CARGO_BIN_EXE_linearizable"));
    trouble
        .args(["--minutes", "0.5", "--seed", &seed, "--controller"])
        .arg(switch::programs().join("pointsman-controller"));
    let output = trouble.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed}: {error}");
}
