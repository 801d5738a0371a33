//! Tests that need a process of their own, such as one that listens to all traces of its process.

use std::{env, process::Command};

/// Runs an ignored test of this binary, such as `secrecy::every_output_is_searched`, in a process of its own.
///
/// # Panics
/// The test fails, or there is no test of this name.
#[track_caller]
pub fn run_in_own_process(test: &str) {
    let binary = env::current_exe().expect("a running test has a binary");
    let ended = Command::new(binary).args(["--exact", test, "--ignored", "--nocapture"]).output().expect("the binary can be run");
    let output = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && output.contains("1 passed"), "{output}");
}
