//! The AWS in one process, seen through AWS's own clients: its limits, its times, its bills, and its faults on request.

mod bus;
mod faults;
mod keys;
mod pump;
mod queues;
mod table;
mod units;

use std::{collections::BTreeSet, fmt::Debug};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::{
    config::Credentials,
    error::{ProvideErrorMetadata, SdkError},
};
use tracking_tests::{
    cloud::{Cloud, Queue, REGION},
    world::HandClock,
};

/// An AWS with its clock in the test's hand.
struct Sky {
    cloud: Cloud,
    clock: HandClock,
    config: SdkConfig,
}

impl Sky {
    /// Starts an AWS whose clients try once.
    async fn new() -> Self {
        Self::with(RetryConfig::disabled()).await
    }

    async fn with(retries: RetryConfig) -> Self {
        let clock = HandClock::default();
        let cloud = Cloud::start({
            let clock = clock.clone();
            move || clock.now()
        });
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(cloud.endpoint())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(retries);
        Self { config: loader.load().await, cloud, clock }
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    fn eventbridge(&self) -> aws_sdk_eventbridge::Client {
        aws_sdk_eventbridge::Client::new(&self.config)
    }

    fn kms(&self) -> aws_sdk_kms::Client {
        aws_sdk_kms::Client::new(&self.config)
    }
}

/// Returns the code of an error that a service answered with.
#[track_caller]
fn code<T: Debug, E: ProvideErrorMetadata + Debug, R: Debug>(answer: Result<T, SdkError<E, R>>) -> String {
    let error = answer.expect_err("it is refused");
    error.code().unwrap_or_else(|| panic!("an answer with a code: {error:?}")).to_owned()
}

#[tokio::test]
async fn the_functions_find_their_settings_in_the_environment() {
    let sky = Sky::new().await;
    let settings = tracking_aws::Settings::read(sky.cloud.environment()).expect("settings");
    assert_eq!(settings.retry_queue, sky.cloud.queue_url(Queue::Retry));
    let names: BTreeSet<_> = [&settings.events_queue, &settings.delivery_queue, &settings.retry_queue, &settings.rejected_queue]
        .into_iter()
        .chain([&settings.events_dead_letters, &settings.delivery_dead_letters, &settings.retry_dead_letters])
        .collect();
    assert_eq!(names.len(), 7);
}
