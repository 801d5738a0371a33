//! An answered commit of the embedded store is on disk, whenever its process is killed; an unanswered one is stored completely or
//! not at all.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    sync::Arc,
};

use jiff::Timestamp;
use tracking_core::json;
use tracking_embedded::{Limits, Store};
use tracking_engine::backend::{Ack, Backend, Effects, Item, Key, Lane, Message, Order, Partition, Published, Range, Received};
use tracking_tests::own_process::own_process;

const FOLDER: &str = "TRACKING_TEST_FOLDER";
const WIDE: Limits = Limits {
    per_group: 1_000_000,
    per_owner: 1_000_000,
    total: 1_000_000,
    unproven: 1_000_000,
    slow_per_group: 1_000_000,
    slow_total: 0,
};
const CLERKS: u32 = 4;

/// The other process: sends messages and acks them, some at a time, and prints the answered ones, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "what_was_answered_survives_a_kill runs it, in a process of its own"]
async fn commits_until_it_is_killed() {
    let folder = env::var_os(FOLDER).expect("the test that kills this one names the folder");
    let store = Arc::new(Store::open(Path::new(&folder)).unwrap());
    let incarnation = store.incarnation();
    let clerks = (0..CLERKS).map(|clerk| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0.. {
                let name = format!("{incarnation}-{clerk}-{n}");
                commit(&store, send(&name)).await;
                say(&format!("sent {name}"));
                if let Some(message) = store.receive(now(), &WIDE, 1).messages.pop() {
                    let name = message.body.clone();
                    commit(&store, done(&message)).await;
                    say(&format!("done {name}"));
                }
                if n % 3 == 0 {
                    commit(&store, send(&format!("{name}-left"))).await;
                    say(&format!("sent {name}-left"));
                }
            }
        })
    });
    for clerk in clerks.collect::<Vec<_>>() {
        clerk.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = BTreeSet::new();
    for round in 1..=5 {
        let heard = run_and_kill(folder.path(), 37 * round);
        assert!(heard.len() >= 37 * round, "it was killed while it worked, in round {round}");
        said.extend(heard);
        check(folder.path(), &said).await;
    }
}

/// Runs the other process until it has printed this many lines, and kills it. Returns the lines.
fn run_and_kill(folder: &Path, lines: usize) -> Vec<String> {
    let mut other =
        own_process("durability::commits_until_it_is_killed").env(FOLDER, folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut heard = Vec::new();
    for line in BufReader::new(other.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The test harness prints some lines of its own.
        if line.starts_with("sent ") || line.starts_with("done ") {
            heard.push(line);
        }
        if heard.len() == lines {
            other.kill().unwrap();
        }
    }
    let status = other.wait().unwrap();
    assert_eq!(status.code(), None, "it ended by a signal, not by itself: {status}");
    heard
}

/// Checks the remaining messages.
async fn check(folder: &Path, said: &BTreeSet<String>) {
    let store = Store::open(folder).unwrap();
    let items = |partition: &str| {
        let (partition, store) = (Partition::Table(partition.to_owned()), store.clone());
        async move {
            let items = store.query(&partition, &Range::default(), Order::Ascending, usize::MAX).await.unwrap();
            items.into_iter().map(|item| item.key.sort).collect::<BTreeSet<_>>()
        }
    };
    let (sent, done) = (items("sent").await, items("done").await);
    for line in said {
        match line.split_once(' ') {
            Some(("sent", name)) => assert!(sent.contains(name), "{line} is lost"),
            Some(("done", name)) => assert!(done.contains(name), "{line} is lost"),
            _ => panic!("{line} can't be read"),
        }
    }
    let published: Vec<_> = store.published(None, 1_000_000).unwrap();
    let published = published.iter().map(|event| event.detail["name"].as_str().unwrap().to_owned());
    assert_eq!(published.collect::<BTreeSet<_>>(), sent, "an event is published with its item or not at all");
    let waiting = store.receive(now(), &WIDE, usize::MAX).messages;
    let waiting: BTreeSet<_> = waiting.into_iter().map(|message| message.body).collect();
    assert_eq!(waiting, sent.difference(&done).cloned().collect(), "a message waits if it was sent and isn't done");
}

/// Returns a step that sends a message, and writes an item and publishes an event with its name.
fn send(name: &str) -> Effects {
    let message = Message { lane: Lane::Delivery, group: "g".to_owned(), not_before: None, body: name.to_owned() };
    let event = Published::new(now(), "Receiver Up", json!({"name": name}));
    Effects { publish: vec![event], send: vec![message], put: vec![item("sent", name)], ..Effects::default() }
}

/// Returns a step that deletes a message, and writes an item with its name.
fn done(message: &Received) -> Effects {
    let ack = Ack::Delete(message.receipt.clone());
    Effects { put: vec![item("done", &message.body)], acks: vec![ack], ..Effects::default() }
}

fn item(partition: &str, name: &str) -> Item {
    Item { key: Key::new(partition, name), rev: 0, body: "{}".to_owned(), expires: None, attention: None }
}

async fn commit(store: &Store, effects: Effects) {
    assert_eq!(store.commit(vec![effects]).await, [Ok(())]);
}

/// Prints a line in one write, so that a kill doesn't cut it.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}
