//! The port's contract on AWS.

use tracking_aws::{Aws, Settings};
use tracking_engine::Clock;
use tracking_tests::{
    cloud::Cloud,
    functions::config,
    port::{Space, clauses},
    world::HandClock,
};

/// Runs every clause on one AWS, each in partitions of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aws_keeps_every_clause() {
    let clock = HandClock::default();
    let hand = clock.clone();
    let cloud = Cloud::start(move || hand.now());
    let settings = Settings::read(cloud.environment()).unwrap();
    let aws = Aws::new(&config(&cloud), &settings, Clock::new(move || clock.now()));
    let mut broken = Vec::new();
    for (name, run) in clauses() {
        if tokio::spawn(run(Space::new(aws.clone(), name))).await.is_err() {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "these clauses are broken, see above: {broken:#?}");
}
