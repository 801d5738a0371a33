//! Tokens and keys outlive the server.

use serde_json::json;

use crate::support::{Server, folder, run, text, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_made_before_during_and_after_serve() {
    let parent = folder();
    let data = parent.path().join("new");
    let before = token(&data, &["--admin"]);
    let server = Server::start(&data, &[]);
    let during = token(&data, &["--affiliate", "aff_7", "--days", "1"]);
    for good in [&before, &during] {
        assert_eq!(server.call_as(good, "GET /tracking-apis", "application/json", "").await.status, 200);
    }
    let own = json!({"name": "mine", "request": {"url": "https://a.example/"}});
    let own = server.call_as(&during, "POST /tracking-apis", "application/json", own.to_string()).await;
    assert_eq!(own.body["owner"], json!({"kind": "affiliate", "affiliate_id": "aff_7"}));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));

    let after = token(&data, &["--admin"]);
    let server = Server::start(&data, &[]);
    for good in [&before, &during, &after] {
        let list = server.call_as(good, "GET /tracking-apis", "application/json", "").await;
        assert_eq!(list.body["items"][0]["name"], "mine", "rules and tokens outlive a restart");
    }
    let elsewhere = token(parent.path(), &["--admin"]);
    assert_eq!(server.call_as(&elsewhere, "GET /tracking-apis", "application/json", "").await.status, 401);
}

#[test]
fn a_token_is_for_one_caller() {
    let data = folder();
    let data = data.path().to_str().unwrap();
    for wrong in [
        &["token", "--data", data][..],
        &["token", "--data", data, "--admin", "--affiliate", "aff_7"],
        &["token", "--data", data, "--affiliate", "a b"],
        &["token", "--data", data, "--admin", "--days", "0"],
    ] {
        let refused = run(wrong);
        assert_eq!((refused.status.code(), text(&refused.stdout).as_str()), (Some(2), ""), "{wrong:?}");
    }
}

#[test]
fn help_shows_examples() {
    for command in ["serve", "send", "token", "inspect"] {
        let help = run(&[command, "--help"]);
        assert!(help.status.success() && text(&help.stdout).contains("Examples:"), "{command}");
    }
}
