//! Tests that need a process of their own, such as one that listens to all traces of its process.

use std::{
    env,
    process::{Command, Output},
};

/// Returns the command that runs an ignored test of this binary, such as `secrecy::every_output_is_searched`, in a process of its own.
pub fn own_process(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a running test has a binary"));
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

/// Checks that the test of an ended process passed.
///
/// # Panics
/// The test failed, or there is no test of this name.
#[track_caller]
pub fn assert_passed(ended: &Output) {
    let output = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && output.contains("1 passed"), "{output}");
}

/// Runs an ignored test of this binary in a process of its own.
///
/// # Panics
/// The test fails, or there is no test of this name.
#[track_caller]
pub fn run_in_own_process(test: &str) {
    assert_passed(&own_process(test).output().expect("the binary can be run"));
}
