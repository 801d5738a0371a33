//! `tracking demo` run as the real binary: its lines and its exit code.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Output, Stdio},
};

fn tracking(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracking"));
    command.args(arguments).env_remove("RUST_LOG").output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

/// Runs the demo until it has printed the console's links, then ends it. Returns exit code, stdout, stderr.
fn until_it_shows_around(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracking"));
    command.args(arguments).env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    let mut out = String::new();
    let mut seen = 0;
    while seen < 2
        && let Some(line) = lines.next()
    {
        let line = line.expect("stdout can be read");
        seen += usize::from(line.contains("/console/#token="));
        out.push_str(&line);
        out.push('\n');
    }
    let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(asked.expect("kill is there").success());
    for line in lines {
        out.push_str(&line.expect("stdout can be read"));
        out.push('\n');
    }
    let mut err = String::new();
    child.stderr.take().expect("stderr is piped").read_to_string(&mut err).expect("output is text");
    (child.wait().expect("it ends").code(), out, err)
}

#[test]
fn the_demo_ends_with_every_owed_postback() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("store");
    let kept = kept.to_str().unwrap();
    let (code, out, err) = until_it_shows_around(&["demo", "--keep", kept]);
    assert_eq!(code, Some(0), "{out}\n{err}");
    for whose in ["an admin", "the affiliate aff_2"] {
        let (_, link) = out.split_once(&format!("for {whose}:\n  http://127.0.0.1:")).expect("a link for each");
        assert!(link.lines().next().unwrap().contains("/console/#token=ey"), "{link}");
    }
    assert!(out.lines().any(|line| line == "everything that the rules owe arrived, and nothing else"), "{out}");
    assert!(out.contains("870 deliveries, 949 requests of which "), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours where there is no terminal: {out}");
    for secret in [
        "bank-5ad1",
        "0a1b2c3d4e5f",
        "ef-4b1f",
        "wh-3e1c",
        "flow-pw-2d90",
        "flow-token-7c41",
        "login-pw-5c11",
        "mirror-pw-77aa",
        "mirror-token-88e2",
    ] {
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
    // Two flows of each rule with steps: login, pending, approved, one with a report; a loop of four; office hours once the clock is moved.
    let status = ["pending: asks again", "delivered"].map(|outcome| outcomes("flow_status", outcome));
    assert_eq!(status, [2, 5], "{out}");
    assert_eq!(outcomes("flow_loop", "branch: another step"), 8, "{out}");
    assert_eq!(outcomes("flow_hours", "delivered"), 2, "{out}");
    // Two flows that were called back and reported it; two that logged in by the request of another rule.
    assert_eq!((outcomes("flow_callback", "delivered"), outcomes("flow_mirror", "delivered")), (4, 4), "{out}");
    assert!(out.contains("/network/thanks?lead=trx_") && out.contains("&amount=9.00"), "{out}");
    assert!(out.lines().any(|line| line.contains("│ flow_mirror ") && line.contains(" 8 / 8 ")), "{out}");
    let said = "7 postbacks in wait of office hours: the clock moves on to ";
    let moved = out.lines().find(|line| line.starts_with(said)).expect("it is moved");
    assert!(moved.ends_with("day 09:06 in Prague"), "{moved}");
    assert!(out.contains("at=09%3A06"), "{out}");
    assert!(out.lines().any(|line| line.contains("│ flow_loop ") && line.contains("7 exhausted")), "{out}");
    assert!(fs::exists(folder.path().join("store").join("tracking.db")).unwrap(), "the store is kept");

    let again = tracking(&["demo", "--keep", kept]);
    assert_eq!(again.status.code(), Some(2));
    let message = text(&again.stderr);
    assert!(
        message.ends_with("is not empty: choose a new folder with --keep, the demo begins with an empty store\n"),
        "{message}"
    );
}
