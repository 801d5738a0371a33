//! The check: compares arrivals and log with the postbacks that the rules owe. Pure, so that a test can tamper with either side.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::sample::{Owed, OwedRow, OwedRule};

#[cfg(test)]
mod tests;

/// The published events that the check compares.
const PUBLISHED: [&str; 2] = ["Conversion Result Received", "Delivery Ended"];

/// A delivery as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    /// The rule's id until [`Observations`] is complete, then its key.
    #[serde(rename = "tracking_api_id")]
    pub(super) key: String,
    pub(super) conversion_id: String,
    pub(super) transaction_id: Option<String>,
    pub(super) event: String,
    pub(super) change_id: String,
    pub(super) attempts: u32,
    pub(super) state: String,
    /// The attempts of the delivery; empty in a list.
    #[serde(default)]
    pub(super) log: Vec<Logged>,
    /// The callbacks that it read; empty in a list.
    #[serde(default)]
    pub(super) callbacks: Vec<LoggedCallback>,
}

/// A callback of a delivery's log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct LoggedCallback {
    /// The verdict, once it is read.
    pub(super) verdict: Option<String>,
}

/// An attempt of a delivery's log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Logged {
    pub(super) attempt: u32,
    pub(super) verdict: String,
}

impl Delivery {
    /// Returns true if the delivery goes on by itself. A held delivery does not: it waits for an event.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "waiting" | "sending")
    }
}

/// A request that a receiver got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// The key of the rule that the receiver belongs to.
    pub(super) key: String,
    /// The value of its `Tracking-Delivery-Id`.
    pub(super) delivery_id: Option<String>,
}

/// A published event, with the rule's key in place of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) detail_type: String,
    pub(super) key: String,
    pub(super) detail: Map<String, Value>,
}

/// Everything that the demo saw.
#[derive(Debug, Clone, Default)]
pub(super) struct Observations {
    /// The deliveries with their logs.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) requests: Vec<Request>,
    /// The ids of the deliveries that receivers called back.
    pub(super) callbacks: Vec<String>,
    pub(super) bus: Vec<Published>,
    /// Paths of API responses that show a secret (Q5).
    pub(super) leaks: Vec<String>,
}

/// A difference from the postbacks that the rules owe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The rule's key.
    pub(super) key: String,
    /// The subject of the difference.
    pub(super) about: String,
    pub(super) owed: String,
    pub(super) seen: String,
}

/// Returns every difference; nothing if all is as owed.
pub(super) fn differences(owed: &Owed, seen: &Observations) -> Vec<Difference> {
    let mut found = deliveries(owed, &seen.deliveries);
    found.extend(requests(seen));
    found.extend(callbacks(seen));
    found.extend(bus(owed, &seen.bus));
    found.extend(seen.leaks.iter().map(|path| difference("", path, "no secret in any answer (Q5)", "a secret's value")));
    found
}

/// Returns the differences in the deliveries, by the log's lists: their subjects, changes, states and attempts (P1, P2).
pub(super) fn deliveries(owed: &Owed, seen: &[Delivery]) -> Vec<Difference> {
    let mut by_rule: BTreeMap<&str, Vec<&Delivery>> = owed.rules.keys().map(|key| (key.as_str(), Vec::new())).collect();
    for delivery in seen {
        by_rule.entry(&delivery.key).or_default().push(delivery);
    }
    let none = OwedRule::default();
    by_rule.into_iter().flat_map(|(key, its)| rule_deliveries(key, owed.rules.get(key).unwrap_or(&none), its)).collect()
}

/// Returns the number of a rule's deliveries that count: all but the optional ones.
pub(super) fn counted(owed: &OwedRule, its: Vec<&Delivery>) -> usize {
    let total = its.len();
    let mut left = its;
    take_owed(owed, &mut left);
    let unowed = left.len();
    take_optional(owed, &mut left);
    total - (unowed - left.len())
}

