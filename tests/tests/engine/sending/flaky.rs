//! A receiver that is flaky in every way at once: each postback arrives once, unless it broke before it answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::SignedDuration;
use tracking_core::{json, json::Value};
use tracking_embedded::{Limits, Store};
use tracking_engine::{Clock, Engine, Settings, secrets::Vault};
use tracking_tests::world::{HandClock, event, transaction};

use crate::sending::{
    support::{Connection, Receiver, log, ok, post, rule, soon, store},
    tls::{OPEN_END, Rude, trusting_sender},
};

/// Events, each of which owes a postback to two receivers.
const EVENTS: usize = 500;
/// The time between checks for due messages.
const LATER: SignedDuration = SignedDuration::from_mins(10);

/// The requests that a receiver read of one delivery.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    answered: usize,
    broken: usize,
}

type Log = Arc<Mutex<BTreeMap<String, Heard>>>;

fn delivery_of(request: &str) -> String {
    let (_, rest) = request.split_once("Tracking-Delivery-Id: ").unwrap();
    rest.split("\r\n").next().unwrap().to_owned()
}

/// Plays a connection, each request in the next of ten ways.
async fn play(mut connection: Connection, number: Arc<AtomicUsize>, heard: Log) {
    while let Some(request) = connection.request().await {
        let way = number.fetch_add(1, Ordering::SeqCst) % 10;
        let delivery = delivery_of(&request);
        {
            let mut heard = heard.lock().unwrap();
            let of_delivery = heard.entry(delivery).or_default();
            if way == 6 { of_delivery.broken += 1 } else { of_delivery.answered += 1 }
        }
        let (response, is_kept) = match way {
            0 => (ok("fine"), true),
            1 => (
                "HTTP/1.1 200 OK\r\nPHP Warning:  Undefined index\r\nX-Status : ok\r\nContent-Length: 2\r\n\r\nok".to_owned(),
                true,
            ),
            2 => ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort".to_owned(), false),
            3 => ("HTTP/1.1 200 OK\r\n\r\nends with its connection".to_owned(), false),
            // Closed while idle: at once, or just as the next request comes, which is not read.
            4 => (ok("closed at once"), false),
            5 => {
                connection.say(ok("closed late")).await;
                let _ = connection.stream.readable().await;
                return;
            }
            6 => return,
            7 => ("HTTP/1.1 200 OK\r\nX-Trace: a\0b\r\nContent-Length: 2\r\n\r\nok".to_owned(), true),
            8 => ("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello".to_owned(), true),
            _ => ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc".to_owned(), false),
        };
        connection.say(response).await;
        if !is_kept {
            return;
        }
    }
}

/// Works all messages that are due, then lets time pass, until nothing is left.
async fn work_off(engine: &Engine<Store>, store: &Store, clock: &HandClock) {
    let sender = trusting_sender();
    for _ in 0..100 {
        loop {
            let batch = store.receive(clock.now(), &Limits::default(), 64).messages;
            if batch.is_empty() {
                break;
            }
            assert_eq!(engine.worker().work(engine.worker().queue_up(batch), &sender, None).await, []);
        }
        let is_over = |delivery: &Value| delivery["state"] == "delivered";
        if log(engine).await.iter().all(is_over) {
            return;
        }
        clock.pass(LATER);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_a8_a9_a10_a13_of_1000_postbacks_to_flaky_receivers_each_arrives_once() {
    let (number, heard) = (Arc::<AtomicUsize>::default(), Log::default());
    let (counted, kept) = (Arc::clone(&number), Arc::clone(&heard));
    let plain = Receiver::playing(move |connection| play(connection, Arc::clone(&counted), Arc::clone(&kept))).await;
    let rude = Rude::saying(OPEN_END);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let clock = HandClock::default();
    let now = clock.clone();
    let settings = Settings { private_targets: true, ..Settings::default() };
    let engine = Engine::new(store.clone(), Clock::new(move || now.now()), Vault::new(&[7; 32]), settings);
    for url in [plain.url("/"), rude.url("/")] {
        rule(&engine, json!({"name": "flaky", "request": {"url": url}})).await.unwrap();
    }
    for i in 0..EVENTS {
        let conversion = json!({"conversion_id": format!("cnv_{i}")});
        let transaction = transaction(&format!("trx_{i}"), "created", "approved");
        post(&engine, &event(&format!("chg_{i}"), conversion, json!([transaction]))).await;
    }
    soon(work_off(&engine, &store, &clock)).await;

    let listed = log(&engine).await;
    assert_eq!(listed.len(), 2 * EVENTS);
    let of_rude = rude.requests();
    let mut behind_tls: BTreeMap<String, usize> = BTreeMap::new();
    for request in &of_rude {
        *behind_tls.entry(delivery_of(request)).or_default() += 1;
    }
    let heard = heard.lock().unwrap();
    let mut broken = 0;
    for delivery in &listed {
        assert_eq!(delivery["state"], Value::from("delivered"), "{delivery}");
        let id = delivery["id"].as_str().unwrap();
        match (heard.get(id), behind_tls.get(id)) {
            (Some(of_delivery), None) => {
                assert_eq!(of_delivery.answered, 1, "{delivery}: {of_delivery:?}");
                broken += of_delivery.broken;
            }
            (None, Some(count)) => assert_eq!((*count, &delivery["attempts"]), (1, &json!(1)), "{delivery}"),
            other => panic!("{delivery}: {other:?}"),
        }
    }
    assert_eq!(number.load(Ordering::SeqCst), EVENTS + broken, "nothing else was sent");
    assert!(broken > EVENTS / 12, "{broken} requests met a receiver that broke");
}
