//! The log, and repairing failed deliveries.

use tracking_core::{delivery::State, receiver::ReceiverState, repair::USUALLY_REPLAYED};
use utoipa::openapi::{RefOr, Schema, schema::ObjectBuilder};

use super::{
    super::shape::{
        Record as _, count, dictionary, flag, id, list, money, named, named_as, or_null, pattern, record, short, text, time,
        whole, word,
    },
    Thing, or_unreadable, page, page_of_rows,
    rule::RESULTS,
};

/// The elementary events.
pub(super) const KINDS: [&str; 4] = ["transaction_created", "transaction_updated", "conversion_created", "conversion_updated"];

pub(super) fn things() -> Vec<Thing> {
    vec![
        ("Delivery", delivery("A postback that is owed").into()),
        (
            "DeliveryWithLog",
            delivery("A postback that is owed, with every attempt")
                .has("log", list("Its attempts, oldest first", named("Attempt")))
                .may("callbacks", list("The callbacks and webhooks of a flow, oldest first", named("Callback")))
                .into(),
        ),
        ("DeliveryPage", page_of_rows("Delivery")),
        ("DeliveryRead", or_unreadable("DeliveryWithLog")),
        ("Statistics", statistics()),
        ("StatisticsBucket", statistics_bucket()),
        ("LatencyPercentiles", latency_percentiles()),
        ("Attempt", attempt()),
        ("Callback", callback()),
        ("SentRequest", sent_request()),
        (
            "Resend",
            record("Options of a resend")
                .may("force", or_null(flag("Also when a newer one was delivered")))
                .may("from_step", or_null(short("The step at which a flow begins; unless given its first", 64)))
                .into(),
        ),
        ("Replay", replay()),
        ("Replayed", replayed()),
        ("ReplayRun", replay_run().into()),
        ("ReplayPage", page("ReplayRun")),
        ("Receiver", receiver()),
        ("ReceiverPage", page("Receiver")),
        ("Backfill", period("The period to judge").into()),
        ("Backfilled", backfilled()),
    ]
}

fn callback() -> RefOr<Schema> {
    record("A request from outside that a step listened for")
        .has("at", time("The time at which it came"))
        .has("step", text("The step"))
        .has("run", count("The run of the step"))
        .has("request", or_null(named_as("SentRequest", "The request, secrets masked; null until it is read")))
        .has("verdict", or_null(text("Its meaning; null until it is read")))
        .has("error", or_null(text("Notes on how it was read")))
        .into()
}

fn statistics() -> RefOr<Schema> {
    record("Deliveries over time")
        .has("buckets", list("The buckets of the period, oldest first", named("StatisticsBucket")))
        .has("complete", flag("`false` if deliveries are left to count: call again"))
        .into()
}

fn statistics_bucket() -> RefOr<Schema> {
    record("The deliveries of an hour or a day")
        .has("at", time("The beginning of the hour or day"))
        .has("counts", dictionary("Deliveries by their state; a state without any is left out", count("")))
        .has("latency_ms", named_as("LatencyPercentiles", "Latency of the deliveries in state `delivered`"))
        .into()
}

fn latency_percentiles() -> RefOr<Schema> {
    let about = "Percentiles of the time from a delivery's creation to its end, retries included, in milliseconds. Held deliveries are left out. \
                 Exact below 16 ms; above, the error is 6.25 % at most. All are null if nothing was delivered";
    let percentile = |about: &str| or_null(count(about));
    record(about)
        .has("p50", percentile("The median"))
        .has("p95", percentile("The 95th percentile"))
        .has("p99", percentile("The 99th percentile"))
        .into()
}

fn delivery(about: &str) -> ObjectBuilder {
    record(about)
        .has("id", pattern("Its id, the same in every attempt", "^dlv_[0-9a-z]{32}$"))
        .has("tracking_api_id", id("The rule"))
        .has("owner", named_as("Owner", "The owner of the rule"))
        .has("change_id", id("The change that it reports"))
        .has("event", word("The kind of its event", KINDS))
        .has("conversion_id", id("The conversion"))
        .has("transaction_id", or_null(id("The transaction, if it is about one")))
        .has("affiliate_id", id("The conversion's affiliate"))
        .has("state", word("Current state", State::ALL.map(State::as_str)))
        .has("reason", or_null(short("Reason of the state", 65_536)))
        .has("attempts", count("Requests that were sent so far"))
        .has("max_attempts", count("The most requests that may be sent"))
        .has("next_due", or_null(time("The time of the next request")))
        .has("is_final", flag("True if its subject's result is final"))
        .has("is_correction", flag("True if it follows a final postback"))
        .has("created_at", time("The time at which it was made"))
        .has("ended_at", or_null(time("The time at which it ended")))
        .has("offer_id", id("The conversion's offer"))
        .has("click_id", or_null(text("The affiliate's own click id")))
        .has("external_id", or_null(text("The advertiser's id of the conversion")))
        .has("result", or_null(word("The result of its transaction", RESULTS)))
        .has("payout", or_null(money("The payout of that transaction")))
        .has("currency", or_null(text("The currency of the payout")))
        .has("http_status", or_null(whole("The status of the last response", 100..=999)))
        .has("duration_ms", or_null(count("The duration of the last attempt, in milliseconds")))
        .has("step", or_null(text("The current step of an open delivery; null in rules with one request")))
}

