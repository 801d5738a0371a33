//! Rules that fail: those that may be failing, and the event about one that has had no success for an hour of trying.
//!
//! A rule whose attempt failed has a row with the time of that failure. The rows are a superset: a success leaves them for a
//! while, and the log decides what is shown. So a success costs nothing, and the first failure of a run costs a read and a write.
//!
//! An hour after the first failure the log is asked for a success since; without one, a compare-and-set marks the row as published before
//! the bus is asked to take the event. An event that a crash leaves between the two is published at a later failure, with the same
//! `event_id`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{answer::Verdict, caller::Owner, hash, id::Id, json};

use crate::{
    backend::{Backend, Effects, Published, StoreError, Swap},
    failing::{Concluded, Known, LOOK_INTERVAL, PUBLISH_AFTER},
    keys,
    log::{Log, health::FAILING_LOOKED_AT},
    rows,
};

/// A rule that may be failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FailingRow {
    /// The first failed attempt since the last success.
    since: Timestamp,
    /// The time at which the row was marked as published.
    #[serde(rename = "told_at", default, skip_serializing_if = "Option::is_none")]
    marked_at: Option<Timestamp>,
    /// `true` if the bus may not have taken the event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unpublished: bool,
}

impl<B: Backend> Log<B> {
    /// Notes the results of attempts for their rules. It returns no error.
    pub(crate) async fn note_verdicts(&self) {
        for Concluded { rule, owner, verdict, at } in self.store.failing.take_concluded() {
            let noted = match verdict {
                Verdict::Delivered if self.store.failing.succeeded(&rule, self.store.now()) => self.forget_failing(&rule).await,
                Verdict::Retry | Verdict::Failed => self.note_failure(&rule, &owner, at).await,
                Verdict::Delivered | Verdict::Pending | Verdict::Branch => Ok(()),
            };
            if let Err(error) = noted {
                tracing::warn!(tracking_api_id = %rule, %error, "that a rule fails was not noted");
            }
        }
    }

    async fn forget_failing(&self, rule: &Id) -> Result<(), StoreError> {
        self.store.commit_one(Effects { delete: vec![keys::failing(rule)], ..Effects::default() }).await
    }

    async fn note_failure(&self, rule: &Id, owner: &Owner, at: Timestamp) -> Result<(), StoreError> {
        let now = self.store.now();
        if self.store.failing.failed(rule, at, now).is_some() {
            return Ok(());
        }
        let Some((row, rev)) = self.failing_row(rule).await? else {
            let row = FailingRow { since: at, marked_at: None, unpublished: false };
            // If somebody else is faster, that process knows it as well.
            self.swap_failing(rule, None, &row).await?;
            self.remember_failing(rule, at, at + PUBLISH_AFTER);
            return Ok(());
        };
        let since =
            if now < row.since + PUBLISH_AFTER { row.since } else { self.look_whether_failing(rule, owner, row, rev).await? };
        self.remember_failing(rule, since, (since + PUBLISH_AFTER).max(now + LOOK_INTERVAL));
        Ok(())
    }

    fn remember_failing(&self, rule: &Id, since: Timestamp, look_at: Timestamp) {
        let mut kept = self.store.failing.kept();
        let last_success = kept.get(rule).and_then(|known| known.last_success);
        kept.insert(rule.clone(), Known { since, look_at, last_success, recovered_since: None });
    }

    /// Asks the log whether a rule has failed for an hour, and publishes it once. Returns the beginning of the run of failures.
    async fn look_whether_failing(
        &self,
        rule: &Id,
        owner: &Owner,
        mut row: FailingRow,
        rev: u64,
    ) -> Result<Timestamp, StoreError> {
        let now = self.store.now();
        let known = self.store.failing.kept().get(rule).copied();
        let health = self.health_of(rule, owner, FAILING_LOOKED_AT).await?;
        let success = health.last_delivered_at.max(known.and_then(|known| known.last_success));
        if let Some(success) = success.filter(|success| *success >= row.since) {
            // The row is of an earlier run.
            let begun = known.map(|known| known.since).filter(|since| *since >= success);
            row.since = begun.or(health.failing_since).unwrap_or(now).max(success);
            (row.marked_at, row.unpublished) = (None, false);
        }
        // If another process marked it a moment ago, that process publishes it.
        if row.marked_at.is_some_and(|marked_at| !row.unpublished || now < marked_at + LOOK_INTERVAL) {
            return Ok(row.since);
        }
        if row.since + PUBLISH_AFTER > now {
            self.swap_failing(rule, Some(rev), &row).await?;
            return Ok(row.since);
        }
        row.marked_at = row.marked_at.or(Some(now));
        row.unpublished = true;
        // If this swap fails, somebody else publishes it.
        if self.swap_failing(rule, Some(rev), &row).await? {
            let event = failing_event(rule, &row, health.last_error.as_deref());
            self.store.commit_one(Effects { publish: vec![event], ..Effects::default() }).await?;
            tracing::info!(tracking_api_id = %rule, "a rule has failed for an hour");
            if let Some((mut row, rev)) = self.failing_row(rule).await? {
                row.unpublished = false;
                self.swap_failing(rule, Some(rev), &row).await?;
            }
        }
        Ok(row.since)
    }

    async fn failing_row(&self, rule: &Id) -> Result<Option<(FailingRow, u64)>, StoreError> {
        self.store.read_row(keys::failing(rule)).await
    }

    async fn swap_failing(&self, rule: &Id, expect: Option<u64>, row: &FailingRow) -> Result<bool, StoreError> {
        let key = keys::failing(rule);
        self.store.swap_one(Swap { key: key.clone(), expect, new: Some(rows::item(key, row)) }).await.is_done()
    }
}

/// The event that a rule has had no success for an hour of trying.
fn failing_event(rule: &Id, row: &FailingRow, last_error: Option<&str>) -> Published {
    let at = row.marked_at.unwrap_or(row.since);
    let event_id = format!("evt_{}", hash::text(&["failing", rule.as_str(), &at.to_string()], 25));
    let detail = json!({"tracking_api_id": rule, "failing_since": row.since, "last_error": last_error, "event_id": event_id});
    Published::new(at, "Tracking API Failing", detail)
}
