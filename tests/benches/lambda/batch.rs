//! The time of a batch against its slowest receiver's: Lambda bills the waiting.

use std::time::{Duration, Instant};

use tracking_tests::{
    cloud::Cloud,
    receiver::{Receiver, Response},
};

use crate::path::{BATCH, Line, now};

/// The time that each receiver takes.
const RECEIVER: Duration = Duration::from_millis(150);
/// Batches that are measured.
const BATCHES: usize = 20;

/// Returns the time of a full batch as a multiple of its slowest receiver's: the median and the maximum.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
pub(crate) async fn against_its_slowest() -> (f64, f64) {
    let receiver = Receiver::start(|_| Response { after: RECEIVER, ..Response::says(200, "ok") }).await;
    let line = Line::start(Cloud::start(now), receiver.url()).await;
    let mut ratios = Vec::new();
    for number in 0..=BATCHES {
        line.match_batch(number).await;
        let begun = Instant::now();
        line.deliver().await;
        ratios.push(begun.elapsed().as_secs_f64() / RECEIVER.as_secs_f64());
    }
    // The first batch opens connections and reads the rule.
    ratios.remove(0);
    assert_eq!(receiver.heard().len(), (BATCHES + 1) * BATCH, "each event is one postback");
    ratios.sort_unstable_by(f64::total_cmp);
    (ratios[ratios.len() / 2], ratios[ratios.len() - 1])
}
