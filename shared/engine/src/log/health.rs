//! How a rule fares, read off its log (contract §2): nothing is written for it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tracking_core::{caller::Caller, delivery::State, id::Id, json, json::Value};

use crate::{
    backend::{Backend, StoreError},
    keys,
    log::{Log, deliveries::List},
    rows::DeliveryRow,
    rules::{Refused, Rule, View},
};

/// Deliveries that are looked at, at most.
const MOST_LOOKED_AT: usize = 1_000;
/// What is counted.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// What the newest deliveries of a rule tell.
struct Health {
    last_delivered_at: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    last_error: Option<String>,
    counts: BTreeMap<&'static str, usize>,
    counted_since: Timestamp,
    looked_at: usize,
}

impl<B: Backend> Log<B> {
    /// One rule with its health, if the caller may see it.
    pub async fn rule_with_health(&self, caller: &Caller, id: &Id) -> Result<View, Refused> {
        let (rule, _) = self.rules.visible(caller, id).await?;
        let mut view = self.rules.view(&rule).await?;
        view.resource["health"] = self.health(&rule).await?;
        Ok(view)
    }

    async fn health(&self, rule: &Rule) -> Result<Value, StoreError> {
        let mut health = Health::since(self.store.now() - LATELY);
        let mut list = List::of(keys::rule_log(&rule.id, &rule.head.owner));
        loop {
            let rows = self.newest(&mut list).await?;
            if rows.is_empty() || !rows.iter().all(|row| health.look_at(row)) {
                return Ok(health.view());
            }
        }
    }
}

impl Health {
    fn since(counted_since: Timestamp) -> Self {
        let counts = BTreeMap::new();
        Self { last_delivered_at: None, failing_since: None, last_error: None, counts, counted_since, looked_at: 0 }
    }

    /// Looks at the next older delivery; whether an older one may tell more.
    fn look_at(&mut self, row: &DeliveryRow) -> bool {
        let made = row.job.created_at;
        let is_counted = made >= self.counted_since;
        if !is_counted && self.last_delivered_at.is_some() {
            return false;
        }
        self.looked_at += 1;
        if is_counted {
            *self.counts.entry(row.state.as_str()).or_default() += 1;
        }
        match row.state {
            State::Delivered if self.last_delivered_at.is_none() => self.last_delivered_at = row.ended_at,
            State::Failed | State::Exhausted | State::Unresolved | State::Waiting | State::Sending if self.is_failing(row) => {
                self.failing_since = Some(made);
                self.last_error = self.last_error.take().or_else(|| row.reason.clone());
            }
            _ => {}
        }
        if self.looked_at < MOST_LOOKED_AT {
            return true;
        }
        self.counted_since = self.counted_since.max(made);
        false
    }

    /// Whether it belongs to the present run of failures: nothing newer was delivered, and it failed at least once.
    fn is_failing(&self, row: &DeliveryRow) -> bool {
        self.last_delivered_at.is_none() && (row.state.is_ended() || row.attempts > row.base)
    }

    fn view(self) -> Value {
        json!({
            "last_delivered_at": self.last_delivered_at, "failing_since": self.failing_since, "last_error": self.last_error,
            "counts_24h": self.counts, "counted_since": self.counted_since,
        })
    }
}

#[cfg(test)]
mod tests {
    use tracking_core::{
        caller::Owner,
        change::Change,
        delivery::{Cause, DeliveryId},
    };

    use super::*;
    use crate::rows::{Job, StoredEvent};

    const NOON: &str = "2026-11-22T12:00:00Z";

    /// A delivery that was made so many hours ago.
    fn made(hours: i64, state: State, reason: &str) -> DeliveryRow {
        let now: Timestamp = NOON.parse().unwrap();
        let detail = json!({"change_id": "chg_1", "occurred_at": NOON, "conversion": {"conversion_id": "cnv_1", "version": 1,
            "change": "created", "type": "click", "source": "link", "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"}});
        let event = Change::parse_detail(&detail, "").unwrap().events().remove(0);
        let rule: Id = "trk_1".parse().unwrap();
        let job = Job {
            id: DeliveryId::derive(&"cnv_1".parse().unwrap(), &rule, "conversion:cnv_1", Cause::Final(0)),
            rule,
            owner: Owner::Admin,
            epoch: 0,
            after: None,
            held: false,
            created_at: now - SignedDuration::from_hours(hours),
            event: StoredEvent(event),
        };
        let mut row = DeliveryRow::new(job, state, 3);
        row.attempts = 1;
        row.reason = Some(reason.to_owned());
        row.ended_at = state.is_ended().then(|| row.job.created_at + SignedDuration::from_mins(1));
        row
    }

    fn health(rows: &[DeliveryRow]) -> Value {
        let mut health = Health::since(NOON.parse::<Timestamp>().unwrap() - LATELY);
        let _all = rows.iter().all(|row| health.look_at(row));
        health.view()
    }

    #[test]
    fn contract_2_a_run_of_failures_begins_after_the_last_success() {
        let told = health(&[
            made(1, State::Waiting, "retry: status 503"),
            made(2, State::Failed, "failed: status 404"),
            made(3, State::Skipped, "final already sent"),
            made(5, State::Delivered, "delivered: status 200"),
            made(6, State::Failed, "failed: status 410"),
            made(30, State::Delivered, "delivered: status 200"),
        ]);
        assert_eq!(told["failing_since"], "2026-11-22T10:00:00Z");
        assert_eq!(told["last_error"], "retry: status 503");
        assert_eq!(told["last_delivered_at"], "2026-11-22T07:01:00Z");
        assert_eq!(told["counts_24h"], json!({"delivered": 1, "failed": 2, "skipped": 1, "waiting": 1}));
        assert_eq!(told["counted_since"], "2026-11-21T12:00:00Z");
    }

    #[test]
    fn contract_2_what_waits_for_its_first_attempt_has_not_failed() {
        let waits = DeliveryRow { attempts: 0, ..made(1, State::Waiting, "a person asked to send it again") };
        let told = health(&[waits]);
        assert_eq!(
            (&told["failing_since"], &told["last_error"], &told["last_delivered_at"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }

    #[test]
    fn contract_2_an_older_success_is_looked_for_and_not_counted() {
        let told = health(&[made(30, State::Failed, "failed: status 404"), made(50, State::Delivered, "delivered: status 200")]);
        assert_eq!(
            (told["last_delivered_at"].as_str(), told["failing_since"].as_str()),
            (Some("2026-11-20T10:01:00Z"), Some("2026-11-21T06:00:00Z"))
        );
        assert_eq!(told["counts_24h"], json!({}));
    }

    #[test]
    fn contract_2_a_busy_rule_is_counted_as_far_as_it_was_looked_at() {
        let mut rows = vec![made(1, State::Delivered, "delivered: status 200"); 999];
        rows.extend(vec![made(2, State::Failed, "failed: status 404"); 5]);
        let told = health(&rows);
        assert_eq!(told["counts_24h"], json!({"delivered": 999, "failed": 1}));
        assert_eq!(told["counted_since"], "2026-11-22T10:00:00Z");
        assert_eq!(told["failing_since"], Value::Null);
    }
}
