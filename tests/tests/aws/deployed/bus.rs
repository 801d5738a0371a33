//! The bus: the platform's events on it, and the events that the stack publishes, which a rule of the tests' own routes to a queue.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, Target};
use serde_json::{Value, json};

use crate::deployed::{
    queues::{self, Caught},
    soon,
};

const RULE: &str = "caught-by-tests";

/// The default bus.
pub(crate) struct Bus {
    client: aws_sdk_eventbridge::Client,
    caught: Caught,
}

impl Bus {
    /// Begins to collect the events that the stack publishes.
    pub(crate) async fn watch(config: &SdkConfig) -> Self {
        let client = aws_sdk_eventbridge::Client::new(config);
        let sqs = aws_sdk_sqs::Client::new(config);
        let (url, arn) = queues::make(&sqs, "caught").await;
        let pattern = json!({"source": ["tracking-api"]}).to_string();
        client.put_rule().name(RULE).event_pattern(pattern).send().await.expect("a rule can be made");
        let target = Target::builder().id("queue").arn(arn).build().expect("a target has an id and an ARN");
        client.put_targets().rule(RULE).targets(target).send().await.expect("a rule takes a target");
        let caught = Caught::from(&sqs, url);
        Self { client, caught }
    }

    /// Puts events of the platform on the bus: detail-type and detail.
    pub(crate) async fn put(&self, events: &[(&str, Value)]) {
        let entries = events.iter().map(|(kind, detail)| {
            PutEventsRequestEntry::builder().source("platform.conversions").detail_type(*kind).detail(detail.to_string()).build()
        });
        let put = self.client.put_events().set_entries(Some(entries.collect())).send().await.expect("the bus takes events");
        assert_eq!(put.failed_entry_count(), 0, "{put:?}");
    }

    /// Returns the function that a scheduled rule of the bus calls, and its input.
    pub(crate) async fn scheduled(&self, rule: &str) -> (String, Value) {
        let described = self.client.describe_rule().name(rule).send().await.expect("the rule is there");
        assert_eq!(described.schedule_expression(), Some("rate(1 minute)"));
        let targets = self.client.list_targets_by_rule().rule(rule).send().await.expect("the rule is there");
        let [target] = targets.targets() else { panic!("it has one target: {targets:?}") };
        let input = serde_json::from_str(target.input().expect("it hands something over")).expect("it hands JSON over");
        (target.arn().to_owned(), input)
    }

    /// Puts one change of a conversion on the bus.
    pub(crate) async fn change(&self, detail: Value) {
        self.put(&[("Conversion Changed", detail)]).await;
    }

    /// Returns the events of this kind about this rule that were published so far.
    pub(crate) fn published(&self, kind: &str, rule: &str) -> Vec<Value> {
        let all = self.caught.bodies().into_iter();
        let events = all.map(|body| serde_json::from_str::<Value>(&body).expect("the bus passes JSON on"));
        events.filter(|event| event["detail-type"] == kind && event["detail"]["tracking_api_id"] == rule).collect()
    }

    /// Waits until an event of this kind is published about this rule, and returns the first.
    pub(crate) async fn first_published(&self, kind: &str, rule: &str) -> Value {
        soon(&format!("{kind} about {rule}"), async || {
            self.published(kind, rule).into_iter().next().ok_or_else(|| "nothing of the kind".to_owned())
        })
        .await
    }
}
