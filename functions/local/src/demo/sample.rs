//! The demo's input: the sample rules, the sample events and the postbacks that they owe, from `tests/events`.

use std::{collections::BTreeMap, net::SocketAddr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const RULES: &str = include_str!("../../../../tests/events/rules.json");
const OWED: &str = include_str!("../../../../tests/events/owed.json");
const OFFERS: &str = include_str!("../../../../tests/events/offers.ndjson");
const STORIES: &str = include_str!("../../../../tests/events/stories.ndjson");
const CONVERSIONS: &str = include_str!("../../../../tests/events/conversions.ndjson");

/// The placeholder for the receiver's host in the sample rules.
const HOST: &str = "RECEIVER";
/// The text before a rule's key in place of its id.
const ID_OF: &str = "ID_OF_";
/// The receiver of a rule that sends within office hours.
const OFFICE_HOURS: &str = "office_hours";
/// The text that people read in place of a secret.
const MASK: &str = "***";
/// Every character but RFC 3986's unreserved ones, as a URL's query encodes them (Q3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A sample rule and the behavior of its receiver.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SampleRule {
    /// The name of the rule in the demo.
    pub(super) key: String,
    /// The behavior of its receiver, in a word.
    pub(super) receiver: String,
    /// The answers of its receiver to the first, second … request of one delivery; the last one repeats.
    pub(super) answers: Vec<Scripted>,
    /// External ids that its receiver does not know.
    #[serde(default)]
    pub(super) not_found: Vec<String>,
    /// The body that its receiver sends to the callback URL of a request that holds one.
    #[serde(default)]
    pub(super) callback: Option<String>,
    /// The key of the rule whose receiver is also that of this one.
    #[serde(default)]
    pub(super) receiver_of: Option<String>,
    secret_values: Map<String, Value>,
    /// Secrets that its receiver hands out in an answer.
    #[serde(default)]
    tokens: Vec<String>,
    rule: Value,
}

/// One answer of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Scripted {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: String,
}

impl SampleRule {
    /// The resource to create, with the receiver's address in it, and the ids of the rules before it, whose keys are given by id.
    pub(super) fn resource(&self, receiver: SocketAddr, keys: &BTreeMap<String, String>) -> Value {
        let text = self.rule.to_string().replace(HOST, &receiver.to_string());
        let named =
            |text: String, (id, key): (&String, &String)| text.replace(&format!("\"{ID_OF}{key}\""), &format!("\"{id}\""));
        let text = keys.iter().fold(text, named);
        let mut rule: Value = serde_json::from_str(&text).expect("an address and an id need no escapes");
        if !self.secret_values.is_empty() {
            rule["secret_values"] = json!(self.secret_values);
        }
        rule
    }

    /// Returns the name of the trigger.
    pub(super) fn trigger(&self) -> &str {
        self.rule["trigger"].as_str().unwrap_or_default()
    }

    /// Returns true if each of its postbacks is worth showing: the receiver asks for repeats, or postbacks are held until the end.
    pub(super) fn is_worth_showing(&self) -> bool {
        (self.receiver != "ok" && !self.is_flow()) || self.is_final()
    }

    /// Returns true if the rule has steps.
    pub(super) fn is_flow(&self) -> bool {
        self.rule.get("steps").is_some()
    }

    /// Returns true if the rule's deliveries wait until the demo's clock is moved (W14).
    pub(super) fn waits_for_the_clock(&self) -> bool {
        self.receiver == OFFICE_HOURS
    }

    /// Returns true if the rule waits until conversions are settled (F1).
    pub(super) fn is_final(&self) -> bool {
        self.rule.get("delay").is_some()
    }

    /// Returns every form in which a value of the rule's secrets could be seen: as it is, in a URL, in a form, inside JSON.
    fn secret_forms(&self) -> impl Iterator<Item = String> {
        let tokens = self.tokens.iter().map(String::as_str);
        self.secret_values.values().filter_map(Value::as_str).chain(tokens).flat_map(|value| {
            let encoded = utf8_percent_encode(value, RESERVED).to_string();
            let quoted = Value::from(value).to_string();
            let inside = quoted[1..quoted.len() - 1].to_owned();
            [value.to_owned(), encoded.replace("%20", "+"), encoded, inside]
        })
    }
}

/// An owed delivery; its columns are `columns` of the file. A final postback leaves event and change open.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct OwedRow {
    pub(super) conversion_id: String,
    pub(super) transaction_id: Option<String>,
    pub(super) event: Option<String>,
    pub(super) change_id: Option<String>,
    pub(super) requests: u32,
    pub(super) state: String,
}

/// The deliveries that one rule owes.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct OwedRule {
    /// The number of deliveries.
    pub(super) deliveries: usize,
    /// The number of requests of all deliveries.
    pub(super) requests: usize,
    /// The deliveries, one by one.
    pub(super) owed: Vec<OwedRow>,
    /// Optional deliveries that send nothing: events after a subject's final postback (F4).
    #[serde(default)]
    pub(super) after_final: Vec<OwedRow>,
    /// The number of optional deliveries of other subjects by state; they send nothing (F1, F3).
    #[serde(default)]
    pub(super) bystanders: BTreeMap<String, usize>,
}