fn attempt() -> RefOr<Schema> {
    record("One request and what came back")
        .has("attempt", count("The number of the attempt; 1 is the first"))
        .has("step", or_null(text("The step that sent it; null in rules with one request")))
        .has("run", or_null(count("The run of the step; 1 is the first")))
        .has("at", time("The time at which it began"))
        .has("duration_ms", count("The duration in milliseconds"))
        .has("request", named_as("SentRequest", "The request as it went out, secrets masked"))
        .has("status", or_null(whole("The answer's status", 100..=999)))
        .has("answer", or_null(short("The first 4 KiB of the answer", 65_536)))
        .has("answer_headers", or_null(answer_headers()))
        .has("verdict", text("The meaning of the response: delivered, pending, retry, failed or branch"))
        .has("error", or_null(short("The reason why there is no answer", 65_536)))
        .into()
}

/// Headers of a response: null without one.
pub(super) fn answer_headers() -> ObjectBuilder {
    let about =
        "The first 20 headers of the response, 2 KiB at most, names in lower case, secrets masked; null without a response";
    dictionary(about, short("The value; several of one name are joined by commas", 8_192))
}

fn sent_request() -> RefOr<Schema> {
    record("A request; secrets are masked")
        .has("method", text("The method"))
        .has("url", short("The URL with its query, percent-encoded", 65_536))
        .has("headers", dictionary("The headers by their names", short("The value", 65_536)))
        .has("body", or_null(short("The body as text; null if it has none", 2_097_152)))
        .into()
}

fn period(about: &str) -> ObjectBuilder {
    record(about)
        .has("from", time("The beginning of the period"))
        .has("to", time("The end of the period, itself not included"))
        .may("dry_run", or_null(flag("Only counts, unless false").default(Some(true.into()))))
}

fn replay() -> RefOr<Schema> {
    let states = list(
        &format!("Deliveries in these states; {} unless given", USUALLY_REPLAYED.map(State::as_str).join(", ")),
        word("", State::ALL.into_iter().filter(|state| state.is_ended()).map(State::as_str)),
    );
    period("The deliveries to send again")
        .may("states", or_null(states))
        .may("force", or_null(flag("Also where a newer one was delivered").default(Some(false.into()))))
        .into()
}

fn replayed() -> RefOr<Schema> {
    record("The deliveries that are sent again")
        .may("id", id("The id of the replay, if it was begun: GET /replays/{id} shows its progress"))
        .has("dry_run", flag("True if it was only counted"))
        .has("deliveries", count("The number of deliveries that are sent again"))
        .has("states", dictionary("The number of deliveries in each state", count("The number")))
        .has("skipped", count("Deliveries that are left out, since a newer one was delivered"))
        .has("complete", flag("False if there is more than could be looked at in time"))
        .has("per_second", count("Requests a second at most"))
        .into()
}

fn replay_run() -> ObjectBuilder {
    let ended = State::ALL.into_iter().filter(|state| state.is_ended()).map(State::as_str);
    let counts = record("Its work so far")
        .has("expected", count("Deliveries that were counted when it began"))
        .has("expected_complete", flag("False if there were more than could be counted in time"))
        .has("looked_at", count("Deliveries, or of a backfill events, that were looked at"))
        .has("deliveries", count("Deliveries that were sent again, or made"))
        .has("held", count("Changes that a hold took (a backfill of a rule with `delay: final`)"));
    record("A replay or a backfill")
        .has("id", id("Its id"))
        .has("tracking_api_id", id("The rule"))
        .has("owner", named_as("Owner", "The owner of the rule"))
        .has("kind", word("A replay sends deliveries again, a backfill judges kept events", ["replay", "backfill"]))
        .has("state", word("Current state", ["running", "completed", "cancelled"]))
        .has("reason", or_null(text("The reason why it was cancelled")))
        .has("from", time("The beginning of its period"))
        .has("to", time("The end of its period"))
        .has("states", list("Of a replay: deliveries in these states", word("A state", ended)))
        .has("force", flag("True if it also sends deliveries of which a newer one was delivered"))
        .has("begun_at", time("The time at which it began"))
        .has("ended_at", or_null(time("The time at which it was completed or cancelled")))
        .has("counts", counts)
}

fn receiver() -> RefOr<Schema> {
    record("A scheme, host and port that rules of one owner send to")
        .has("id", id("Its id"))
        .has("owner", named_as("Owner", "The owner of the rules"))
        .has("scheme", word("The scheme", ["https", "http"]))
        .has("host", text("Host and port"))
        .has("state", word("Current state", ReceiverState::ALL.map(ReceiverState::as_str)))
        .has("since", time("The time since which it is in this state"))
        .has("down_since", or_null(time("The beginning of its outage")))
        .has("waiting", whole("Deliveries that wait for it; 1000 means 1000 or more", 0..=1_000))
        .has("next_probe", or_null(time("The time of the next probe; null unless it is open")))
        .has("last_error", or_null(text("The error of its last failure")))
        .into()
}

fn backfilled() -> RefOr<Schema> {
    record("The deliveries that are owed")
        .may("id", id("The id of the backfill, if it was begun: GET /replays/{id} shows its progress"))
        .has("dry_run", flag("True if it was only counted"))
        .has("events", count("Events looked at; for a rule of an affiliate those of its own conversions"))
        .has("deliveries", count("Deliveries that are owed"))
        .has("held", count("Holds that began, until conversions are settled"))
        .has("already", count("Deliveries that exist already"))
        .has("complete", flag("False if there is more than could be looked at in time"))
        .has("per_second", count("Requests a second at most"))
        .into()
}
