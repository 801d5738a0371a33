//! Requests that are to be done once: the use that a caller made of a key, and the answer that the caller got.
//!
//! An entry is begun by compare-and-set before anything is done, and ended with the answer. An entry that a crash left begun counts as
//! void after [`VOID_AFTER`]. Neither the key nor the body is stored, only a hash of each.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::{Actor, Caller},
    hash,
};

use crate::{
    backend::{Backend, Item, Key, StoreError, Swap, Swapped},
    keys, rows,
    store::Store,
};

/// The time for which an answer is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// The time after which an entry without an answer is void: no request takes that long.
const VOID_AFTER: SignedDuration = SignedDuration::from_mins(2);
/// The longest answer that is kept, in bytes: an item of the table has room for it.
const LONGEST_ANSWER: usize = 192 * 1024;
/// The tries to begin a request while others begin at the same time.
const TRIES: usize = 3;

/// A request with a key.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    name: String,
    body: String,
}

impl KeyedRequest {
    /// The request of this caller at this path (with its query) with this key, these preconditions (`If-Match`) and body. Admins are
    /// distinguished by their tokens' subjects; all users of an affiliate are one.
    pub fn new(actor: &Actor, path: &str, key: &str, preconditions: &[&[u8]], body: &[u8]) -> Self {
        let texts: Vec<_> = [body].iter().chain(preconditions).map(|bytes| String::from_utf8_lossy(bytes)).collect();
        let parts: Vec<&str> = ["body"].into_iter().chain(texts.iter().map(AsRef::as_ref)).collect();
        Self { name: hash::text(&["once", actor.caller.role(), party(actor), path, key], 32), body: hash::text(&parts, 32) }
    }
}

/// The party that acts: an affiliate, or an admin by its token's subject.
pub(crate) fn party(actor: &Actor) -> &str {
    match &actor.caller {
        Caller::Admin => actor.subject().unwrap_or_default(),
        Caller::Affiliate(id) => id.as_str(),
    }
}

/// The result of beginning a request.
#[derive(Debug)]
pub enum Begun {
    /// The request begins now: do it.
    Now(Claim),
    /// The request was done: this was the answer.
    Done(StoredResponse),
    /// The request was done; the answer was too long to be kept.
    TooLong,
    /// The request is being done.
    Running,
    /// The key was used with another body or other preconditions.
    Other,
}

/// A request that was begun and is to be ended or forgotten.
#[derive(Debug)]
pub struct Claim {
    key: Key,
    rev: u64,
    body: String,
    at: Timestamp,
}

/// A response that a caller got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// Its status.
    pub status: u16,
    /// The headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// Its body, a text.
    pub body: String,
}

/// The stored part of a request.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// The fingerprint of its body and preconditions.
    body: String,
    at: Timestamp,
    outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Running,
    Answered(StoredResponse),
    TooLong,
}

/// Requests that must not be done twice.
#[derive(Debug)]
pub struct Idempotency<B> {
    store: Arc<Store<B>>,
}

impl<B: Backend> Idempotency<B> {
    /// The service over these.
    pub(crate) fn new(store: &Arc<Store<B>>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// Begins a request, unless it was begun before.
    pub async fn begin_once(&self, asked: &KeyedRequest) -> Result<Begun, StoreError> {
        let key = keys::once(&asked.name);
        for _ in 0..TRIES {
            let now = self.store.now();
            let found = self.store.get_one(key.clone()).await?;
            let entry = found.as_ref().map(rows::read_item::<Entry>).transpose()?;
            if let Some(entry) = entry.filter(|entry| entry.counts(now)) {
                return Ok(entry.seen_by(asked));
            }
            let expect = found.map(|item| item.rev);
            let entry = Entry { body: asked.body.clone(), at: now, outcome: Outcome::Running };
            match self.store.swap_one(Swap { key: key.clone(), expect, new: Some(item(&key, &entry)) }).await {
                Swapped::Done => {
                    // A swap sets the revision to one more than was expected.
                    let rev = expect.map_or(1, |rev| rev + 1);
                    return Ok(Begun::Now(Claim { key, rev, body: entry.body, at: now }));
                }
                Swapped::Conflict(_) => {}
                Swapped::Unavailable(error) => return Err(error),
            }
        }
        Ok(Begun::Running)
    }

    /// Keeps the answer of a begun request.
    pub async fn end_once(&self, claim: Claim, answer: &StoredResponse) -> Result<(), StoreError> {
        let fits = answer.body.len() <= LONGEST_ANSWER;
        let outcome = if fits { Outcome::Answered(answer.clone()) } else { Outcome::TooLong };
        let entry = Entry { body: claim.body, at: claim.at, outcome };
        let new = Some(item(&claim.key, &entry));
        self.replace_entry(Swap { key: claim.key, expect: Some(claim.rev), new }).await
    }

    /// Forgets a begun request, so that it may be tried again.
    pub async fn forget_once(&self, claim: Claim) -> Result<(), StoreError> {
        self.replace_entry(Swap { key: claim.key, expect: Some(claim.rev), new: None }).await
    }

    async fn replace_entry(&self, swap: Swap) -> Result<(), StoreError> {
        match self.store.swap_one(swap).await {
            // It took so long that the entry was void, and somebody else began: theirs stays.
            Swapped::Done | Swapped::Conflict(_) => Ok(()),
            Swapped::Unavailable(error) => Err(error),
        }
    }
}

fn item(key: &Key, entry: &Entry) -> Item {
    let mut item = rows::item(key.clone(), entry);
    item.expires = Some(entry.at + KEPT_FOR);
    item
}

impl Entry {
    /// Returns true if the entry is neither void nor expired.
    fn counts(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        age < if matches!(self.outcome, Outcome::Running) { VOID_AFTER } else { KEPT_FOR }
    }

