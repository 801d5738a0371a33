//! Deliveries: the log.

use tracking_core::{delivery::State, statistics::BucketSize};

use super::page;
use crate::openapi::{
    about::{About, choice},
    examples,
    shape::{id, pattern, text, time, whole},
};

const TAG: &str = "Deliveries";
const CSV: &str = "With `Accept: text/csv`: a header row, then a line for each delivery with the same fields. A text that begins like a \
                   formula has an apostrophe before it.";
const NEXT: &str = "</deliveries?state=failed&cursor=eyJhZnRlciI6bnVsbCwicGFnZXMiOm51bGx9>; rel=\"next\"";
const STATISTICS: &str = "Deliveries of rules that the caller may see, by current state, with percentiles of latency. A delivery is counted in the \
                          bucket in which the log first recorded it: seconds after its creation, unless it waited for its turn. Buckets are whole \
                          hours or days in UTC; a period has 31 days of hours or 400 days at most. One call looks at 5 000 deliveries: with \
                          `complete: false` call again, and counting goes on where it stopped. Deliveries older than the log are counted \
                          only if they were counted while the log had them.";

pub(crate) fn list() -> About {
    About::new("listDeliveries", TAG, "List deliveries", "Newest first; those of rules that the caller may see.")
        .query("tracking_api_id", "Only those of this rule", id(""), examples::RULE)
        .query("conversion_id", "Only those about this conversion", id(""), "cnv_1")
        .query("affiliate_id", "Only those of conversions of this affiliate", id(""), "aff_7")
        .query("transaction_id", "Only those about this transaction", id(""), "trx_1")
        .query("offer_id", "Only those of conversions of this offer", id(""), "off_5")
        .query("click_id", "Only those with this click id of the affiliate", text(""), "click 1/2")
        .query("external_id", "Only those with this id of the advertiser", text(""), "X-77")
        .query("state", "Only those in this state; may be given several times", choice(State::ALL.map(State::as_str)), "failed")
        .query("http_status", "Only those whose last response had this status", whole("", 100..=599), "503")
        .query("from", "Only those made at or after this time", time(""), "2026-11-22T00:00:00Z")
        .query("to", "Only those made before this time", time(""), "2026-11-23T00:00:00Z")
        .pages(pattern("", "^[A-Za-z0-9_-]{1,2048}$"), examples::CURSOR)
        .answers(200, "A page of deliveries", "DeliveryPage", page(examples::delivery()))
        .also_as("text/csv", CSV, examples::CSV)
        .with_header("Link", "With `Accept: text/csv`: the address of the next page, if there is one", NEXT)
}

pub(crate) fn internals() -> About {
    let text = "The reason why it does not move now and until when, and everything that decides it: its row, its rule, its subject \
        queue, its hold, due rows, the rate. Rows that can't be read are listed. No secrets, and of events ids alone.";
    About::new("readDeliveryInternals", TAG, "Read the internals of a delivery", text)
        .answers(200, "The internals", "DeliveryInternals", examples::internals())
        .admins()
}

pub(crate) fn read() -> About {
    About::new("readDelivery", TAG, "Read a delivery", "With every attempt: the request with secrets masked, and what came back.")
        .answers(200, "The delivery", "DeliveryRead", examples::delivery_with_log())
}

pub(crate) fn statistics() -> About {
    About::new("readStatistics", TAG, "Read statistics over time", STATISTICS)
        .query("from", "The beginning; without it, the period is 24 hours or 30 days long", time(""), "2026-11-22T00:00:00Z")
        .query("to", "The end; without it, the present", time(""), "2026-11-23T00:00:00Z")
        .query("bucket", "Size of a bucket; `hour` unless set", choice(BucketSize::ALL.map(BucketSize::as_str)), "hour")
        .query("tracking_api_id", "Only deliveries of this rule", id(""), examples::RULE)
        .answers(200, "The buckets of the period, oldest first", "Statistics", examples::statistics())
}
