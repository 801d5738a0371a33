//! The reasons why rules fired or did not.

use utoipa::openapi::{RefOr, Schema, schema::ObjectBuilder};

use super::{
    super::shape::{Record as _, count, flag, id, list, named, named_as, or_null, record, text, time},
    Thing, or_unreadable, page,
};

pub(super) fn things() -> Vec<Thing> {
    vec![
        (
            "Explain",
            record("The event to explain")
                .has("event", named_as("EventOrEnvelope", "The event to judge, which need not have happened"))
                .into(),
        ),
        ("Explanation", explanation()),
        ("ExplanationPage", explanations()),
        ("ConversionExplanation", past()),
        ("ConversionExplanationPage", page("ConversionExplanation")),
    ]
}

fn explanations() -> RefOr<Schema> {
    record("One page of a list, with notes on values of the event that are read in another way than they are written")
        .has("items", list("The items", or_unreadable("Explanation")))
        .has("next_cursor", or_null(text("The `cursor` of the next page; null if this is the last")))
        .has("notes", list("A long text that was cut, a list of which the last entry counts, and the like", named("Fault")))
        .into()
}

fn rule(about: &str) -> ObjectBuilder {
    record(about)
        .has("tracking_api_id", id("The rule"))
        .has("name", text("Its name"))
        .has("owner", named_as("Owner", "The owner of the rule"))
        .has("active", flag("True if it is active"))
}

fn explanation() -> RefOr<Schema> {
    rule("The verdict of a rule on an event")
        .has("fires", flag("True if it would fire"))
        .has("held", flag("True if it would be held until the conversion is settled"))
        .has("verdicts", list("Each elementary event of the change", named("Verdict")))
        .may("shortened", flag("True if verdicts are left out, because there are very many"))
        .into()
}

fn past() -> RefOr<Schema> {
    let change = record("A change as it came")
        .has("change_id", id("Its id"))
        .has("version", count("The conversion's version"))
        .has("occurred_at", time("The time at which it happened"))
        .has("received_at", time("The time at which it came"))
        .has("fires", flag("True if the rule, as it is now, fires on it"))
        .has("held", flag("True if it is held until the conversion is settled"))
        .has("rule_changed_since", flag("True if the rule changed after it came"))
        .has("verdicts", list("Each elementary event of the change", named("Verdict")))
        .has("notes", list("Values of the event that are taken otherwise than they came", named("Fault")))
        .may("shortened", flag("True if verdicts are left out, because there are very many"));
    rule("The verdicts of a rule on a conversion, with its deliveries")
        .has("changes", list("Each change of it, in the order in which they came", change))
        .has("complete", flag("False if there are too many changes for an answer: the oldest are left out"))
        .has("deliveries", list("The deliveries of the rule for the conversion", named("Delivery")))
        .into()
}
