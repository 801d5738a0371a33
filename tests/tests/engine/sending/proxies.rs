//! Proxies that the environment names are not used: a request goes where its rule says.

use std::env;

use tracking_tests::own_process::{assert_passed, own_process};

use crate::sending::support::{Receiver, get, ok, outcome, sender, soon};

const TARGET: &str = "TRACKING_TEST_TARGET";

/// The other process: sends one request.
#[tokio::test]
#[ignore = "proxies_of_the_environment_are_not_used runs it, in a process of its own"]
async fn sends_past_the_proxies() {
    let target = env::var_os(TARGET).expect("the test that runs this one names the target");
    let sent = soon(sender().request(get(target.into_string().unwrap(), 10))).await;
    assert_eq!(outcome(sent), Ok((200, "direct".to_owned())));
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used() {
    let (receiver, proxy) = (Receiver::saying(ok("direct")).await, Receiver::saying(ok("proxy")).await);
    let mut other = own_process("sending::proxies::sends_past_the_proxies");
    other.env(TARGET, receiver.url("/"));
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        other.env(name, proxy.url("/"));
    }
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        other.env_remove(name);
    }
    let output = tokio::task::spawn_blocking(move || other.output().unwrap()).await.unwrap();
    assert_passed(&output);
    assert_eq!((receiver.requests().len(), proxy.connections()), (1, 0));
}
