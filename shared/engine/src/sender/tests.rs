use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tracking_core::{
    caller::Owner,
    request::{Method, Rendered, Timeout},
};

use super::*;
use crate::sender::{OurFault, SendFault, Sender, SenderSettings};
use nameserver::{Nameserver, Reply};

#[path = "tests/responses.rs"]
mod responses;

#[path = "tests/room.rs"]
mod room_tests;

#[path = "tests/nameserver.rs"]
mod nameserver;

/// A clock that a test moves.
#[derive(Clone, Default)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let hand = self.clone();
        Clock::new(move || Timestamp::from_second(1_700_000_000 + hand.0.load(Ordering::SeqCst)).unwrap())
    }
}

fn asking(nameserver: &Nameserver, private_targets: bool, hand: &Hand) -> SenderSettings {
    let lookups = Lookups::Nameservers(Nameservers::At(vec![nameserver.address]));
    SenderSettings { private_targets, lookups, clock: Some(hand.clock()), ..SenderSettings::default() }
}

fn resolver(nameserver: &Nameserver, private_targets: bool, hand: &Hand) -> Resolver {
    let SenderSettings { private_targets, lookups, clock, .. } = asking(nameserver, private_targets, hand);
    Resolver::new(lookups, private_targets, clock)
}

async fn addresses(resolver: &Resolver, name: &str) -> Result<Vec<IpAddr>, LookupFault> {
    resolver.addresses(name, &Progress::new("aff_7")).await
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn get(url: String, timeout_seconds: u32) -> Rendered {
    let timeout = Timeout::from_seconds(timeout_seconds).unwrap();
    Rendered { method: Method::Get, url, headers: Vec::new(), body: None, timeout }
}

/// A receiver on loopback that answers each connection once; its port.
async fn receiver() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4_096];
            let _read = stream.read(&mut request).await;
            let _said = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
    });
    port
}

#[tokio::test]
async fn f5_a_name_is_asked_unchanged_and_once_a_minute() {
    let nameserver = Nameserver::start(|_, _| Reply::Addresses(ips(&["127.0.0.1"]), 3_600)).await;
    let (hand, port) = (Hand::default(), receiver().await);
    let sender = Sender::with(asking(&nameserver, true, &hand)).unwrap();
    for _ in 0..3 {
        let sent = sender.request(get(format!("http://intranet:{port}/"), 10)).await;
        assert_eq!(sent.unwrap().status, 200);
    }
    assert_eq!(nameserver.questions(), ["intranet A"], "no search domain, one question");
    hand.pass(60);
    assert_eq!(sender.request(get(format!("http://INTRANET.:{port}/"), 10)).await.unwrap().status, 200);
    assert_eq!(nameserver.questions(), ["intranet A"; 2]);
}

#[tokio::test]
async fn f5_answers_are_judged_whatever_form_they_have() {
    let private = [
        "10.0.0.5",
        "127.0.0.1",
        "169.254.169.254",
        "::ffff:10.0.0.5",
        "::ffff:8.8.8.8",
        "64:ff9b::a00:5",
        "2002:a00:5::",
        "::1",
    ];
    for address in private {
        let found = ips(&[address]);
        let answers = found.clone();
        let nameserver = Nameserver::start(move |_, kind| Reply::of(&answers, kind, 60)).await;
        let judged = addresses(&resolver(&nameserver, false, &Hand::default()), "a.example").await;
        assert_eq!(judged, Err(LookupFault::NotPublic(found)));
    }
}

#[tokio::test]
async fn f5_of_mixed_answers_only_public_ones_are_used_and_ipv4_comes_first() {
    let nameserver = Nameserver::start(|name, kind| match (name, kind) {
        ("mixed.example", 1) => Reply::Addresses(ips(&["10.0.0.5", "8.8.8.8", "192.168.0.1"]), 60),
        ("v6.example", 28) => Reply::Addresses(ips(&["::1"]), 60),
        _ => Reply::Addresses(Vec::new(), 60),
    })
    .await;
    let judged = addresses(&resolver(&nameserver, false, &Hand::default()), "mixed.example").await;
    assert_eq!(judged, Ok(ips(&["8.8.8.8"])));
    assert_eq!(nameserver.questions(), ["mixed.example A"], "no IPv6 where IPv4 will do");
    let _only_where_it_has_a_route = addresses(&resolver(&nameserver, true, &Hand::default()), "v6.example").await;
    assert_eq!(nameserver.questions()[1..], ["v6.example A", "v6.example AAAA"]);
}

