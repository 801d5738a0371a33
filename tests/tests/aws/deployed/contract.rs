//! The port's contract on the deployed table, queues and bus.

use tracking_aws::{Aws, Settings};
use tracking_engine::Clock;
use tracking_tests::port::{Space, clauses};

use crate::deployed::{
    issuer::now,
    stack::{on_stack, say},
};

/// Runs every clause, each in partitions of its own.
#[test]
fn the_deployed_stack_keeps_every_clause_of_the_port() {
    on_stack(async |stack| {
        let settings = Settings::read(stack.settings().await).unwrap();
        let aws = Aws::new(&stack.config, &settings, Clock::new(now));
        let mut broken = Vec::new();
        for (name, run) in clauses() {
            if tokio::spawn(run(Space::new(aws.clone(), format!("contract {name}")))).await.is_err() {
                broken.push(name);
            }
        }
        say(&format!("{} clauses were checked on the emulator", clauses::<Aws>().len()));
        assert!(broken.is_empty(), "these clauses are broken, see above: {broken:#?}");
    });
}
