//! The running server against its own description: schemathesis sends valid and invalid requests, and checks every answer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    python::{Environment, installed},
    support::{Server, folder, sale, text, token},
};

/// The fewest requests that one run must make; there are two runs.
const FEWEST: u32 = 1_400;
/// The number of requests to each operation beside those that its description asks for.
const EXAMPLES: &str = "40";

/// Returns `tests/tools`, the folder of the Python tools.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tools")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_answers_an_admin_as_described() {
    try_out(&["--admin"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_answers_an_affiliate_as_described() {
    try_out(&["--affiliate", "aff_7"]).await;
}

async fn try_out(whose: &[&str]) {
    let bin =
        installed(&Environment { name: "schemathesis", requirements: include_str!("../../../../tests/tools/schemathesis.txt") });
    let data = folder();
    let server = Server::start(data.path(), &["--allow-private-targets"]);
    let known = furnish(&server, &token(data.path(), &["--affiliate", "aff_7"])).await;
    let run = folder();
    let mut schemathesis = Command::new(bin.join("st"));
    schemathesis
        .current_dir(run.path())
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", tools())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(known)
        .arg("--config-file")
        .arg(tools().join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", server.url)])
        .args(["--header", &format!("Authorization: Bearer {}", token(data.path(), whose))])
        .args(["--checks", "all", "--phases", "examples,fuzzing", "--mode", "all", "--max-examples", EXAMPLES])
        .args(["--generation-deterministic", "--continue-on-failure", "--request-timeout", "30", "--no-color"]);
    let done = schemathesis.stdin(Stdio::null()).output().expect("schemathesis can be run");
    let output = text(&done.stdout);
    assert!(done.status.success(), "{output}\n{}", text(&done.stderr));
    let made = output.lines().find_map(|line| line.trim().split_once(" generated")?.0.parse::<u32>().ok());
    assert!(made.is_some_and(|made| made >= FEWEST), "{made:?} of {FEWEST} requests were made: {output}");
    fs::remove_dir_all(run.path()).expect("what it wrote can be removed");
}

/// Makes one resource of each kind that well-formed requests ask for.
async fn furnish(server: &Server, affiliate: &str) -> [(&'static str, String); 3] {
    let rule = json!({"name": "aff_7's", "request": {"url": "http://127.0.0.1:9/"}, "secret_values": {"token": "t0ken"}});
    let made = server.call_as(affiliate, "POST /tracking-apis", "application/json", rule.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let offer = server.call("PUT /offers/off_5", json!({"name": "Loan CZ", "country": "CZ", "category": "loans"})).await;
    assert_eq!(offer.status, 200, "{}", offer.body);
    let taken = server.call("POST /events", json!([sale(1), {"detail-type": "Conversion Changed"}])).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let first = |list: &Value| list["items"][0]["id"].as_str().expect("there is one").to_owned();
    let delivery = loop {
        // The delivery is listed once its first attempt has failed.
        let list = server.get("/deliveries").await;
        if list["items"].as_array().is_some_and(|items| !items.is_empty()) {
            break first(&list);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let rejected = first(&server.get("/events/rejected").await);
    [
        ("KNOWN_RULE", made.body["id"].as_str().expect("a rule has an id").to_owned()),
        ("KNOWN_DELIVERY", delivery),
        ("KNOWN_REJECTED_EVENT", rejected),
    ]
}