fn rule_deliveries(key: &str, owed: &OwedRule, its: Vec<&Delivery>) -> Vec<Difference> {
    let mut left = its;
    let mut found = Vec::new();
    for row in take_owed(owed, &mut left) {
        let seen = match left.iter().position(|delivery| row.is_about(delivery)) {
            Some(at) => left.swap_remove(at).ended(),
            None => "missing".to_owned(),
        };
        found.push(difference(key, &row.about(), &ended(&row.state, row.requests), &seen));
    }
    take_optional(owed, &mut left);
    for delivery in left {
        let doubled = owed.owed.iter().any(|row| row.is_about(delivery));
        let what = if doubled { "nothing more: it is there already (P2)" } else { "nothing" };
        found.push(difference(key, &delivery.about(), what, &delivery.ended()));
    }
    found
}

/// Takes the deliveries that are as owed out of `left`. Returns the owed rows without a match.
fn take_owed<'o>(owed: &'o OwedRule, left: &mut Vec<&Delivery>) -> Vec<&'o OwedRow> {
    let mut unmet = Vec::new();
    for row in &owed.owed {
        let fits = |delivery: &&Delivery| row.is_about(delivery) && row.ends_as(delivery);
        let late = |delivery: &&Delivery| owed.after_final.iter().any(|row| row.is_about(delivery));
        // A delivery after the final one matches only if there is no other.
        let at = left.iter().position(|delivery| fits(delivery) && !late(delivery)).or_else(|| left.iter().position(fits));
        match at {
            Some(at) => {
                left.swap_remove(at);
            }
            None => unmet.push(row),
        }
    }
    unmet
}

/// Takes the optional deliveries out of `left`.
fn take_optional(owed: &OwedRule, left: &mut Vec<&Delivery>) {
    let mut late: Vec<&OwedRow> = owed.after_final.iter().collect();
    let mut bystanders = owed.bystanders.clone();
    left.retain(|delivery| {
        if let Some(at) = late.iter().position(|row| row.is_about(delivery) && row.ends_as(delivery)) {
            late.swap_remove(at);
            return false;
        }
        let own = owed.owed.iter().any(|row| row.is_about(delivery));
        match bystanders.get_mut(&delivery.state).filter(|count| **count > 0 && delivery.attempts == 0 && !own) {
            Some(count) => {
                *count -= 1;
                false
            }
            None => true,
        }
    });
}

/// Returns the differences between the received requests and the attempts in the log, for each delivery and for requests of no delivery
/// (L1, Q1).
fn requests(seen: &Observations) -> Vec<Difference> {
    let mut came: HashMap<(&str, &str), usize> = HashMap::new();
    let mut found = Vec::new();
    for request in &seen.requests {
        match &request.delivery_id {
            Some(id) => *came.entry((&request.key, id)).or_default() += 1,
            None => found.push(difference(&request.key, "a request", "a Tracking-Delivery-Id (Q1)", "none")),
        }
    }
    for delivery in &seen.deliveries {
        let came = came.remove(&(delivery.key.as_str(), delivery.id.as_str())).unwrap_or(0);
        let attempts = delivery.attempts as usize;
        if came != attempts {
            let owed = format!("{} by its attempts", count(attempts, "request"));
            found.push(difference(&delivery.key, &delivery.about(), &owed, &count(came, "request")));
        }
        let log: Vec<u32> = delivery.log.iter().map(|logged| logged.attempt).collect();
        if !log.iter().copied().eq(1..=delivery.attempts) {
            let owed = format!("{} in its log, numbered from 1", count(attempts, "attempt"));
            found.push(difference(&delivery.key, &delivery.about(), &owed, &format!("{log:?}")));
        }
    }
    let mut foreign: Vec<_> = came.into_iter().collect();
    foreign.sort_unstable();
    for ((key, id), came) in foreign {
        found.push(difference(key, id, "nothing: no delivery of this rule", &count(came, "request")));
    }
    found
}

