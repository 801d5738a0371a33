//! The internals of a delivery: the rows that decide what it does next.

use tracking_core::{delivery::State, standstill::WaitCause};
use utoipa::openapi::{RefOr, Schema, schema::ObjectBuilder};

use super::{
    super::shape::{
        Record as _, count, flag, id, list, named, named_as, or_null, pattern, record, short, text, time, whole, word,
    },
    Thing,
    log::KINDS,
};

pub(super) fn things() -> Vec<Thing> {
    vec![
        ("DeliveryInternals", internals()),
        ("InternalRow", row()),
        ("InternalRule", rule()),
        ("InternalQueue", queue()),
        ("InternalQueueEntry", entry()),
        ("InternalClaim", claim()),
        ("InternalBlocker", blocker()),
        ("InternalHold", hold()),
        ("InternalDueRow", due_row()),
        ("InternalRate", rate()),
    ]
}

fn delivery_id(about: &str) -> ObjectBuilder {
    pattern(about, "^dlv_[0-9a-z]{32}$")
}

fn maybe_time(about: &str) -> RefOr<Schema> {
    or_null(time(about))
}

fn internals() -> RefOr<Schema> {
    record("Everything that decides what a delivery does next")
        .has("id", delivery_id("The delivery"))
        .has("at", time("The time at which it was looked at"))
        .has("cause", word("The kind of reason why it does not move now", WaitCause::ALL.map(WaitCause::as_str)))
        .has("why", short("The reason in a sentence", 131_072))
        .has("until", maybe_time("The time until which the reason counts; null if no time ends it"))
        .has("tracking_api_id", or_null(id("The rule; null if only an unreadable row knows it")))
        .has("subject", or_null(text("The subject, such as transaction:trx_1")))
        .has("row", or_null(named_as("InternalRow", "The row of the delivery; null before it is first written")))
        .has("rule", or_null(named_as("InternalRule", "The rule as it is now; null if it is deleted or can't be read")))
        .has("subject_queue", or_null(named_as("InternalQueue", "The subject queue; null before anything of it was claimed")))
        .has("hold", or_null(named_as("InternalHold", "The hold of the rule on the conversion; null if there is none")))
        .has("due_rows", list("Due rows that wake it: its own and its hold's", named("InternalDueRow")))
        .has("rate", or_null(named_as("InternalRate", "The state of the rule's rate limit; null if it has none")))
        .has("swept_until", maybe_time("The first hour whose due rows the sweep has not sent; null before its first run"))
        .has("unreadable", list("Rows that can't be read", named("RowKey")))
        .into()
}

fn row() -> RefOr<Schema> {
    record("The row of a delivery; null before it is first written")
        .has("revision", count("The revision of the row"))
        .has("state", word("The state", State::ALL.map(State::as_str)))
        .has("reason", or_null(short("The reason of the state", 65_536)))
        .has("attempts", count("Attempts that are recorded"))
        .has("base", count("Those of them before the present budget"))
        .has("max_attempts", count("Attempts at most by the end of the present budget"))
        .has("next_due", maybe_time("The time of the next attempt"))
        .has("waits_since", maybe_time("The time since which it has waited for the reason that it waits for now"))
        .has("waits_for_receiver", or_null(id("The receiver that it waits for, or waited for last")))
        .has("pending", flag("True if an attempt was answered pending"))
        .has("epoch", count("The rule's epoch when it matched, or was last sent again"))
        .has("was_held", flag("True if it was held before its first attempt"))
        .has("after", or_null(delivery_id("A delivery of the same change that goes first")))
        .has("owner", named_as("Owner", "The owner of the rule"))
        .has("change_id", id("The change that it reports"))
        .has("event", word("The kind of its event", KINDS))
        .has("conversion_id", id("The conversion"))
        .has("version", count("The version of the conversion"))
        .has("created_at", time("The time at which it was made"))
        .has("ended_at", maybe_time("The time at which it ended"))
        .has("outbox", or_null(outbox()))
        .into()
}

fn outbox() -> ObjectBuilder {
    record("Events that the bus may not have taken yet")
        .has("attempt", count("Attempts that were made by then"))
        .has("at", time("The time of the events"))
        .has("tells_result", flag("True if a Conversion Result Received is among them"))
        .has("tells_end", flag("True if a Delivery Ended is among them"))
}

