//! Trying a rule out.

use utoipa::openapi::{RefOr, Schema};

use super::{
    super::shape::{
        Record as _, anything, count, dictionary, either, flag, id, list, named, named_as, open_record, or_null, record, short,
        text, time, whole, word,
    },
    Thing,
    log::{KINDS, answer_headers},
    rule::RESULTS,
};

/// The meanings that an answer may have.
const VERDICTS: [&str; 5] = ["delivered", "pending", "retry", "failed", "branch"];

pub(super) fn things() -> Vec<Thing> {
    let event = || or_null(named_as("EventOrEnvelope", "The event to try it on; the built-in sample unless given"));
    let send = || or_null(flag("True to really send it").default(Some(false.into())));
    vec![
        ("Test", record("The input of a trial").may("event", event()).may("send", send()).may("answers", answers()).into()),
        ("StepTrial", step_trial()),
        ("Preview", preview()),
        ("Trial", trial()),
        ("MacroUse", macro_use()),
        ("ExtractedData", extracted()),
        ("Verdict", verdict()),
    ]
}

fn preview() -> RefOr<Schema> {
    let form = |name: &str| {
        let what = record("The input of a trial").has(name, named_as("NewTrackingApi", "The rule, as it would be posted"));
        let event = or_null(named_as("EventOrEnvelope", "The event to try it on; the built-in sample unless given"));
        let what = what.may("event", event).may("send", or_null(flag("True to really send it")));
        RefOr::from(what.may("answers", answers()))
    };
    either("A rule under `tracking_api`, or under `rule`", [form("tracking_api"), form("rule")])
}

fn trial() -> RefOr<Schema> {
    record("The request that would be sent, or was sent")
        .has("fires", flag("True if the rule would fire"))
        .has("held", flag("True if it would be held until the conversion is settled"))
        .has("verdicts", list("Each elementary event of the change", named("Verdict")))
        .has("event", or_null(word("The one that is rendered; null where nothing changed", KINDS)))
        .has("transaction_id", or_null(id("The transaction that is rendered")))
        .has("sample", flag("True if the built-in event was taken"))
        .has("request", or_null(named_as("SentRequest", "The request, secrets masked; null if it can't be rendered")))
        .has("error", or_null(short("The reason why it can't be rendered, or why there is no answer", 65_536)))
        .has("macros", list("Every macro that was filled in, once for each place", named("MacroUse")))
        .may("shortened", flag("True if verdicts or macros are left out, because there are very many"))
        .has("sent", flag("True if it was sent"))
        .has("status", or_null(whole("The answer's status", 100..=999)))
        .has("duration_ms", or_null(count("The duration in milliseconds")))
        .has("answer", or_null(short("The first 4 KiB of the answer", 65_536)))
        .has("answer_headers", or_null(answer_headers()))
        .has("verdict", or_null(word("The meaning of the answer", VERDICTS)))
        .has(
            "told",
            or_null(named_as("ExtractedData", "The data that answer rules extracted from the answer; null if nothing was sent")),
        )
        .has("warnings", list("Values that look like mistakes", named("Warning")))
        .has("schedule", named_as("Schedule", "The retries of the rule, laid out in times"))
        .may("steps", list("The steps of a flow in the order in which they were tried", named("StepTrial")))
        .may("ends", ends())
        .into()
}

/// Answers that are taken for those of the receivers.
fn answers() -> RefOr<Schema> {
    let body = anything("The body: a text, or JSON as it is written");
    let answer = record("An answer")
        .may("status", or_null(whole("Its status", 100..=599).default(Some(200.into()))))
        .may("headers", or_null(dictionary("Its headers", text("The value"))))
        .may("body", body);
    let about = "Answers by the names of steps, in order: they are judged instead of sending the step's request";
    or_null(dictionary(about, list("The answers of a step", answer).max_items(Some(31))))
}

fn ends() -> RefOr<Schema> {
    or_null(
        record("The state in which the delivery would be, or is tried no further")
            .has("state", or_null(text("A state of deliveries; null if the trial stopped before the end")))
            .has("reason", short("The reason", 65_536)),
    )
}

fn step_trial() -> RefOr<Schema> {
    record("A step of a flow that was tried")
        .has("step", text("The step's name"))
        .may("run", count("The run of the step; 1 is the first"))
        .may("waits_until", time("The time until which the step would wait; a trial does not"))
        .may("note", short("A note", 65_536))
        .may("emits", open_record("The event that the step would publish: `name`, `fields` and `count`"))
        .may("request", or_null(named_as("SentRequest", "The request, secrets masked; null if it can't be rendered")))
        .may("given", flag("True if an answer was given for it"))
        .may("status", or_null(whole("The answer's status", 100..=999)))
        .may("answer", or_null(short("The first 4 KiB of the answer", 65_536)))
        .may("answer_headers", or_null(answer_headers()))
        .may("verdict", or_null(word("The meaning of the answer", VERDICTS)))
        .may("go", or_null(text("The step at which the deciding answer rule goes on")))
        .may("told", or_null(named_as("ExtractedData", "The data that answer rules extracted from the answer")))
        .may("error", or_null(short("The reason why it can't be rendered, or why there is no answer", 65_536)))
        .into()
}

fn macro_use() -> RefOr<Schema> {
    record("A macro that was filled in")
        .has("place", text("JSON pointer into the rule's request"))
        .has("macro", short("The macro as it is written in the rule", 16_384))
        .has("name", short("The macro's name without modifiers", 65_536))
        .has("from", short("The origin of the value: a JSON pointer into the event, or its meaning", 65_536))
        .has("value", or_null(short("The value before modifiers", 65_536)))
        .has("text", or_null(short("The value after modifiers, before it is encoded for its place", 65_536)))
        .has("missing", flag("True if there was no value"))
        .into()
}

fn extracted() -> RefOr<Schema> {
    record("The data that answer rules extracted from the answer")
        .may("result", or_null(word("The result as the receiver sees it", RESULTS)))
        .may("payout", or_null(text("The payout as the receiver sees it")))
        .may("value", or_null(text("The order's value as the receiver sees it")))
        .may("external_id", or_null(text("The receiver's own id of the conversion")))
        .may("variables", dictionary("Variables for later requests of the same delivery", text("The value")))
        .into()
}

fn verdict() -> RefOr<Schema> {
    let conditions = [
        "trigger",
        "source",
        "conversion_type",
        "affiliate",
        "advertiser",
        "integration",
        "channel",
        "included_offers",
        "excluded_offers",
        "result",
        "commission",
        "active",
        "cause",
        "delay",
    ];
    let reason = record("A reason why it does not fire")
        .has("condition", word("The trigger, the condition or the setting that says no", conditions))
        .has("detail", short("The reason in a sentence", 65_536));
    record("The verdict of a rule on an elementary event")
        .has("event", word("The kind of the elementary event", KINDS))
        .has("transaction_id", or_null(id("The transaction that it is about; null for the conversion's events")))
        .has("fires", flag("True if it fires"))
        .has("reasons", list("The reasons why it does not fire; empty if it fires", reason))
        .may("note", short("A note, such as that it is held", 65_536))
        .into()
}
