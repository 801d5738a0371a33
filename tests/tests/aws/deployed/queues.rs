//! The stack's queues, seen from outside.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_config::SdkConfig;
use aws_sdk_sqs::{
    Client,
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};

use crate::deployed::soon;

/// The queues that functions take messages from.
pub(crate) const WORKED: [&str; 3] = ["EventsQueue", "DeliveryQueue", "RetryQueue"];
/// The queues that no function takes messages from.
pub(crate) const RESTING: [&str; 5] =
    ["EventsDeadLetters", "DeliveryDeadLetters", "RetryDeadLetters", "RejectedQueue", "IngestFailures"];

/// The queues by their logical names.
pub(crate) struct Queues {
    client: Client,
    urls: HashMap<&'static str, String>,
    resting: HashMap<&'static str, Caught>,
}

impl Queues {
    /// Opens the stack's queues. Messages of the queues that no function works are collected from now on.
    pub(crate) fn watch(config: &SdkConfig, resources: &HashMap<String, String>) -> Self {
        let client = Client::new(config);
        let url = |name: &'static str| {
            let url = resources.get(name).unwrap_or_else(|| panic!("the stack has no {name}: {resources:#?}"));
            (name, url.clone())
        };
        let resting = RESTING.into_iter().map(url).map(|(name, url)| (name, Caught::from(&client, url))).collect();
        Self { urls: WORKED.into_iter().map(url).collect(), resting, client }
    }

    /// Sends messages to a queue in one batch.
    pub(crate) async fn send(&self, queue: &str, bodies: &[String]) {
        let entry = |(number, body): (usize, &String)| {
            let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body);
            entry.message_group_id("tests").build().expect("a message has an id and a body")
        };
        let batch = self.client.send_message_batch().queue_url(&self.urls[queue]);
        let sent = batch.set_entries(Some(bodies.iter().enumerate().map(entry).collect())).send().await;
        let sent = sent.expect("the queue takes messages");
        assert!(sent.failed().is_empty(), "{sent:?}");
    }

    /// Returns the bodies that a resting queue has received so far.
    pub(crate) fn rested(&self, queue: &str) -> Vec<String> {
        self.resting[queue].bodies()
    }

    /// Waits until a resting queue has a message whose body fits, and returns it.
    pub(crate) async fn found(&self, queue: &str, what: &str, fits: impl Fn(&str) -> bool) -> String {
        soon(&format!("{what} in {queue}"), async || {
            let rested = self.rested(queue);
            rested.iter().find(|body| fits(body)).cloned().ok_or_else(|| format!("{rested:?}"))
        })
        .await
    }

    /// Waits until a queue is empty, with nothing in flight and nothing delayed.
    pub(crate) async fn drained(&self, queue: &str) {
        soon(&format!("{queue} empty"), async || match depth(&self.client, &self.urls[queue]).await {
            0 => Ok(()),
            depth => Err(format!("{depth} messages")),
        })
        .await;
    }
}

/// The messages of a queue that only the tests read.
pub(crate) struct Caught(Arc<Mutex<Vec<String>>>);

impl Caught {
    /// Begins to collect messages from a queue.
    pub(crate) fn from(client: &Client, url: String) -> Self {
        let caught: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, client) = (Arc::clone(&caught), client.clone());
        tokio::spawn(async move {
            loop {
                let bodies = take(&client, &url).await;
                noted.lock().unwrap_or_else(PoisonError::into_inner).extend(bodies);
            }
        });
        Self(caught)
    }

    /// Returns the bodies so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes a queue of the tests' own. Returns its URL and its ARN.
pub(crate) async fn make(client: &Client, name: &str) -> (String, String) {
    let made = client.create_queue().queue_name(name).send().await.expect("a queue can be made");
    let url = made.queue_url().expect("a queue has a URL").to_owned();
    let ask = client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
    let output = ask.send().await.expect("a queue has an ARN");
    let arn = output
        .attributes()
        .and_then(|attributes| attributes.get(&QueueAttributeName::QueueArn))
        .expect("it was asked for")
        .clone();
    (url, arn)
}

async fn depth(client: &Client, url: &str) -> u32 {
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        QueueAttributeName::ApproximateNumberOfMessagesDelayed,
    ];
    let ask = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let output = ask.send().await.expect("the queue reports its depth");
    let attributes = output.attributes().expect("it was asked for");
    names.iter().map(|name| attributes[name].parse::<u32>().expect("it is a number")).sum()
}

/// Takes messages from a queue, and waits for some a while.
async fn take(client: &Client, url: &str) -> Vec<String> {
    let receive = client.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(5);
    let received = receive.send().await.expect("the queue hands out messages");
    let mut bodies = Vec::new();
    for message in received.messages() {
        bodies.push(message.body().expect("a message has a body").to_owned());
        let handle = message.receipt_handle().expect("a message that was handed out has a handle");
        client.delete_message().queue_url(url).receipt_handle(handle).send().await.expect("a message can be deleted");
    }
    bodies
}
