//! The health of a rule, read from its log (docs/api.md): nothing is written for it.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    answer::Verdict,
    caller::{Caller, Owner},
    delivery::State,
    id::Id,
    json,
    json::Value,
};

use crate::{
    backend::{Backend, StoreError},
    keys,
    log::{Log, deliveries::List},
    rows::DeliveryRow,
    rules::{Refused, Rule, View},
};

/// Deliveries that are looked at, at most.
const MOST_LOOKED_AT: usize = 1_000;
/// Deliveries that are looked at for a rule of a list, at most.
const LISTED_LOOKED_AT: usize = 20;
/// Deliveries that are looked at for the last success of a rule, at most.
pub(crate) const FAILING_LOOKED_AT: usize = 200;
/// Rules of a list whose health is read side by side.
const RULES_AT_ONCE: usize = 16;
/// The period that is counted.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// The health of a rule by its newest deliveries.
pub(crate) struct Health {
    pub(crate) last_delivered_at: Option<Timestamp>,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
    counts: BTreeMap<&'static str, usize>,
    counted_since: Timestamp,
    looked_at: usize,
    most_looked_at: usize,
    /// The beginning of the period, even if fewer deliveries are counted.
    since: Timestamp,
}

impl<B: Backend> Log<B> {
    /// One rule with its health, if the caller may see it.
    pub async fn rule_with_health(&self, caller: &Caller, id: &Id) -> Result<View, Refused> {
        let (rule, _) = self.rules.visible(caller, id).await?;
        let mut view = self.rules.view(&rule).await?;
        view.resource["health"] = self.health_of(&rule.id, &rule.head.owner, MOST_LOOKED_AT).await?.view();
        Ok(view)
    }

    /// Reads the health of a rule from its newest deliveries, at most so many.
    pub(crate) async fn health_of(&self, rule: &Id, owner: &Owner, most: usize) -> Result<Health, StoreError> {
        let mut health = Health::since(self.store.now() - LATELY, most);
        let partitions = keys::rule_log(rule, owner);
        let mut list = if most <= LISTED_LOOKED_AT { List::beginning_of(partitions) } else { List::of(partitions) };
        loop {
            let rows = self.newest(&mut list, most).await?;
            if rows.is_empty() || !rows.iter().all(|row| health.look_at(row)) {
                return Ok(health);
            }
        }
    }

    /// The health of a rule as lists show it.
    pub(crate) async fn listed_health(&self, rule: &Rule) -> Result<Health, StoreError> {
        self.health_of(&rule.id, &rule.head.owner, LISTED_LOOKED_AT).await
    }

    /// Adds their health to rules of a list; for those that have it nothing more is read.
    pub(crate) async fn add_health(&self, listed: &mut [(Value, Option<Rule>)]) -> Result<(), StoreError> {
        for some in listed.chunks_mut(RULES_AT_ONCE) {
            try_join_all(some.iter_mut().map(|(resource, rule)| async move {
                if let Some(rule) = rule {
                    resource["health"] = self.listed_health(rule).await?.view();
                }
                Ok::<_, StoreError>(())
            }))
            .await?;
        }
        Ok(())
    }
}

impl Health {
    fn since(since: Timestamp, most_looked_at: usize) -> Self {
        let (last_delivered_at, failing_since, last_error, counts) = (None, None, None, BTreeMap::new());
        Self { last_delivered_at, failing_since, last_error, counts, counted_since: since, looked_at: 0, most_looked_at, since }
    }

    /// Returns true if the newest attempts failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing_since.is_some()
    }

    /// `failing`, `ok` if there was a success within 24 hours, else `idle`.
    fn state(&self) -> &'static str {
        match self.last_delivered_at {
            _ if self.is_failing() => "failing",
            Some(at) if at >= self.since => "ok",
            _ => "idle",
        }
    }

    /// Looks at the next older delivery. Returns true if an older one may change the result.
    fn look_at(&mut self, row: &DeliveryRow) -> bool {
        let made = row.owed.created_at;
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
            State::Failed | State::Exhausted | State::Unresolved | State::Waiting | State::Sending if self.fails_now(row) => {
                self.failing_since = Some(made);
                self.last_error = self.last_error.take().or_else(|| row.reason.clone());
            }
            _ => {}
        }
        if self.looked_at < self.most_looked_at {
            return true;
        }
        self.counted_since = self.counted_since.max(made);
        false
    }

    /// Returns true if a delivery belongs to the present run of failures: nothing newer was delivered, and it failed at least
    /// once. A receiver that answers pending does not fail.
    fn fails_now(&self, row: &DeliveryRow) -> bool {
        let is_pending = row.pending && row.reason.as_deref().is_some_and(|reason| reason.starts_with(Verdict::Pending.as_str()));
        self.last_delivered_at.is_none() && (row.state.is_ended() || (row.attempts > row.base && !is_pending))
    }

    pub(crate) fn view(self) -> Value {
        json!({
            "state": self.state(), "last_delivered_at": self.last_delivered_at, "failing_since": self.failing_since, "last_error": self.last_error,
            "counts_24h": self.counts, "counted_since": self.counted_since,
        })
    }
}

