//! `tracking send`: files of events, its report and its exit codes.

use std::{fs, io::Write as _, process::Stdio};

use serde_json::json;

use crate::support::{Server, folder, run, sale, text, tracking};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_is_reported_and_the_others_are_sent() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let good = data.path().join("good.json");
    let mixed = data.path().join("mixed.ndjson");
    fs::write(&good, serde_json::to_string_pretty(&json!([sale(1), sale(2)])).unwrap()).unwrap();
    fs::write(&mixed, format!("{}\n\n{{\"oops\n[]\n{}\n", sale(3), sale(4))).unwrap();
    let folder = data.path().to_str().unwrap();
    let sent = run(&["send", "--server", &server.url, "--data", folder, good.to_str().unwrap()]);
    assert_eq!((sent.status.code(), text(&sent.stdout).as_str()), (Some(0), "2 accepted, 0 bad\n"), "{}", text(&sent.stderr));
    assert_eq!(text(&sent.stderr), "");

    let sent = run(&["send", "--server", &server.url, "--data", folder, good.to_str().unwrap(), mixed.to_str().unwrap()]);
    assert_eq!((sent.status.code(), text(&sent.stdout).as_str()), (Some(1), "4 accepted, 2 bad\n"), "{}", text(&sent.stderr));
    let report = text(&sent.stderr);
    let report: Vec<_> = report.lines().collect();
    assert_eq!(report.len(), 2, "{report:?}");
    assert!(report[0].starts_with(&format!("{}:3: not JSON", mixed.display())), "{report:?}");
    assert_eq!(report[1], format!("{}:4: a list is not allowed: give one event as a JSON object", mixed.display()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_reads_stdin_and_the_token_of_the_environment() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut child = tracking(&["send", "--server", &server.url, "--data", "nowhere", "-"])
        .env("TRACKING_TOKEN", &server.token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: Vec<_> = (0..1_200).map(|number| sale(number).to_string()).collect();
    child.stdin.take().unwrap().write_all(format!("{}\noops", lines.join("\n")).as_bytes()).unwrap();
    let sent = child.wait_with_output().unwrap();
    assert_eq!((sent.status.code(), text(&sent.stdout).as_str()), (Some(1), "1200 accepted, 1 bad\n"));
    assert!(text(&sent.stderr).starts_with("stdin:1201: not JSON"), "{}", text(&sent.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_prints_why_it_fails() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let folder = data.path().to_str().unwrap();
    let file = data.path().join("event.json");
    fs::write(&file, sale(1).to_string()).unwrap();
    let file = file.to_str().unwrap();
    for (arguments, expected) in [
        (&["send", "--server", &server.url, "--data", "nowhere", file][..], "a token is needed"),
        (&["send", "--server", &server.url, "--data", folder, "no-such-file"], "no-such-file can't be read"),
        (&["send", "--server", &server.url, "--token", "x", file], "401 Unauthorized: the token is not one of this server"),
        (&["send", "--server", "localhost", "--data", folder, file], "localhost is no address of a server"),
        (&["send", "--server", "http://127.0.0.1:1", "--data", folder, file], "http://127.0.0.1:1 can't be reached"),
    ] {
        let sent = run(arguments);
        assert_eq!((sent.status.code(), text(&sent.stdout).as_str()), (Some(2), ""), "{arguments:?}");
        assert!(text(&sent.stderr).contains(expected), "{}", text(&sent.stderr));
    }
}
