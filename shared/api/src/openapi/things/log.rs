//! The log, and repairing what failed.

use tracking_core::{delivery::State, repair::USUALLY_REPLAYED};
use utoipa::openapi::{RefOr, Schema, schema::ObjectBuilder};

use super::{
    super::shape::{
        Record as _, count, dictionary, flag, id, list, money, named, or_null, pattern, record, short, text, time, whole, word,
    },
    Thing, page,
    rule::RESULTS,
};

/// The elementary events.
pub(super) const KINDS: [&str; 4] = ["transaction_created", "transaction_updated", "conversion_created", "conversion_updated"];

pub(super) fn things() -> Vec<Thing> {
    vec![
        ("Delivery", delivery("A postback that is owed").into()),
        (
            "DeliveryWithLog",
            delivery("A postback that is owed, with every attempt").has("log", list("Oldest first", named("Attempt"))).into(),
        ),
        ("DeliveryPage", page("Delivery")),
        ("Attempt", attempt()),
        ("SentRequest", sent_request()),
        ("Resend", record("How to send again").may("force", or_null(flag("Also when a newer one was delivered"))).into()),
        ("Replay", replay()),
        ("Replayed", replayed()),
        ("Backfill", period("What to judge").into()),
        ("Backfilled", backfilled()),
    ]
}

fn delivery(about: &str) -> ObjectBuilder {
    record(about)
        .has("id", pattern("Its id, the same in every attempt", "^dlv_[0-9a-z]{32}$"))
        .has("tracking_api_id", id("The rule"))
        .has("owner", named("Owner"))
        .has("change_id", id("The change that it tells"))
        .has("event", word("What happened", KINDS))
        .has("conversion_id", id("The conversion"))
        .has("transaction_id", or_null(id("The transaction, if it is about one")))
        .has("affiliate_id", id("The conversion's affiliate"))
        .has("state", word("Where it stands", State::ALL.map(State::as_str)))
        .has("reason", or_null(short("Why it stands there", 65_536)))
        .has("attempts", count("Requests so far"))
        .has("max_attempts", count("Requests at most"))
        .has("next_due", or_null(time("When it is sent next")))
        .has("is_final", flag("Whether its subject's result is final"))
        .has("is_correction", flag("Whether it follows a final postback"))
        .has("created_at", time("When it was made"))
        .has("ended_at", or_null(time("When it ended")))
        .has("offer_id", id("The conversion's offer"))
        .has("click_id", or_null(text("The affiliate's own click id")))
        .has("external_id", or_null(text("The advertiser's id of the conversion")))
        .has("result", or_null(word("The result of the transaction that it tells about", RESULTS)))
        .has("payout", or_null(money("The payout of that transaction")))
        .has("currency", or_null(text("Its currency")))
        .has("http_status", or_null(whole("The status of the last response", 100..=999)))
        .has("duration_ms", or_null(count("How long the last attempt took")))
}

fn attempt() -> RefOr<Schema> {
    record("One request and what came back")
        .has("attempt", count("1 is the first"))
        .has("at", time("When it began"))
        .has("duration_ms", count("How long it took"))
        .has("request", named("SentRequest"))
        .has("status", or_null(whole("The answer's status", 100..=999)))
        .has("answer", or_null(short("The first 4 KiB of the answer", 65_536)))
        .has("verdict", text("What it came to"))
        .has("error", or_null(short("Why there is no answer", 65_536)))
        .into()
}

fn sent_request() -> RefOr<Schema> {
    record("A request; secrets are masked")
        .has("method", text(""))
        .has("url", short("", 65_536))
        .has("headers", dictionary("", short("", 65_536)))
        .has("body", or_null(short("", 2_097_152)))
        .into()
}

fn period(about: &str) -> ObjectBuilder {
    record(about)
        .has("from", time("From this time on"))
        .has("to", time("Before this time"))
        .may("dry_run", or_null(flag("Only counts, unless false").default(Some(true.into()))))
}

fn replay() -> RefOr<Schema> {
    let states = list(
        &format!("Deliveries in these states; {} unless given", USUALLY_REPLAYED.map(State::as_str).join(", ")),
        word("", State::ALL.into_iter().filter(|state| state.is_ended()).map(State::as_str)),
    );
    period("What to send again")
        .may("states", or_null(states))
        .may("force", or_null(flag("Also where a newer one was delivered").default(Some(false.into()))))
        .into()
}

fn replayed() -> RefOr<Schema> {
    record("What is sent again")
        .has("dry_run", flag("Whether it was only counted"))
        .has("deliveries", count("How many"))
        .has("states", dictionary("How many of each state", count("")))
        .has("skipped", count("How many are left alone, since a newer one was delivered"))
        .has("complete", flag("False if there is more than could be looked at in time"))
        .has("per_second", count("At which rate"))
        .into()
}

fn backfilled() -> RefOr<Schema> {
    record("What is owed")
        .has("dry_run", flag("Whether it was only counted"))
        .has("events", count("Events looked at; for a rule of an affiliate those of its own conversions"))
        .has("deliveries", count("Deliveries owed"))
        .has("held", count("Holds begun"))
        .has("already", count("Deliveries that exist already"))
        .has("complete", flag("False if there is more than could be looked at in time"))
        .has("per_second", count("At which rate"))
        .into()
}