#[cfg(test)]
mod tests {
    use tracking_core::{
        change::Change,
        delivery::{Cause, DeliveryId},
    };

    use super::*;
    use crate::rows::{OwedDelivery, StoredEvent};

    const NOON: &str = "2026-11-22T12:00:00Z";

    /// A delivery that was made so many hours ago.
    fn made(hours: i64, state: State, reason: &str) -> DeliveryRow {
        let now: Timestamp = NOON.parse().unwrap();
        let detail = json!({"change_id": "chg_1", "occurred_at": NOON, "conversion": {"conversion_id": "cnv_1", "version": 1,
            "change": "created", "type": "click", "source": "link", "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"}});
        let event = Change::parse_detail(&detail, "").unwrap().events().remove(0);
        let rule: Id = "trk_1".parse().unwrap();
        let owed = OwedDelivery {
            id: DeliveryId::derive(&"cnv_1".parse().unwrap(), &rule, "conversion:cnv_1", Cause::Final(0)),
            rule,
            owner: Owner::Admin,
            epoch: 0,
            after: None,
            held: false,
            created_at: now - SignedDuration::from_hours(hours),
            event: StoredEvent::new(event),
        };
        let mut row = DeliveryRow::new(owed, state, 3);
        row.attempts = 1;
        row.reason = Some(reason.to_owned());
        row.ended_at = state.is_ended().then(|| row.owed.created_at + SignedDuration::from_mins(1));
        row
    }

    fn health(rows: &[DeliveryRow]) -> Value {
        let mut health = Health::since(NOON.parse::<Timestamp>().unwrap() - LATELY, 1_000);
        let _all = rows.iter().all(|row| health.look_at(row));
        health.view()
    }

    #[test]
    fn a_run_of_failures_begins_after_the_last_success() {
        let view = health(&[
            made(1, State::Waiting, "retry: status 503"),
            made(2, State::Failed, "failed: status 404"),
            made(3, State::Skipped, "final already sent"),
            made(5, State::Delivered, "delivered: status 200"),
            made(6, State::Failed, "failed: status 410"),
            made(30, State::Delivered, "delivered: status 200"),
        ]);
        assert_eq!(view["failing_since"], "2026-11-22T10:00:00Z");
        assert_eq!(view["last_error"], "retry: status 503");
        assert_eq!(view["last_delivered_at"], "2026-11-22T07:01:00Z");
        assert_eq!(view["counts_24h"], json!({"delivered": 1, "failed": 2, "skipped": 1, "waiting": 1}));
        assert_eq!((&view["counted_since"], &view["state"]), (&json!("2026-11-21T12:00:00Z"), &json!("failing")));
    }

    #[test]
    fn a_rule_is_ok_after_a_success_of_the_last_day_and_idle_without_one() {
        let state = |rows: &[DeliveryRow]| health(rows)["state"].as_str().map(ToOwned::to_owned);
        let delivered = |hours| made(hours, State::Delivered, "delivered: status 200");
        assert_eq!(state(&[delivered(2), made(3, State::Failed, "failed: status 404")]).as_deref(), Some("ok"));
        assert_eq!(state(&[delivered(30)]).as_deref(), Some("idle"));
        assert_eq!(state(&[]).as_deref(), Some("idle"));
        let polled = DeliveryRow { pending: true, ..made(1, State::Waiting, "pending: status 200, answer rule 2") };
        assert_eq!(state(&[polled, delivered(2)]).as_deref(), Some("ok"), "pending is an answer");
        let down = DeliveryRow { pending: true, ..made(1, State::Waiting, "retry: status 503") };
        assert_eq!(state(&[down, delivered(2)]).as_deref(), Some("failing"));
    }

    #[test]
    fn a_delivery_that_waits_for_its_first_attempt_has_not_failed() {
        let waits = DeliveryRow { attempts: 0, ..made(1, State::Waiting, "a person asked to send it again") };
        let view = health(&[waits]);
        assert_eq!(
            (&view["failing_since"], &view["last_error"], &view["last_delivered_at"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }

    #[test]
    fn a_success_before_the_counted_period_is_found_and_not_counted() {
        let view = health(&[made(30, State::Failed, "failed: status 404"), made(50, State::Delivered, "delivered: status 200")]);
        assert_eq!(
            (view["last_delivered_at"].as_str(), view["failing_since"].as_str()),
            (Some("2026-11-20T10:01:00Z"), Some("2026-11-21T06:00:00Z"))
        );
        assert_eq!(view["counts_24h"], json!({}));
    }

    #[test]
    fn the_counts_of_a_busy_rule_begin_at_the_oldest_delivery_read() {
        let mut rows = vec![made(1, State::Delivered, "delivered: status 200"); 999];
        rows.extend(vec![made(2, State::Failed, "failed: status 404"); 5]);
        let view = health(&rows);
        assert_eq!(view["counts_24h"], json!({"delivered": 999, "failed": 1}));
        assert_eq!(view["counted_since"], "2026-11-22T10:00:00Z");
        assert_eq!(view["failing_since"], Value::Null);
    }
}