/// The differences between the callbacks that receivers sent and those that deliveries read: each once (W17).
fn callbacks(seen: &Observations) -> Vec<Difference> {
    let mut found = Vec::new();
    for delivery in &seen.deliveries {
        let sent = seen.callbacks.iter().filter(|id| **id == delivery.id).count();
        let read = delivery.callbacks.iter().filter(|callback| callback.verdict.as_deref() == Some("delivered")).count();
        if (read, delivery.callbacks.len()) != (sent, sent) {
            let owed = format!("{} read, as sent", count(sent, "callback"));
            let seen = format!("{read} of {} read", delivery.callbacks.len());
            found.push(difference(&delivery.key, &delivery.about(), &owed, &seen));
        }
    }
    found
}

/// The differences in the published events (A3): each owed event once, and no other of its kind. Repeats are dropped by their id, as consumers
/// do (W16).
fn bus(owed: &Owed, seen: &[Published]) -> Vec<Difference> {
    let mut ids = HashSet::new();
    let of_kind = seen.iter().filter(|event| PUBLISHED.contains(&event.detail_type.as_str()));
    let mut left: Vec<&Published> = of_kind.filter(|event| event.id().is_none_or(|id| ids.insert(id.to_owned()))).collect();
    let mut found = Vec::new();
    for event in &owed.bus {
        if let Some(at) = left.iter().position(|published| published.says(event)) {
            left.swap_remove(at);
        } else {
            let key = event.get("rule").and_then(Value::as_str).unwrap_or_default();
            found.push(difference(key, "on the bus", &Value::from(event.clone()).to_string(), "missing"));
        }
    }
    for event in left {
        let about = format!("{} of {}", event.detail_type, event.detail.get("conversion_id").unwrap_or(&Value::Null));
        found.push(difference(&event.key, &about, "nothing", "an event on the bus"));
    }
    found
}

impl Published {
    fn id(&self) -> Option<&str> {
        self.detail.get("event_id").and_then(Value::as_str)
    }

    /// `true` if it says all that is owed of it.
    fn says(&self, owed: &Map<String, Value>) -> bool {
        owed.iter().all(|(name, value)| match name.as_str() {
            "detail-type" => value == self.detail_type.as_str(),
            "rule" => value == self.key.as_str(),
            // A field that is `null` may be absent.
            _ => self.detail.get(name).unwrap_or(&Value::Null) == value,
        })
    }
}

impl OwedRow {
    fn is_about(&self, delivery: &Delivery) -> bool {
        self.conversion_id == delivery.conversion_id
            && self.transaction_id == delivery.transaction_id
            && self.event.as_ref().is_none_or(|event| *event == delivery.event)
            && self.change_id.as_ref().is_none_or(|change| *change == delivery.change_id)
    }

    fn ends_as(&self, delivery: &Delivery) -> bool {
        self.state == delivery.state && self.requests == delivery.attempts
    }

    fn about(&self) -> String {
        let event = self.event.as_deref().unwrap_or("final");
        about(&self.conversion_id, self.transaction_id.as_deref(), event, self.change_id.as_deref())
    }
}

impl Delivery {
    fn about(&self) -> String {
        about(&self.conversion_id, self.transaction_id.as_deref(), &self.event, Some(&self.change_id))
    }

    fn ended(&self) -> String {
        ended(&self.state, self.attempts)
    }
}

fn about(conversion: &str, transaction: Option<&str>, event: &str, change: Option<&str>) -> String {
    [Some(transaction.unwrap_or(conversion)), Some(event), change].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn ended(state: &str, requests: u32) -> String {
    format!("{state}, {}", count(requests as usize, "request"))
}

/// `1 request`, `2 requests`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn difference(key: &str, about: &str, owed: &str, seen: &str) -> Difference {
    Difference { key: key.to_owned(), about: about.to_owned(), owed: owed.to_owned(), seen: seen.to_owned() }
}