#[tokio::test]
async fn f5_a_name_that_leads_elsewhere_the_second_time_leads_nowhere() {
    let asked = AtomicI64::new(0);
    let nameserver = Nameserver::start(move |_, kind| match (kind, asked.fetch_add(1, Ordering::SeqCst)) {
        (1, 0) => Reply::Addresses(ips(&["8.8.8.8"]), 0),
        (1, _) => Reply::Addresses(ips(&["127.0.0.1"]), 0),
        _ => Reply::Addresses(Vec::new(), 0),
    })
    .await;
    let resolver = resolver(&nameserver, false, &Hand::default());
    assert_eq!(addresses(&resolver, "rebinds.example").await, Ok(ips(&["8.8.8.8"])));
    assert_eq!(addresses(&resolver, "rebinds.example").await, Err(LookupFault::NotPublic(ips(&["127.0.0.1"]))));
}

#[tokio::test]
async fn f5_localhost_is_this_machine_and_is_never_asked_for() {
    let nameserver = Nameserver::start(|_, _| Reply::Addresses(ips(&["8.8.8.8"]), 60)).await;
    for name in ["localhost", "LOCALHOST.", "a.b.localhost"] {
        let own = addresses(&resolver(&nameserver, true, &Hand::default()), name).await.unwrap();
        assert_eq!(own[0], ips(&["127.0.0.1"])[0]);
        let refused = addresses(&resolver(&nameserver, false, &Hand::default()), name).await;
        assert_eq!(refused, Err(LookupFault::NotPublic(ips(&["127.0.0.1", "::1"]))));
    }
    assert_eq!(nameserver.questions(), [""; 0]);
}

#[tokio::test]
async fn f5_a_name_that_does_not_exist_is_the_receiver_s_fault_and_soon_asked_again() {
    let nameserver = Nameserver::start(|_, _| Reply::NoSuchName).await;
    let hand = Hand::default();
    let resolver = resolver(&nameserver, false, &hand);
    let none = Err(LookupFault::Receiver("the receiver's name does not exist".to_owned()));
    assert_eq!(addresses(&resolver, "none.example").await, none);
    let asked = nameserver.questions().len();
    assert_eq!(addresses(&resolver, "none.example").await, none);
    assert_eq!(nameserver.questions().len(), asked, "for five seconds that counts");
    hand.pass(5);
    assert_eq!(addresses(&resolver, "none.example").await, none);
    assert_eq!(nameserver.questions().len(), 2 * asked);
}

#[tokio::test]
async fn f5_an_answer_that_does_not_fit_is_asked_for_over_tcp() {
    let nameserver = Nameserver::start(|_, _| Reply::OverTcp(ips(&["8.8.4.4"]))).await;
    let found = addresses(&resolver(&nameserver, false, &Hand::default()), "large.example").await;
    assert_eq!(found, Ok(ips(&["8.8.4.4"])));
}

#[tokio::test]
async fn f5_f6_one_silent_name_is_the_receiver_s_fault_and_several_at_once_are_ours() {
    let nameserver = Nameserver::start(|name, _| if name.starts_with("dead") { Reply::Never } else { Reply::NoSuchName }).await;
    let resolver = resolver(&nameserver, false, &Hand::default());
    let silent = Err(LookupFault::Receiver("the lookup of the receiver's name timed out".to_owned()));
    assert_eq!(addresses(&resolver, "dead1.example").await, silent);
    assert_eq!(addresses(&resolver, "dead1.example").await, silent, "however often it is silent");
    assert!(nameserver.questions().len() >= 2, "two tries");
    for (name, away) in [("dead2.example", false), ("dead3.example", true), ("dead1.example", true)] {
        assert_eq!(resolver.is_away(name), away, "{name}");
    }
    let _answered = addresses(&resolver, "none.example").await;
    for (name, away) in [("dead2.example", false), ("dead3.example", false)] {
        assert_eq!(resolver.is_away(name), away, "{name}: another name was answered");
    }
}

