//! Repair: resending, stopping, and making up for deliveries that were never owed.

use serde_json::json;

use super::{FAULTS, page};
use crate::{
    openapi::{about::About, examples, shape::id},
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
        .answers(200, "The number that would be sent", "Replayed", json!({"dry_run": true, "deliveries": 42, "states": {"failed": 42}, "skipped": 1, "complete": true, "per_second": 50}))
        .answers(202, "The number that is being sent", "Replayed", json!({"id": examples::REPLAY, "dry_run": false, "deliveries": 42, "states": {"failed": 42}, "skipped": 1, "complete": true, "per_second": 50}))
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, "The rule is off, or a replay or backfill of it is running: `detail` names it.")
        .limited(BEGUN)
}

pub(crate) fn backfill() -> About {
    let text = "Judges kept events of a period by this rule, also those from before it existed. It only counts unless `dry_run` is \
                false; then what is owed is sent at `per_second`.";
    About::new("backfillTrackingApi", TAG, "Judge a period's events", text)
        .takes("Backfill", json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-22T00:00:00Z", "dry_run": true}))
        .answers(200, "The number that would be owed", "Backfilled", json!({"dry_run": true, "events": 1200, "deliveries": 310, "held": 0, "already": 4, "complete": true, "per_second": 50}))
        .answers(202, "The number that is owed", "Backfilled", json!({"id": examples::REPLAY, "dry_run": false, "events": 1200, "deliveries": 310, "held": 0, "already": 4, "complete": true, "per_second": 50}))
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, "The rule is off, a replay or backfill of it is running, or events are not kept here.")
        .limited(BEGUN)
}

pub(crate) fn replays() -> About {
    let text = "Replays and backfills that were begun, newest first, with what they did so far. An affiliate sees those of its own rules. \
                They are listed for as long as the log is kept.";
    About::new("listReplays", TAG, "List replays and backfills", text).pages(id(""), examples::REPLAY).answers(
        200,
        "A page of replays and backfills",
        "ReplayPage",
        page(examples::replay()),
    )
}

pub(crate) fn replay_so_far() -> About {
    About::new("readReplay", TAG, "Read a replay or backfill", "Its state, and what it did so far.").answers(
        200,
        "The replay or backfill",
        "ReplayRun",
        examples::replay(),
    )
}

pub(crate) fn cancel_replay() -> About {
    let text = "Nothing more is sent again. Deliveries that it has queued already go out; each can be stopped by its own id.";
    About::new("cancelReplay", TAG, "Stop a replay or backfill", text)
        .answers(200, "The replay or backfill", "ReplayRun", examples::replay())
        .gives(Kind::Conflict, "It is over.")
}
