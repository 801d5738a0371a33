//! Repair: sending again, stopping, and making up for what was never owed.

use serde_json::json;

use super::FAULTS;
use crate::{
    openapi::{about::About, examples},
    problem::Kind,
};

const TAG: &str = "Repair";
/// The limit of replays and backfills by affiliates.
const BEGUN: &str = "The affiliate has begun 10 replays and backfills within an hour.";

pub(crate) fn resend() -> About {
    let text = "A new attempt of the same delivery, whatever its state, with a new budget of retries; `attempts` counts on.";
    About::new("resendDelivery", TAG, "Send a delivery again", text)
        .may_take("Resend", json!({"force": false}))
        .answers(202, "The delivery, which waits to be sent", "Delivery", examples::delivery())
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, "It is being sent, the rule is off, or a newer one was delivered: `force` sends it all the same.")
        .limited("The affiliate has sent 600 deliveries again within an hour.")
}

pub(crate) fn cancel() -> About {
    About::new("cancelDelivery", TAG, "Stop a delivery", "One that waits or is held; it ends `cancelled`.")
        .answers(200, "The delivery", "Delivery", examples::cancelled())
        .gives(Kind::Conflict, "It has ended, or is being sent.")
}

pub(crate) fn replay() -> About {
    let text = "Sends the deliveries of a period again that ended in one of these states. It only counts unless `dry_run` is false; then \
                they are worked off at `per_second`.";
    About::new("replayDeliveries", TAG, "Send a period's deliveries again", text)
        .takes("Replay", json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "states": ["failed"], "dry_run": true}))
        .answers(200, "How many would be sent", "Replayed", json!({"dry_run": true, "deliveries": 42, "states": {"failed": 42}, "skipped": 1, "complete": true, "per_second": 50}))
        .answers(202, "How many are being sent", "Replayed", json!({"dry_run": false, "deliveries": 42, "states": {"failed": 42}, "skipped": 1, "complete": true, "per_second": 50}))
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, "The rule is off.")
        .limited(BEGUN)
}

pub(crate) fn backfill() -> About {
    let text = "Judges kept events of a period by this rule, also those from before it existed. It only counts unless `dry_run` is \
                false; then what is owed is sent at `per_second`.";
    About::new("backfillTrackingApi", TAG, "Judge a period's events", text)
        .takes("Backfill", json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-22T00:00:00Z", "dry_run": true}))
        .answers(200, "How many would be owed", "Backfilled", json!({"dry_run": true, "events": 1200, "deliveries": 310, "held": 0, "already": 4, "complete": true, "per_second": 50}))
        .answers(202, "How many are owed", "Backfilled", json!({"dry_run": false, "events": 1200, "deliveries": 310, "held": 0, "already": 4, "complete": true, "per_second": 50}))
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, "The rule is off, or events are not kept here.")
        .limited(BEGUN)
}