#[tokio::test]
async fn f5_names_that_are_silent_hold_up_no_other_owner_s() {
    let nameserver =
        Nameserver::start(
            |name, _| {
                if name.starts_with("dead") { Reply::Never } else { Reply::Addresses(ips(&["127.0.0.1"]), 60) }
            },
        )
        .await;
    let port = receiver().await;
    let sender = Sender::with(asking(&nameserver, true, &Hand::default())).unwrap();
    let owner = |id: &str| Owner::Affiliate { affiliate_id: id.parse().unwrap() };
    let mut hanging = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (sender, owner) = (sender.clone(), owner("aff_bad"));
        hanging.spawn(async move { sender.request_for(&owner, get(format!("http://dead{n}.example/"), 1)).await });
    }
    tokio::task::yield_now().await;
    let sent = sender.request_for(&owner("aff_good"), get(format!("http://good.example:{port}/"), 10)).await;
    assert_eq!(sent.unwrap().status, 200);
    let asked: std::collections::BTreeSet<String> = nameserver.questions().into_iter().collect();
    assert!(asked.len() <= 17, "sixteen of one owner at once: {asked:?}");
    let mut ours = 0;
    while let Some(sent) = hanging.join_next().await {
        match sent.unwrap() {
            Err(SendFault::Timeout(1)) => {}
            Err(SendFault::Ours(_)) => ours += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(ours >= 100, "what waits for its turn is not charged: {ours}");
}

#[tokio::test]
async fn f6_without_a_nameserver_it_is_our_fault() {
    let folder = std::env::temp_dir().join("tracking-no-such-folder");
    let lookups = Lookups::Nameservers(Nameservers::File(folder.join("resolv.conf")));
    let sender = Sender::with(SenderSettings { lookups, ..SenderSettings::default() }).unwrap();
    let sent = sender.request(get("http://a.example/".to_owned(), 10)).await;
    assert!(matches!(&sent, Err(SendFault::Ours(OurFault(why))) if why.contains("resolv.conf")), "{sent:?}");
}

#[tokio::test]
async fn f5_the_system_s_resolver_can_be_asked_too() {
    let settings = SenderSettings { private_targets: true, lookups: Lookups::System, ..SenderSettings::default() };
    let (sender, port) = (Sender::with(settings).unwrap(), receiver().await);
    assert_eq!(sender.request(get(format!("http://localhost:{port}/"), 10)).await.unwrap().status, 200);
    let none = sender.request(get("http://no-such-name.invalid/".to_owned(), 20)).await;
    assert!(matches!(&none, Err(SendFault::Connection(_))), "{none:?}");
}

/// A receiver on loopback that answers its one connection with so many interim responses, then with a 200; its port. The task ends when
/// the connection is closed, with the bytes that were written by then.
async fn interims(count: usize) -> (u16, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        let _read = stream.read(&mut request).await;
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".repeat(16);
        let (mut left, mut written) = (count, 0);
        while left > 0 {
            let some = &hints[..hints.len() / 16 * left.min(16)];
            if stream.write_all(some.as_bytes()).await.is_err() {
                return written;
            }
            (left, written) = (left - left.min(16), written + some.len());
        }
        let _said = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        written
    });
    (port, task)
}

#[tokio::test]
async fn f5_interim_responses_are_passed_over_and_an_endless_row_of_them_is_ended() {
    let sender = Sender::new(true).unwrap();
    let (port, _) = interims(1_000).await;
    let sent = sender.request(get(format!("http://127.0.0.1:{port}/"), 10)).await.unwrap();
    assert_eq!((sent.status, sent.body()), (200, b"ok".as_slice()));
    let (port, receiver) = interims(usize::MAX).await;
    let sent = sender.request(get(format!("http://127.0.0.1:{port}/"), 120)).await;
    let words = "more than 1000 interim responses (1xx), or 65536 bytes of their headers, came before the response";
    assert_eq!(sent.unwrap_err(), SendFault::Connection(words.to_owned()));
    // Far less than a second's worth: the connection is closed, however the sockets' buffers were filled meanwhile.
    let written = receiver.await.unwrap();
    assert!(written < 64 << 20, "{written}");
}

#[tokio::test]
async fn f5_a_head_has_64_kib_at_most() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _read = stream.read(&mut [0; 4_096]).await;
        let endless = format!("HTTP/1.1 200 OK\r\nX-Long: {}", "a".repeat(1 << 20));
        while stream.write_all(endless.as_bytes()).await.is_ok() {}
    });
    let sent = Sender::new(true).unwrap().request(get(format!("http://127.0.0.1:{port}/"), 120)).await;
    assert!(matches!(&sent, Err(SendFault::Connection(words)) if words.contains("too large")), "{sent:?}");
}

/// A receiver that answers once with a body of so many bytes, with its length or up to the end of the connection.
async fn answering(bytes: usize, with_length: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _read = stream.read(&mut [0; 4_096]).await;
        let length = if with_length { format!("Content-Length: {bytes}\r\n") } else { String::new() };
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{length}\r\n");
        let _said = stream.write_all(&[head.into_bytes(), vec![b'x'; bytes]].concat()).await;
    });
    port
}

#[tokio::test]
async fn case_a5_a_response_is_read_to_1_mib_and_known_to_be_longer() {
    let sender = Sender::new(true).unwrap();
    for with_length in [true, false] {
        for (bytes, read, is_cut) in [
            (120 << 10, 120 << 10, false),
            ((1 << 20) - 1, (1 << 20) - 1, false),
            (1 << 20, 1 << 20, false),
            ((1 << 20) + 1, 1 << 20, true),
            (3 << 20, 1 << 20, true),
        ] {
            let port = answering(bytes, with_length).await;
            let sent = sender.request(get(format!("http://127.0.0.1:{port}/"), 30)).await.unwrap();
            assert_eq!((sent.body().len(), sent.is_cut()), (read, is_cut), "{bytes}");
        }
    }
}
