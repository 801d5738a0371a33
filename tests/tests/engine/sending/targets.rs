//! The allowed targets of requests: literal addresses that are not public are refused when a rule is saved, names that resolve to one when
//! it is sent (docs/security.md).

use tracking_core::{caller::Caller, json};
use tracking_engine::{
    rules::{New, Refused},
    sender::Sender,
};
use tracking_tests::world::{event, transaction};

use crate::sending::support::{Receiver, engine, get, log, ok, outcome, post, rule, soon, store, work};

/// Returns the faults of each URL when a rule is saved.
async fn said_against(urls: &[&str]) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(store(folder.path()), false);
    let mut said = Vec::new();
    for url in urls {
        said.push(match rule(&engine, json!({"name": "r", "request": {"url": url}})).await {
            Ok(_) => Vec::new(),
            Err(Refused::Faults(faults)) => {
                assert!(faults.0.iter().all(|fault| fault.pointer == "/request/url"), "{url}: {faults}");
                faults.0.into_iter().map(|fault| fault.detail).collect()
            }
            Err(other) => panic!("{url}: {other}"),
        });
    }
    said
}

/// Checks that every one of these URLs is refused, with a fault that begins with this text.
async fn refused(begins: &str, urls: &[&str]) {
    for (url, said) in urls.iter().zip(said_against(urls).await) {
        assert!(said.iter().any(|detail| detail.starts_with(begins)), "{url}: {said:?}, not {begins:?}");
    }
}

#[tokio::test]
async fn loopback_is_refused_in_whatever_way_it_is_written() {
    let ways = [
        "http://127.0.0.1",
        "https://127.0.0.1:8443/x",
        "HTTP://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://127.0.1/",
        "http://0x7f.1/",
        "http://0X7F.0.0.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.0.0.1\t/",
        "http://127.0.0.1\n/",
        "http://127.0.0.1\\@good.example/",
        "http://%31%32%37.0.0.1/",
        "http://127%2e0%2E0%2e1/",
        "http://127.0.0.1/",
        "http://127。0。0。1/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127.0.0.\u{ad}1/",
    ];
    refused("127.0.0.1 is not a public address: choose a host on the public internet", &ways).await;
}

