//! Changes as the platform publishes them (docs/events-in.md).

use tracking_core::change::MAX_TRANSACTIONS;
use utoipa::openapi::{RefOr, Schema, schema::ObjectBuilder};

use super::{
    super::shape::{
        Record as _, anything, count, either, flag, id, list, money, named, named_as, open_record, or_null, pattern, record,
        text, time, whole, word,
    },
    Thing, page, page_of_rows,
    rule::RESULTS,
};

/// The largest version.
const MOST: i64 = (1 << 53) - 1;
const CHANGES: [&str; 3] = ["created", "updated", "unchanged"];

/// The fields that only decorate a conversion.
const DECORATIONS: [(&str, &str); 10] = [
    ("advertiser_name", "The advertiser's name"),
    ("offer_name", "The offer's name"),
    ("channel", "The channel's name"),
    ("country", "The country of the conversion"),
    ("pcid", "The platform's click id"),
    ("external_id", "The advertiser's id of the conversion"),
    ("affiliate_click_id", "The affiliate's own click id"),
    ("voucher", "The promo code that was used"),
    ("ip", "The visitor's address"),
    ("user_agent", "The visitor's browser"),
];

pub(super) fn things() -> Vec<Thing> {
    vec![
        ("Event", event()),
        ("Conversion", conversion()),
        ("Transaction", transaction()),
        ("EventOrEnvelope", event_or_envelope()),
        ("Envelope", envelope()),
        ("Events", events()),
        ("Accepted", accepted()),
        ("BusEvent", bus_event()),
        ("BusEventPage", page("BusEvent")),
        ("Rejected", rejected()),
        ("RejectedPage", page_of_rows("Rejected")),
        (
            "Resubmit",
            record("A mended event, if the old one is not to be taken again as it is")
                .may("event", or_null(named_as("EventOrEnvelope", "The mended event; the old one as it was unless given")))
                .into(),
        ),
        (
            "Resubmitted",
            record("The number of events that were taken")
                .has("accepted", whole("The number of events taken: always 1", 1..=1))
                .into(),
        ),
    ]
}

fn event() -> RefOr<Schema> {
    let cause = open_record("The rule whose answer caused this change")
        .has("tracking_api_id", id("That rule"))
        .has("depth", whole("The length of the chain of causes", 1..=4_294_967_295));
    open_record("A change of a conversion; more fields are not looked at")
        .has("change_id", id("The same id again is the same change"))
        .has("occurred_at", time("The time at which it happened"))
        .has("conversion", named_as("Conversion", "The conversion as it now is"))
        .may("causation", or_null(cause))
        .may(
            "transactions",
            or_null(list("All of the conversion's, as they now are", named("Transaction")).max_items(Some(MAX_TRANSACTIONS))),
        )
        .into()
}

fn conversion() -> RefOr<Schema> {
    let mut record = open_record("A conversion as it now is")
        .has("conversion_id", id("Its id"))
        .has("version", whole("Grows with every change of it", 0..=MOST))
        .has("change", word("The kind of change", CHANGES))
        .has("type", text("click, lead, sale, custom and so on").min_length(Some(1)))
        .has("source", text("link, iframe, api and so on").min_length(Some(1)))
        .has("affiliate_id", id("The final owner"))
        .has("advertiser_id", id("The advertiser"))
        .has("offer_id", id("The offer"));
    for (name, about) in [("channel_id", "The channel"), ("integration_id", "The integration")] {
        record = record.may(name, or_null(id(about)));
    }
    for (name, about) in [("custom_type", "The name of a custom type"), ("currency", "The currency of the value")] {
        record = record.may(name, or_null(text(about)));
    }
    for (name, about) in DECORATIONS {
        record = record.may(name, decoration(about));
    }
    for (name, about) in [
        ("affs", "The affiliate's sub-parameters, affs1 to affs10"),
        ("query_params", "Of the tracking link"),
        ("cookie_params", "That the pixel read"),
    ] {
        record = record.may(name, decoration(&format!("{about}: an object of texts")));
    }
    let at = [
        ("click_at", "The time of the click"),
        ("created_at", "The time at which it was made"),
        ("updated_at", "The time of its last change"),
    ];
    record = times(record, &at);
    record
        .may("value", or_null(money("The order's value")))
        .may(
            "settled",
            or_null(flag("True if the platform says that it is settled; null or absent if the platform says nothing")),
        )
        .into()
}

/// A field that only decorates a conversion.
fn decoration(about: &str) -> ObjectBuilder {
    anything(&format!("{about}. It decides nothing and refuses nothing: anything else is taken as far as it can be"))
}