/// The deliveries that all rules owe.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Owed {
    /// The totals.
    pub(super) total: Total,
    /// The fields that each published event must have at least.
    pub(super) bus: Vec<Map<String, Value>>,
    /// The rules, by their keys.
    pub(super) rules: BTreeMap<String, OwedRule>,
}

/// Sums over all rules.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Total {
    pub(super) requests: usize,
}

/// The whole sample.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) rules: Vec<SampleRule>,
    pub(super) owed: Owed,
    /// The offers, as events.
    pub(super) offers: Vec<&'static str>,
    /// The events, in their order.
    pub(super) events: Vec<&'static str>,
}

impl Sample {
    /// Reads the built-in sample.
    pub(super) fn load() -> Self {
        Self {
            rules: serde_json::from_str(RULES).expect("the sample rules are built in, and a test reads them"),
            owed: serde_json::from_str(OWED).expect("what they owe is built in, and a test reads it"),
            offers: OFFERS.lines().collect(),
            events: STORIES.lines().chain(CONVERSIONS.lines()).collect(),
        }
    }

    /// Returns every form of every secret.
    pub(super) fn secrets(&self) -> Secrets {
        let mut forms: Vec<String> = self.rules.iter().flat_map(SampleRule::secret_forms).collect();
        // The longest first, so that none is masked in part.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Secrets(forms)
    }
}

/// The secrets' values, in every form in which they could be seen.
#[derive(Debug, Clone)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Returns true if a text shows a secret.
    pub(super) fn appear_in(&self, text: &str) -> bool {
        self.0.iter().any(|form| text.contains(form.as_str()))
    }

    /// Returns the text with its secrets masked (Q5).
    pub(super) fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_read_and_agrees_with_itself() {
        let sample = Sample::load();
        assert_eq!((sample.rules.len(), sample.offers.len(), sample.events.len()), (36, 10, 501));
        assert_eq!(sample.owed.total.requests, 949);
        assert_eq!(sample.owed.rules.values().map(|owed| owed.deliveries).sum::<usize>(), 870);
        for rule in &sample.rules {
            let owed = &sample.owed.rules[&rule.key];
            assert_eq!(owed.deliveries, owed.owed.len(), "{}", rule.key);
            assert_eq!(owed.requests, owed.owed.iter().map(|row| row.requests as usize).sum::<usize>(), "{}", rule.key);
        }
        assert_eq!(sample.owed.rules.len(), 36);
        let shown: Vec<_> = sample.rules.iter().filter(|rule| rule.is_worth_showing()).map(|rule| rule.key.as_str()).collect();
        assert_eq!(shown, ["bank", "flaky", "final_now", "final_settled"]);
        let flows: Vec<_> = sample.rules.iter().filter(|rule| rule.is_flow()).map(|rule| rule.key.as_str()).collect();
        assert_eq!(flows, ["flow_status", "flow_loop", "flow_hours", "flow_callback", "flow_login", "flow_mirror"]);
    }

    #[test]
    fn q5_secrets_are_found_and_masked_in_every_form() {
        let secrets = Sample::load().secrets();
        assert_eq!(secrets.masked("/e?t=ef-4b1f%26x%3D1&u=1"), "/e?t=***&u=1");
        assert_eq!(secrets.masked("/t?s=tune%20token%2F%C3%A4"), "/t?s=***");
        assert!(secrets.appear_in("{\"Authorization\":\"Bearer bank-5ad1\"}"));
        assert!(secrets.appear_in("t=tune+token%2F%C3%A4"));
        assert_eq!(secrets.masked("200 {\"access_token\":\"flow-token-7c41\"}"), "200 {\"access_token\":\"***\"}");
        assert!(!secrets.appear_in("{\"Authorization\":\"Bearer ***\"}"));
    }

    #[test]
    fn the_receivers_address_is_put_into_a_rule() {
        let sample = Sample::load();
        let bank = sample.rules.iter().find(|rule| rule.key == "bank").unwrap();
        let receiver = "127.0.0.1:9".parse().unwrap();
        let resource = bank.resource(receiver, &BTreeMap::new());
        assert_eq!(resource["request"]["url"], "http://127.0.0.1:9/bank/status?id={external_id}");
        assert_eq!(resource["secret_values"]["token"], "bank-5ad1");
        let flow = sample.rules.iter().find(|rule| rule.key == "flow_loop").unwrap();
        let url = "http://127.0.0.1:9/loop/look?conversion={conversion_id}&n={attempt}";
        assert_eq!(flow.resource(receiver, &BTreeMap::new())["steps"][0]["call"]["url"], url);
        let mirror = sample.rules.iter().find(|rule| rule.key == "flow_mirror").unwrap();
        let keys = BTreeMap::from([("trk_7".to_owned(), "flow_login".to_owned())]);
        assert_eq!(mirror.resource(receiver, &keys)["steps"][0]["mirror"]["tracking_api_id"], "trk_7");
    }
}