fn rule() -> RefOr<Schema> {
    record("The rule as it is now; null if it is deleted or can't be read")
        .has("version", count("The version"))
        .has("epoch", count("Grows each time the rule is switched off"))
        .has("live", flag("True if it fires"))
        .has("sends", flag("True if it sends this delivery now"))
        .has("unbound_secrets", list("Secrets whose values must be written again", text("")))
        .has("max_attempts", or_null(count("Attempts of one budget")))
        .has("timeout_seconds", or_null(count("The timeout of its request")))
        .has("rate_per_second", or_null(count("Requests a second at most")))
        .into()
}

fn queue() -> RefOr<Schema> {
    record("The subject queue; null before anything of it was claimed")
        .has("revision", count("The revision of the row"))
        .has("head", count("The newest version whose first attempt was claimed"))
        .has("entries", list("The deliveries that it remembers, 32 at most", named("InternalQueueEntry")))
        .into()
}

fn entry() -> RefOr<Schema> {
    let returns = record("Claims of its next attempt that were given back")
        .has("attempt", count("The attempt"))
        .has("times", count("The number of claims"));
    record("One delivery of a subject queue")
        .has("id", delivery_id("The delivery"))
        .has("is_this", flag("True for the delivery that was asked for"))
        .has("version", count("The version of the conversion"))
        .has("rank", whole("0 for a created event, 1 for an updated one", 0..=255))
        .has("attempts", count("Attempts that were claimed"))
        .has("base", count("Those of them before the present budget"))
        .has("instruction", or_null(word("The instruction that a person gave last", ["resend", "stop"])))
        .has("claim", or_null(named_as("InternalClaim", "The claim of its next attempt; null if nobody holds one")))
        .has("parked_until", maybe_time("The time until which it is known while it has had no attempt"))
        .has("slot", maybe_time("The slot of its next attempt"))
        .has("returns", or_null(returns))
        .has("state", or_null(word("The state in its row", State::ALL.map(State::as_str))))
        .has("recorded", or_null(count("Attempts that its row has recorded")))
        .has("behind", or_null(named_as("InternalBlocker", "The delivery that it waits behind; null if none")))
        .into()
}

fn claim() -> RefOr<Schema> {
    record("The claim of an attempt")
        .has("lease_until", time("The end of its lease"))
        .has("incarnation", count("The incarnation of the process that claimed it; the same for all processes on AWS"))
        .has("is_live", flag("True if the attempt has no record, the lease is not over, and its process is of the present run"))
        .has("is_shared", flag("True if two hand-outs of one message hold it"))
        .into()
}

fn blocker() -> RefOr<Schema> {
    record("A delivery that another one waits behind")
        .has("id", delivery_id("The delivery that goes first"))
        .has("kind", word("The reason why it goes first", ["in_flight", "older", "same_change", "between_steps"]))
        .has("until", maybe_time("The time at which the wait is over even if nothing more is heard of it"))
        .into()
}

fn hold() -> RefOr<Schema> {
    record("The hold of the rule on the conversion")
        .has("revision", count("The revision of the row"))
        .has("epoch", count("The rule's epoch that it belongs to"))
        .has("version", count("The newest version of the conversion that it has seen"))
        .has("settled_at", maybe_time("The time since which the conversion is settled"))
        .has("held_since", maybe_time("The time since which anything is held"))
        .has("due", maybe_time("The time at which it is looked at next"))
        .has("woken_at", maybe_time("The time for which its message was sent or filed"))
        .has("subjects", count("Subjects that it knows"))
        .has("held", count("Those of them that are held"))
        .has("phase", or_null(word("The phase of this subject", ["held", "released", "skipped", "expired", "sent_as_was"])))
        .has("to_send", count("Outbox: postbacks to hand over"))
        .has("to_end", count("Outbox: deliveries to end"))
        .has("to_show", count("Outbox: deliveries to show as held"))
        .into()
}

fn due_row() -> RefOr<Schema> {
    record("A message for later, filed by the hour")
        .has("at", time("The time at which it is due"))
        .has("partition", text("The bucket of its hour"))
        .has("sort", text("The place in the bucket"))
        .into()
}

fn rate() -> RefOr<Schema> {
    record("The rate of the rule")
        .has("free_from", time("The next free slot"))
        .has("late_from", time("The time at which the next one may go that missed its slot"))
        .into()
}
