//! `tracking demo` as a person runs it: the real binary, its lines, its exit code.

use std::{
    fs,
    process::{Command, Output},
};

fn tracking(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracking"));
    command.args(arguments).env_remove("RUST_LOG").output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

#[test]
fn contract_4_the_demo_ends_with_what_the_rules_owe() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("store");
    let kept = kept.to_str().unwrap();
    let ended = tracking(&["demo", "--keep", kept]);
    let (out, err) = (text(&ended.stdout), text(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{out}\n{err}");
    assert!(out.lines().any(|line| line == "everything that the rules owe arrived, and nothing else"), "{out}");
    assert!(out.contains("834 deliveries, 853 requests of which "), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours where there is no terminal: {out}");
    for secret in ["bank-5ad1", "0a1b2c3d4e5f", "ef-4b1f", "wh-3e1c"] {
        assert!(!out.contains(secret) && !err.contains(secret), "a secret shows (Q5): {secret}");
    }
    // A receiver that fails twice and recovers, and a status that is pending twice, then approved.
    let outcomes = |key: &str, outcome: &str| {
        let shown = out.lines().filter(|line| line.split_whitespace().nth(1) == Some(key));
        shown.filter(|line| line.ends_with(outcome)).count()
    };
    assert_eq!((outcomes("flaky", "retry: tries again"), outcomes("flaky", "delivered")), (30, 15), "{out}");
    let bank = ["pending: asks again", "delivered", "failed for good"].map(|outcome| outcomes("bank", outcome));
    assert_eq!(bank, [14, 7, 2], "{out}");
    assert!(fs::exists(folder.path().join("store").join("tracking.db")).unwrap(), "the store is kept");

    let again = tracking(&["demo", "--keep", kept]);
    assert_eq!(again.status.code(), Some(2));
    let told = text(&again.stderr);
    assert!(told.ends_with("is not empty: choose a new folder with --keep, the demo begins with an empty store\n"), "{told}");
}
