//! The console: in a browser, against the real server; and the link that the command line prints.

use std::{path::Path, process::Command};

fn tracking(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracking"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("TRACKING_TOKEN");
    command
}

/// Runs the tests of `functions/console`, which drive a browser from JavaScript.
#[test]
fn the_console_works_in_a_browser() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../console/tests/run.mjs");
    let node = Command::new("node").arg(tests).env("TRACKING_BIN", env!("CARGO_BIN_EXE_tracking")).output();
    let ended = node.unwrap_or_else(|error| panic!("node can't be run ({error}): the console's tests need Node 20.19 or newer"));
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}\n{err}");
}

#[test]
fn the_link_holds_a_token_in_its_fragment() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let made =
        tracking(&["console", "--data", data, "--affiliate", "aff_7", "--server", "http://127.0.0.1:9000/"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let line = String::from_utf8(made.stdout).unwrap();
    let token = line.strip_prefix("http://127.0.0.1:9000/console/#token=").and_then(|rest| rest.strip_suffix('\n')).unwrap();
    assert_eq!(token.split('.').count(), 3, "{line}");
    let usual = tracking(&["console", "--data", data, "--admin"]).output().unwrap();
    assert!(String::from_utf8(usual.stdout).unwrap().starts_with("http://127.0.0.1:8080/console/#token=ey"));
    for (arguments, expected) in [
        (vec!["console", "--data", data], "--admin"),
        (vec!["console", "--data", data, "--admin", "--affiliate", "aff_7"], "--affiliate"),
        (vec!["console", "--data", data, "--admin", "--server", "ftp://x"], "is not the address of a server"),
    ] {
        let refused = tracking(&arguments).output().unwrap();
        let err = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && err.contains(expected), "{err}");
    }
}
