//! A bounded run of the stateful fuzzer, and a fight for mastership, against our own agent.
//!
//! The agent and the fuzzer are the programs themselves, in a network namespace of their own: root, or
//! the tests say aloud that they were skipped. Longer runs: `p4rt_fuzz --minutes`.

mod switch;

use switch::{ADDRESS, Switch, privileged};

/// The program of the tour that independent clients take, too.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/clients/tour");

/// `name` is the test's own.
fn fuzz(name: &str, target: &str, minutes: &str, game: &[&str]) {
    if !privileged() {
        return;
    }
    let mut switch = Switch::start(name, target, 3);
    let mut fuzzer = switch.command(env!("CARGO_BIN_EXE_p4rt_fuzz"));
    fuzzer
        .args([ADDRESS, PROGRAM, "--minutes", minutes])
        .args(game);
    let output = switch.succeeds(&mut fuzzer);
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

const STATE: [&str; 7] = [
    "state", "--wire", "1=host1", "--wire", "2=host2", "--wire", "3=host3",
];

#[test]
fn xdp_does_what_the_model_says() {
    fuzz("p4rt-fuzz", "xdp", "0.5", &STATE);
}

#[test]
fn the_interpreter_does_what_the_model_says() {
    fuzz("p4rt-fuzz", "interpreter", "0.5", &STATE);
}

#[test]
fn there_are_never_two_primaries() {
    fuzz("p4rt-fight", "interpreter", "0.3", &["mastership"]);
}
