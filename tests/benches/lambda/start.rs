//! The time until a function takes its first event.

use tracking_tests::cloud::Cloud;

use crate::{function::Function, path::now};

/// Returns the milliseconds from exec to the first event: the median and the maximum. The key of the secrets exists already, as on every
/// start but the very first of a stack.
pub(crate) async fn of(function: &str, starts: usize) -> (f64, f64) {
    let cloud = Cloud::start(now);
    Function::start("delivery", &cloud).await;
    let mut took = Vec::new();
    for _ in 0..starts {
        took.push(Function::start(function, &cloud).await.started_in.as_secs_f64() * 1_000.0);
    }
    took.sort_unstable_by(f64::total_cmp);
    (took[took.len() / 2], took[took.len() - 1])
}