    fn seen_by(self, asked: &KeyedRequest) -> Begun {
        match self.outcome {
            _ if self.body != asked.body => Begun::Other,
            Outcome::Running => Begun::Running,
            Outcome::Answered(answer) => Begun::Done(answer),
            Outcome::TooLong => Begun::TooLong,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn old_entries_keep_being_read() {
        let first = r#"{"v":1,"d":{"body":"b","at":"2026-11-22T09:00:00Z","outcome":{"answered":{"status":202,"headers":[["etag","\"4\""]],"body":"{}"}}}}"#;
        let entry: Entry = rows::read(first).unwrap();
        let answer =
            StoredResponse { status: 202, headers: vec![("etag".to_owned(), "\"4\"".to_owned())], body: "{}".to_owned() };
        assert!(matches!(entry.outcome, Outcome::Answered(kept) if kept == answer));
        let running = rows::read::<Entry>(r#"{"v":1,"d":{"body":"b","at":"2026-11-22T09:00:00Z","outcome":"running"}}"#).unwrap();
        assert!(matches!(running.outcome, Outcome::Running));
    }

    #[test]
    fn what_a_crash_left_is_void_after_two_minutes_and_an_answer_after_a_day() {
        let at: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let entry = |outcome| Entry { body: "b".to_owned(), at, outcome };
        let answered = Outcome::Answered(StoredResponse { status: 200, headers: Vec::new(), body: String::new() });
        for (entry, lasts) in [(entry(Outcome::Running), 120), (entry(answered), 86_400), (entry(Outcome::TooLong), 86_400)] {
            assert!(entry.counts(at + SignedDuration::from_secs(lasts - 1)), "{entry:?}");
            assert!(!entry.counts(at + SignedDuration::from_secs(lasts)), "{entry:?}");
        }
    }

    #[test]
    fn requests_differ_by_caller_path_and_key() {
        let affiliate = |id: &str| Actor::new(Caller::Affiliate(id.parse().unwrap()), Some("user-1"));
        let admin = |subject| Actor::new(Caller::Admin, subject);
        let asked = |actor: &Actor, path: &str, key: &str, body: &str| KeyedRequest::new(actor, path, key, &[], body.as_bytes());
        let one = asked(&affiliate("aff_a"), "/deliveries/d/resend", "k", "{}");
        assert_eq!(one.name, asked(&affiliate("aff_a"), "/deliveries/d/resend", "k", "other").name);
        assert_ne!(one.body, asked(&affiliate("aff_a"), "/deliveries/d/resend", "k", "other").body);
        let insisting = KeyedRequest::new(&affiliate("aff_a"), "/deliveries/d/resend", "k", &[b"\"1\""], b"{}");
        assert_eq!(one.name, insisting.name);
        assert_ne!(one.body, insisting.body);
        let others = [
            one,
            asked(&affiliate("aff_b"), "/deliveries/d/resend", "k", "{}"),
            asked(&admin(None), "/deliveries/d/resend", "k", "{}"),
            asked(&admin(Some("user-1")), "/deliveries/d/resend", "k", "{}"),
            asked(&admin(Some("user-2")), "/deliveries/d/resend", "k", "{}"),
            asked(&affiliate("aff_a"), "/deliveries/e/resend", "k", "{}"),
            asked(&affiliate("aff_a"), "/deliveries/d/resend", "l", "{}"),
        ];
        let names: BTreeSet<String> = others.into_iter().map(|asked| asked.name).collect();
        assert_eq!(names.len(), 7);
    }
}