fn times(record: ObjectBuilder, fields: &[(&str, &str)]) -> ObjectBuilder {
    fields.iter().fold(record, |record, (name, about)| record.may(name, or_null(time(about))))
}

const CHANGE: &str = "What happened to it. If left out, the conversion's `change`; in an update of the conversion, `unchanged` for a transaction \
                      whose `updated_at` is more than a second before the conversion's, and for one with `auto_approved` that has no other result since";

fn transaction() -> RefOr<Schema> {
    let mut record = open_record("A transaction as it now is")
        .has("transaction_id", id("Its id"))
        .has("result", word("Its result", RESULTS))
        .may("version", or_null(whole("Grows with every change of it", 0..=MOST)))
        .may("change", or_null(word(CHANGE, CHANGES)))
        .may("previous_result", or_null(word("The result before this change", RESULTS)))
        .may("payout", or_null(money("The amount for the affiliate")))
        .may("revenue", or_null(money("The amount for the platform")))
        .may(
            "auto_approved",
            or_null(flag(
                "True if the result came with the transaction: no update of it follows. It may stay true in later changes",
            )),
        )
        .may("auto_set", or_null(flag("True if the platform set the result right after: it counts as an update")));
    for (name, about) in [("commission_id", "The commission that made it"), ("currency", "The currency of payout and revenue")] {
        record = record.may(name, or_null(text(about)));
    }
    record = record.may("type", decoration("The type of the transaction"));
    let at = [
        ("created_at", "The time at which it was made"),
        ("updated_at", "The time of its last change"),
        ("result_at", "The time at which it got its result"),
    ];
    times(record, &at).into()
}

fn event_or_envelope() -> RefOr<Schema> {
    either("A change, or the envelope in which the bus brings it", [named("Event"), named("Envelope")])
}

fn envelope() -> RefOr<Schema> {
    let offer = open_record("An offer as it now is")
        .has("offer_id", id("The offer"))
        .may("name", or_null(text("Its name")))
        .may("country", or_null(text("Its country, mostly an ISO 3166 code")))
        .may("category", or_null(text("Its category")));
    let of = |kind: &str, detail: RefOr<Schema>| {
        RefOr::from(open_record("").has("detail-type", word("The kind of event", [kind])).has("detail", detail))
    };
    either(
        "A message of the platform's bus; its other fields are not looked at",
        [of("Conversion Changed", named_as("Event", "The change")), of("Offer Changed", offer.into())],
    )
}

fn events() -> RefOr<Schema> {
    either("One envelope, or an array of them", [named("Envelope"), list("", named("Envelope")).min_items(Some(1)).into()])
}

fn accepted() -> RefOr<Schema> {
    let bad = record("An event that was not accepted")
        .has("index", count("Its place, from 0"))
        .has("errors", list("Its faults", named("Fault")));
    record("The number of accepted events, and the rejected ones")
        .has("accepted", count("The number of events that were accepted"))
        .has("rejected", list("The events that were not accepted, with their faults", bad))
        .into()
}

fn bus_event() -> RefOr<Schema> {
    let kinds = [
        "Conversion Result Received",
        "Delivery Ended",
        "Tracking API Event",
        "Tracking API Failing",
        "Receiver Down",
        "Receiver Up",
    ];
    record("An event that was published, as the bus would bring it")
        .has("version", text("Always `0`, as the bus writes it"))
        .has("id", pattern("The place among our events: ask for those after it with `after`", "^[0-9]+$"))
        .has("source", text("Always `tracking-api`"))
        .has("detail-type", word("The kind of event", kinds))
        .has("time", time("The time at which it happened"))
        .has("account", text("Always `local`"))
        .has("region", text("Always `local`"))
        .has("resources", list("Always empty", text("None")))
        .has("detail", open_record("The data of the event"))
        .into()
}

fn rejected() -> RefOr<Schema> {
    record("An event that could not be taken")
        .has("id", text("Its id"))
        .has("received_at", time("The time at which it came"))
        .has("event", anything("As it was received, as text"))
        .has("errors", list("All its faults; of an event that is cut some of them", named("Fault")))
        .has("cut", flag("True if only the beginning of the event is kept: taking it again needs the whole event in the body"))
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_published_events_are_described() {
        let described = serde_json::to_value(bus_event()).unwrap();
        let kinds = [
            "Conversion Result Received",
            "Delivery Ended",
            "Tracking API Event",
            "Tracking API Failing",
            "Receiver Down",
            "Receiver Up",
        ];
        assert_eq!(described["properties"]["detail-type"]["enum"], json!(kinds));
    }
}