#[tokio::test]
async fn the_machine_s_own_name_is_refused_in_whatever_way_it_is_written() {
    let ways = [
        "http://localhost/",
        "http://localhost./",
        "http://LocalHost:80/",
        "http://%6cocalhost/",
        "http://ⓛocalhost/",
        "http://local\u{ad}host/",
    ];
    refused("localhost is this machine itself: choose a host on the public internet", &ways).await;
    refused("foo.localhost is this machine itself", &["http://foo.localhost/", "http://FOO.LOCALHOST./"]).await;
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused() {
    let rows = [
        ("0.0.0.0", "http://0.0.0.0/"),
        ("0.0.0.0", "http://0/"),
        ("10.0.0.1", "http://10.0.0.1/"),
        ("10.0.0.1", "http://10.1/"),
        ("100.64.0.1", "http://100.64.0.1/"),
        ("169.254.169.254", "http://169.254.169.254/latest/meta-data/"),
        ("169.254.169.254", "http://0xa9fea9fe/"),
        ("172.16.0.1", "http://172.16.0.1/"),
        ("192.168.1.1", "http://192.168.1.1/"),
        ("224.0.0.1", "http://224.0.0.1/"),
        ("255.255.255.255", "http://255.255.255.255/"),
        ("::1", "http://[::1]/"),
        ("::", "http://[::]/"),
        ("::1", "http://[0:0:0:0:0:0:0:1]:8080/"),
        ("::ffff:10.0.0.1", "http://[::ffff:10.0.0.1]/"),
        ("::ffff:127.0.0.1", "http://[::ffff:7f00:1]/"),
        ("::7f00:1", "http://[::127.0.0.1]/"),
        ("64:ff9b::7f00:1", "http://[64:ff9b::7f00:1]/"),
        ("64:ff9b:1::1", "http://[64:ff9b:1::1]/"),
        ("2002:7f00:1::", "http://[2002:7f00:1::]/"),
        ("2001:0:7f00:1::", "http://[2001:0:7f00:1::]/"),
        ("fc00::1", "http://[fc00::1]/"),
        ("fd00:ec2::254", "http://[fd00:ec2::254]/"),
        ("fe80::1", "http://[fe80::1]/"),
        ("ff02::1", "http://[FF02::1]/"),
    ];
    for (address, url) in rows {
        refused(&format!("{address} is not a public address"), &[url]).await;
    }
}

#[tokio::test]
async fn what_only_looks_like_a_host_is_refused() {
    let user_info = [
        "http://good.example@127.0.0.1/",
        "http://good.example:80@127.0.0.1/",
        "http://@good.example/",
        "http://u:p@good.example/",
    ];
    refused("user info before the host: leave it out", &user_info).await;
    refused(
        "the host is missing: write it after ://",
        &["http:///x", "http://", "http:///127.0.0.1/", "http://:80/", "http://?x", "http://\\127.0.0.1/"],
    )
    .await;
    let none = [
        "http:127.0.0.1/",
        "http:/127.0.0.1/",
        "http:\\\\127.0.0.1/",
        "//127.0.0.1/",
        "ftp://good.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
    ];
    refused("not a URL: it must begin with https:// or http:// and a host", &none).await;
    refused(
        "not a host and port: ",
        &["http://[fe80::1%25eth0]/", "http://good.example:99999/", "http://256.0.0.1/", "http://good example/"],
    )
    .await;
}

#[tokio::test]
async fn public_hosts_are_accepted() {
    let urls = ["https://api.bank.example/x", "http://8.8.8.8/", "http://[2606:4700::1111]/", "http://localhost.example/"];
    assert_eq!(said_against(&urls).await, [const { Vec::<String>::new() }; 4]);
}

/// Saves a rule while addresses that are not public are allowed, and sends it when they no longer are. Returns state and reason.
async fn sent_later(url: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    rule(&engine(store.clone(), true), json!({"name": "r", "request": {"url": url}})).await.unwrap();
    let engine = engine(store.clone(), false);
    post(&engine, &event("chg_1", json!({}), json!([transaction("trx_1", "created", "approved")]))).await;
    soon(work(&engine, &store, &Sender::new(false).unwrap())).await;
    let log = log(&engine).await;
    assert_eq!((log.len(), &log[0]["attempts"]), (1, &json!(1)));
    (log[0]["state"].as_str().unwrap().to_owned(), log[0]["reason"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_name_that_leads_to_loopback_fails_when_it_is_sent() {
    let receiver = Receiver::saying(ok("secrets of this machine")).await;
    let (state, reason) = sent_later(&format!("http://localhost:{}/", receiver.address.port())).await;
    assert_eq!(state, "failed");
    assert!(reason.starts_with("failed: not sent: the receiver's address ") && reason.ends_with(" is not public"), "{reason}");
    assert!(reason.contains("127.0.0.1"), "{reason}");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_literal_address_that_was_saved_earlier_fails_when_it_is_sent() {
    let receiver = Receiver::saying(ok("secrets of this machine")).await;
    let end = sent_later(&receiver.url("/")).await;
    assert_eq!(end, ("failed".to_owned(), "failed: not sent: the receiver's address 127.0.0.1 is not public".to_owned()));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn f11_an_affiliate_learns_no_address_that_is_not_public() {
    let receiver = Receiver::saying(ok("secrets of this machine")).await;
    for url in [receiver.url("/"), format!("http://localhost:{}/", receiver.address.port())] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let affiliate = Caller::Affiliate("aff_7".parse().unwrap());
        let document = json!({"name": "r", "request": {"url": url}});
        let key = New::IdempotencyKey("k".to_owned());
        self::engine(store.clone(), true).writer().create_rule(&affiliate, &document, key).await.unwrap();
        let engine = engine(store.clone(), false);
        post(&engine, &event("chg_1", json!({}), json!([transaction("trx_1", "created", "approved")]))).await;
        soon(work(&engine, &store, &Sender::new(false).unwrap())).await;
        let id = serde_json::from_str(&log(&engine).await[0]["id"].to_string()).unwrap();
        let delivery = engine.log().delivery(&affiliate, &id).await.unwrap();
        assert_eq!(delivery["reason"], "failed: not sent: the receiver's address is not public");
        assert_eq!(delivery["log"][0]["error"], "not sent: the receiver's address is not public");
        assert!(!store.published(None, 100).unwrap().iter().any(|event| format!("{event:?}").contains("address 127")));
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn the_sender_looks_at_every_literal_address_itself() {
    let sender = Sender::new(false).unwrap();
    for (host, address) in
        [("127.1", "127.0.0.1"), ("[::1]", "::1"), ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"), ("2130706433", "127.0.0.1")]
    {
        let sent = outcome(soon(sender.request(get(format!("http://{host}:9/"), 10))).await);
        assert_eq!(sent, Err(format!("not sent: the receiver's address {address} is not public")));
    }
}
