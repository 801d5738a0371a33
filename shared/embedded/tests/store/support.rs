//! Helpers for the tests of the queue: a store in a folder of its own, and short names for messages.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tracking_embedded::{Durability, Limits, Store};
use tracking_engine::backend::{Ack, Backend, Effects, Lane, Message, Received};

/// Makes a folder for its owner alone, which is removed with the test.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// Makes a store whose folder is removed with the test.
pub(crate) fn store() -> (Store, TempDir) {
    let folder = folder();
    (open(folder.path()), folder)
}

/// Opens a folder without waiting for the disk.
pub(crate) fn open(folder: &Path) -> Store {
    Store::open_with(folder, Durability::Relaxed).unwrap()
}

/// The time this many seconds after 2026-11-22T09:00:00Z.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds)
}

/// Limits that no test reaches.
pub(crate) const WIDE: Limits = Limits {
    per_group: 1_000_000,
    per_owner: 1_000_000,
    total: 1_000_000,
    unproven: 1_000_000,
    slow_per_group: 1_000_000,
    slow_total: 0,
};

/// A first try that is due at once.
pub(crate) fn fresh(group: &str, body: &str) -> Message {
    Message { lane: Lane::Delivery, group: group.to_owned(), not_before: None, body: body.to_owned() }
}

/// A retry that is due later.
pub(crate) fn later(group: &str, body: &str, not_before: Timestamp) -> Message {
    Message { lane: Lane::Retry, group: group.to_owned(), not_before: Some(not_before), body: body.to_owned() }
}

/// Sends messages in one step.
pub(crate) async fn send(store: &Store, messages: Vec<Message>) {
    commit(store, Effects { send: messages, ..Effects::default() }).await;
}

/// Commits acks in one step.
pub(crate) async fn ack(store: &Store, acks: Vec<Ack>) {
    commit(store, Effects { acks, ..Effects::default() }).await;
}

/// Commits effects that must succeed.
pub(crate) async fn commit(store: &Store, effects: Effects) {
    assert_eq!(store.commit(vec![effects]).await, vec![Ok(())]);
}

/// Receives every message that is due at this time.
pub(crate) fn all(store: &Store, now: Timestamp) -> Vec<Received> {
    store.receive(now, &WIDE, usize::MAX).messages
}

/// Returns the bodies of messages, in order.
pub(crate) fn bodies(messages: &[Received]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}
