//! The functions in one process, on an AWS in the same process, with time in the test's hand. The test does Lambda's work between the
//! queues and them, one invocation at a time.

use std::{collections::BTreeMap, sync::Arc};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use jiff::{SignedDuration, Timestamp};
use tracking_aws::{Settings, Stack};
use tracking_core::{caller::Caller, id::Id, json::Value};
use tracking_engine::{Clock, DeliveryFilter, rules::New, sender::Sender};

use crate::{
    cloud::{Cloud, Queue, REGION, Record, failures, sqs_event},
    world::HandClock,
};

/// The queues that functions work, in the order of an event's way.
const WORKED: [Queue; 3] = [Queue::Events, Queue::Delivery, Queue::Retry];
/// The timeout of the delivery function.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(150);
/// Messages of one invocation.
pub const BATCH: usize = 10;

/// The functions, their AWS and their clock.
pub struct Functions {
    /// The AWS.
    pub cloud: Cloud,
    /// The time.
    pub clock: HandClock,
    variables: BTreeMap<String, String>,
    environment: Environment,
}

/// The state that a function's environment keeps between invocations.
#[derive(Clone)]
struct Environment {
    stack: Arc<Stack>,
    sender: Sender,
}

impl Environment {
    /// Invokes the function of a queue with these records.
    async fn work(&self, queue: Queue, records: &[Record], deadline: Timestamp) -> serde_json::Value {
        let event = serde_json::from_value(sqs_event(records)).expect("it is an SQS event");
        let response = match queue {
            Queue::Events => self.stack.match_events(event).await,
            _ => self.stack.deliver(event, &self.sender, deadline).await,
        };
        serde_json::to_value(response).expect("an answer is JSON")
    }
}

/// Returns the configuration with which the real clients reach this AWS.
pub fn config(cloud: &Cloud) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(cloud.endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn environment(cloud: &Cloud, variables: &BTreeMap<String, String>, clock: &HandClock) -> Environment {
    let settings = Settings::read(variables.clone()).expect("an AWS of ours names all settings");
    let hand = clock.clone();
    let stack = Stack::new(&config(cloud), settings, Clock::new(move || hand.now()));
    let sender = stack.sender().expect("it can send");
    Environment { stack: Arc::new(stack), sender }
}

impl Functions {
    /// Starts functions on an empty AWS.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts functions with other values of some variables.
    pub fn start_with(others: &[(&str, &str)]) -> Self {
        let clock = HandClock::default();
        let hand = clock.clone();
        let cloud = Cloud::start(move || hand.now());
        let mut variables = cloud.environment();
        variables.extend(others.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let environment = environment(&cloud, &variables, &clock);
        Self { cloud, clock, variables, environment }
    }

    /// Ends the environment: the next invocation has a new one with empty memory.
    pub fn restart(&mut self) {
        self.environment = environment(&self.cloud, &self.variables, &self.clock);
    }

    /// Returns the environment's stack.
    pub fn stack(&self) -> Arc<Stack> {
        self.environment.stack.clone()
    }

    /// Makes a rule. Returns its id.
    ///
    /// # Panics
    /// The rule is refused.
    pub async fn rule(&self, caller: &Caller, document: Value) -> Id {
        let key = New::IdempotencyKey(document.to_string());
        let made = self.environment.stack.engine.writer().create_rule(caller, &document, key).await;
        made.unwrap_or_else(|refused| panic!("{document} is refused: {refused}")).0.id
    }

    /// Invokes ingest with an event of the bus; repeats it after a kill, as the bus does.
    ///
    /// # Panics
    /// AWS doesn't accept the event.
    pub async fn ingest(&mut self, event: &Value) {
        let event = event.to_string();
        loop {
            let stack = self.stack();
            if let Some(taken) = self.survive(stack.ingest(&event)).await {
                return taken.expect("AWS is there");
            }
        }
    }

    /// Invokes the function of a queue with these records. Returns the answer that Lambda would get; `None` if the process was killed.
    ///
    /// # Panics
    /// The answer is not JSON.
    pub async fn invoke(&mut self, queue: Queue, records: &[Record]) -> Option<serde_json::Value> {
        let environment = self.environment.clone();
        let deadline = self.clock.now() + TIMEOUT;
        self.survive(environment.work(queue, records, deadline)).await
    }

    /// Delivers a batch in a new environment, beside the usual one. Returns the answer that Lambda would get.
    ///
    /// # Panics
    /// The answer is not JSON.
    pub async fn deliver_elsewhere(&self, records: &[Record]) -> serde_json::Value {
        let other = environment(&self.cloud, &self.variables, &self.clock);
        other.work(Queue::Delivery, records, self.clock.now() + TIMEOUT).await
    }

    /// Runs the work; if it is killed meanwhile, starts a new process and returns `None`.
    async fn survive<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let cloud = self.cloud.clone();
        let outcome = tokio::select! {
            biased;
            () = cloud.cut_happened() => None,
            outcome = work => Some(outcome),
        };
        if outcome.is_none() {
            self.cloud.revive();
            self.restart();
        }
        outcome
    }

    /// Takes up to ten messages of a queue that are visible now, invokes its function, and deletes those that did not fail. Returns the
    /// number taken.
    pub async fn work(&mut self, queue: Queue) -> usize {
        let records = self.cloud.take(queue, BATCH, self.clock.now());
        if !records.is_empty()
            && let Some(answer) = self.invoke(queue, &records).await
        {
            self.cloud.ack(&records, &failures(&answer));
        }
        records.len()
    }

    /// Works all messages that are visible now, and their consequences.
    ///
    /// # Panics
    /// The work never ends.
    pub async fn work_all(&mut self) {
        for _ in 0..10_000 {
            let mut worked = 0;
            for queue in WORKED {
                worked += self.work(queue).await;
            }
            if worked == 0 {
                return;
            }
        }
        panic!("the work never ends");
    }

    /// Lets time pass and works messages as they become visible. The sweep runs first, and again every `sweeps`.
    ///
    /// # Panics
    /// AWS doesn't answer the sweep.
    pub async fn pass(&mut self, time: SignedDuration, sweeps: SignedDuration) {
        let end = self.clock.now() + time;
        loop {
            self.sweep().await;
            let pause = (self.clock.now() + sweeps).min(end);
            self.wait(pause).await;
            if pause == end {
                return;
            }
        }
    }

    /// Invokes the matcher as its schedule does.
    ///
    /// # Panics
    /// AWS doesn't answer.
    pub async fn sweep(&mut self) {
        loop {
            let stack = self.stack();
            if let Some(swept) = self.survive(Box::pin(stack.sweep())).await {
                return swept.expect("AWS is there");
            }
        }
    }

    /// Lets time pass to this moment without a sweep, and works messages as they become visible.
    pub async fn wait(&mut self, end: Timestamp) {
        loop {
            self.work_all().await;
            let next = WORKED.iter().filter_map(|queue| self.cloud.next_visible(*queue)).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.clock.until(next.max(self.clock.now() + SignedDuration::from_millis(1))),
                None => break,
            }
        }
        self.clock.until(end);
        self.work_all().await;
    }

    /// Returns the log as an admin sees it, newest first.
    ///
    /// # Panics
    /// AWS doesn't answer.
    pub async fn log(&self) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let filter = DeliveryFilter::default();
            let page = self.environment.stack.engine.log().list(&Caller::Admin, &filter, 1_000, cursor.as_deref()).await;
            let page = page.unwrap_or_else(|error| panic!("the log is there: {error}"));
            items.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return items;
            }
        }
    }
}
