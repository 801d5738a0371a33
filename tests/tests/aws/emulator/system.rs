//! The functions that a test needs, each in its emulator, on one AWS.

use std::{collections::BTreeMap, path::PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tracking_aws::{Aws, Settings};
use tracking_engine::Clock;
use tracking_tests::{
    bootstraps::bootstrap,
    cloud::{Cloud, Queue, REGION, Record, failures, sqs_event},
};

use crate::emulator::{events::request, rie::Rie};

/// An AWS with the functions that were started on it.
pub(crate) struct System {
    pub(crate) cloud: Cloud,
    functions: BTreeMap<&'static str, Rie>,
    _folder: TempDir,
}

#[expect(clippy::disallowed_methods, reason = "the functions that run beside have the machine's clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

impl System {
    /// Starts these functions on an empty AWS.
    pub(crate) async fn of(functions: &[&'static str]) -> Self {
        Self::with(functions, &[]).await
    }

    /// Starts functions with some of the environment changed; `None` removes a variable.
    pub(crate) async fn with(functions: &[&'static str], changes: &[(&str, Option<&str>)]) -> Self {
        let cloud = Cloud::start(now);
        let mut environment = cloud.environment();
        for (name, value) in changes {
            match value {
                Some(value) => environment.insert((*name).to_owned(), (*value).to_owned()),
                None => environment.remove(*name),
            };
        }
        let folder = tempfile::tempdir().unwrap();
        let mut started = BTreeMap::new();
        for function in functions {
            let own: PathBuf = folder.path().join(function);
            std::fs::create_dir(&own).unwrap();
            started.insert(*function, Rie::start(&bootstrap(function), &environment, &own).await);
        }
        Self { cloud, functions: started, _folder: folder }
    }

    pub(crate) fn function(&self, name: &str) -> &Rie {
        &self.functions[name]
    }

    /// Returns the store of these functions, to read or change it.
    pub(crate) fn store(&self) -> Aws {
        let credentials = Credentials::new("test", "test", None, None, "any will do");
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::from_static(REGION));
        let config = config.endpoint_url(self.cloud.endpoint()).credentials_provider(SharedCredentialsProvider::new(credentials));
        let settings = Settings::read(self.cloud.environment()).unwrap();
        Aws::new(&config.build(), &settings, Clock::new(now))
    }

    /// Invokes a function, which must not fail. Returns its answer.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Value {
        let answer = self.function(function).invoke(event).await;
        assert!(answer.get("errorType").is_none(), "{function} failed: {answer}\n{}", self.function(function).log());
        answer
    }

    /// Makes an admin's rule through the API, for events of this affiliate, and returns its id.
    pub(crate) async fn rule(&self, affiliate: &str, url: &str, more: &Value) -> String {
        let mut rule = json!({
            "name": affiliate, "trigger": "transaction_all", "conditions": {"affiliate": [affiliate]},
            "request": {"url": url, "timeout_seconds": 20},
        });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.invoke("api", &request("POST /tracking-apis", &json!({"role": "admin"}), &rule)).await;
        assert_eq!(answer["statusCode"], 201, "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        body["id"].as_str().unwrap().to_owned()
    }

    /// Hands the messages of a queue to a function, as Lambda does, and deletes those that did not fail. Returns the failed ones.
    pub(crate) async fn work(&self, function: &str, queue: Queue) -> Vec<Record> {
        let records = self.cloud.take(queue, 10, now());
        assert!(!records.is_empty(), "nothing lies in {}", queue.name());
        let answer = self.invoke(function, &sqs_event(&records)).await;
        let failed = failures(&answer);
        self.cloud.ack(&records, &failed);
        records.into_iter().filter(|record| failed.contains(&record.message_id)).collect()
    }

    /// Returns the number of all messages of a queue.
    pub(crate) fn held(&self, queue: Queue) -> usize {
        let depth = self.cloud.depth(queue);
        depth.visible + depth.in_flight + depth.delayed
    }
}
